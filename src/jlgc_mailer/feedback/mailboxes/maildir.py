"""Maildirs: a folder with a file for each message; new ones are in `new`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from jlgc_mailer.feedback.mailboxes import A_VISIT, Fetched, in_batches, told_as_trouble
from jlgc_mailer.feedback.mailboxes.server import words_of
from jlgc_mailer.feedback.message import LIMIT

_SEEN = ":2,S"  # how a file in `cur` tells that it was read


@dataclass(frozen=True)
class Maildir:
    """A maildir. What is stored is removed, or with `keeps` moved to `cur` as read."""

    name: str
    every: timedelta
    path: Path
    keeps: bool = False

    @contextmanager
    def visit(self) -> Iterator["_Visit"]:
        """Look what is new."""
        with told_as_trouble(self.path, (OSError,), words_of):
            yield _Visit(self.path, keeps=self.keeps)


class _Visit:
    def __init__(self, path: Path, *, keeps: bool) -> None:
        # Names begin with the second in which the message came; beginning with a dot they are none.
        self._files = sorted(
            entry.name for entry in os.scandir(path / "new") if entry.name[0] != "." and entry.is_file()
        )
        self.waiting = len(self._files)
        self.problems: list[str] = []
        self._path = path
        self._keeps = keeps

    def batches(self) -> Iterator[Sequence[Fetched]]:
        """The files, in the order in which they came."""
        return in_batches(self._messages())

    def settle(self, batch: Sequence[Fetched]) -> None:
        """Remove or move the files; one that is gone by now was taken by somebody else."""
        for message in batch:
            file = self._path / "new" / message.key
            try:
                if self._keeps:
                    file.rename(self._path / "cur" / f"{message.key.partition(':')[0]}{_SEEN}")
                else:
                    file.unlink(missing_ok=True)
            except OSError as error:
                self.problems.append(f"{file} stays: {words_of(error)}")

    def _messages(self) -> Iterator[Fetched]:
        for name in self._files[:A_VISIT]:
            file = self._path / "new" / name
            try:
                with file.open("rb") as stream:
                    yield Fetched(name, stream.read(LIMIT + 1))
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problems.append(f"{file} cannot be read: {words_of(error)}")
