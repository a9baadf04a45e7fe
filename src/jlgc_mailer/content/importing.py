"""Reading an issue from files: one Markdown file per language, with front matter, and the pictures beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import unquote

import yaml
from markdown_it import MarkdownIt

from jlgc_mailer.content.media import PictureFile, read_picture
from jlgc_mailer.errors import InvalidFile, InvalidInput, MailerError
from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.mail.message import safe
from jlgc_mailer.render.source import Block, BlockKind, EditionSource
from jlgc_mailer.states import Language

_FIELDS = ("subject", "preheader", "season", "from")
_FENCE = "---"
_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_KINDS = {"h1": BlockKind.HERO, "h2": BlockKind.ARTICLE}


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
    heads = _heads(body)
    _check_heads(heads, body, place, body_line)
    return EditionSource(
        slug=slug,
        language=language,
        subject=fields["subject"].text,
        preheader=fields["preheader"].text,
        season=fields["season"].text,
        sender=_sender(fields["from"]),
        blocks=_blocks(heads, body, body_line),
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


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the front matter, and where it stands."""

    text: str
    place: str


def _front_matter(front: str, place: str) -> dict[str, _Field]:
    """The fields as they were written: no text is taken for a date, a number or a truth."""
    try:
        node = yaml.compose(front, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise _broken_yaml(error, front, place) from None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    fields = {
        key.value: _Field(value.value.strip(), f"{place}:{key.start_mark.line + 2}")
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    for name in _FIELDS:
        if name not in fields or not fields[name].text:
            remedy = f"Add a line “{name}: ...”, with the value in quotes."
            raise InvalidFile(place=f"{place}:1", problem=f"the front matter has no {name}", remedy=remedy)
        _check_one_line(name, fields[name])
    return fields


def _broken_yaml(error: yaml.YAMLError | RecursionError, front: str, place: str) -> InvalidFile:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken YAML"
    never_ends = "end of stream" in problem  # then the mark that helps is where it began
    mark = getattr(error, "context_mark" if never_ends else "problem_mark", None)
    before = mark.line if mark else front[: getattr(error, "position", 0)].count("\n")
    return InvalidFile(
        place=f"{place}:{before + 2}",
        problem=f"the front matter cannot be read ({problem})",
        remedy="Write each field as name: value, with the value in quotes if it holds a colon or a brace.",
    )


def _check_one_line(name: str, field: _Field) -> None:
    try:
        safe(name, field.text)
    except MailerError:
        problem = f"the field {name} holds more than one line or half a character"
        raise InvalidFile(place=field.place, problem=problem, remedy="Write it on one line.") from None


def _sender(field: _Field) -> str:
    """`Name <address>`, or the address alone, as From will have it."""
    display, written = parseaddr(field.text)
    try:
        spec = parse_address(written).spec
        if not spec.isascii():
            raise InvalidInput(what="Address", value=written, problem="an address to write from is plain ASCII.")
    except MailerError as error:
        problem = f"the field from is no address ({str(error.fields.get('problem')).rstrip('.')})"
        remedy = "Write it as: from: Our Name <newsletter@our-domain.example>"
        raise InvalidFile(place=field.place, problem=problem, remedy=remedy) from None
    return f"{display} <{spec}>" if display else spec


@dataclass(frozen=True, slots=True)
class _Head:
    """A heading that begins a block; it takes the lines from `start` up to `end` of the body."""

    kind: BlockKind
    text: str
    start: int
    end: int


def _heads(body: str) -> list[_Head]:
    """Each top-level `#` and `##` heading, as CommonMark sees them (not inside code)."""
    tokens = _MARKDOWN.parse(body)
    return [
        _Head(_KINDS[token.tag], tokens[index + 1].content, *token.map)
        for index, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0 and token.tag in _KINDS and token.map
    ]


def _check_heads(heads: Sequence[_Head], body: str, place: str, first_line: int) -> None:
    """One title, before everything else."""

    def refuse(line: int, problem: str, remedy: str) -> None:
        raise InvalidFile(place=f"{place}:{first_line + line}", problem=problem, remedy=remedy)

    written = next((number for number, line in enumerate(body.split("\n")) if line.strip()), 0)
    if not any(head.kind is BlockKind.HERO for head in heads):
        refuse(written, "there is no title “# ...”", "Begin the text with one, then write “## ...” for each article.")
    if heads[0].kind is not BlockKind.HERO or heads[0].start > written:
        refuse(written, "there is something before the title “# ...”", "Move it below the title.")
    for head in heads[1:]:
        if head.kind is BlockKind.HERO:
            refuse(head.start, "there is a second title “# ...”", "Begin an article with “## ...”.")


def _blocks(heads: Sequence[_Head], body: str, first_line: int) -> tuple[Block, ...]:
    """Headed sections: `#` begins the hero, each `##` an article. Every line keeps its distance from its heading."""
    lines = body.split("\n")
    ends = [head.start for head in heads[1:]] + [len(lines)]
    return tuple(
        Block(
            head.kind,
            head.text,
            "\n".join([""] * (head.end - head.start - 1) + lines[head.end : end]),
            first_line + head.start,
        )
        for head, end in zip(heads, ends, strict=True)
    )


def _with_pictures(edition: EditionSource, folder: Path) -> tuple[EditionSource, list[PictureFile]]:
    files = {
        address: read_picture(folder, address, f"{edition.place}:{line}")
        for block in edition.blocks
        for address, line in _pictures_in(block)
    }
    return replace(edition, pictures={address: file.picture for address, file in files.items()}), list(files.values())


def _pictures_in(block: Block) -> Iterator[tuple[str, int]]:
    """Address and line of each picture that lies beside the edition; others are left for the renderer to refuse."""
    for token in _MARKDOWN.parse(block.markdown):
        for child in token.children or ():
            address = unquote(str(child.attrs.get("src", "")))
            if child.type == "image" and ":" not in address:
                yield address, block.line + 1 + (token.map[0] if token.map else 0)
