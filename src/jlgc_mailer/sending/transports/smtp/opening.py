"""From the greeting to the point where the first MAIL may follow: EHLO, STARTTLS, AUTH. No socket, no clock."""

from collections.abc import Iterator
from datetime import datetime

from jlgc_mailer.errors import MailerError
from jlgc_mailer.sending.transports.smtp.auth import auth_lines, choose_mechanism
from jlgc_mailer.sending.transports.smtp.ending import Ending, Weight, refused
from jlgc_mailer.sending.transports.smtp.offers import Offers, read_offers
from jlgc_mailer.sending.transports.smtp.relay import Relay, Security, Timeouts
from jlgc_mailer.sending.transports.smtp.replies import Answer, ReplyReader
from jlgc_mailer.states import Stage


class Opening:
    """Our side of the opening. `outgoing` is to be sent; `wants_tls` asks for a handshake, then `secured` goes on.

    It succeeds with `offers` or fails with `ending`.
    """

    def __init__(self, relay: Relay) -> None:
        self.outgoing: list[bytes] = []
        self.wants_tls = False
        self.offers: Offers | None = None
        self.ending: Ending | None = None
        self._relay = relay
        self._ehlo = b""
        self._is_private = self._is_secured = False
        self._reader = ReplyReader()
        self._step = self._greeted
        self._stage = Stage.CONNECT
        self._responses: Iterator[bytes] = iter(())
        self._offered = Offers()

    def connected(self, ehlo_name: str, *, is_private: bool) -> None:
        """The other end is there. `is_private`: nobody can listen on the way, as on loopback."""
        self._ehlo = f"EHLO {ehlo_name}\r\n".encode()
        self._is_private = is_private
        if self._relay.security is Security.TLS:
            self.wants_tls, self._stage = True, Stage.TLS

    def secured(self) -> None:
        """The handshake has succeeded: all that was said before it is forgotten (STANDARDS S8)."""
        self.wants_tls = False
        self._is_secured = self._is_private = True
        self._reader = ReplyReader()
        if self._relay.security is Security.TLS:
            self._stage = Stage.CONNECT
        else:
            self._greet()

    def patience(self, timeouts: Timeouts) -> float:
        """How many seconds to wait for the next reply."""
        return timeouts.connect if self._stage is Stage.CONNECT else timeouts.command

    def receive(self, data: bytes, _at: datetime) -> bool:
        """Read what the relay says; whether that was a whole reply."""
        answers = self._reader.feed(data)
        for answer in answers:
            if self.ending or self.offers or self.wants_tls:
                break  # what came before the handshake is not to be believed (RFC 3207 section 6)
            self._step(answer)
        return bool(answers)

    def lost(self, problem: str, _at: datetime) -> None:
        """The connection is gone, or silent."""
        self.ending = self.ending or Ending(Weight.FAILED, self._stage, problem)

    def _greet(self) -> None:
        self.outgoing.append(self._ehlo)
        self._stage, self._step = Stage.EHLO, self._offered_extensions

    def _greeted(self, answer: Answer) -> None:
        if answer.code == 220:
            self._greet()
        else:
            self._refused(answer)

    def _offered_extensions(self, answer: Answer) -> None:
        if answer.code != 250:
            self._refused(answer)
            return
        self._offered = read_offers(answer.text)
        if self._relay.security is Security.STARTTLS and not self._is_secured:
            self._start_tls()
        elif self._relay.user:
            self._authenticate()
        else:
            self.offers = self._offered

    def _start_tls(self) -> None:
        self._stage, self._step = Stage.TLS, self._may_handshake
        if self._offered.starttls:
            self.outgoing.append(b"STARTTLS\r\n")
        else:
            self._fail("it does not offer STARTTLS, and nothing is sent in clear")

    def _may_handshake(self, answer: Answer) -> None:
        if answer.code == 220:
            self.wants_tls = True
        else:
            self._refused(answer)

    def _authenticate(self) -> None:
        self._stage, self._step = Stage.AUTH, self._challenged
        if not self._is_private:
            self._fail("a password is not sent in clear; use starttls or tls", for_operator=True)
            return
        mechanism = choose_mechanism(self._relay.auth, self._offered.auth)
        if mechanism is None:
            offered = ", ".join(sorted(self._offered.auth)) or "nothing"
            self._fail(f"of ways to log in it offers {offered}, not {self._relay.auth}", for_operator=True)
            return
        try:
            self._responses = auth_lines(mechanism, self._relay.user, self._relay.password())
        except MailerError as error:
            self._fail(str(error), for_operator=True)
            return
        self.outgoing.append(next(self._responses))

    def _challenged(self, answer: Answer) -> None:
        if answer.code == 235:
            self.offers = self._offered
        elif answer.code == 334 and (response := next(self._responses, None)):
            self.outgoing.append(response)
        else:
            self._refused(answer)

    def _refused(self, answer: Answer) -> None:
        if answer.code:
            self.ending = refused(self._stage, answer.reply)
        else:
            self._fail(f"what it says is not SMTP: {answer.shown}")

    def _fail(self, problem: str, *, for_operator: bool = False) -> None:
        self.ending = Ending(Weight.FAILED, self._stage, problem, for_operator)
