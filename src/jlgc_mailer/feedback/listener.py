"""The listener: an LMTP or SMTP server for our bounce domain. It says 250 only after the commit (promise 6)."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

from jlgc_mailer.db.base import Database
from jlgc_mailer.errors import MailerError
from jlgc_mailer.feedback import health
from jlgc_mailer.feedback.content import SPENT, UNSIGNED, Allowance, Room, too_large
from jlgc_mailer.feedback.message import LIMIT, inbound
from jlgc_mailer.feedback.receiving import LmtpReceiving, Receiving
from jlgc_mailer.feedback.store import store
from jlgc_mailer.mail.reports.envelope import OurAddresses, folded

WAY_IN = "listener"
_CONNECTIONS = 200  # at once, whoever they are
_RECIPIENTS = 100  # of a message (RFC 5321 4.5.3.1.8)
_WRITERS = 8  # threads that wait for the database, so that the loop does not
_BEAT = 10  # seconds between two notes for operators that we are here
_LEAVE = 20  # seconds that a message on its way has to arrive after we were told to end
_NULL_SENDER = "<>"
_LATER = "451 4.3.0 This cannot be stored now, please try again"
_UNKNOWN = "550 5.1.1 Nobody here has that address"
log = logging.getLogger("jlgc_mailer.listener")


class Listener:
    """Receives what is for our addresses."""

    def __init__(
        self,
        database: Database,
        addresses: OurAddresses,
        clock: Callable[[], datetime],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.bounce_domain = addresses.bounce_domain
        self.tls = tls
        self.room = Room()
        self.allowance = Allowance()
        self.connections: set[Receiving] = set()
        self.is_ending = False
        self._database = database
        self._clock = clock
        self._addresses = addresses
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="listener")
        self._stored = 0  # since the last note for operators

    def smtp(self) -> Receiving:
        """The protocol of one connection."""
        return Receiving(self)

    def lmtp(self) -> Receiving:
        """The protocol of one connection."""
        return LmtpReceiving(self)

    async def serve(self, server: asyncio.AbstractServer, ended: asyncio.Event) -> None:
        """Until `ended` is set. What is on its way then may still arrive, and everybody else is sent away."""
        while not ended.is_set():
            await self._note_health()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _BEAT)
        server.close()
        await self._send_away()
        await self._note_health()
        self._writers.shutdown()

    def admits(self, new: Receiving) -> bool:
        """Whether there is a place for this connection."""
        if new in self.connections:
            return True
        of_same = sum(each.client == new.client for each in self.connections)
        return len(self.connections) < _CONNECTIONS and of_same < new.most_of_one

    def limit(self, recipients: Sequence[str]) -> int:
        """How many octets a message for them may have: without a token anybody can write it."""
        return LIMIT if self._is_signed(recipients) else UNSIGNED

    async def receive(self, sender: str, recipients: Sequence[str], content: bytes) -> str:
        """Store a message once for each recipient; gives the reply for all of them."""
        recipients = list(dict.fromkeys(recipients))
        today = self._clock().date()
        if not (self._is_signed(recipients) or self.allowance.take(len(content), len(recipients), today)):
            return SPENT
        try:
            stored = await self._in_thread(self._store, sender, recipients, content)
        except MailerError as error:
            log.error("%s", error)
            return _LATER
        except Exception:
            log.exception("a report cannot be stored")  # a fault of ours is no reason to lose it
            return _LATER
        self._stored += stored
        return "250 2.0.0 Stored"

    def _is_signed(self, recipients: Sequence[str]) -> bool:
        return any(map(self._addresses.is_signed, recipients))

    def _store(self, sender: str, recipients: Sequence[str], content: bytes) -> int:
        sender = "" if sender == _NULL_SENDER else sender
        reports = [inbound(WAY_IN, content, self.bounce_domain, to, sender) for to in recipients]
        with self._database.transaction() as session:
            return sum(store(session, report, self._clock()) for report in reports)

    async def _note_health(self) -> None:
        stored, self._stored = self._stored, 0
        try:
            await self._in_thread(self._note, stored)
        except Exception as error:  # a note is no reason to end: it is for operators, and the next one comes soon
            self._stored += stored
            log.error("%s", error, exc_info=not isinstance(error, MailerError))

    def _note(self, stored: int) -> None:
        with self._database.transaction() as session:
            health.seen(session, WAY_IN, self._clock(), stored=stored)

    async def _in_thread(self, work: Callable[..., Any], *values: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writers, work, *values)

    async def _send_away(self) -> None:
        self.is_ending = True
        for connection in list(self.connections):
            connection.send_away()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE):
                while self.connections:
                    await asyncio.sleep(0.05)
        for connection in list(self.connections):
            connection.send_away(at_once=True)

    # What aiosmtpd calls: the names and their order are its own.

    async def handle_EHLO(  # noqa: N802
        self, _server: object, session: Any, _envelope: object, hostname: str, replies: list[str]
    ) -> list[str]:
        """What we offer. Nobody logs in here."""
        session.host_name = hostname
        offers = [f"250-SIZE {LIMIT}", "250-PIPELINING", "250-ENHANCEDSTATUSCODES"]
        return [*replies[:1], *offers, *(each for each in replies[1:] if not each.startswith("250-AUTH"))]

    async def handle_MAIL(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Anybody may write, also nobody: reports have the null sender."""
        sizes = [option[5:] for option in options if option.startswith("SIZE=")]
        if any(int(size) > LIMIT for size in sizes):
            return too_large(LIMIT)
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Only our own addresses: this is no relay. Each is one, in however many ways it can be written."""
        if address not in self._addresses:
            return _UNKNOWN
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return "452 4.5.3 Too many recipients, please send the others again"
        envelope.rcpt_tos.append(folded(address))  # as often as it was said: LMTP replies to each (RFC 2033 4.2)
        return "250 2.1.5 Ok"

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours, or of aiosmtpd with an odd address."""
        log.error("a fault while receiving", exc_info=error)
        return _LATER
