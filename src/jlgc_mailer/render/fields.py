"""Merge fields: which values an author may ask for, and the marks that hold their places while rendering.

An author writes `{{ name }}`, or `{{ name|reader }}` with what stands there for people who gave no name.
A mark is plain letters and digits, because it has to pass unchanged through Markdown, Jinja2, MJML, premailer
and an href, where `{{ name }}` would be escaped or rewritten.
"""

import re
from dataclasses import dataclass

from jlgc_mailer.errors import InvalidFile

AUTHOR_FIELDS = ("name",)
TEMPLATE_FIELDS = ("address", "list_title", "unsubscribe_url")

_FIELD = re.compile(r"\{\{(?P<inner>.*?)\}\}", re.DOTALL)
_INNER = re.compile(r"\s*(?P<field>[a-z_]+)\s*(?:\|(?P<fallback>[^|{}<>\n]*))?\Z")
_RESERVED = "zqslot"
_MARK = re.compile(rf"{_RESERVED}([0-9]+)zq")


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one merge field; `fallback` stands there when the value is empty."""

    field: str
    fallback: str
    mark: str


class Slots:
    """Collects the slots of one edition while it is rendered."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str], Slot] = {}

    def mark(self, field: str, fallback: str = "") -> str:
        """The mark of a field; the same field and fallback always have the same mark."""
        key = (field, fallback)
        if key not in self._slots:
            self._slots[key] = Slot(field, fallback, f"{_RESERVED}{len(self._slots)}zq")
        return self._slots[key].mark

    def mark_all(self, text: str, file: str, line: int) -> str:
        """`text` with its merge fields replaced by marks; `line` is where the text begins in `file`.

        Raises InvalidFile, with the line, for a field that is not declared or cannot be read.
        """
        if _RESERVED in text:
            at = line + text[: text.index(_RESERVED)].count("\n")
            raise InvalidFile(place=f"{file}:{at}", problem=f"“{_RESERVED}” is reserved", remedy="Write it otherwise.")
        return _FIELD.sub(lambda found: self._replace(found, file, line + text[: found.start()].count("\n")), text)

    def _replace(self, found: re.Match[str], file: str, line: int) -> str:
        inner = _INNER.match(found["inner"])
        if inner is None or inner["field"] not in AUTHOR_FIELDS:
            declared = ", ".join(f"{{{{ {name} }}}}" for name in AUTHOR_FIELDS)
            raise InvalidFile(
                place=f"{file}:{line}",
                problem=f"merge field {found.group()} is not declared",
                remedy=f"Use {declared}, with a fallback as in {{{{ name|reader }}}}.",
            )
        return self.mark(inner["field"], (inner["fallback"] or "").strip())

    @property
    def all(self) -> tuple[Slot, ...]:
        """All slots, in the order of their numbers."""
        return tuple(self._slots.values())


def split_at_marks(text: str) -> list[str | int]:
    """Literal pieces and slot numbers, alternately, beginning and ending with a (maybe empty) literal."""
    pieces: list[str | int] = []
    for index, piece in enumerate(_MARK.split(text)):
        pieces.append(int(piece) if index % 2 else piece)
    return pieces
