"""A journal on local disk: what a worker is about to send, and what the relay said, before the database knows.

One line is appended before the content of a message goes out and one when its reply is there; both with one write for
all connections that are ready at a moment. Appended octets survive the death of the process that wrote them, but not
that of the machine: so the first line names the machine's boot, and after another boot silence proves nothing.
The journal is removed when everything in it is committed. A lock tells whether its worker lives.
"""

import fcntl
import logging
import os
import secrets
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jlgc_mailer.errors import MailerError
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import DeliveryStatus, Stage

_SUFFIX, _UNLOCKED = ".journal", ".new"
_LOCKED_WITHIN = 60  # seconds; who has not locked a new journal by then has died over it
_HIGHEST_ID = 2**63 - 1  # what the database holds
_HIGHEST_ATTEMPT = 10**6
_HIGHEST_CODE = 999
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
log = logging.getLogger("jlgc_mailer.sending")


class JournalFault(MailerError):
    """Nothing can be sent, because what was sent could not be told afterwards."""

    sentence = (
        "The journal {place} cannot be written: {problem}. "
        "Make room on its disk, or let workers write to its folder; sending goes on by itself."
    )


class Journal:
    """The journal of one turn of a worker. Raises JournalFault when none can be begun, and then leaves nothing."""

    def __init__(self, folder: Path, transport: str) -> None:
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}"
        unlocked = self._path.with_suffix(_UNLOCKED)  # nobody may take it for an orphan before it is locked
        with _told(self._path), ExitStack() as undo:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(unlocked, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            undo.callback(os.close, self._file)
            undo.callback(unlocked.unlink, missing_ok=True)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._append(f"! {boot_id()} {transport}\n")
            unlocked.rename(self._path)
            undo.pop_all()

    def claim(self, claim: Claim) -> None:
        """A batch that is worked on from now on."""
        self._append(f"# {claim.batch_id} {claim.send_id} {claim.first_id} {claim.last_id} {claim.mark}\n")

    def note(self, replies: Sequence[tuple[int, int, Outcome]], intents: Sequence[tuple[int, int]]) -> None:
        """What became of attempts, and which content goes out next; each by delivery id and number of the attempt."""
        lines = [_reply_line(*reply) for reply in replies]
        lines += [f"> {delivery_id} {number}\n" for delivery_id, number in intents]
        self._append("".join(lines))

    def _append(self, lines: str) -> None:
        """One write; raises JournalFault unless all of it was taken, as when the disk is full."""
        data = lines.encode()
        with _told(self._path):
            written = os.write(self._file, data)
        if written < len(data):
            raise JournalFault(place=self._path, problem="only a part of the line could be written")

    def close(self, *, all_recorded: bool) -> None:
        """Remove it if everything is committed; else leave it, unlocked, to be read back."""
        try:
            if all_recorded:
                self._path.unlink(missing_ok=True)
        finally:
            os.close(self._file)


@dataclass
class Story:
    """What a journal tells: `intents` are those attempts whose content went out and of which no reply is known."""

    boot: str = ""
    transport: str = ""
    claims: list[Claim] = field(default_factory=list)
    intents: dict[int, int] = field(default_factory=dict)
    outcomes: dict[tuple[int, int], Outcome] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether what it does not say did not happen: the machine has not died since."""
        return self.boot == boot_id()


def read_journal(data: bytes) -> Story:
    """The story of a journal; a line that was not written to its end, or is damaged, says nothing."""
    story = Story()
    for line in data[: data.rfind(b"\n") + 1].decode("utf-8", "replace").split("\n"):
        kind, _, rest = line.partition(" ")
        try:
            _READERS.get(kind, _nothing)(story, rest)
        except (ValueError, OverflowError, OSError):  # of numbers, moments and statuses
            continue
    return story


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time reads journals back; the others wait. Where the lock cannot be had, nobody is kept."""
    with ExitStack() as held:
        with suppress(OSError):
            file = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            held.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def orphans(folder: Path) -> Generator[tuple[Path, bytes], None, None]:
    """Journals whose workers are gone, each locked while the caller has it; the caller removes it when settled.

    What cannot be read is logged and left out. Files of workers that died before their first line are swept.
    """
    for path in _abandoned(folder, _UNLOCKED):
        with suppress(OSError):  # nobody misses what it holds
            if path.stat().st_mtime < time.time() - _LOCKED_WITHIN:
                path.unlink()
    for path in _abandoned(folder, _SUFFIX):
        try:
            data = path.read_bytes()
        except OSError as error:
            _pass_by(path, error)
            continue
        yield path, data


def _abandoned(folder: Path, suffix: str) -> Iterator[Path]:
    """Files that no process has locked, each locked by us while the caller has it."""
    for path in sorted(folder.glob(f"*{suffix}")):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            _pass_by(path, error)
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(file)


def _pass_by(path: Path, error: OSError) -> None:
    log.error("The journal %s cannot be read: %s. Let the user that workers run as own it.", path, error.strerror)


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalFault(place=place, problem=error.strerror) from error


def boot_id() -> str:
    """The same from one start of the machine to the next; where it cannot be told, no two processes have the same."""
    return _BOOT_ID.read_text().strip() if sys.platform == "linux" else f"process-{os.getpid()}"


def _reply_line(delivery_id: int, number: int, outcome: Outcome) -> str:
    reply, moment = outcome.reply, outcome.at.timestamp()
    said = f"{reply.code} {reply.status or '-'} {reply.text}" if reply else "-"
    return f"< {delivery_id} {number} {outcome.status} {outcome.stage} {moment!r} {said}\n"


def _read_opening(story: Story, rest: str) -> None:
    story.boot, _, story.transport = rest.partition(" ")


def _read_claim(story: Story, rest: str) -> None:
    batch_id, send_id, first_id, last_id, mark = map(_number, rest.split(" "))
    story.claims.append(Claim(batch_id, send_id, first_id, last_id, mark))


def _read_intent(story: Story, rest: str) -> None:
    delivery_id, number = rest.split(" ")
    story.intents[_number(delivery_id)] = _number(number, _HIGHEST_ATTEMPT)


def _read_reply(story: Story, rest: str) -> None:
    delivery_id, number, status, stage, moment, said = rest.split(" ", 5)
    at = datetime.fromtimestamp(float(moment), UTC)
    outcome = Outcome(DeliveryStatus(status), Stage(stage), _said(said), at)
    attempt = _number(delivery_id), _number(number, _HIGHEST_ATTEMPT)
    story.outcomes[attempt] = outcome
    story.intents.pop(attempt[0], None)


def _number(digits: str, highest: int = _HIGHEST_ID) -> int:
    """One that the database takes; a damaged one would make it refuse all of the story."""
    number = int(digits)
    if not 1 <= number <= highest:
        raise ValueError(digits)
    return number


def _said(text: str) -> Reply | None:
    if text == "-":
        return None
    code, status, words = text.split(" ", 2)
    return Reply(_number(code, _HIGHEST_CODE), words, None if status == "-" else status)


def _nothing(_story: Story, _rest: str) -> None:
    """What a later version may write."""


_READERS = {"!": _read_opening, "#": _read_claim, ">": _read_intent, "<": _read_reply}
