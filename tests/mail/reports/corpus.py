"""The corpus: reports written from the formats of the world's mail systems, and what a careful person reads in each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "data" / "reports"


@dataclass(frozen=True)
class Expected:
    """What one report says about one recipient."""

    feedback_class: str
    recipient: str | None
    status: str | None


@dataclass(frozen=True)
class Sample:
    """One report of the corpus."""

    name: str
    data: bytes
    expected: tuple[Expected, ...]


def samples() -> list[Sample]:
    """Every report, by name."""
    tables = tomllib.loads((FOLDER / "expected.toml").read_text("utf-8"))
    return [
        Sample(
            name,
            (FOLDER / name).read_bytes(),
            tuple(Expected(each["class"], each.get("recipient"), each.get("status")) for each in table["signals"]),
        )
        for name, table in sorted(tables.items())
    ]


def replies() -> list[tuple[str, str]]:
    """Every reply of the table, after its class."""
    table = tomllib.loads((FOLDER / "replies.toml").read_text("utf-8"))
    return [(feedback_class, text) for feedback_class, texts in table.items() for text in texts]
