"""Mailboxes of all kinds with mail in them, and what collects it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.feedback.mailboxes import Mailbox
from jlgc_mailer.feedback.mailboxes.imap import ImapMailbox
from jlgc_mailer.feedback.mailboxes.maildir import Maildir
from jlgc_mailer.feedback.mailboxes.mbox import Mbox
from jlgc_mailer.feedback.mailboxes.pop3 import Pop3Mailbox
from jlgc_mailer.feedback.mailboxes.server import Server
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security
from tests.feedback.servers import PASSWORD, USER, Script, imap, pop3

MINUTE = timedelta(seconds=60)


def report(number: int, more: bytes = b"") -> bytes:
    """A message, each other than the others."""
    return b"Delivered-To: b+token%d@bounce.example.org\r\n\r\nNo such user %d\r\n%b" % (number, number, more)


_REFUSING = {
    "postgresql": "ALTER TABLE raw_reports ADD CONSTRAINT never CHECK (false) NOT VALID",
    "sqlite": "CREATE TRIGGER never BEFORE INSERT ON raw_reports BEGIN SELECT RAISE(ABORT, 'never'); END",
}


def refuse_reports(mailer: Mailer) -> None:
    """From now on the database is there, but takes no report."""
    with mailer.database.transaction() as session:
        session.execute(text(_REFUSING[session.get_bind().dialect.name]))


def server(script: Script, auth: Auth = Auth.AUTO, password: str = PASSWORD) -> Server:
    """An account on a scripted server."""
    return Server("127.0.0.1", script.port, Security.NONE, USER, lambda: password, auth, patience=5)


@dataclass
class Box:
    """A mailbox of some kind: what collects from it, how mail gets into it, and what is still there."""

    mailbox: Mailbox
    put: Callable[..., None]
    left: Callable[[], int]
    script: Script | None = None


class Files:
    """A maildir and an mbox that mail is delivered into."""

    def __init__(self, folder: Path) -> None:
        self.maildir, self.mbox = folder / "maildir", folder / "mbox"
        for name in ("new", "cur", "tmp"):
            (self.maildir / name).mkdir(parents=True)
        self.mbox.touch()
        self._numbers = itertools.count(1_700_000_000)

    def put_into_maildir(self, *bodies: bytes) -> None:
        for body in bodies:
            (self.maildir / "new" / f"{next(self._numbers)}.M1P1.host").write_bytes(body)

    def put_into_mbox(self, *bodies: bytes) -> None:
        with self.mbox.open("ab") as stream:
            for body in bodies:
                stream.write(b"From MAILER-DAEMON Mon Jun  1 09:00:00 2026\n" + body + b"\n")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def script() -> Script:
    """The mail and the faults of a server."""
    return Script()


@pytest.fixture(params=["imap", "pop3", "maildir", "mbox"])
def box(request: pytest.FixtureRequest, files: Files, script: Script) -> Iterator[Box]:
    """A mailbox of each kind."""
    with ExitStack() as stack:
        if request.param == "maildir":
            new = files.maildir / "new"
            yield Box(
                Maildir("office", MINUTE, files.maildir), files.put_into_maildir, lambda: len(list(new.iterdir()))
            )
        elif request.param == "mbox":
            put, size = files.put_into_mbox, lambda: files.mbox.stat().st_size
            yield Box(Mbox("office", MINUTE, files.mbox), put, size)
        else:
            serve, kind = {"imap": (imap, ImapMailbox), "pop3": (pop3, Pop3Mailbox)}[request.param]
            stack.enter_context(serve(script))
            mailbox = kind("office", MINUTE, server(script))
            yield Box(mailbox, script.put, lambda: len(script.messages), script)


def stored(mailer: Mailer) -> Sequence[RawReport]:
    """The raw reports, in the order in which they came."""
    with mailer.database.reading() as session:
        return session.scalars(select(RawReport).order_by(RawReport.id)).all()


def bodies(mailer: Mailer) -> list[bytes]:
    """What they are, to the octet."""
    with mailer.database.reading() as session:
        return list(session.scalars(select(RawReport.body).order_by(RawReport.id)))
