"""The listener as mail servers find it: a real one, on a port of loopback."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.feedback.listener import Listener
from jlgc_mailer.mail.reports.envelope import OurAddresses

BOUNCE_DOMAIN = "bounce.example.org"
_SECONDS = 30


@contextmanager
def receiving_reports(mailer: Mailer, port: int) -> Iterator[None]:
    """The listener, for LMTP on this port, in a thread for as long as the block lasts."""
    ready, loop, ended = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        addresses = OurAddresses(BOUNCE_DOMAIN, mailer.keyring, {"postmaster", "abuse"})
        listener = Listener(mailer.database, addresses, mailer.clock)
        server = await loop.create_server(listener.lmtp, "127.0.0.1", port)
        ready.set()
        await listener.serve(server, ended)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(_SECONDS)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(_SECONDS)
        loop.close()
