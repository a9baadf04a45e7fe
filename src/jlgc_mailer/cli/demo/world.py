"""The demo's receiver: an SMTP server on loopback that behaves like the world out there."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session

from jlgc_mailer.cli.demo.people import Fate

_GREYLIST_SECONDS = 2
_START_SECONDS = 10
_COMPLAINT = """From: abuse desk <abuse@world.example>
To: {sender}
Subject: A reader pressed "this is spam"
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part"

--part
Content-Type: text/plain

A reader pressed "this is spam".

--part
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: demo/1
Version: 1
Original-Mail-From: <{sender}>
Original-Rcpt-To: <{address}>

--part
Content-Type: text/rfc822-headers

{headers}

--part--
"""


class World:
    """Accepts, greylists, refuses and complains as each reader's fate has it; keeps what it accepts as .eml files."""

    def __init__(self, fates: Mapping[str, Fate], mailboxes: Path) -> None:
        self.accepted: dict[str, Path] = {}
        self.port = 0
        self.on_complaint: Callable[[str, bytes], None] = lambda _envelope_sender, _report: None
        self._fates = fates
        self._mailboxes = mailboxes
        self._first_seen: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="world", daemon=True)

    def __enter__(self) -> Self:
        shutil.rmtree(self._mailboxes, ignore_errors=True)
        self._mailboxes.mkdir(parents=True)
        self._thread.start()
        self._listening.wait(_START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        serve = self._loop.create_server(lambda: SMTP(self, hostname="world.example", loop=self._loop), "127.0.0.1", 0)
        server = self._loop.run_until_complete(serve)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()

    async def handle_RCPT(  # noqa: N802  (aiosmtpd names its hooks so)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse what the reader's fate refuses."""
        refusal = self._refusal(address)
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 2.1.5 Recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message; one reader complains about it."""
        address = envelope.rcpt_tos[0]
        file = self._mailboxes / f"{address}.eml"
        content: Any = envelope.content
        file.write_bytes(content)
        self.accepted[address] = file
        if self._fates.get(address) is Fate.COMPLAINS:
            sender = envelope.mail_from or ""
            await asyncio.to_thread(self.on_complaint, sender, _complaint(sender, address, content))
        return "250 2.0.0 Accepted"

    def _refusal(self, address: str) -> str | None:
        fate = self._fates.get(address, Fate.UNKNOWN)
        first_seen = self._first_seen.setdefault(address, time.monotonic())
        seen_for = time.monotonic() - first_seen
        if fate is Fate.UNKNOWN:
            return "550 5.1.1 No such user here"
        if fate is Fate.FULL:
            return "452 4.2.2 Mailbox full" if seen_for < _GREYLIST_SECONDS else "552 5.2.2 Mailbox full for too long"
        if fate is Fate.GREYLISTS and seen_for < _GREYLIST_SECONDS:
            return "451 4.7.1 Greylisted, please try again later"
        return None


def _complaint(sender: str, address: str, content: bytes) -> bytes:
    """What a provider sends when a reader complains (RFC 5965)."""
    headers = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    report = _COMPLAINT.format(sender=sender, address=address, headers=headers)
    return report.replace("\n", "\r\n").encode()
