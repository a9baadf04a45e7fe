"""A scripted SMTP receiver: a real server on loopback that answers as a test tells it to."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports import Supply

HANG_UP = "hang up"


@dataclass(frozen=True)
class Received:
    """One message that the receiver accepted."""

    sender: str
    address: str
    content: bytes


@dataclass
class Receiver:
    """Accepts everything but what the script says: replies by address, one per attempt, the last one repeated.

    A reply may be HANG_UP, which closes the connection instead. `latency` delays each final reply, in seconds.
    With `keeps_deferred` messages that are not accepted are in `received` too.
    """

    rcpt: dict[str, list[str]] = field(default_factory=dict)
    data: dict[str, list[str]] = field(default_factory=dict)
    mail: list[str] = field(default_factory=list)
    latency: float = 0
    offers_smtputf8: bool = True
    keeps_deferred: bool = False
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.mail.pop(0) if self.mail else "250 2.1.0 Ok"
        if reply.startswith("250"):
            envelope.mail_from = address
        return self._or_hang_up(server, reply)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = _next(self.rcpt, address) or "250 2.1.5 Ok"
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self._or_hang_up(server, reply)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        address, content = envelope.rcpt_tos[0], envelope.content
        await asyncio.sleep(self.latency)
        reply = _next(self.data, address) or "250 2.0.0 Accepted"
        if reply.startswith("250") or reply == HANG_UP or self.keeps_deferred:
            assert isinstance(content, bytes)
            self.received.append(Received(envelope.mail_from or "", address, content))
        return self._or_hang_up(server, reply)

    @property
    def addresses(self) -> list[str]:
        """Who got a message, in order."""
        return [each.address for each in self.received]

    def _or_hang_up(self, server: SMTP, reply: str) -> str:
        if reply == HANG_UP:
            transport: Any = server.transport
            transport.abort()
        return reply

    def make_server(self) -> SMTP:
        """One connection's protocol."""
        self.connections += 1
        return SMTP(
            self, hostname="receiver.example", loop=asyncio.get_running_loop(), enable_SMTPUTF8=self.offers_smtputf8
        )


def _next(script: dict[str, list[str]], address: str) -> str | None:
    replies = script.get(address)
    if not replies:
        return None
    return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    """The receiver behind a port of its own, in a thread, for as long as the block lasts."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await loop.create_server(receiver.make_server, "127.0.0.1", 0)
        receiver.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class Overheard:
    """A supply that passes everything on; `on_note` is called after each note with whom letters go out to."""

    def __init__(self, supply: Supply, on_note: Callable[[list[str]], None]) -> None:
        self._supply = supply
        self._on_note = on_note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._supply, name)

    def note(self, settled: Sequence[tuple[Letter, Outcome]], going_out: Sequence[Letter]) -> None:
        self._supply.note(settled, going_out)
        self._on_note([letter.address for letter in going_out])
