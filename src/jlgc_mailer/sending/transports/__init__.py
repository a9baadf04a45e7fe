"""Ways out: each takes letters one by one and says what became of them."""

from typing import Protocol

from jlgc_mailer.errors import MailerError
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome


class Transport(Protocol):
    """A way out, open for as many letters as a batch has."""

    name: str

    def send(self, letter: Letter) -> Outcome:
        """What became of the letter; raises TransportTrouble when the fault is not the recipient's."""
        ...

    def close(self) -> None:
        """Take leave."""
        ...


class TransportTrouble(MailerError):
    """The way out itself fails: no recipient is charged (STANDARDS S3)."""

    sentence = (
        "The relay {place} does not take mail ({stage}): {problem}. See to it, and to the settings JLGC_MAILER_SMTP_*."
    )
