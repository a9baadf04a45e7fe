"""A journal on local disk: what a worker is about to send, and what the relay said, before the database knows.

One line is appended before the content of a message goes out and one when its reply is there; both with one write for
all connections that are ready at a moment. Appended octets survive the death of the process that wrote them, but not
that of the machine: so the first line names the machine's boot, and after another boot silence proves nothing.
The journal is removed when everything in it is committed. A lock tells whether its worker lives.
"""

import fcntl
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jlgc_mailer.errors import MailerError
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import DeliveryStatus, Stage

_SUFFIX = ".journal"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalFault(MailerError):
    """Nothing can be sent, because what was sent could not be told afterwards."""

    sentence = "The journal {place} cannot be written: {problem}. Make room on its disk; sending goes on by itself."


class Journal:
    """The journal of one turn of a worker."""

    def __init__(self, folder: Path, transport: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}"
        unlocked = self._path.with_suffix(".new")  # nobody may take it for an orphan before it is locked
        self._file = os.open(unlocked, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._append(f"! {boot_id()} {transport}\n")
        unlocked.rename(self._path)

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
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise JournalFault(place=self._path, problem=error.strerror) from error
        if written < len(data):
            raise JournalFault(place=self._path, problem="only a part of the line could be written")

    def close(self, *, all_recorded: bool) -> None:
        """Remove it if everything is committed; else leave it, unlocked, to be read back."""
        if all_recorded:
            self._path.unlink(missing_ok=True)
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


def orphans(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Journals whose workers are gone, each locked while the caller has it; the caller removes it when settled."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                yield path, path.read_bytes()
        except BlockingIOError:
            continue
        finally:
            os.close(file)


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
    batch_id, send_id, first_id, last_id, mark = map(int, rest.split(" "))
    story.claims.append(Claim(batch_id, send_id, first_id, last_id, mark))


def _read_intent(story: Story, rest: str) -> None:
    delivery_id, number = map(int, rest.split(" "))
    story.intents[delivery_id] = number


def _read_reply(story: Story, rest: str) -> None:
    delivery_id, number, status, stage, moment, said = rest.split(" ", 5)
    at = datetime.fromtimestamp(float(moment), UTC)
    outcome = Outcome(DeliveryStatus(status), Stage(stage), _said(said), at)
    story.outcomes[int(delivery_id), int(number)] = outcome
    story.intents.pop(int(delivery_id), None)


def _said(text: str) -> Reply | None:
    if text == "-":
        return None
    code, status, words = text.split(" ", 2)
    return Reply(int(code), words, None if status == "-" else status)


def _nothing(_story: Story, _rest: str) -> None:
    """What a later version may write."""


_READERS = {"!": _read_opening, "#": _read_claim, ">": _read_intent, "<": _read_reply}
