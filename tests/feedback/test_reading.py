"""Every raw report is read once, finds its delivery by the best that it has, or waits for a person who is told why."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.people import Subscriber
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback import reading
from jlgc_mailer.feedback.reading import Readers, read_waiting
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.reports.read import TOO_MANY
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import envelope_sender, leaving_address
from jlgc_mailer.states import DeliveryStatus, FeedbackClass, MatchedBy, ReportForm, ReportStatus
from tests.conftest import Clock
from tests.feedback.past import BOUNCES, Past, past

HARD, SOFT, COMPLAINT, UNSUBSCRIBE = (
    FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.COMPLAINT, FeedbackClass.UNSUBSCRIBE,
)  # fmt: skip
ADDRESS = Signal(HARD, recipient="R0@Example.com", confidence=0.9)


def scripted(body: bytes) -> tuple[Signal, ...]:
    """Bodies are signals, written down as JSON."""
    return tuple(
        Signal(**{**each, "feedback_class": FeedbackClass(each["feedback_class"])}) for each in json.loads(body)
    )


READERS: Readers = dict.fromkeys(ReportForm, scripted)


def said(*signals: Signal) -> bytes:
    return json.dumps(
        [{name: getattr(each, name) for name in Signal.__dataclass_fields__} for each in signals]
    ).encode()


class Desk:
    """An installation with a send of an hour ago, to which reports come in."""

    def __init__(self, mailer: Mailer, story: Past) -> None:
        self.mailer, self.past = mailer, story

    def comes(self, *signals: Signal, to: str = "", form: ReportForm = ReportForm.MESSAGE, body: bytes = b"") -> None:
        """A report comes in and waits."""
        with self.mailer.database.transaction() as session:
            store(session, Inbound("lmtp", form, body or said(*signals), envelope_to=to), self.mailer.clock())

    def read(self, readers: Readers = READERS, at_most: int = 200) -> int:
        """Read once."""
        with self.mailer.database.transaction() as session:
            return read_waiting(session, readers, self.mailer.keyring, self.mailer.policy, at_most)

    def hears(self, *signals: Signal, to: str = "", form: ReportForm = ReportForm.MESSAGE) -> FeedbackEvent:
        """The event that a report of one signal becomes."""
        self.comes(*signals, to=to, form=form)
        assert self.read() == 1
        return self.past.events[-1]

    @property
    def reports(self) -> list[tuple[ReportStatus, str | None]]:
        """How far each report has come, and why it waits for a person."""
        with self.mailer.database.reading() as session:
            return [(each.status, each.why) for each in session.scalars(select(RawReport).order_by(RawReport.id))]


@pytest.fixture
def desk(mailer: Mailer, clock: Clock) -> Desk:
    return Desk(mailer, past(mailer, [clock() - timedelta(hours=1)]))


READ = [(ReportStatus.READ, None)]


def test_a_report_to_a_token_is_about_its_delivery_whoever_it_names(desk: Desk) -> None:
    """F1, F3: also when a mailbox was forwarded to another."""
    signal = Signal(HARD, "elsewhere@example.net", "5.1.1", "mx.example.net", "No such user", "rfc3464", 0.8)
    event = desk.hears(signal, to=desk.past.token(reader=1).upper())
    assert (event.delivery_id, event.address_key) == (desk.past.deliveries[1][1], "r1@example.com")
    assert (event.matched_by, event.believed) == (MatchedBy.TOKEN, True)
    assert (event.status, event.remote_mta) == ("5.1.1", "mx.example.net")
    assert (event.diagnosis, event.rule, event.confidence) == ("No such user", "rfc3464", 0.8)
    assert (event.source, event.part, event.judged_at) == ("lmtp", 0, None)
    assert desk.reports == READ


def test_the_envelope_goes_before_what_the_report_says_and_that_before_the_address(desk: Desk) -> None:
    """F3."""
    mine, other = desk.past.token(), desk.past.token(reader=1)
    assert desk.hears(Signal(HARD, senders=(other,)), to=mine).delivery_id == desk.past.deliveries[1][0]
    assert desk.hears(Signal(HARD, "r0@example.com", senders=("x@y.example", other))).address_key == "r1@example.com"


def test_our_message_id_in_a_returned_header_names_the_delivery(desk: Desk) -> None:
    token = desk.mailer.keyring.sign(Purpose.MESSAGE_ID, desk.past.deliveries[1][1])
    event = desk.hears(Signal(SOFT, message_ids=("other@example.com", f"{token}@news.example.org")))
    assert (event.matched_by, event.address_key, event.believed) == (MatchedBy.MESSAGE_ID, "r1@example.com", True)


def test_a_token_of_one_purpose_is_none_of_another(desk: Desk) -> None:
    """F1."""
    bounce = desk.past.token().partition("@")[0].removeprefix("b+")
    event = desk.hears(Signal(HARD, message_ids=(f"{bounce}@news.example.org",)))
    assert (event.matched_by, event.believed) == (None, False)


@pytest.mark.parametrize("kind", [HARD, SOFT, COMPLAINT, UNSUBSCRIBE])
def test_forged_tokens_have_no_consequences_even_with_the_right_address(desk: Desk, kind: FeedbackClass) -> None:
    """F2."""
    forger = Keyring((b"another key that is long enough, too",))
    to = envelope_sender(desk.past.deliveries[1][0], forger, BOUNCES)
    event = desk.hears(replace(ADDRESS, feedback_class=kind, confidence=1.0), to=to)
    assert (event.delivery_id, event.believed, event.why) == (None, False, "its token is not ours")
    assert desk.reports == [(ReportStatus.REVIEW, "its token is not ours")]
    desk.past.judge()
    assert desk.past.suppressed == {}


@pytest.mark.parametrize(("age", "believed"), [(29.9, True), (30.1, False)])
def test_an_expired_token_is_only_logged(desk: Desk, clock: Clock, age: float, believed: bool) -> None:
    """F2: the window begins with the last attempt."""
    clock.forward(days=age, hours=-1)
    event = desk.hears(Signal(COMPLAINT), to=desk.past.token())
    assert (event.believed, event.why) == (believed, None if believed else "its token has expired")
    assert event.delivery_id == desk.past.deliveries[1][0]
    assert desk.reports == READ
    desk.past.judge()
    assert bool(desk.past.suppressed) is believed


def test_a_bounce_that_comes_before_its_attempt_is_written_down_counts(desk: Desk) -> None:
    """A relay may be quicker than the ledger, which is written batch by batch."""
    with desk.mailer.database.transaction() as session:
        session.execute(delete(reading.RawReport))
        session.execute(update(Delivery).values(status=DeliveryStatus.PENDING, first_attempt_at=None, attempts=0))
        session.connection().exec_driver_sql("DELETE FROM attempts")
    assert desk.hears(Signal(HARD), to=desk.past.token()).believed


def test_a_token_whose_delivery_is_not_there_names_nothing(desk: Desk) -> None:
    """F2: as those of test messages."""
    event = desk.hears(Signal(HARD), to=envelope_sender(2**61, desk.mailer.keyring, BOUNCES))
    assert (event.delivery_id, event.believed) == (None, False)
    assert desk.reports == [(ReportStatus.REVIEW, "nothing in it names a delivery of ours")]


@pytest.mark.parametrize("kind", [HARD, SOFT, FeedbackClass.BLOCK, COMPLAINT, UNSUBSCRIBE])
def test_an_address_alone_proves_nothing(desk: Desk, kind: FeedbackClass) -> None:
    """F2: anybody can write a message with an address in it, however plain it is."""
    event = desk.hears(replace(ADDRESS, feedback_class=kind, confidence=1.0))
    assert (event.matched_by, event.delivery_id) == (MatchedBy.ADDRESS, desk.past.deliveries[1][0])
    assert not event.believed
    assert desk.reports == [(ReportStatus.REVIEW, "only the address names it, which proves too little")]
    desk.past.judge()
    assert desk.past.suppressed == {}


@pytest.mark.parametrize(
    ("sender", "believed"), [("R1@Example.com", True), ("friend@example.com", False), (None, False)]
)
@pytest.mark.parametrize("is_answer", [True, False])
def test_only_the_reader_can_leave_by_answering_a_letter(
    desk: Desk, sender: str | None, believed: bool, is_answer: bool
) -> None:
    """F2: whoever it was passed on to has its Message-ID, and may have its envelope sender, too."""
    message_id = desk.mailer.keyring.sign(Purpose.MESSAGE_ID, desk.past.deliveries[1][1]) + "@news.example.org"
    signal = Signal(UNSUBSCRIBE, sender, message_ids=(message_id,) if is_answer else ())
    event = desk.hears(signal, to="" if is_answer else desk.past.token(reader=1))
    assert (event.believed, event.address_key) == (believed, "r1@example.com")
    why = "somebody else than the reader asks to leave"
    assert desk.reports == (READ if believed else [(ReportStatus.REVIEW, why)])


def test_what_a_provider_signed_is_believed_about_an_address(desk: Desk) -> None:
    """F10: the signature was proven when it came in."""
    signal = replace(ADDRESS, feedback_class=COMPLAINT, message_ids=("of-the-provider@amazonses.com",))
    assert desk.hears(signal, form=ReportForm.SES).believed


@pytest.mark.parametrize(
    "signal",
    [
        replace(ADDRESS, recipient="stranger@example.com"),
        replace(ADDRESS, recipient="no address"),
        replace(ADDRESS, recipient=None),
        replace(ADDRESS, message_ids=("of-somebody-else@example.net",)),
    ],
)
def test_what_names_none_of_our_deliveries_waits_for_a_person(desk: Desk, signal: Signal) -> None:
    """F2, F8: also a report that returns somebody else's message."""
    assert not desk.hears(signal).believed
    assert desk.reports == [(ReportStatus.REVIEW, "nothing in it names a delivery of ours")]


def test_an_address_without_a_recent_delivery_is_nothing(desk: Desk, clock: Clock) -> None:
    clock.forward(days=31)
    assert not desk.hears(ADDRESS).believed
    assert desk.reports == [(ReportStatus.REVIEW, "nothing in it names a delivery of ours")]


def test_automatic_replies_trouble_nobody_and_the_unclear_waits(desk: Desk) -> None:
    """F6."""
    for kind in (FeedbackClass.AUTO_REPLY, FeedbackClass.CHALLENGE):
        desk.hears(Signal(kind, "stranger@example.com"))
    desk.hears(Signal(FeedbackClass.UNKNOWN, diagnosis="?"), to=desk.past.token())
    assert desk.reports == [*READ * 2, (ReportStatus.REVIEW, "what it says is not clear")]


@pytest.mark.parametrize("rule", ["delayed", "ses.delayed", "mailgun.failed.temporary"])
def test_a_delay_counts_for_nothing_as_another_word_will_follow(desk: Desk, rule: str) -> None:
    """F9: three late letters in a month are no failures."""
    event = desk.hears(Signal(FeedbackClass.SOFT, "r0@example.com", "4.4.7", rule=rule), to=desk.past.token())
    assert (event.believed, event.why) == (False, "it is only late")
    assert desk.reports == READ


@pytest.mark.parametrize("kind", [HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK, FeedbackClass.COMPLAINT])
def test_what_a_person_says_of_a_report_waits_for_another_person(desk: Desk, kind: FeedbackClass) -> None:
    """F6: whoever answers our letter and quotes an error message is alive."""
    event = desk.hears(Signal(kind, "office@example.com", "5.1.1", confidence=0.3), to=desk.past.token())
    assert (event.believed, event.why) == (False, "a person may have written it")
    assert desk.reports == [(ReportStatus.REVIEW, "a person may have written it")]


def test_of_more_recipients_than_are_read_a_person_is_told(desk: Desk) -> None:
    many = Signal(FeedbackClass.SOFT, "r0@example.com", "4.2.2", rule="full")
    desk.comes(to=desk.past.token())
    assert desk.read(dict.fromkeys(ReportForm, lambda body: (many,) * 10_001)) == 1
    assert len(desk.past.events) == 10_000
    assert desk.reports == [(ReportStatus.REVIEW, "it names more than 10000 recipients, of which these are read")]


def test_of_more_groups_than_a_notification_may_have_a_person_is_told(desk: Desk) -> None:
    """F8: what was read counts nevertheless."""
    more = Signal(FeedbackClass.UNKNOWN, diagnosis="it names more than 500 recipients", rule=TOO_MANY)
    desk.comes(Signal(HARD), more, to=desk.past.token())
    assert desk.read() == 1
    assert desk.reports == [(ReportStatus.REVIEW, "it names more than 500 recipients")]
    desk.past.judge()
    assert desk.past.suppressed == {"r0@example.com": "unknown user"}


def test_what_is_not_read_is_not_even_looked_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """F8: a post of 5 MB may name tens of thousands."""
    monkeypatch.setattr(reading, "_PARTS", 5)
    looked_at = []

    def read(_body: bytes) -> Iterator[Signal]:
        for number in count():
            looked_at.append(number)
            yield Signal(SOFT, "r0@example.com")

    desk.comes(to=desk.past.token())
    assert desk.read(dict.fromkeys(ReportForm, read)) == 1
    assert (len(looked_at), len(desk.past.events)) == (6, 5)


def test_reading_holds_up_others_for_two_seconds_and_leaves_the_rest_for_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F8: on SQLite nobody else can write meanwhile."""
    seconds = count(step=1.5)
    monkeypatch.setattr(reading, "monotonic", lambda: next(seconds))
    for number in range(25):
        desk.comes(Signal(HARD, diagnosis=str(number)), to=desk.past.token())
    assert desk.read() == 2
    assert [status for status, _ in desk.reports] == [ReportStatus.READ] * 2 + [ReportStatus.WAITING] * 23
    while desk.read():
        pass
    assert [each.diagnosis for each in desk.past.events] == [str(number) for number in range(25)]


def test_nothing_that_a_terminal_obeys_is_kept(desk: Desk) -> None:
    """F8: what reports say is shown to operators."""
    says = "550\t\x1b[2J\x1b]0;owned\x07 no\u3000such\r\nuser\x9b31m \u202eresu\x7f 宛先不明"
    event = desk.hears(Signal(HARD, diagnosis=says, rule="a\x1bb"), to=desk.past.token())
    assert event.diagnosis == "550 [2J]0;owned no such  user31m resu 宛先不明"
    assert event.rule == "ab"


def test_a_report_without_anything_to_say_is_read(desk: Desk) -> None:
    """F10: as of an event that a provider has and we do not care for."""
    desk.comes(form=ReportForm.SENDGRID)
    assert desk.read() == 1
    assert (desk.past.events, desk.reports) == ([], READ)


@pytest.mark.parametrize("kind", FeedbackClass)
def test_whatever_is_written_to_the_address_to_leave_by_ends_the_subscription(desk: Desk, kind: FeedbackClass) -> None:
    """L4, M9, M11: such a token does not expire."""
    desk.mailer.clock.forward(days=900)  # type: ignore[attr-defined]
    token = desk.mailer.keyring.sign(Purpose.UNSUBSCRIBE, 2, 1)
    event = desk.hears(Signal(kind, "who@ever.example"), Signal(kind), to=leaving_address(token, BOUNCES).upper())
    assert (event.feedback_class, event.believed, event.address_key) == (UNSUBSCRIBE, True, "r1@example.com")
    assert (len(desk.past.events), desk.reports) == (1, READ)


def test_leaving_works_without_the_send_and_after_erasure(desk: Desk) -> None:
    """L4: as after a restored backup."""
    sign = desk.mailer.keyring.sign
    with desk.mailer.database.transaction() as session:
        session.delete(session.get_one(Subscriber, 1))
    keys = [
        desk.hears(Signal(UNSUBSCRIBE), to=leaving_address(sign(Purpose.UNSUBSCRIBE, *numbers), BOUNCES)).address_key
        for numbers in ((2, 99), (1, 1), (0, 0))
    ]
    assert keys == ["r1@example.com", "", ""]
    assert desk.past.judge() == 3


def test_a_returned_letter_is_no_wish_to_leave(desk: Desk) -> None:
    """The address to leave by stands in each of our letters."""
    leaving = leaving_address(desk.mailer.keyring.sign(Purpose.UNSUBSCRIBE, 2, 1), BOUNCES)
    event = desk.hears(Signal(HARD, senders=(leaving,)), to=desk.past.token(reader=1))
    assert event.feedback_class is HARD
    event = desk.hears(Signal(UNSUBSCRIBE, senders=(leaving,)))
    assert (event.feedback_class, event.address_key) == (UNSUBSCRIBE, "r1@example.com")


def test_each_recipient_of_a_report_is_an_event(desk: Desk) -> None:
    three = [replace(ADDRESS, recipient=f"r{n}@example.com") for n in (0, 1, 7)]
    desk.comes(*three, form=ReportForm.SENDGRID)
    desk.read()
    assert [(each.part, each.address_key, each.believed) for each in desk.past.events] == [
        (0, "r0@example.com", True),
        (1, "r1@example.com", True),
        (2, "r7@example.com", False),
    ]
    assert desk.reports == [(ReportStatus.REVIEW, "nothing in it names a delivery of ours")]


def test_an_event_of_a_provider_counts_once_however_often_it_is_posted(desk: Desk) -> None:
    """F10."""
    first, second = (replace(ADDRESS, event_id=name) for name in ("e1", "e2"))
    for signals in ((first,), (second, first), (first, first)):
        desk.comes(*signals, form=ReportForm.SENDGRID)
    assert desk.read() == 3
    assert [each.event_id for each in desk.past.events] == ["e1", "e2"]
    assert desk.reports == READ * 3


def test_reading_again_changes_nothing(desk: Desk) -> None:
    """Promise 6: as after a crash between the reading and its commit, or on a replay."""
    desk.hears(Signal(HARD), to=desk.past.token())
    assert desk.read() == 0
    with desk.mailer.database.transaction() as session:
        session.execute(update(RawReport).values(status=ReportStatus.WAITING))
    assert desk.read() == 1
    assert len(desk.past.events) == 1


def test_one_that_cannot_be_read_is_set_aside_and_holds_up_none(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """F8."""
    for body in (b"broken", said(Signal(HARD)), b"[1]"):
        desk.comes(body=body, to=desk.past.token())
    with caplog.at_level(logging.ERROR):
        assert desk.read() == 3
    (first, why), second, (third, _) = desk.reports
    assert (first, second, third) == (ReportStatus.REVIEW, READ[0], ReportStatus.REVIEW)
    assert why is not None
    assert why.startswith("it cannot be read: JSONDecodeError")
    assert "report 1 cannot be read" in caplog.text
    assert len(desk.past.events) == 1


def test_one_that_the_database_does_not_take_is_set_aside_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """F8: whatever is written together, the others are written."""
    write = reading._event

    def event_of(*arguments: object) -> dict[str, object]:
        values = write(*arguments)  # type: ignore[arg-type]
        return {**values, "diagnosis": None} if values["rule"] == "bad" else values

    monkeypatch.setattr(reading, "_event", event_of)
    for rule in ("good", "bad", "good"):
        desk.comes(Signal(HARD, rule=rule, diagnosis=str(len(desk.reports))), to=desk.past.token())
    assert desk.read() == 3
    assert [status for status, _ in desk.reports] == [ReportStatus.READ, ReportStatus.REVIEW, ReportStatus.READ]
    assert len(desk.past.events) == 2
    assert desk.read() == 0


@settings(max_examples=20)
@given(st.text(max_size=40), st.text(max_size=40), st.floats(0.5, 1))
def test_any_text_is_stored(desk: Desk, one: str, two: str, confidence: float) -> None:
    """F8: NUL and halves of pairs, too."""
    with desk.mailer.database.transaction() as session:
        session.execute(delete(FeedbackEvent))
        session.execute(delete(RawReport))
    signal = Signal(HARD, one, one * 9, two * 9, one + "\0\ud800" + two * 90, two * 9, confidence, (one,), (two,), one)
    desk.comes(signal, to=desk.past.token())
    assert desk.read() == 1
    assert desk.reports == READ
    assert len(desk.past.events) == 1


def test_readers_that_work_at_once_read_each_report_once(desk: Desk) -> None:
    for number in range(40):
        desk.comes(Signal(HARD, diagnosis=str(number)), to=desk.past.token())
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda _: desk.read(at_most=10), range(4)))
    assert sum(read) + desk.read() == 40
    assert sorted(int(each.diagnosis) for each in desk.past.events) == list(range(40))
    assert desk.reports == READ * 40


def test_the_oldest_are_read_first(desk: Desk) -> None:
    for number in range(5):
        desk.comes(Signal(SOFT, diagnosis=str(number)), to=desk.past.token())
    assert [desk.read(at_most=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [each.diagnosis for each in desk.past.events] == ["0", "1", "2", "3", "4"]


def test_many_reports_cost_a_few_statements(desk: Desk) -> None:
    def statements(number: int) -> int:
        for _ in range(number // 2):
            desk.comes(Signal(HARD, "r0@example.com", diagnosis=str(len(desk.reports))), to=desk.past.token())
            desk.comes(Signal(HARD, "r0@example.com", "5.1.1", diagnosis=str(len(desk.reports))))
        seen: list[object] = []
        note: Callable[..., None] = lambda *_: seen.append(_)  # noqa: E731
        event.listen(desk.mailer.database.engine, "before_cursor_execute", note)
        assert desk.read() == number
        event.remove(desk.mailer.database.engine, "before_cursor_execute", note)
        return len(seen)

    assert statements(2) == statements(60)
