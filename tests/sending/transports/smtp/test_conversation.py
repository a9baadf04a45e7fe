"""The conversation as a pure machine, against a pure relay that behaves like Postfix."""

from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports.smtp import Timeouts
from jlgc_mailer.sending.transports.smtp.conversation import Conversation
from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight
from jlgc_mailer.sending.transports.smtp.envelope import Envelope, write_envelope
from jlgc_mailer.sending.transports.smtp.offers import Offers
from jlgc_mailer.sending.transports.smtp.transaction import Transaction
from jlgc_mailer.states import DeliveryStatus, Stage
from tests.sending.transports.smtp.peers import HANG_UP, Peer, Script
from tests.sending.transports.supplies import NOON, a_letter, letters

MODES = pytest.mark.parametrize("mode", list(Mode))
PIPELINED = pytest.mark.parametrize("mode", [Mode.GROUPED, Mode.STEADY])
ACCEPTED, DEFERRED, REFUSED, UNCERTAIN = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.REFUSED,
    DeliveryStatus.UNCERTAIN,
)


class Line:
    """A conversation with a peer, led as the loop leads it."""

    def __init__(self, script: Script, mode: Mode, waiting: Iterable[Transaction], *, piece: int = 100000) -> None:
        self.conversation = Conversation(Offers(pipelining=True, smtputf8=True), mode)
        self.peer = Peer(script)
        self.waiting = deque(waiting)
        self.piece = piece

    def run(self) -> None:
        while not self.conversation.ending and self.step():
            pass

    def step(self) -> bool:
        """One round; whether anything was said."""
        conversation = self.conversation
        if conversation.ready:
            conversation.proceed(conversation.ready, self._next() if conversation.mode is Mode.STEADY else None)
        elif conversation.is_free and (transaction := self._next()):
            conversation.begin(transaction)
        sent = b"".join(conversation.outgoing)
        conversation.outgoing.clear()
        if not sent:
            return False
        conversation.handed_over(unsent=0)
        answer = self.peer.feed(sent)
        for start in range(0, len(answer), self.piece):
            conversation.receive(answer[start : start + self.piece], NOON)
        if self.peer.is_over:
            conversation.lost("it hung up", NOON)
        return True

    @property
    def statuses(self) -> list[tuple[int, str, str]]:
        """(number, status, stage) of what was settled, in order."""
        return [
            (letter.recipient.delivery_id, outcome.status.value, outcome.stage.value)
            for letter, outcome in self.conversation.settled
        ]

    @property
    def returned(self) -> list[int]:
        return [each.letter.recipient.delivery_id for each in self.conversation.returned]

    @property
    def ending(self) -> Ending:
        assert self.conversation.ending
        return self.conversation.ending

    def _next(self) -> Transaction | None:
        if not self.waiting or (self.conversation.ready and self.waiting[0].is_suspect):
            return None
        transaction = self.waiting.popleft()
        envelope = write_envelope(transaction.letter, self.conversation.offers)
        assert isinstance(envelope, Envelope)
        transaction.envelope = envelope
        return transaction


def talk(script: Script, mode: Mode, given: Iterable[Letter], **settings: Any) -> Line:
    line = Line(script, mode, [Transaction(letter) for letter in given], **settings)
    line.run()
    return line


def assert_right_senders(script: Script) -> None:
    for each in script.received:
        assert each.sender == f"b+{each.address[1:].partition('@')[0]}@bounce.example.org"


# How much is said at once


def test_in_steady_mode_a_letter_costs_one_round_trip() -> None:
    """STANDARDS S6: content, its dot, and the next envelope in one write."""
    script = Script()
    talk(script, Mode.STEADY, letters(10))
    assert len(script.writes) == 11
    assert script.writes[1].endswith(
        b"jumps.\r\n.\r\nMAIL FROM:<b+1@bounce.example.org>\r\nRCPT TO:<r1@example.com>\r\nDATA\r\n"
    )
    assert script.writes[10].endswith(b"jumps.\r\n.\r\n")


def test_in_grouped_mode_content_goes_alone() -> None:
    """STANDARDS S6."""
    script = Script()
    talk(script, Mode.GROUPED, letters(10))
    assert len(script.writes) == 20
    assert all(write.endswith((b"\r\nDATA\r\n", b"jumps.\r\n.\r\n")) for write in script.writes)


def test_what_is_not_offered_is_not_done() -> None:
    """STANDARDS S6: without PIPELINING each command waits for its reply."""
    conversation = Conversation(Offers(pipelining=False), Mode.STEADY)
    assert conversation.mode is Mode.PLAIN
    script = Script()
    talk(script, Mode.PLAIN, letters(3))
    assert len(script.writes) == 12
    assert all(write.count(b"\r\n") == 1 for write in script.writes if not write.startswith(b"Subject"))


@MODES
def test_what_was_accepted_is_what_was_given(mode: Mode) -> None:
    script = Script()
    line = talk(script, mode, letters(20))
    assert line.statuses == [(n, "accepted", "content") for n in range(20)]
    assert [each.content for each in script.received] == [each.content for each in letters(20)]
    assert_right_senders(script)
    assert line.conversation.is_free


@MODES
@pytest.mark.parametrize("piece", [1, 2, 7])
def test_replies_cut_anywhere_mean_the_same(mode: Mode, piece: int) -> None:
    def script() -> Script:
        return Script(
            rcpt={"r1@example.com": ["550-5.1.1 No\r\n550 5.1.1 such user"]}, final={"r3@example.com": ["452 Full"]}
        )

    whole, cut = talk(script(), mode, letters(6)), talk(script(), mode, letters(6), piece=piece)
    assert cut.conversation.settled == whole.conversation.settled
    assert len(cut.statuses) == 6


# Whose fault what is


@MODES
@pytest.mark.parametrize(
    ("replies", "number_outcome"),
    [
        ({"rcpt": "550 5.1.1 No such user"}, (1, "refused", "rcpt")),
        ({"rcpt": "450 4.2.1 Later"}, (1, "deferred", "rcpt")),
        ({"rcpt": "530 5.7.0 Log in first"}, (1, "deferred", "rcpt")),
        ({"data": "451 4.3.0 Not now"}, (1, "deferred", "data")),
        ({"data": "554 5.7.1 No"}, (1, "refused", "data")),
        ({"final": "451 4.3.0 Not now"}, (1, "deferred", "content")),
        ({"final": "554 5.7.1 Spam"}, (1, "refused", "content")),
        ({"final": "552 5.3.4 Too big"}, (1, "refused", "content")),
    ],
)
def test_a_refusal_is_of_one_letter_and_the_next_has_its_own_sender(
    mode: Mode, replies: dict[str, str], number_outcome: tuple[int, str, str]
) -> None:
    """STANDARDS S3, S5, S6: after a refusal comes RSET, or the next letter would leave under the sender before."""
    script = Script(**{stage: {"r1@example.com": [reply]} for stage, reply in replies.items()})
    line = talk(script, mode, letters(4))
    assert line.statuses == [
        (0, "accepted", "content"),
        number_outcome,
        (2, "accepted", "content"),
        (3, "accepted", "content"),
    ]
    reply = line.conversation.settled[1][1].reply
    assert reply
    assert str(reply) == next(iter(replies.values()))
    assert [each.address for each in script.received] == ["r0@example.com", "r2@example.com", "r3@example.com"]
    assert_right_senders(script)


def test_the_scripted_relay_would_send_under_the_wrong_sender_without_rset() -> None:
    """What the tests here guard against does happen with this relay, as with Postfix."""
    script = Script(rcpt={"a@example.com": ["550 No"]})
    peer = Peer(script)
    peer.feed(b"MAIL FROM:<first@x>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
    assert b"503 5.5.1 Error: nested MAIL" in peer.feed(b"MAIL FROM:<second@x>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
    peer.feed(b"content\r\n.\r\n")
    assert script.received[0].sender == "first@x"


@MODES
@pytest.mark.parametrize("data", ["354 Go ahead", "554 5.5.1 No valid recipients", "503 5.5.1 Need RCPT"])
def test_no_content_goes_out_for_a_refused_recipient(mode: Mode, data: str) -> None:
    """STANDARDS S6: the lone dot where DATA said 354, RSET in any case."""
    refusals = {f"r{n}@example.com": ["550 5.1.1 No such user"] for n in (0, 1, 3, 5)}
    script = Script(rcpt=refusals, data_without_recipient=data)
    line = talk(script, mode, letters(6))
    assert [status for _, status, _ in line.statuses] == [
        "refused",
        "refused",
        "accepted",
        "refused",
        "accepted",
        "refused",
    ]
    assert [each.content for each in script.received] == [a_letter(2).content, a_letter(4).content]
    assert_right_senders(script)
    resets = [line for line in script.commands if line == "RSET"]
    assert len(resets) == 4


@MODES
@pytest.mark.parametrize(
    ("reply", "weight", "for_operator"),
    [
        ("550 5.7.1 Your domain is not welcome", Weight.REFUSED, False),
        ("530 5.7.0 Authentication required", Weight.REFUSED, True),
        ("452 4.3.1 No space", Weight.FAILED, False),
        ("421 4.3.2 Shutting down", Weight.FAILED, False),
    ],
)
def test_what_is_said_to_the_first_mail_is_about_us(
    mode: Mode, reply: str, weight: Weight, *, for_operator: bool
) -> None:
    """STANDARDS S3: nobody is charged."""
    line = talk(Script(mail={"*": [reply]}), mode, letters(2))
    assert line.ending == Ending(weight, Stage.MAIL, reply, for_operator)
    assert (line.statuses, line.returned) == ([], [0])


@MODES
@pytest.mark.parametrize("reply", ["421 4.7.0 Too many messages", "452 4.5.3 Too many messages", HANG_UP])
def test_after_some_letters_a_refusal_at_mail_only_ends_the_connection(mode: Mode, reply: str) -> None:
    """STANDARDS S3, S5."""
    line = talk(Script(mail={"b+3@bounce.example.org": [reply]}), mode, letters(5))
    assert line.ending.weight is Weight.OVER
    assert len(line.statuses) == 3
    assert (line.returned, len(line.waiting)) == ([3], 1)


@MODES
def test_after_some_letters_a_refusal_for_good_at_mail_is_the_relays(mode: Mode) -> None:
    """STANDARDS S3."""
    line = talk(Script(mail={"b+3@bounce.example.org": ["550 5.7.1 Blocked"]}), mode, letters(5))
    assert (line.ending.weight, line.ending.stage) == (Weight.REFUSED, Stage.MAIL)
    assert line.returned == [3]


@MODES
def test_an_international_sender_path_that_is_refused_costs_one_letter(mode: Mode) -> None:
    """STANDARDS S9: 5.6.7 is about this letter, wherever it is said."""
    given = [a_letter(0), a_letter(1, "山@example.com"), a_letter(2)]
    line = talk(Script(mail={"b+1@bounce.example.org": ["550 5.6.7 No"]}), mode, given)
    assert [(status, stage) for _, status, stage in line.statuses] == [
        ("accepted", "content"),
        ("refused", "mail"),
        ("accepted", "content"),
    ]


# Farewells and hang-ups


@MODES
@pytest.mark.parametrize("stage", ["rcpt", "data", "final"])
@pytest.mark.parametrize("reply", ["421 4.3.2 Shutting down", HANG_UP])
def test_a_farewell_at_a_letters_own_stage_charges_it_only_the_second_time(mode: Mode, stage: str, reply: str) -> None:
    """STANDARDS S3, S4: 421 after the dot is an answer, hanging up is none."""
    transactions = [Transaction(each) for each in letters(2)]
    script = Script(**{stage: {"r1@example.com": [reply]}})
    first = Line(script, mode, transactions)
    first.run()
    if stage == "final" and reply == HANG_UP:
        assert first.statuses[1] == (1, "uncertain", "content")
        assert first.conversation.settled[1][1].reply is None
        return
    assert (first.statuses, first.returned) == ([(0, "accepted", "content")], [1])
    assert first.ending.weight is Weight.OVER
    second = Line(script, mode, first.conversation.returned)
    second.run()
    (settled,) = second.conversation.settled
    assert settled[1].status is DEFERRED
    assert settled[1].reply
    assert settled[1].reply.code == 421
    assert ("hung up" in settled[1].reply.text) is (reply == HANG_UP)


@MODES
def test_what_was_tried_and_lost_goes_step_by_step_the_next_time(mode: Mode) -> None:
    """So that a letter that is the reason is found, and no other is charged."""
    transaction = Transaction(a_letter(1))
    transaction.lose(by_itself=False)
    script = Script()
    line = Line(script, mode, [transaction])
    line.run()
    assert line.statuses == [(1, "accepted", "content")]
    assert len(script.writes) == 4


def test_a_farewell_after_the_dot_gives_the_next_letter_back_uncharged() -> None:
    line = talk(Script(final={"r1@example.com": ["421 4.3.2 Bye"]}), Mode.STEADY, letters(4))
    assert line.statuses == [(0, "accepted", "content")]
    assert [(each.letter.recipient.delivery_id, each.own_losses) for each in line.conversation.returned] == [
        (1, 1),
        (2, 0),
    ]


def test_a_letter_is_not_carried_from_one_dying_connection_to_the_next_for_ever() -> None:
    transaction = Transaction(a_letter(1))
    tries = 1
    while transaction.lose(by_itself=False):
        tries += 1
    assert tries == 20


@MODES
def test_lost_after_the_final_dot_is_uncertain_and_only_that_letter(mode: Mode) -> None:
    """STANDARDS S4 (RFC 1047)."""
    line = talk(Script(final={"r2@example.com": [HANG_UP]}), mode, letters(5))
    assert line.statuses == [(0, "accepted", "content"), (1, "accepted", "content"), (2, "uncertain", "content")]
    assert line.returned == ([3] if mode is Mode.STEADY else [])


@MODES
def test_lost_before_the_dot_was_sent_is_not_uncertain(mode: Mode) -> None:
    """STANDARDS S4: nothing was submitted."""
    line = Line(Script(), mode, [Transaction(each) for each in letters(3)])
    while not line.conversation.ready:
        line.step()
    line.conversation.proceed(line.conversation.ready)
    line.conversation.lost("it hung up", NOON)
    assert (line.statuses, line.returned) == ([], [0])


@pytest.mark.parametrize(("is_dot_sent", "status"), [(True, [(0, "uncertain", "content")]), (False, [])])
def test_it_is_the_dot_that_counts_not_what_follows_it(
    *, is_dot_sent: bool, status: list[tuple[int, str, str]]
) -> None:
    """STANDARDS S4: octets that were handed to the network count as sent, and not one more."""
    line = Line(Script(), Mode.STEADY, [Transaction(each) for each in letters(2)])
    line.step()
    ready = line.conversation.ready
    assert ready
    line.conversation.proceed(ready, line._next())
    everything = b"".join(line.conversation.outgoing)
    behind_dot = len(everything) - len(ready.letter.content + b".\r\n")
    assert behind_dot > 50
    line.conversation.handed_over(unsent=behind_dot if is_dot_sent else behind_dot + 1)
    line.conversation.lost("it hung up", NOON)
    assert line.statuses == status


@PIPELINED
def test_a_refusal_that_came_before_the_connection_was_lost_is_kept(mode: Mode) -> None:
    line = Line(Script(), mode, [Transaction(a_letter(0))])
    line.conversation.begin(line._next() or Transaction(a_letter(1)))
    line.conversation.receive(b"250 Ok\r\n550 5.1.1 No such user\r\n", NOON)
    line.conversation.lost("it hung up", NOON)
    assert line.statuses == [(0, "refused", "rcpt")]
    assert line.returned == []


@MODES
@pytest.mark.parametrize(
    ("reply", "status"), [(b"552 5.3.4 Too big\r\n", "refused"), (b"451 Out of memory\r\n", "deferred")]
)
def test_a_refusal_in_the_middle_of_content_is_the_letters(mode: Mode, reply: bytes, status: str) -> None:
    line = Line(Script(), mode, [Transaction(each) for each in letters(3)])
    while not line.conversation.ready:
        line.step()
    line.conversation.proceed(line.conversation.ready)
    line.conversation.receive(reply, NOON)
    assert line.statuses == [(0, status, "content")]
    assert line.ending.weight is Weight.OVER
    assert line.ending.too_much is None


@pytest.mark.parametrize("reply", [b"250 Thanks\r\n", b"354 More\r\n", b"hello\r\n"])
def test_an_acceptance_of_what_was_not_sent_is_none(reply: bytes) -> None:
    line = Line(Script(), Mode.PLAIN, [Transaction(a_letter(0))])
    while not line.conversation.ready:
        line.step()
    line.conversation.proceed(line.conversation.ready)
    line.conversation.receive(reply, NOON)
    assert (line.statuses, line.returned) == ([], [0])
    assert line.ending


# Relays that do not follow


WRONG = [b"250 Ok\r\n", b"354 Go\r\n", b"150 Wait\r\n", b"399 What\r\n", b"HTTP/1.0 200 OK\r\n", b"250-a\r\n550 b\r\n"]


@pytest.mark.parametrize("reply", [each for each in WRONG if each[:3] != b"250" or b"-" in each])
@pytest.mark.parametrize("good", [b"", b"250 Ok\r\n"])
@MODES
def test_an_answer_to_nothing_we_said_ends_the_connection_and_charges_nobody(
    mode: Mode, good: bytes, reply: bytes
) -> None:
    """At MAIL and at RCPT, where only 2xx, 4xx and 5xx are answers."""
    line = Line(Script(), mode, [Transaction(a_letter(0))])
    line.conversation.begin(line._next() or Transaction(a_letter(1)))
    line.conversation.receive(good, NOON)
    line.conversation.receive(reply, NOON)
    assert (line.statuses, line.returned) == ([], [0])
    assert "no answer" in line.ending.problem
    assert line.conversation.ready is None


@pytest.mark.parametrize("reply", [b"250 Ok\r\n", b"220 Hi\r\n", b"150 Wait\r\n", b"355 x\r\n", b"nonsense\r\n"])
def test_only_354_is_an_answer_to_data_that_lets_content_go(reply: bytes) -> None:
    line = Line(Script(), Mode.PLAIN, [Transaction(a_letter(0))])
    line.conversation.begin(line._next() or Transaction(a_letter(1)))
    line.conversation.receive(b"250 Ok\r\n250 Ok\r\n", NOON)
    line.conversation.receive(reply, NOON)
    assert line.conversation.ready is None
    assert line.conversation.ending
    assert (line.statuses, line.returned) == ([], [0])


@pytest.mark.parametrize("reply", [b"354 Go\r\n", b"150 Wait\r\n", b"nonsense\r\n"])
def test_nonsense_after_the_final_dot_leaves_it_uncertain(reply: bytes) -> None:
    """STANDARDS S4."""
    line = Line(Script(), Mode.STEADY, [Transaction(each) for each in letters(2)])
    line.step()
    assert line.conversation.ready
    line.conversation.proceed(line.conversation.ready, line._next())
    line.conversation.handed_over(unsent=0)
    line.conversation.receive(reply, NOON)
    assert line.statuses == [(0, "uncertain", "content")]
    assert line.returned == [1]


@PIPELINED
def test_one_reply_too_many_ends_the_connection_before_content_goes(mode: Mode) -> None:
    """Wrong reply counts: the fourth reply may be one to something else."""
    line = Line(Script(), mode, [Transaction(a_letter(0))])
    line.conversation.begin(line._next() or Transaction(a_letter(1)))
    line.conversation.receive(b"250 Ok\r\n250 Ok\r\n354 Go\r\n354 Go\r\n", NOON)
    assert line.conversation.ready is None
    assert (line.statuses, line.returned) == ([], [0])


@PIPELINED
def test_one_reply_too_few_lets_no_content_go(mode: Mode) -> None:
    line = Line(Script(), mode, [Transaction(a_letter(0))])
    line.conversation.begin(line._next() or Transaction(a_letter(1)))
    line.conversation.receive(b"250 Ok\r\n354 Go\r\n", NOON)
    assert line.conversation.ready is None
    assert line.conversation.ending
    assert (line.statuses, line.returned) == ([], [0])


@pytest.mark.parametrize("reply", [b"421 4.4.2 Timeout\r\n", b"250 Ok\r\n", b"x\r\n"])
def test_what_is_said_unasked_ends_an_idle_connection(reply: bytes) -> None:
    line = talk(Script(), Mode.STEADY, letters(1))
    line.conversation.receive(reply, NOON)
    assert line.ending.weight is Weight.OVER
    assert (len(line.statuses), line.returned) == (1, [])


def test_a_relay_that_says_that_steady_was_too_much_is_believed() -> None:
    """STANDARDS S6: what it means is told, and no letter is charged."""
    script = Script(mail={"b+1@bounce.example.org": ["554 5.5.0 Error: improper command pipelining"]})
    line = talk(script, Mode.STEADY, letters(3))
    assert (line.ending.too_much, line.ending.is_told) == (Mode.STEADY, True)
    assert (line.statuses, line.returned) == ([(0, "accepted", "content")], [1])


def test_a_relay_that_says_that_a_group_was_too_much_is_believed() -> None:
    """STANDARDS S6: a 503 at RCPT is about the order of commands, not about the recipient."""
    script = Script(rcpt={"r0@example.com": ["503 5.5.0 Error: improper use of pipelining"]})
    line = talk(script, Mode.GROUPED, letters(3))
    assert (line.ending.too_much, line.ending.is_told) == (Mode.GROUPED, True)
    assert (line.statuses, line.returned) == ([], [0])


def test_out_of_step_at_data_is_not_the_recipients() -> None:
    """As Postfix says with reject_unauth_pipelining among its restrictions at DATA."""
    reply = "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining"
    line = talk(Script(data={"r0@example.com": [reply]}), Mode.GROUPED, letters(1))
    assert (line.statuses, line.returned, line.ending.too_much) == ([], [0], Mode.GROUPED)


@pytest.mark.parametrize(("mode", "lost_at"), [(Mode.STEADY, "b+1"), (Mode.GROUPED, "b+0")])
def test_a_relay_that_hangs_up_on_it_without_a_word_is_doubted(mode: Mode, lost_at: str) -> None:
    """STANDARDS S6."""
    line = talk(Script(mail={f"{lost_at}@bounce.example.org": [HANG_UP]}), mode, letters(3))
    assert (line.ending.weight, line.ending.too_much, line.ending.is_told) == (Weight.OVER, mode, False)


@PIPELINED
def test_once_it_went_well_a_hang_up_is_no_reason_for_doubt(mode: Mode) -> None:
    line = talk(Script(mail={"b+2@bounce.example.org": [HANG_UP]}), mode, letters(5))
    assert line.ending.too_much is None


# Stopping


@MODES
def test_stopped_before_content_gives_the_letter_back_and_closes(mode: Mode) -> None:
    """Promise 7: a relay that waits for content cannot be told otherwise."""
    line = Line(Script(), mode, [Transaction(each) for each in letters(2)])
    while not line.conversation.ready:
        line.step()
    line.conversation.stop()
    assert line.returned == [0]
    assert line.conversation.ready is None
    assert line.ending.weight is Weight.OVER
    assert line.conversation.outgoing == []


def test_stopped_after_content_waits_for_its_answer_and_gives_back_the_next() -> None:
    line = Line(Script(), Mode.STEADY, [Transaction(each) for each in letters(3)])
    line.step()
    assert line.conversation.ready
    line.conversation.proceed(line.conversation.ready, line._next())
    line.conversation.handed_over(unsent=0)
    line.conversation.stop()
    assert line.returned == [1]
    assert line.conversation.is_busy
    line.conversation.receive(b"250 2.0.0 Ok\r\n", NOON)
    assert line.statuses == [(0, "accepted", "content")]
    assert line.conversation.ending  # what it says next would answer an envelope that was taken back
    assert not line.conversation.is_free


@MODES
def test_an_idle_connection_survives_a_stop(mode: Mode) -> None:
    line = talk(Script(), mode, letters(1))
    line.conversation.stop()
    assert line.conversation.ending is None
    assert line.conversation.is_free


@MODES
def test_quit_is_said_and_its_answer_ends_it(mode: Mode) -> None:
    """STANDARDS S1."""
    line = talk(Script(), mode, letters(1))
    line.conversation.quit()
    assert not line.conversation.is_busy
    line.step()
    assert line.ending.problem.startswith("221")


def test_each_stage_has_its_patience() -> None:
    """STANDARDS S1."""
    timeouts = Timeouts(connect=1, command=2, data=3, block=4, final=5, quit=6)
    conversation = Conversation(Offers(), Mode.PLAIN)
    assert conversation.patience(timeouts) == float("inf")
    transaction = Transaction(a_letter(0))
    conversation.begin(transaction)
    patience = [conversation.patience(timeouts)]
    for reply in (b"250 Ok\r\n", b"250 Ok\r\n"):
        conversation.receive(reply, NOON)
        patience.append(conversation.patience(timeouts))
    conversation.receive(b"354 Go\r\n", NOON)
    conversation.proceed(transaction)
    patience.append(conversation.patience(timeouts))
    conversation.receive(b"250 Ok\r\n", NOON)
    conversation.quit()
    patience.append(conversation.patience(timeouts))
    assert patience == [2, 2, 3, 5, 6]


# Anything at all


PLAUSIBLE = [
    *(b"250 2.1.0 Ok\r\n", b"250 Ok\r\n", b"354 Go\r\n", b"421 Bye\r\n", b"450 4.2.1 No\r\n", b"550 5.1.1 No\r\n"),
    *(b"503 5.5.1 Sequence\r\n", b"554 5.5.0 pipelining\r\n", b"530 Auth\r\n", b"250-x\r\n", b"250", b"\xff\x00\r\n"),
]
HAPPENINGS = st.lists(
    st.one_of(
        st.sampled_from(PLAUSIBLE), st.binary(max_size=12), st.sampled_from(["go", "go in part", "stop", "lost"])
    ),
    max_size=40,
)


class Chaos:
    """A conversation to which anything happens."""

    def __init__(self, mode: Mode) -> None:
        self.conversation = Conversation(Offers(pipelining=True), mode)
        self.begun: list[str] = []
        self.content_sent: set[str] = set()

    def happen(self, happening: bytes | str) -> None:
        if isinstance(happening, bytes):
            self.conversation.receive(happening, NOON)
        elif happening == "lost":
            self.conversation.lost("it hung up", NOON)
        elif happening == "stop":
            self.conversation.stop()
        else:
            self.go(is_dot_sent=happening == "go")
        self.conversation.outgoing.clear()

    def go(self, *, is_dot_sent: bool) -> None:
        conversation = self.conversation
        if ready := conversation.ready:
            self.content_sent.add(ready.letter.address)
            conversation.proceed(ready, self.fresh() if conversation.mode is Mode.STEADY else None)
            conversation.handed_over(unsent=0 if is_dot_sent else 1000)
        elif conversation.is_free:
            conversation.begin(self.fresh())

    def fresh(self) -> Transaction:
        letter = a_letter(len(self.begun))
        self.begun.append(letter.address)
        return Transaction(letter)


@given(st.sampled_from(list(Mode)), HAPPENINGS)
def test_whatever_happens_every_letter_is_accounted_for_once(mode: Mode, happenings: list[bytes | str]) -> None:
    """Everything that a relay says is untrusted, at any moment, in any pieces."""
    chaos = Chaos(mode)
    for happening in happenings:
        chaos.happen(happening)
    conversation = chaos.conversation
    conversation.lost("the end", NOON)
    settled = [letter.address for letter, _ in conversation.settled]
    returned = [each.letter.address for each in conversation.returned]
    assert sorted(settled + returned) == sorted(chaos.begun)
    decided_by_content = {
        letter.address for letter, outcome in conversation.settled if outcome.status in {ACCEPTED, UNCERTAIN}
    }
    assert decided_by_content <= chaos.content_sent
    assert not conversation.is_busy


def test_an_outcome_tells_when_and_what_was_said() -> None:
    line = talk(Script(), Mode.STEADY, letters(1))
    reply = Reply(250, "Ok: queued as 1", "2.0.0")
    assert line.conversation.settled[0][1] == Outcome(ACCEPTED, Stage.CONTENT, reply, NOON)
