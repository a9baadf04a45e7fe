"""Our side of SMTP from the first MAIL on: a pure state machine that knows whose fault what is.

It is told what the relay says and what becomes of the connection, and gives what to send and what became of each
letter. No socket and no clock in here.
"""

from collections import deque
from datetime import datetime

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight, is_out_of_step, refused, status_of
from jlgc_mailer.sending.transports.smtp.offers import Offers
from jlgc_mailer.sending.transports.smtp.relay import Timeouts
from jlgc_mailer.sending.transports.smtp.replies import Answer, ReplyReader
from jlgc_mailer.sending.transports.smtp.transaction import STAGES, Awaited, Transaction
from jlgc_mailer.states import DeliveryStatus, Stage


class Conversation:
    """What is said on one connection. The shell sends `outgoing`, and takes `settled` and `returned` away.

    `ready`: the content of this letter may follow. `is_free`: another envelope may begin. `ending`: close it.
    """

    def __init__(self, offers: Offers, mode: Mode) -> None:
        self.offers = offers
        self.mode = mode if offers.pipelining else Mode.PLAIN
        self.outgoing: list[bytes] = []
        self._is_dot_sent = False
        self._behind_dot = 0  # how many octets of `outgoing` come after the final dot
        self.settled: list[tuple[Letter, Outcome]] = []
        self.returned: list[Transaction] = []
        self.ready: Transaction | None = None
        self.is_free = True
        self.ending: Ending | None = None
        self.begun = 0  # letters whose envelope went out here
        self.carried = 0  # letters of which the relay said here what became of them
        self.proven = Mode.PLAIN  # the most that was answered here
        self._is_last = False
        self._reader = ReplyReader()
        self._awaited: deque[tuple[Awaited, Transaction | None]] = deque()
        self._on = (self._on_mail, self._on_rcpt, self._on_data, self._on_content)

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way but a farewell."""
        return self.ready is not None or (bool(self._awaited) and self._awaited[0][0] is not Awaited.QUIT)

    def patience(self, timeouts: Timeouts) -> float:
        """How many seconds to wait for the next reply (STANDARDS S1)."""
        if not self._awaited:
            return float("inf")
        awaited = self._awaited[0][0]
        if awaited is Awaited.CONTENT:
            return timeouts.final
        if awaited is Awaited.DATA:
            return timeouts.data
        return timeouts.quit if awaited is Awaited.QUIT else timeouts.command

    def begin(self, transaction: Transaction) -> None:
        """Send an envelope; only when `is_free`."""
        self.is_free = False
        self.begun += 1
        if self.mode is Mode.PLAIN or transaction.is_suspect:
            self._say(Awaited.MAIL, transaction, transaction.envelope.mail)
        else:
            self.outgoing.append(self._group(transaction, Mode.GROUPED))

    def proceed(self, ready: Transaction, following: Transaction | None = None) -> None:
        """Send the content of the one that is `ready`, and in the same write (only in steady mode) an envelope."""
        self.ready = None
        self._awaited.append((Awaited.CONTENT, ready))
        tail = b".\r\n"
        if following:
            self.begun += 1
            tail += self._group(following, Mode.STEADY)
        self._behind_dot = len(tail) - 3
        self._is_dot_sent = False
        self.outgoing += (ready.letter.content, tail)

    def receive(self, data: bytes, at: datetime) -> bool:
        """Read what the relay says; whether that was a whole reply."""
        answers = self._reader.feed(data)
        for answer in answers:
            if self.ending:
                break
            self._read(answer, at)
        return bool(answers)

    def lost(self, problem: str, at: datetime) -> None:
        """The connection is gone, or of no more use."""
        self._end(problem, at)

    def handed_over(self, unsent: int) -> None:
        """All of `outgoing` went to the network but the last so many octets (STANDARDS S4)."""
        self._is_dot_sent = unsent <= self._behind_dot

    def stop(self) -> None:
        """Nothing more may go out: give back all whose content has not begun (promise 7)."""
        if self.ending or self._is_last:
            return
        has_content = bool(self._awaited) and self._awaited[0][0] is Awaited.CONTENT
        begun = [self._awaited.popleft()] if has_content else []
        waiting = self._under_way()
        if not waiting:
            self._awaited.extendleft(begun)
            return
        self.returned += waiting
        self.ready = None
        self._awaited = deque(begun)
        self._is_last = True
        if not begun:  # the relay may be waiting for content by now, from which there is no way back
            self.ending = Ending(Weight.OVER, Stage.DATA, "stopped")

    def quit(self) -> None:
        """Take leave; only when `is_free`."""
        self.is_free = False
        self._say(Awaited.QUIT, None, b"QUIT\r\n")

    def _group(self, transaction: Transaction, mode: Mode) -> bytes:
        transaction.mode = mode
        mail, rcpt = transaction.envelope
        self._awaited += ((Awaited.MAIL, transaction), (Awaited.RCPT, transaction), (Awaited.DATA, transaction))
        return mail + rcpt + b"DATA\r\n"

    def _say(self, awaited: Awaited, transaction: Transaction | None, line: bytes) -> None:
        self._awaited.append((awaited, transaction))
        self.outgoing.append(line)

    def _read(self, answer: Answer, at: datetime) -> None:
        code = answer.code
        if code == 421 or not self._awaited:
            self._end(str(answer.reply), at, answer.reply if code == 421 else None)
            return
        awaited, transaction = self._awaited[0]
        is_due = code == 354 or code >= 400 if awaited is Awaited.DATA else 200 <= code < 300 or code >= 400
        if not is_due:
            self._end(f"it said {answer.shown}, which is no answer to what we said", at)
            return
        self._awaited.popleft()
        if transaction:
            self._on[awaited](transaction, answer, at)
        else:
            self._on_nobodys(awaited, answer, at)

    def _on_mail(self, transaction: Transaction, answer: Answer, at: datetime) -> None:
        if answer.code < 300 and transaction.mode > self.proven:
            self.proven = transaction.mode
        if answer.code >= 400:
            self._sender_refused(transaction, answer.reply, at)
        elif not transaction.is_grouped:
            self._say(Awaited.RCPT, transaction, transaction.envelope.rcpt)

    def _on_rcpt(self, transaction: Transaction, answer: Answer, at: datetime) -> None:
        if answer.code >= 400 and not transaction.refusal:
            self._recipient_refused(transaction, Stage.RCPT, answer.reply, at)
        elif not transaction.is_grouped:
            self._say(Awaited.DATA, transaction, b"DATA\r\n")

    def _on_data(self, transaction: Transaction, answer: Answer, at: datetime) -> None:
        if transaction.refusal is None:
            if answer.code == 354:
                self.ready = transaction
            else:
                self._recipient_refused(transaction, Stage.DATA, answer.reply, at)
            return
        self._settle(transaction, transaction.refusal)
        if answer.code == 354:
            self._say(Awaited.NOTHING, None, b".\r\n")
            if self.mode is not Mode.STEADY:
                return
        self._reset()

    def _on_content(self, transaction: Transaction, answer: Answer, at: datetime) -> None:
        if answer.code < 300 and not self._is_dot_sent:
            self._awaited.appendleft((Awaited.CONTENT, transaction))
            self._end(f"it said {answer.shown} before the end of the content", at)
            return
        reply = answer.reply
        if answer.code >= 400 and self._awaited and is_out_of_step(reply):
            self._out_of_step(transaction, Awaited.CONTENT, reply, at)
            return
        status = DeliveryStatus.ACCEPTED if answer.code < 300 else status_of(reply)
        self._settle(transaction, Outcome(status, Stage.CONTENT, reply, at))
        if self._is_last or not self._is_dot_sent:
            self._end(str(reply), at)
        elif not self._awaited:
            if answer.code < 300:
                self.is_free = True
            else:
                self._reset()

    def _on_nobodys(self, awaited: Awaited, answer: Answer, at: datetime) -> None:
        if awaited is Awaited.QUIT or (awaited is Awaited.RSET and answer.code >= 300):
            self._end(str(answer.reply), at)
        elif awaited is Awaited.NOTHING and self.mode is not Mode.STEADY:
            self._reset()
        elif not self._awaited:
            self.is_free = True

    def _reset(self) -> None:
        """Without it the next MAIL is "nested", and its letter would leave under the sender before (RFC 5321 4.1.4)."""
        self._say(Awaited.RSET, None, b"RSET\r\n")
        self.is_free = self.mode is not Mode.PLAIN

    def _settle(self, transaction: Transaction, outcome: Outcome) -> None:
        self.carried += 1
        self.settled.append((transaction.letter, outcome))

    def _sender_refused(self, transaction: Transaction, reply: Reply, at: datetime) -> None:
        """What a relay says to MAIL is about us, not about the recipient (STANDARDS S3)."""
        if transaction.letter.needs_smtputf8 and reply.status == "5.6.7":
            self._recipient_refused(transaction, Stage.MAIL, reply, at)
            return
        is_first = self.proven is not Mode.STEADY and not reply.is_transient
        if transaction.mode is Mode.STEADY and (is_first or is_out_of_step(reply)):
            self._out_of_step(transaction, Awaited.MAIL, reply, at)
            return
        is_over = self.carried and (reply.is_transient or is_out_of_step(reply))
        failed = Weight.FAILED if reply.is_transient else Weight.REFUSED
        self._awaited.appendleft((Awaited.MAIL, transaction))
        self._close(refused(Stage.MAIL, reply, Weight.OVER if is_over else failed), at)

    def _recipient_refused(self, transaction: Transaction, stage: Stage, reply: Reply, at: datetime) -> None:
        if transaction.is_grouped and is_out_of_step(reply):
            self._out_of_step(transaction, Awaited.RCPT if stage is Stage.RCPT else Awaited.DATA, reply, at)
            return
        transaction.refusal = Outcome(status_of(reply), stage, reply, at)
        if stage is Stage.DATA or not transaction.is_grouped:
            self._settle(transaction, transaction.refusal)
            self._reset()

    def _out_of_step(self, transaction: Transaction, awaited: Awaited, reply: Reply, at: datetime) -> None:
        """The relay did not follow what came in one write; it may, when less comes at once."""
        too_much = self.mode if awaited is Awaited.CONTENT else transaction.mode
        self._awaited.appendleft((awaited, transaction))
        is_told = is_out_of_step(reply)
        self._close(Ending(Weight.OVER, STAGES[awaited], str(reply), too_much=too_much, is_told=is_told), at)

    def _end(self, problem: str, at: datetime, farewell: Reply | None = None) -> None:
        """Everything under way finds its place; `farewell` is the 421 that the relay said, if it did."""
        if self.ending:
            return
        awaited, first = self._awaited[0] if self._awaited else (Awaited.DATA, self.ready)
        own = first if awaited in {Awaited.RCPT, Awaited.DATA, Awaited.CONTENT} else None
        if own and awaited is Awaited.CONTENT and self._is_dot_sent and not farewell:
            self.settled.append((own.letter, Outcome(DeliveryStatus.UNCERTAIN, Stage.CONTENT, None, at)))
            self._awaited.popleft()
        never_began = awaited is Awaited.MAIL and not self.carried and (farewell or not self._doubted())
        weight = Weight.FAILED if never_began else Weight.OVER
        is_told = farewell or not self._is_dot_sent
        ending = Ending(weight, STAGES[awaited], problem, too_much=None if is_told else self._doubted())
        self._close(ending, at, own, farewell)

    def _doubted(self) -> Mode | None:
        """The mode that this connection may have ended of: one in which it had answered nothing yet."""
        silent = next((each for kind, each in self._awaited if kind is Awaited.MAIL), None)
        return silent.mode if silent and silent.mode > self.proven else None

    def _close(
        self, ending: Ending, at: datetime, own: Transaction | None = None, farewell: Reply | None = None
    ) -> None:
        for transaction in self._under_way():
            if transaction.refusal:
                self._settle(transaction, transaction.refusal)
            elif transaction.lose(by_itself=transaction is own):
                self.returned.append(transaction)
            else:
                reply = farewell or Reply(421, f"the relay hung up: {ending.problem}")
                self.settled.append((transaction.letter, Outcome(DeliveryStatus.DEFERRED, ending.stage, reply, at)))
        self.ready = None
        self.is_free = False
        self._awaited.clear()
        self.ending = ending

    def _under_way(self) -> list[Transaction]:
        waiting = [self.ready, *(transaction for _, transaction in self._awaited)]
        return list(dict.fromkeys(each for each in waiting if each))
