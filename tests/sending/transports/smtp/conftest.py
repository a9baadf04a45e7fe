"""A transport to a scripted relay, and supplies for it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.transports.smtp import Relay, Security, SmtpTransport, Timeouts
from tests.sending.transports.supplies import NOON, Stock

QUICK = Timeouts(connect=3, command=3, data=3, block=3, final=3, quit=1)


@pytest.fixture
def make_transport() -> Iterator[Callable[..., SmtpTransport]]:
    """Makes transports to a port on loopback, which are closed at the end."""
    made = []

    def make(port: int, **settings: Any) -> SmtpTransport:
        relay = Relay("relay", "127.0.0.1", port, Security.NONE, timeouts=QUICK, connections=1)
        made.append(SmtpTransport(replace(relay, **settings), lambda: NOON))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def make_stock() -> Iterator[Callable[..., Stock]]:
    """Makes supplies, which are closed at the end."""
    made = []

    def make(given: Iterable[Letter] = (), *, is_over: bool = True) -> Stock:
        made.append(Stock(given, is_over=is_over))
        return made[-1]

    yield make
    for stock in made:
        stock.close()
