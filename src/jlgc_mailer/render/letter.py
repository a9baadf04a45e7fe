"""What the templates of a newsletter are filled with: an edition's text, marked and split, and its fixed words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateRuntimeError
from markupsafe import Markup

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.render.characters import check_characters
from jlgc_mailer.render.fields import AUTHOR_FIELDS, TEMPLATE_FIELDS, Slots
from jlgc_mailer.render.markdown import Part, parts
from jlgc_mailer.render.runs import mark_runs
from jlgc_mailer.render.source import Block, BlockKind, EditionSource, Picture, Site
from jlgc_mailer.render.templating import FOLDER
from jlgc_mailer.render.wording import wording
from jlgc_mailer.states import Language

HEADING = {BlockKind.HERO: 1, BlockKind.ARTICLE: 2}
_FRONT_MATTER = 1  # an edition's opening fields stand there; which line each is on is not kept
_READ_THIS_ISSUE = {
    Language.ENGLISH: "Read this issue in English",
    Language.JAPANESE: "Read this issue in Japanese",
}


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A block, ready for the templates."""

    kind: BlockKind
    heading: str
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Switch:
    """A way to the same issue in another language, told in that language (A8)."""

    language: Language
    label: str
    url: str


@dataclass(frozen=True)
class Letter:
    """Everything that the templates may name."""

    language: Language
    subject: str
    preheader: str
    season: str
    blocks: list[LaidOut]
    organisation: str
    postal_address: str
    contact: str
    view_url: str
    switches: list[Switch]
    t: Callable[[str], str]
    runs: Callable[[str], Markup]
    slot: Callable[[str], str]
    picture_url: Callable[[Picture], str]

    def values(self) -> dict[str, Any]:
        """By name, as Jinja2 takes them."""
        return dict(vars(self))


def write_letter(source: EditionSource, site: Site, templates: Path, slots: Slots) -> Letter:
    """The letter of an edition; merge fields become marks in `slots`. Raises InvalidFile."""
    _check_blocks(source)
    base = site.public_url.rstrip("/")
    return Letter(
        language=source.language,
        subject=_title(source.subject, source, slots, _FRONT_MATTER),
        preheader=_line(source.preheader, source, slots),
        season=_line(source.season, source, slots),
        blocks=[_lay_out(block, source, slots) for block in source.blocks],
        organisation=site.organisation[source.language],
        postal_address=site.postal_address,
        contact=site.contact,
        view_url=_issue_url(base, source, source.language),
        switches=[_switch(language, base, source, templates) for language in source.other_languages],
        t=wording(templates / FOLDER, source.language),
        runs=lambda text: mark_runs(text, source.language),
        slot=lambda field: _template_field(field, slots),
        picture_url=lambda picture: f"{base}/media/{picture.digest}/{picture.name}",
    )


def _check_blocks(source: EditionSource) -> None:
    """A page has one main heading, and it comes first (A3)."""
    kinds = [block.kind for block in source.blocks]
    if kinds.count(BlockKind.HERO) == 1 and kinds[0] is BlockKind.HERO:
        return
    line = next((block.line for block in source.blocks[1:] if block.kind is BlockKind.HERO), _FRONT_MATTER)
    raise InvalidFile(
        place=f"{source.place}:{line}",
        problem="an edition begins with one main heading, and has no other",
        remedy="Write “# ” before the first heading and “## ” before every other.",
    )


def _line(text: str, source: EditionSource, slots: Slots, line: int = _FRONT_MATTER) -> str:
    """A text of one line, checked, with its merge fields marked."""
    check_characters(text, source.place, line)
    return slots.mark_all(" ".join(text.split("\n")), source.place, line)


def _title(text: str, source: EditionSource, slots: Slots, line: int) -> str:
    """A line that names something, and so is not empty (A3)."""
    if not text.strip():
        place = f"{source.place}:{line}"
        raise InvalidFile(place=place, problem="the subject or heading is empty", remedy="Write one.")
    return _line(text, source, slots, line)


def _lay_out(block: Block, source: EditionSource, slots: Slots) -> LaidOut:
    body = block.line + 1
    return LaidOut(
        block.kind,
        _title(block.heading, source, slots, block.line),
        parts(
            slots.mark_all(block.markdown, source.place, body),
            source.language,
            source.pictures,
            place=source.place,
            line=body,
            top_heading=HEADING[block.kind] + 1,
        ),
    )


def _switch(language: Language, base: str, source: EditionSource, templates: Path) -> Switch:
    label = wording(templates / FOLDER, language)(_READ_THIS_ISSUE[language])
    return Switch(language, label, _issue_url(base, source, language))


def _issue_url(base: str, source: EditionSource, language: Language) -> str:
    return f"{base}/issues/{source.slug}/{language}"


def _template_field(field: str, slots: Slots) -> str:
    if field not in (*TEMPLATE_FIELDS, *AUTHOR_FIELDS):
        raise TemplateRuntimeError(f"there is no merge field {field!r}")
    return slots.mark(field)
