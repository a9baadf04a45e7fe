"""Reading an issue from files: one Markdown file per language, with front matter, and the pictures beside it."""

from dataclasses import dataclass, replace
from email.utils import parseaddr
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from jlgc_mailer.content.media import PictureFile, read_picture
from jlgc_mailer.errors import InvalidFile, MailerError
from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.mail.message import safe
from jlgc_mailer.render.source import Block, BlockKind, EditionSource
from jlgc_mailer.states import Language

_FIELDS = ("subject", "preheader", "season", "from")
_FENCE = "---"


@dataclass(frozen=True)
class IssueFiles:
    """All editions of an issue as read from a folder, and their pictures by digest."""

    slug: str
    editions: tuple[EditionSource, ...]
    pictures: dict[str, PictureFile]


def read_issue(folder: Path) -> IssueFiles:
    """Read `en.md`, `ja.md` or both from a folder named after the issue; raises InvalidFile with file and line."""
    if not folder.is_dir():
        raise InvalidFile(place=folder, problem="there is no such folder", remedy="Name the folder of an issue.")
    files = {language: folder / f"{language}.md" for language in Language if (folder / f"{language}.md").is_file()}
    if not files:
        names = " or ".join(f"{language}.md" for language in Language)
        raise InvalidFile(place=folder, problem=f"there is no {names} in it", remedy="Write one file per language.")
    slug = folder.resolve().name.lower()
    editions = [
        read_edition(_text(file), str(file), slug, language, tuple(other for other in files if other != language))
        for language, file in files.items()
    ]
    read = [_with_pictures(edition, folder) for edition in editions]
    pictures = {file.picture.digest: file for _, files_of_edition in read for file in files_of_edition}
    return IssueFiles(slug, tuple(edition for edition, _ in read), pictures)


def read_edition(
    text: str, place: str, slug: str, language: Language, other_languages: tuple[Language, ...] = ()
) -> EditionSource:
    """One edition from its text; raises InvalidFile with the line."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    front, body, body_line = _split_front_matter(text, place)
    fields = _front_matter(front, place)
    return EditionSource(
        slug=slug,
        language=language,
        subject=fields["subject"],
        preheader=fields["preheader"],
        season=fields["season"],
        sender=_sender(fields["from"], place),
        blocks=_blocks(body, place, body_line),
        other_languages=other_languages,
        place=place,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise InvalidFile(place=f"{file}:{line}", problem="it is not UTF-8 text", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidFile(place=file, problem=str(error.strerror), remedy="Make it readable.") from None


def _split_front_matter(text: str, place: str) -> tuple[str, str, int]:
    """The front matter, the body, and the line on which the body begins."""
    lines = text.split("\n")
    if lines[0].strip() != _FENCE:
        remedy = "Begin the file with --- and the fields subject, preheader, season and from."
        raise InvalidFile(place=f"{place}:1", problem="the front matter is missing", remedy=remedy)
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == _FENCE:
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :]), number + 2
    raise InvalidFile(place=f"{place}:1", problem="the front matter does not end", remedy="Close it with a line ---.")


def _front_matter(front: str, place: str) -> dict[str, str]:
    try:
        loaded = yaml.safe_load(front)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = f"the front matter cannot be read ({getattr(error, 'problem', None) or 'broken YAML'})"
        remedy = "Write each field as name: value, with the value in quotes if it holds a colon."
        raise InvalidFile(place=f"{place}:{line}", problem=problem, remedy=remedy) from None
    fields = loaded if isinstance(loaded, dict) else {}
    for name in _FIELDS:
        if not str(fields.get(name) or "").strip():
            remedy = f"Add a line “{name}: ...”."
            raise InvalidFile(place=f"{place}:1", problem=f"the front matter has no {name}", remedy=remedy)
    return {name: _one_line(name, str(fields[name]), place) for name in _FIELDS}


def _one_line(name: str, value: str, place: str) -> str:
    value = value.strip()
    try:
        return safe(name, value)
    except MailerError:
        problem = f"the field {name} holds more than one line or a control character"
        raise InvalidFile(place=f"{place}:1", problem=problem, remedy="Write it on one line.") from None


def _sender(value: str, place: str) -> str:
    display, spec = parseaddr(value)
    try:
        return f"{display} <{parse_address(spec).spec}>" if display else parse_address(spec).spec
    except MailerError as error:
        problem = f"the field from is no address ({error.fields.get('problem')})"
        remedy = "Write it as: from: Our Name <newsletter@our-domain.example>"
        raise InvalidFile(place=f"{place}:1", problem=problem, remedy=remedy) from None


def _blocks(body: str, place: str, first_line: int) -> tuple[Block, ...]:
    """Headed sections: `#` begins the hero, each `##` an article."""
    lines = body.split("\n")
    headings = _headings(body)
    if not headings or headings[0][1] is not BlockKind.HERO or any(k is BlockKind.HERO for _, k, _ in headings[1:]):
        problem = "the text does not begin with one heading “# ...”, or has more than one of them"
        raise InvalidFile(
            place=f"{place}:{first_line}", problem=problem, remedy="Write one title, then “## ...” items."
        )
    if any(line.strip() for line in lines[: headings[0][0]]):
        problem = "there is text before the title"
        raise InvalidFile(place=f"{place}:{first_line}", problem=problem, remedy="Move it below the line “# ...”.")
    ends = [line for line, _, _ in headings[1:]] + [len(lines)]
    return tuple(
        Block(kind, heading, "\n".join(lines[start + 1 : end]), first_line + start)
        for (start, kind, heading), end in zip(headings, ends, strict=True)
    )


def _headings(body: str) -> list[tuple[int, BlockKind, str]]:
    """Line, kind and text of each top-level `#` and `##` heading, as CommonMark sees them (not inside code)."""
    tokens = MarkdownIt("commonmark").parse(body)
    kinds = {"h1": BlockKind.HERO, "h2": BlockKind.ARTICLE}
    return [
        (token.map[0], kinds[token.tag], tokens[index + 1].content)
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.tag in kinds and token.map
    ]


def _with_pictures(edition: EditionSource, folder: Path) -> tuple[EditionSource, list[PictureFile]]:
    files = {
        address: read_picture(folder, address, f"{edition.place}:{block.line}")
        for block in edition.blocks
        for address in _picture_addresses(block.markdown)
    }
    return replace(edition, pictures={address: file.picture for address, file in files.items()}), list(files.values())


def _picture_addresses(markdown: str) -> list[str]:
    """The relative addresses of the pictures in a block; others are left for the renderer to refuse."""
    addresses: list[str] = []
    for token in _all_tokens(MarkdownIt("commonmark").parse(markdown)):
        address = token.attrs.get("src") if token.type == "image" else None
        if isinstance(address, str) and ":" not in address:
            addresses.append(address)
    return addresses


def _all_tokens(tokens: list[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *_all_tokens(token.children or []))]
