"""A thousand readers who do not exist: the same ones every time, in two languages, at several domains."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_ENGLISH_GIVEN = [
    "Amelia",
    "Bronwen",
    "Callum",
    "Daniel",
    "Eleanor",
    "Fiona",
    "George",
    "Harriet",
    "Imran",
    "Jasmine",
    "Kwame",
    "Laura",
    "Mohammed",
    "Niamh",
    "Oliver",
    "Priya",
    "Rhys",
    "Siobhán",
    "Thomas",
    "Zoë",
]
_ENGLISH_FAMILY = [
    "Adeyemi",
    "Brown",
    "Clarke",
    "Davies",
    "Edwards",
    "Fraser",
    "Green",
    "Hughes",
    "O'Brien",
    "Jones",
    "Khan",
    "Lewis",
    "MacDonald",
    "Núñez",
    "Owen",
    "Patel",
    "Roberts",
    "Singh",
    "Taylor",
    "Walker",
    "Williams",
    "Wright",
    "Young",
]
_JAPANESE_FAMILY = (
    ("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("田中", "tanaka"), ("伊藤", "ito"),
    ("渡辺", "watanabe"), ("山本", "yamamoto"), ("中村", "nakamura"), ("小林", "kobayashi"), ("加藤", "kato"),
    ("吉田", "yoshida"), ("山田", "yamada"), ("佐々木", "sasaki"), ("山口", "yamaguchi"), ("松本", "matsumoto"),
    ("井上", "inoue"), ("木村", "kimura"), ("清水", "shimizu"), ("𠮷野", "yoshino"),
)  # fmt: skip
_JAPANESE_GIVEN = (
    ("愛子", "aiko"), ("健太", "kenta"), ("美咲", "misaki"), ("大輔", "daisuke"), ("由美", "yumi"), ("翔", "sho"),
    ("さくら", "sakura"), ("直樹", "naoki"), ("恵", "megumi"), ("拓也", "takuya"), ("陽子", "yoko"), ("隆", "takashi"),
    ("千尋", "chihiro"), ("誠", "makoto"), ("葵", "aoi"), ("ひかり", "hikari"), ("蓮", "ren"),
)  # fmt: skip
_ENGLISH_DOMAINS = ("council.example", "borough.example", "university.example", "example.org", "example.com")
_JAPANESE_DOMAINS = ("example.jp", "example.co.jp", "city.example", "example.ne.jp")
_PLAIN = str.maketrans({"á": "a", "ë": "e", "ú": "u", "ñ": "n", "'": ""})


class Fate(StrEnum):
    """What the world does with a reader's message, or the reader before it."""

    ACCEPTS = "accepts"
    GREYLISTS = "greylists"
    UNKNOWN = "unknown user"
    FULL = "mailbox full"
    COMPLAINS = "complains"
    LEFT = "leaves after planning"
    SUPPRESSED = "was suppressed before"


@dataclass(frozen=True)
class Reader:
    """One generated subscriber."""

    address: str
    name: str
    language: str
    fate: Fate


def readers(number: int) -> Iterator[Reader]:
    """`number` readers, two English to one Japanese."""
    for index in range(number):
        fate = _fate(index)
        yield _japanese(index, fate) if index % 3 == 2 else _english(index, fate)


def _english(index: int, fate: Fate) -> Reader:
    given = _ENGLISH_GIVEN[index % len(_ENGLISH_GIVEN)]
    family = _ENGLISH_FAMILY[index * 7 % len(_ENGLISH_FAMILY)]
    local = f"{given}.{family}{index}".lower().translate(_PLAIN)
    return Reader(f"{local}@{_ENGLISH_DOMAINS[index % len(_ENGLISH_DOMAINS)]}", f"{given} {family}", "en", fate)


def _japanese(index: int, fate: Fate) -> Reader:
    family, family_romaji = _JAPANESE_FAMILY[index % len(_JAPANESE_FAMILY)]
    given, given_romaji = _JAPANESE_GIVEN[index * 5 % len(_JAPANESE_GIVEN)]
    local = f"{given_romaji}.{family_romaji}{index}"
    return Reader(f"{local}@{_JAPANESE_DOMAINS[index % len(_JAPANESE_DOMAINS)]}", f"{family}{given}", "ja", fate)


def _fate(index: int) -> Fate:
    """In a thousand: 7 unknown, 1 full, 1 who complains, 2 who leave, 3 suppressed, 43 greylisted; the rest accept."""
    special = {17: Fate.FULL, 29: Fate.COMPLAINS, 31: Fate.LEFT, 41: Fate.LEFT}
    if index in special:
        return special[index]
    if index % 143 == 11:
        return Fate.UNKNOWN
    if index % 400 == 53:
        return Fate.SUPPRESSED
    return Fate.GREYLISTS if index % 23 == 7 else Fate.ACCEPTS
