"""A look at a relay: connect, EHLO, TLS, AUTH, QUIT. No letter goes."""

from collections.abc import Callable
from datetime import datetime

from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.sending.transports.smtp.connections import Connections
from jlgc_mailer.sending.transports.smtp.ending import Mode
from jlgc_mailer.sending.transports.smtp.offers import Offers
from jlgc_mailer.sending.transports.smtp.relay import Relay

_LOOK = 0.25  # seconds


def probe(relay: Relay, clock: Callable[[], datetime]) -> Offers | Trouble:
    """What the relay offers us once we have logged in, or why it would not take mail."""
    connections = Connections(relay, clock)
    try:
        ending = connections.open(Mode.PLAIN)
        while ending is None:
            connections.wait(_LOOK)
            (connection,) = connections
            if connection.conversation:
                connections.idle[connection] = connection.conversation  # so that closing begins with QUIT
                return connection.conversation.offers
            ending = connection.ending
        return Trouble(str(relay), ending.stage, ending.problem, ending.for_operator)
    finally:
        connections.close()
