"""One errand: letters from a supply over the connections, until the supply is over, stopped, or the relay fails."""

from collections import deque

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports import Supply, Trouble
from jlgc_mailer.sending.transports.smtp.connection import Connection
from jlgc_mailer.sending.transports.smtp.connections import Connections
from jlgc_mailer.sending.transports.smtp.conversation import Conversation
from jlgc_mailer.sending.transports.smtp.denials import Denials, Settled
from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight
from jlgc_mailer.sending.transports.smtp.envelope import write_envelope
from jlgc_mailer.sending.transports.smtp.manners import Manners
from jlgc_mailer.sending.transports.smtp.offers import Offers
from jlgc_mailer.sending.transports.smtp.transaction import Transaction
from jlgc_mailer.states import DeliveryStatus, Stage

_FRUITLESS = 6  # connections in a row that ended under their first letter: that is not the letters' fault


class Errand:
    """What one call of `SmtpTransport.deliver` does."""

    def __init__(self, place: str, supply: Supply, connections: Connections, manners: Manners) -> None:
        self._place = place
        self._supply = supply
        self._connections = connections
        self._manners = manners
        self._denials = Denials()
        self._aside: deque[Transaction] = deque()  # taken from the supply, and waiting for a connection
        self._ready: list[tuple[Connection, Conversation, Transaction]] = []
        self._settled: list[Settled] = []
        self._trouble: Trouble | None = None
        self._is_over = self._is_stopped = self._is_quiet = False
        self._fruitless = 0

    def run(self) -> Trouble | None:
        """Rounds until everything is answered; why the relay failed, if it did."""
        self._round(0)
        while not self._is_done():
            self._round(0 if self._settled else 1)
        if held := self._denials.release():
            self._supply.note(held, [])
        for connection in self._connections:
            if connection.conversation is None:
                self._connections.drop(connection)
        return self._trouble

    def _is_done(self) -> bool:
        if not (self._is_stopped or self._is_over) or self._settled or self._connections.is_busy:
            return False
        return self._is_stopped or not (self._aside or self._fetch())

    def _round(self, timeout: float) -> None:
        """Hear what came, write down what it means, and only then send what follows from it."""
        for connection in self._connections.wait(timeout):
            self._hear(connection)
        if self._connections.is_called:
            self._connections.is_called = False
            self._supply.heard()
        self._is_over = self._supply.is_over  # before the supply is found empty, or its last letter would be missed
        if self._trouble or self._supply.is_stopped:
            self._stop()
        self._note()
        self._proceed()
        if not (self._is_stopped or self._trouble):
            self._feed()
            self._open_more()
        self._is_quiet = not (self._settled or self._aside or self._connections.is_busy)

    def _hear(self, connection: Connection) -> None:
        """Take away what its conversation gives, and see what can be done with it next."""
        conversation = connection.conversation
        if conversation:
            self._take_from(conversation)
        if connection.ending:
            self._bury(connection, connection.ending)
        elif conversation and conversation.ready:
            self._ready.append((connection, conversation, conversation.ready))
        elif conversation and conversation.is_free:
            self._connections.idle[connection] = conversation

    def _take_from(self, conversation: Conversation) -> None:
        if conversation.settled:
            self._settled += conversation.settled
            conversation.settled.clear()
        if conversation.returned:
            self._aside += conversation.returned
            conversation.returned.clear()

    def _bury(self, connection: Connection, ending: Ending) -> None:
        """A connection is over; what that says about the relay."""
        self._connections.drop(connection)
        others = [each.conversation for each in self._connections if each.conversation]
        self._manners.learn(ending, max((each.proven for each in others), default=Mode.PLAIN))
        conversation = connection.conversation
        is_fruitless = conversation and conversation.begun and not conversation.carried
        if ending.weight is not Weight.OVER:
            self._failed(ending)
        elif not is_fruitless:
            self._fruitless = 0
        elif any(each.carried or each.is_busy for each in others):
            self._connections.lower(ending)  # it is no use to go on opening what others do better
        elif not self._is_stopped:
            self._fruitless += 1
            if self._fruitless >= _FRUITLESS:
                self._fail(ending.stage, ending.problem)

    def _failed(self, ending: Ending) -> None:
        """One that cannot be opened only means fewer; the relay fails when none is left, or when it refuses us."""
        if ending.weight is Weight.REFUSED or not self._connections.lower(ending):
            self._fail(ending.stage, ending.problem, for_operator=ending.for_operator)

    def _fail(self, stage: Stage, problem: str, *, for_operator: bool = False) -> None:
        self._trouble = self._trouble or Trouble(self._place, stage, problem, for_operator)

    def _stop(self) -> None:
        """Nothing further goes out; what was not begun is given back."""
        self._is_stopped = True
        self._ready.clear()
        for connection in self._connections:
            if connection.conversation:
                connection.conversation.stop()
                self._hear(connection)
        if self._aside:
            self._supply.put_back([each.letter for each in self._aside])
            self._aside.clear()

    def _note(self) -> None:
        """What became of letters and whose content follows, written down before an octet of it goes out."""
        settled = self._denials.sift(self._settled, is_accepting=bool(self._ready))
        if self._is_quiet:  # nobody follows to compare with, and the supply may be waiting for these
            settled += self._denials.release()
        if settled or self._ready:
            self._supply.note(settled, [transaction.letter for _, _, transaction in self._ready])
        self._settled.clear()
        if denial := self._denials.verdict:
            self._fail(Stage.RCPT, str(denial))

    def _proceed(self) -> None:
        """Send the content that was noted, each with the envelope of the next letter where the relay takes that."""
        ready, self._ready = self._ready, []
        for connection, conversation, transaction in ready:
            conversation.proceed(transaction, self._following(connection, conversation))
            self._flush(connection)

    def _following(self, connection: Connection, conversation: Conversation) -> Transaction | None:
        if conversation.mode is not Mode.STEADY or self._trouble or self._connections.is_worn(connection):
            return None
        if self._aside and self._aside[0].is_suspect:
            return None
        return self._next(conversation.offers)

    def _feed(self) -> None:
        """An envelope for each connection that has nothing to do, as long as there are letters."""
        idle = self._connections.idle
        while idle:
            connection, conversation = next(reversed(idle.items()))
            if self._connections.is_worn(connection):
                self._connections.leave(connection)
            elif transaction := self._next(conversation.offers):
                del idle[connection]
                conversation.begin(transaction)
                self._flush(connection)
            else:
                return

    def _open_more(self) -> None:
        """One more connection for each letter that would have to wait."""
        while not self._connections.idle and self._connections.may_open:
            if len(self._aside) <= self._connections.opening and not self._fetch():
                return
            if ending := self._connections.open(self._manners.mode):
                self._failed(ending)
                return

    def _flush(self, connection: Connection) -> None:
        connection.flush(self._connections.at, self._connections.now)
        if connection.ending:
            self._hear(connection)

    def _fetch(self) -> bool:
        """Whether the supply had one more to put aside."""
        letter = self._supply.next()
        if letter:
            self._aside.append(Transaction(letter))
        return letter is not None

    def _next(self, offers: Offers) -> Transaction | None:
        """The next letter that can be sent there; one that cannot is refused here, and alone (S9, S11)."""
        while self._aside or self._fetch():
            transaction = self._aside.popleft()
            envelope = write_envelope(transaction.letter, offers)
            if not isinstance(envelope, Reply):
                transaction.envelope = envelope
                return transaction
            outcome = Outcome(DeliveryStatus.REFUSED, Stage.RCPT, envelope, self._connections.at)
            self._settled.append((transaction.letter, outcome))
        return None
