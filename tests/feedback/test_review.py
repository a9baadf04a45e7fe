"""What people see of feedback, what they decide about it, and what another set of rules would change."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from jlgc_mailer.audience.suppression import in_force, release, suppress
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import Alert, FeedbackEvent, RawReport
from jlgc_mailer.db.people import ConsentRecord, Subscription, Suppression
from jlgc_mailer.errors import InvalidInput, NotAllowedNow, NotFound
from jlgc_mailer.feedback import reading, review
from jlgc_mailer.feedback.changes import Change, Follows
from jlgc_mailer.feedback.reading import Readers, read_waiting
from jlgc_mailer.feedback.replay import Replay, Which, how_many, next_reports
from jlgc_mailer.feedback.resolving import BY_HAND, resolve
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import (
    ConsentAction,
    FeedbackClass,
    Language,
    MatchedBy,
    ReportForm,
    ReportStatus,
    SubscriptionStatus,
    SuppressionReason,
    Verdict,
)
from tests.conftest import Clock
from tests.feedback.past import Past, past
from tests.web.conftest import everything

HARD, SOFT, BLOCK, COMPLAINT, UNKNOWN, UNSUBSCRIBE = (
    FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK, FeedbackClass.COMPLAINT, FeedbackClass.UNKNOWN,
    FeedbackClass.UNSUBSCRIBE,
)  # fmt: skip


def reads_as(*changes: tuple[FeedbackClass, FeedbackClass]) -> Readers:
    """Readers of bodies that are signals in JSON; each of these classes is read as another."""
    changed = dict(changes)

    def read(body: bytes) -> tuple[Signal, ...]:
        if body == b"broken":
            raise ValueError("broken")
        said = [
            Signal(**{**each, "feedback_class": FeedbackClass(each["feedback_class"])}) for each in json.loads(body)
        ]
        return tuple(
            replace(each, feedback_class=changed.get(each.feedback_class, each.feedback_class)) for each in said
        )

    return dict.fromkeys(ReportForm, read)


@dataclass
class Desk:
    """An installation with sends to r0@example.com and r1@example.com, to which reports come in."""

    mailer: Mailer
    past: Past

    def comes(self, *signals: Signal, to: str = "", form: ReportForm = ReportForm.MESSAGE, body: bytes = b"") -> None:
        """A report comes in, is read and judged."""
        said = [{name: getattr(each, name) for name in Signal.__dataclass_fields__} for each in signals]
        with self.mailer.database.transaction() as session:
            inbound = Inbound("lmtp", form, body or json.dumps(said).encode(), envelope_to=to)
            assert store(session, inbound, self.mailer.clock())
            assert read_waiting(session, reads_as(), self.mailer.keyring, self.mailer.policy) == 1
        self.past.judge()

    def says(self, kind: FeedbackClass, reader: int = 0, send_id: int = 1, text: str = "") -> None:
        """The same, about a reader whom its token names."""
        self.comes(Signal(kind, diagnosis=text or kind), to=self.past.token(send_id, reader))

    def resolve(self, ruling: FeedbackClass | None, *recipients: str, report_id: int = 1) -> bool:
        """A person decides, and that is judged."""
        with self.mailer.database.transaction() as session:
            is_new = resolve(session, report_id, ruling, recipients, "they told us", self.mailer.clock())
        self.past.judge()
        return is_new

    def replay(
        self, readers: Readers, *, apply: bool = False, which: Which | None = None, stride: int = 200
    ) -> list[tuple[int, str, str | None, str, str]]:
        """What would be another thing, as the command does it."""
        again, told, after = Replay(readers, self.mailer.keyring, self.mailer.policy), [], 0
        while True:
            with self.mailer.database.transaction() as session:
                changes, ids = again.stride(session, which or Which(), after, self.mailer.clock(), stride)
                if apply:
                    again.apply(session, changes, self.mailer.clock())
                told += [line(each) for each in changes]
            if not ids:
                break
            after = ids[-1]
        while apply and self.past.judge():
            pass
        return told

    @property
    def reports(self) -> list[tuple[ReportStatus, str | None]]:
        """How far each report has come, and why."""
        with self.mailer.database.reading() as session:
            return [(each.status, each.why) for each in session.scalars(select(RawReport).order_by(RawReport.id))]


def line(change: Change) -> tuple[int, str, str | None, str, str]:
    old = change.old_class.value if change.old_class else None
    return change.report_id, change.address, old, change.new_class.value, change.follows.value


@pytest.fixture
def desk(mailer: Mailer, clock: Clock) -> Desk:
    return Desk(mailer, past(mailer, [clock() - timedelta(days=2), clock() - timedelta(days=1)]))


# --- looking ------------------------------------------------------------------------------------------------------


def test_of_what_waits_what_names_somebody_comes_before_the_rest(desk: Desk) -> None:
    """So that junk, which anybody may send, does not drown a reader's report."""
    for number in range(3):
        desk.comes(Signal(UNKNOWN, diagnosis=str(number)))
    desk.comes(Signal(HARD, "stranger@example.net"))
    desk.comes(body=b"broken")
    desk.says(UNKNOWN)
    with desk.mailer.database.transaction() as session:
        erased = session.scalars(select(FeedbackEvent).where(FeedbackEvent.report_id == 6)).one()
        erased.address_key = ""
    with desk.mailer.database.reading() as session:
        assert [each.id for each in review.reports_in_review(session, None, None)] == [4, 6, 1, 2, 3, 5]
        assert [each.id for each in review.reports_in_review(session, None, 3)] == [4, 6, 1]


def test_the_queue_tells_what_waits_and_whom_it_names_oldest_first(desk: Desk, clock: Clock) -> None:
    desk.comes(Signal(HARD, "stranger@example.net"), Signal(HARD, "other@example.net"))
    clock.forward(days=1)
    desk.says(UNKNOWN)
    desk.says(HARD)
    with desk.mailer.database.reading() as session:
        waiting = review.reports_in_review(session, None, None)
        late = review.reports_in_review(session, clock(), None)
        one = review.reports_in_review(session, None, 1)
        numbers = review.count_in_review(session), review.count_in_review(session, clock())
    assert [(each.id, each.source, each.recipients) for each in waiting] == [
        (1, "lmtp", ("stranger@example.net", "other@example.net")),
        (2, "lmtp", ("r0@example.com",)),
    ]
    assert [each.why for each in waiting] == ["nothing in it names a delivery of ours", "what it says is not clear"]
    assert (late, one, numbers) == (waiting[1:], waiting[:1], (2, 1))


def test_events_are_told_newest_first_by_class_and_time(desk: Desk, clock: Clock) -> None:
    desk.says(HARD)
    clock.forward(days=1)
    desk.says(SOFT, reader=1, send_id=2)
    desk.says(HARD, reader=1, send_id=2)
    with desk.mailer.database.reading() as session:

        def told(*which: object) -> list[tuple[str, int | None]]:
            return [(each.feedback_class.value, send_id) for each, send_id in review.events(session, *which)]

        assert told(None, None, None) == [("hard", 2), ("soft", 2), ("hard", 1)]
        assert told(None, HARD, None) == [("hard", 2), ("hard", 1)]
        assert told(clock(), None, None) == [("hard", 2), ("soft", 2)]
        assert told(None, None, 1) == [("hard", 2)]
        assert review.count_by_class(session, clock()) == {HARD: 1, SOFT: 1}
        assert review.count_by_class(session, clock() - timedelta(days=1)) == {HARD: 2, SOFT: 1}


def test_what_is_held_against_us_is_told_by_send_and_rule_with_its_recipients(desk: Desk, clock: Clock) -> None:
    """F6."""
    listed = Signal(BLOCK, rule="listed", diagnosis="on a list")
    desk.comes(listed, to=desk.past.token())
    desk.comes(replace(listed, diagnosis="again"), to=desk.past.token())
    desk.comes(listed, to=desk.past.token(reader=1))
    clock.forward(days=1)
    desk.comes(Signal(BLOCK, diagnosis="no rule"), to=desk.past.token(2))
    desk.says(HARD)
    with desk.mailer.database.reading() as session:
        told = [(each.send_id, each.rule, each.recipients, each.diagnosis) for each in review.blocked(session, None)]
        assert told == [(2, "other reason", 1, "no rule"), (1, "listed", 2, "on a list")]
        assert [each.send_id for each in review.blocked(session, clock())] == [2]


def test_a_suppression_and_its_report_know_each_other(desk: Desk, clock: Clock) -> None:
    desk.says(SOFT)
    desk.says(HARD)
    clock.forward(hours=1)
    desk.says(HARD, text="again")
    with desk.mailer.database.transaction() as session:
        suppress(session, "someone@example.com", SuppressionReason.MANUAL, "asked", clock())
    with desk.mailer.database.reading() as session:
        bars = {each.address_key: each.id for each in in_force(session)}
        (event,) = review.events_of(session, 2)
        assert review.reports_behind(session) == {bars["r0@example.com"]: 2}
        assert {key: each.id for key, each in review.suppressions_by(session, 2).items()} == {
            event.id: bars["r0@example.com"]
        }
        assert review.suppressions_by(session, 1) == review.suppressions_by(session, 3) == {}


def test_a_report_that_does_not_exist_is_not_found(mailer: Mailer) -> None:
    sentence = "There is no report 7. Those that are settled are deleted after a time. See: jlgc-mailer feedback list"
    with mailer.database.reading() as session, pytest.raises(NotFound, match=sentence):
        review.find_report(session, 7)


# --- deciding -----------------------------------------------------------------------------------------------------


def test_what_a_person_says_is_judged_like_everything_else(desk: Desk, clock: Clock) -> None:
    """Promise 6."""
    desk.says(UNKNOWN)
    assert desk.past.suppressed == {}
    clock.forward(days=1)
    assert desk.resolve(HARD)
    assert desk.past.suppressed == {"r0@example.com": "unknown user"}
    event = desk.past.events[-1]
    assert (event.report_id, event.part, event.rule, event.source) == (1, 1, BY_HAND, BY_HAND)
    assert (event.diagnosis, event.verdict, event.received_at) == ("they told us", Verdict.SUPPRESS, clock())
    assert event.delivery_id == desk.past.deliveries[1][0]
    assert desk.reports == [(ReportStatus.RESOLVED, "what it says is not clear; by hand, hard: they told us")]


def test_to_resolve_a_report_again_changes_nothing(desk: Desk) -> None:
    desk.says(UNKNOWN)
    assert desk.resolve(COMPLAINT)
    before = everything(desk.mailer)
    assert not desk.resolve(COMPLAINT)
    assert not desk.resolve(COMPLAINT, "R0@example.com")
    assert everything(desk.mailer) == before


@pytest.mark.parametrize(("first", "second"), [(HARD, SOFT), (HARD, None), (None, HARD)])
def test_a_report_is_resolved_in_one_way_only(
    desk: Desk, first: FeedbackClass | None, second: FeedbackClass | None
) -> None:
    desk.says(UNKNOWN)
    desk.resolve(first)
    before = everything(desk.mailer)
    with pytest.raises(NotAllowedNow, match=f"it was resolved as {first or 'ignore'}"):
        desk.resolve(second)
    assert everything(desk.mailer) == before


def test_what_is_ignored_leaves_the_queue_and_bars_nobody(desk: Desk) -> None:
    desk.comes(Signal(HARD, "stranger@example.net"))
    assert desk.resolve(None)
    assert not desk.resolve(None)
    assert desk.past.suppressed == {}
    assert len(desk.past.events) == 1
    assert desk.reports[0][0] is ReportStatus.RESOLVED


def test_a_report_that_names_nobody_is_about_whom_the_person_says(desk: Desk) -> None:
    """It belongs to the latest message to that address."""
    desk.comes(Signal(UNKNOWN))
    with pytest.raises(NotAllowedNow, match="nobody knows whom it is about. Say it with --recipient ADDRESS"):
        desk.resolve(HARD)
    assert desk.resolve(HARD, "R1@Example.com")
    assert desk.past.suppressed == {"r1@example.com": "unknown user"}
    assert desk.past.events[-1].delivery_id == desk.past.deliveries[2][1]
    assert desk.past.events[-1].matched_by is MatchedBy.ADDRESS


def test_of_several_that_it_names_a_person_has_to_choose(desk: Desk) -> None:
    desk.comes(Signal(UNKNOWN, "r0@example.com"), Signal(UNKNOWN, "r1@example.com"))
    with pytest.raises(NotAllowedNow, match="it names 2 addresses"):
        desk.resolve(HARD)
    assert desk.resolve(HARD, "r1@example.com")
    assert desk.past.suppressed == {"r1@example.com": "unknown user"}


def test_a_report_about_several_is_resolved_for_each_of_them(desk: Desk) -> None:
    desk.comes(Signal(UNKNOWN, "r0@example.com"), Signal(UNKNOWN, "r1@example.com"))
    assert desk.resolve(HARD, "r1@example.com", "R0@example.com", "r1@example.com")
    assert desk.past.suppressed == {"r0@example.com": "unknown user", "r1@example.com": "unknown user"}
    assert [(each.part, each.address_key) for each in desk.past.events[2:]] == [
        (2, "r1@example.com"),
        (3, "r0@example.com"),
    ]
    before = everything(desk.mailer)
    assert not desk.resolve(HARD, "r0@example.com")
    assert not desk.resolve(HARD)
    assert everything(desk.mailer) == before


def test_a_reader_of_whom_nobody_has_decided_yet_may_follow_later(desk: Desk) -> None:
    """Each is decided once, whatever is said of the others."""
    desk.comes(Signal(UNKNOWN, "r0@example.com"), Signal(UNKNOWN, "r1@example.com"))
    assert desk.resolve(SOFT, "r0@example.com")
    with pytest.raises(NotAllowedNow, match="it was resolved as soft for r0@example.com before"):
        desk.resolve(HARD, "r1@example.com", "r0@example.com")
    assert desk.past.suppressed == {}
    assert desk.resolve(HARD, "r1@example.com")
    assert desk.past.suppressed == {"r1@example.com": "unknown user"}
    with pytest.raises(NotAllowedNow, match="it was resolved as soft for r0@example.com, hard for r1@example.com"):
        desk.resolve(None)


def test_what_was_ignored_is_about_nobody(desk: Desk) -> None:
    desk.says(UNKNOWN)
    desk.resolve(None)
    with pytest.raises(NotAllowedNow, match="it was resolved as ignore before"):
        desk.resolve(HARD, "r1@example.com")
    assert desk.past.suppressed == {}


@pytest.mark.parametrize(
    ("address", "error", "sentence"),
    [
        ("nobody", InvalidInput, "Address 'nobody' cannot be used"),
        ("stranger@example.net", NotFound, "There is no subscriber 'stranger@example.net'. Correct --recipient"),
    ],
)
def test_a_wrong_address_is_told_and_nothing_changes(
    desk: Desk, address: str, error: type[Exception], sentence: str
) -> None:
    desk.comes(Signal(UNKNOWN))
    before = everything(desk.mailer)
    with pytest.raises(error, match=sentence):
        desk.resolve(HARD, address)
    assert everything(desk.mailer) == before


def test_what_was_not_read_yet_cannot_be_resolved(desk: Desk, clock: Clock) -> None:
    with desk.mailer.database.transaction() as session:
        store(session, Inbound("lmtp", ReportForm.MESSAGE, b"[]"), clock())
    with pytest.raises(NotAllowedNow, match="it was not read yet"):
        desk.resolve(None)


def test_what_a_person_says_about_a_released_address_counts(desk: Desk, clock: Clock) -> None:
    """It is news, though the report is old."""
    desk.says(HARD)
    clock.forward(days=1)
    with desk.mailer.database.transaction() as session:
        release(session, "r0@example.com", "has a new mailbox", clock())
    clock.forward(days=1)
    desk.resolve(HARD)
    assert desk.past.suppressed == {"r0@example.com": "unknown user"}


# --- replay -------------------------------------------------------------------------------------------------------


def test_by_the_same_rules_nothing_changes(desk: Desk) -> None:
    for kind in FeedbackClass:
        desk.says(kind)
    desk.comes(Signal(HARD, "stranger@example.net"))
    desk.comes(body=b"broken")
    before = everything(desk.mailer)
    assert desk.replay(reads_as()) == desk.replay(reads_as(), apply=True) == []
    assert everything(desk.mailer) == before


def test_without_apply_it_is_told_what_would_follow_and_nothing_changes(desk: Desk) -> None:
    desk.says(HARD)
    desk.says(UNKNOWN, reader=1)
    before = everything(desk.mailer)
    assert desk.replay(reads_as((HARD, SOFT), (UNKNOWN, COMPLAINT))) == [
        (1, "r0@example.com", "hard", "soft", "released"),
        (2, "r1@example.com", "unknown", "complaint", "suppressed"),
    ]
    assert everything(desk.mailer) == before


@pytest.mark.parametrize("stride", [1, 200])
def test_what_is_told_is_what_is_done(desk: Desk, clock: Clock, stride: int) -> None:
    readers = reads_as((HARD, SOFT), (UNKNOWN, HARD), (BLOCK, UNKNOWN))
    desk.says(HARD)
    desk.says(HARD, text="again")
    desk.says(UNKNOWN, reader=1)
    desk.says(UNKNOWN, reader=1, text="again")
    desk.says(BLOCK)
    clock.forward(days=1)
    told = desk.replay(readers, stride=stride)
    assert desk.replay(readers, apply=True, stride=stride) == told
    assert [each[4] for each in told if each[1] == "r0@example.com"].count("released") == 1
    assert desk.past.suppressed == {"r1@example.com": "unknown user"}
    assert desk.replay(readers, apply=True, stride=stride) == [], "it is done once"
    assert desk.reports == [(ReportStatus.READ, None)] * 4 + [(ReportStatus.REVIEW, "what it says is not clear")]


@pytest.mark.parametrize("apply", [False, True])
def test_a_stride_takes_two_seconds_and_the_next_goes_on_behind_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, apply: bool
) -> None:
    """F8: on SQLite nobody else can write meanwhile, however large the reports are."""
    for number in range(5):
        desk.says(UNKNOWN, reader=number % 2, text=str(number))
    seconds = count(step=1.5)
    monkeypatch.setattr(reading, "monotonic", lambda: next(seconds))
    again = Replay(reads_as((UNKNOWN, SOFT)), desk.mailer.keyring, desk.mailer.policy)
    strides, after = [], 0
    while True:
        with desk.mailer.database.transaction() as session:
            stride = again.stride(session, Which(), after, desk.mailer.clock())
            if apply:
                again.apply(session, stride.changes, desk.mailer.clock())
        if not stride.report_ids:
            break
        assert [each.report_id for each in stride.changes] == stride.report_ids
        strides.append(stride.report_ids)
        after = stride.report_ids[-1]
    assert strides == [[1, 2], [3, 4], [5]]
    assert {status for status, _ in desk.reports} == {ReportStatus.READ if apply else ReportStatus.REVIEW}


def test_what_a_person_resolved_meanwhile_stays_so(desk: Desk) -> None:
    """Between what is told and what is done somebody may decide; or the report may be deleted."""
    desk.says(UNKNOWN)
    desk.says(UNKNOWN, reader=1)
    again = Replay(reads_as((UNKNOWN, HARD)), desk.mailer.keyring, desk.mailer.policy)
    with desk.mailer.database.reading() as session:
        changes = again.stride(session, Which(), 0, desk.mailer.clock()).changes
    desk.resolve(None)
    with desk.mailer.database.transaction() as session:
        session.execute(delete(FeedbackEvent).where(FeedbackEvent.report_id == 2))
        session.execute(delete(RawReport).where(RawReport.id == 2))
    before = everything(desk.mailer)
    with desk.mailer.database.transaction() as session:
        again.apply(session, changes, desk.mailer.clock())
    assert everything(desk.mailer) == before


_KINDS = st.sampled_from([HARD, SOFT, BLOCK, COMPLAINT, UNKNOWN])


def test_whatever_the_rules_become_what_is_told_is_done_once_and_bars_whom_a_report_bars(
    mailer: Mailer, clock: Clock
) -> None:
    """F9: three sends over a month, so that soft bounces bar addresses, too."""
    desk = Desk(mailer, past(mailer, [clock() - timedelta(days=days) for days in (40, 20, 1)]))
    about = st.tuples(_KINDS, st.integers(0, 1), st.integers(1, 3))

    @settings(max_examples=30)
    @given(st.lists(about, max_size=8), st.dictionaries(_KINDS, _KINDS))
    def holds(reports: list[tuple[FeedbackClass, int, int]], changed: dict[FeedbackClass, FeedbackClass]) -> None:
        with mailer.database.transaction() as session:
            for table in (FeedbackEvent, RawReport, Suppression, Alert):
                session.execute(delete(table))
        for number, (kind, reader, send_id) in enumerate(reports):
            clock.forward(minutes=1)
            desk.says(kind, reader, send_id, text=str(number))
        clock.forward(minutes=1)
        readers, before = reads_as(*changed.items()), set(desk.past.suppressed)
        told = desk.replay(readers)
        assert desk.replay(readers, apply=True) == told
        assert desk.replay(readers) == []
        released = {each[1] for each in told if each[4] == Follows.RELEASED}
        barred = {each[1] for each in told if each[4] == Follows.SUPPRESSED}
        assert set(desk.past.suppressed) == (before - released) | barred
        reasons = {each.address_key for each in desk.past.events if each.verdict is Verdict.SUPPRESS}
        assert set(desk.past.suppressed) == reasons

    holds()


def test_a_release_says_why_and_the_event_what_it_was(desk: Desk, clock: Clock) -> None:
    desk.comes(Signal(HARD, rule="no-such-user"), to=desk.past.token())
    clock.forward(days=1)
    desk.replay(reads_as((HARD, BLOCK)), apply=True)
    with desk.mailer.database.reading() as session:
        bar = session.scalars(select(Suppression)).one()
    assert (bar.release_reason, bar.released_at) == ("rules changed", clock())
    (event,) = desk.past.events
    assert (event.feedback_class, event.verdict) == (BLOCK, Verdict.NOTE)
    assert event.why == "hard by the rule no-such-user before the rules changed"


@pytest.mark.parametrize("other", ["another report", "a person", "a report by hand"])
def test_nobody_is_released_whom_something_else_bars(desk: Desk, clock: Clock, other: str) -> None:
    if other == "a person":
        with desk.mailer.database.transaction() as session:
            suppress(session, "r0@example.com", SuppressionReason.MANUAL, "asked", clock())
    if other == "a report by hand":
        desk.says(UNKNOWN)
        desk.resolve(HARD)
    desk.says(HARD)
    if other == "another report":
        desk.says(COMPLAINT)
    before = desk.past.suppressed
    assert [each[3:] for each in desk.replay(reads_as((HARD, SOFT)), apply=True)] == [("soft", "nothing")]
    assert desk.past.suppressed == before != {}


def test_of_one_that_still_bars_the_address_nothing_follows(desk: Desk) -> None:
    desk.says(HARD)
    assert desk.replay(reads_as((HARD, COMPLAINT)), apply=True) == [
        (1, "r0@example.com", "hard", "complaint", "nothing")
    ]
    assert list(desk.past.suppressed) == ["r0@example.com"]


def test_what_staff_released_stays_so(desk: Desk, clock: Clock) -> None:
    desk.says(HARD)
    desk.says(UNKNOWN)
    clock.forward(days=1)
    with desk.mailer.database.transaction() as session:
        release(session, "r0@example.com", "has a new mailbox", clock())
    told = desk.replay(reads_as((UNKNOWN, HARD)), apply=True)
    assert [each[4] for each in told] == ["nothing"]
    assert desk.past.suppressed == {}


def test_a_report_that_nobody_could_read_is_read_at_last(desk: Desk) -> None:
    desk.comes(body=b"broken", to=desk.past.token())

    def read(body: bytes) -> tuple[Signal, ...]:
        return (Signal(HARD, diagnosis=body.decode()),)

    readers = dict.fromkeys(ReportForm, read)
    assert desk.replay(readers, apply=True) == [(1, "r0@example.com", None, "hard", "suppressed")]
    assert desk.reports == [(ReportStatus.READ, None)]
    assert desk.past.suppressed == {"r0@example.com": "unknown user"}
    assert desk.replay(reads_as(), apply=True) == [], "what nobody can read now keeps what was read"


def test_a_recipient_who_is_read_no_more_is_released(desk: Desk) -> None:
    two = Signal(SOFT), Signal(HARD)
    desk.comes(*two, to=desk.past.token())

    def read(_body: bytes) -> tuple[Signal, ...]:
        return two[:1]

    assert desk.replay(dict.fromkeys(ReportForm, read), apply=True) == [
        (1, "r0@example.com", "hard", "unknown", "released")
    ]
    assert desk.past.suppressed == {}


def test_an_address_proves_nothing_about_messages_that_were_sent_later(desk: Desk, clock: Clock) -> None:
    """F2: what was too late for its own send does not count for the next one."""
    early = clock() - timedelta(days=2, hours=1)
    desk.comes(Signal(SOFT, "r0@example.com"))
    with desk.mailer.database.transaction() as session:
        event = session.scalars(select(FeedbackEvent)).one()
        event.delivery_id, event.received_at = None, early
        event.believed, event.why = False, "nothing in it names a delivery of ours"
    assert [each[3:] for each in desk.replay(reads_as((SOFT, HARD)), apply=True)] == [("hard", "nothing")]
    assert desk.past.suppressed == {}
    assert not desk.past.events[0].believed


def test_an_event_of_a_provider_counts_once_however_many_reports_bring_it(desk: Desk) -> None:
    """F10."""
    signal = Signal(HARD, "r0@example.com", event_id="evt-1", senders=(desk.past.token(),))
    desk.comes(signal, form=ReportForm.GENERIC)
    desk.comes(replace(signal, diagnosis="again"), form=ReportForm.GENERIC)
    assert len(desk.past.events) == 1
    assert desk.replay(reads_as(), apply=True) == []


def test_which_reports_are_read_again(desk: Desk, clock: Clock) -> None:
    desk.says(HARD)
    desk.says(UNKNOWN)
    clock.forward(days=1)
    desk.says(UNKNOWN, reader=1)
    desk.says(UNKNOWN, text="resolved")
    desk.resolve(HARD, report_id=4)
    with desk.mailer.database.transaction() as session:
        store(session, Inbound("lmtp", ReportForm.MESSAGE, b"[] "), clock())

    def chosen(which: Which) -> list[int]:
        with desk.mailer.database.reading() as session:
            found = list(next_reports(session, which, 0))
            assert how_many(session, which) == len(found)
            return found

    assert chosen(Which()) == [1, 2, 3]
    assert chosen(Which(since=clock())) == [3]
    assert chosen(Which(in_review=True)) == [2, 3]
    assert chosen(Which(ids=(1, 2, 4), in_review=True)) == [2]


def test_whoever_leaves_by_other_rules_leaves(desk: Desk) -> None:
    desk.comes(Signal(UNKNOWN, "r0@example.com"), to=desk.past.token())
    assert [each[3:] for each in desk.replay(reads_as((UNKNOWN, UNSUBSCRIBE)), apply=True)] == [
        ("unsubscribe", "unsubscribed")
    ]
    assert desk.past.events[0].verdict is Verdict.WITHDRAW


def test_who_agreed_anew_stays_whatever_the_rules_become(desk: Desk, clock: Clock) -> None:
    """L3."""
    desk.comes(Signal(UNKNOWN, "r0@example.com"), to=desk.past.token())
    clock.forward(days=1)
    with desk.mailer.database.transaction() as session:
        consent = session.get_one(ConsentRecord, 1)
        agreed = {
            "action": ConsentAction.GIVEN,
            "how": "joined again",
            "wording": "Send it.",
            "language": Language.ENGLISH,
        }
        session.add(ConsentRecord(subscriber_id=consent.subscriber_id, list_id=consent.list_id, at=clock(), **agreed))
    clock.forward(days=1)
    told = desk.replay(reads_as((UNKNOWN, UNSUBSCRIBE)), apply=True)
    assert [each[3:] for each in told] == [("unsubscribe", "nothing")]
    with desk.mailer.database.reading() as session:
        assert set(session.scalars(select(Subscription.status))) == {SubscriptionStatus.CONFIRMED}


@pytest.mark.parametrize("came_back", [True, False])
def test_an_old_report_bars_nobody_who_got_mail_since(mailer: Mailer, clock: Clock, came_back: bool) -> None:
    """F9: five days after a send its bounce would be here."""
    desk = Desk(mailer, past(mailer, [clock() - timedelta(hours=1), clock() + timedelta(days=10)]))
    desk.says(SOFT)
    clock.forward(days=16)
    if came_back:
        desk.says(SOFT, send_id=2)
    told = desk.replay(reads_as((SOFT, HARD)), apply=True)
    follows = [each[4] for each in told]
    assert follows == (["suppressed", "nothing"] if came_back else ["nothing"])
    assert list(desk.past.suppressed) == (["r0@example.com"] if came_back else [])


def test_rules_that_are_taken_back_bar_again_whom_they_released(desk: Desk, clock: Clock) -> None:
    desk.says(HARD)
    clock.forward(minutes=5)
    assert [each[4] for each in desk.replay(reads_as((HARD, SOFT)), apply=True)] == ["released"]
    clock.forward(minutes=5)
    assert [each[4] for each in desk.replay(reads_as(), apply=True)] == ["suppressed"]
    assert desk.past.suppressed == {"r0@example.com": "unknown user"}
