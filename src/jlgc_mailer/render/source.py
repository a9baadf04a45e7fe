"""The values that rendering starts from and ends with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jlgc_mailer.render.fields import Slot
from jlgc_mailer.states import Language


class BlockKind(StrEnum):
    """A piece of an edition."""

    HERO = "hero"
    ARTICLE = "article"


@dataclass(frozen=True, slots=True)
class Block:
    """A headed section; `markdown` is its body without the heading, `line` where its heading stands in its file."""

    kind: BlockKind
    heading: str
    markdown: str
    line: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored picture that an edition shows; width and height in pixels."""

    digest: str
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class EditionSource:
    """An edition as written. `pictures` maps the addresses used in the Markdown to what is stored."""

    slug: str
    language: Language
    subject: str
    preheader: str
    season: str
    sender: str
    blocks: tuple[Block, ...]
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    other_languages: tuple[Language, ...] = ()
    place: str = "edition"


@dataclass(frozen=True)
class Site:
    """The sender's particulars that every message carries (STANDARDS L9, L10)."""

    public_url: str
    organisation: Mapping[Language, str]
    postal_address: str
    contact: str


@dataclass(frozen=True)
class Compiled:
    """An edition as mail, ready for merging: each value's place is marked by `slots[n].mark`."""

    language: Language
    sender: str
    subject: str
    html: str
    text: str
    slots: tuple[Slot, ...]
