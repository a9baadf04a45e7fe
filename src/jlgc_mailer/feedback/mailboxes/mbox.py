"""Files in the mbox format (RFC 4155): messages one after the other, each under a line that begins with "From "."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from jlgc_mailer.feedback.mailboxes import Fetched, in_batches, told_as_trouble
from jlgc_mailer.feedback.mailboxes.server import words_of
from jlgc_mailer.feedback.message import LIMIT

_LINE = 64 * 1024  # octets read at once; a longer line comes in pieces
_TRIES = 10
_BETWEEN = 0.2  # seconds; who delivers holds the lock for a moment only
_STALE = 500  # seconds after which nobody can still mean it: what Postfix takes for stale_lock_time


@dataclass(frozen=True)
class Mbox:
    """An mbox file. It is emptied when all of it is stored."""

    name: str
    every: timedelta
    path: Path

    @contextmanager
    def visit(self) -> Iterator["_Visit"]:
        """Lock the file, as those lock it who deliver into it; one that is not there is an empty one."""
        with told_as_trouble(self.path, (OSError,), words_of):
            if not self.path.exists() or not self.path.stat().st_size:
                yield _Visit(None)
                return
            with _dot_lock(self.path), self.path.open("r+b") as stream:
                _patiently(lambda: fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB))
                yield _Visit(stream)


class _Visit:
    """How many messages there are is known only at the end."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self.waiting = 0
        self.problems: list[str] = []
        self._stream = stream

    def batches(self) -> Iterator[Sequence[Fetched]]:
        """All messages. Whoever asks for one more batch after the last has settled all, and the file is emptied."""
        if self._stream:
            yield from in_batches(_messages(self._stream))
            os.ftruncate(self._stream.fileno(), 0)

    def settle(self, batch: Sequence[Fetched]) -> None:
        """Nothing yet: a message cannot be taken out of the middle."""


def _messages(stream: BinaryIO) -> Iterator[Fetched]:
    """A message begins after an empty line with "From "; ">From " within one stays as it is written."""
    kept, is_begin, is_after_empty = bytearray(), True, True
    while line := stream.readline(_LINE):
        if is_begin and is_after_empty and line.startswith(b"From "):
            yield from _whole(kept)
            kept = bytearray()
        elif len(kept) <= LIMIT:
            kept += line
        is_after_empty = is_begin and line in {b"\n", b"\r\n"}
        is_begin = line.endswith(b"\n")
    yield from _whole(kept)


def _whole(kept: bytearray) -> Iterator[Fetched]:
    """The message without the empty line that ends it in the file; nothing if that is all."""
    if kept.strip():
        end = next((end for end in (b"\r\n\r\n", b"\n\n") if kept.endswith(end)), b"")
        yield Fetched("", bytes(kept[: LIMIT + 1]).removesuffix(end[len(end) // 2 :]))


@contextmanager
def _dot_lock(file: Path) -> Iterator[None]:
    """The lock that is a file beside the file; where we may not make one, that of the file itself has to do."""
    lock = file.with_name(f"{file.name}.lock")
    try:
        _patiently(lambda: _make(lock))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _make(lock: Path) -> None:
    with suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > _STALE:
            lock.unlink(missing_ok=True)
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _patiently(take: Callable[[], None]) -> None:
    """Take a lock as soon as it is free; raises OSError when it stays taken."""
    for _ in range(_TRIES):
        try:
            return take()
        except (FileExistsError, BlockingIOError):
            time.sleep(_BETWEEN)
    raise OSError(errno.EAGAIN, "somebody else keeps it locked")
