"""SMTP to a relay, over as many connections as it is worth, from one thread."""

from collections.abc import Callable
from datetime import datetime

from jlgc_mailer.sending.transports import Supply, Trouble
from jlgc_mailer.sending.transports.smtp.connections import Connections
from jlgc_mailer.sending.transports.smtp.errand import Errand
from jlgc_mailer.sending.transports.smtp.manners import Manners
from jlgc_mailer.sending.transports.smtp.relay import Relay


class SmtpTransport:
    """The way out over one relay. Connections are opened as letters need them, and stay for the next `deliver`."""

    def __init__(self, relay: Relay, clock: Callable[[], datetime]) -> None:
        self.name = relay.name
        self._place = str(relay)
        self._connections = Connections(relay, clock)
        self._manners = Manners()

    def deliver(self, supply: Supply) -> Trouble | None:
        """Send until the supply is over or stopped; or until the relay itself fails, and then why."""
        descriptor = supply.fileno()
        self._connections.listen_to(descriptor)
        try:
            return Errand(self._place, supply, self._connections, self._manners).run()
        except BaseException:
            self._connections.abandon()  # what is on them belongs to nobody any more
            raise
        finally:
            self._connections.ignore(descriptor)

    def close(self) -> None:
        """Take leave (QUIT) and close."""
        self._connections.close()
