"""What a benchmark prints: one line for each thing measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

TITLE = f"{'what':<66} {'ours':>12} {'theirs':>12} {'ratio':>7}  aim"


@dataclass(frozen=True)
class Row:
    """Something measured, beside what it is measured against and what it should be."""

    what: str
    ours: str
    theirs: str
    ratio: float | None
    aim: str

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return f"{self.what:<66} {self.ours:>12} {self.theirs:>12} {ratio:>7}  {self.aim}"


def ratio_of(ours: Iterable[float], theirs: Sequence[float]) -> float:
    """The median of the ratios within each round; both are seconds, so that more is better for us."""
    return median([its / our for our, its in zip(ours, theirs, strict=True)])
