"""Reports that are settled and old are deleted; what was read out of them stays."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.feedback import retention, review
from jlgc_mailer.feedback.reading import read_waiting
from jlgc_mailer.feedback.replay import Replay, Which
from jlgc_mailer.feedback.resolving import resolve
from jlgc_mailer.feedback.retention import delete_outdated, outdated
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm, ReportStatus
from jlgc_mailer.worker.tasks import tick
from tests.conftest import Clock
from tests.feedback.past import Past, past
from tests.web.conftest import everything

KEPT = timedelta(days=180)
READERS = dict.fromkeys(ReportForm, lambda body: tuple(Signal(FeedbackClass(each)) for each in json.loads(body)))


@pytest.fixture
def story(mailer: Mailer, clock: Clock) -> Past:
    """An installation with a send to r0@example.com and r1@example.com, just now."""
    return past(mailer, [clock()])


def comes(story: Past, *said: str, reader: int = 0, is_read: bool = True) -> None:
    """A report comes in, and is read and judged unless told otherwise."""
    mailer = story.mailer
    with mailer.database.transaction() as session:
        number = session.scalar(select(func.count(RawReport.id))) or 0
        body = json.dumps(said).encode() + b" " * number
        store(session, Inbound("lmtp", ReportForm.MESSAGE, body, "", story.token(reader=reader)), mailer.clock())
        if is_read:
            read_waiting(session, READERS, mailer.keyring, mailer.policy)
    story.judge()


def delete(story: Past) -> int:
    with story.mailer.database.transaction() as session:
        return delete_outdated(session, story.mailer.clock() - KEPT)


def reports(story: Past) -> dict[int, ReportStatus]:
    with story.mailer.database.reading() as session:
        return dict(iter(session.execute(select(RawReport.id, RawReport.status))))


def test_what_is_settled_and_old_is_deleted_and_its_events_stay(story: Past, clock: Clock) -> None:
    """L6."""
    comes(story, "hard", "soft")
    comes(story, "unknown", reader=1)
    with story.mailer.database.transaction() as session:
        resolve(session, 2, FeedbackClass.COMPLAINT, (), "they told us", clock())
    story.judge()
    before = [(each.id, each.part, each.address_key, each.verdict) for each in story.events]
    clock.forward(days=180)
    assert delete(story) == 0
    clock.forward(seconds=1)
    assert delete(story) == 2
    assert reports(story) == {}
    assert [(each.id, each.part, each.address_key, each.verdict) for each in story.events] == before
    assert {each.report_id for each in story.events} == {None}
    assert story.suppressed == {"r0@example.com": "unknown user", "r1@example.com": "complaint"}
    assert delete(story) == 0


def test_what_waits_or_is_in_review_is_kept_however_old_it_is(story: Past, clock: Clock) -> None:
    """L6: promise 6, nothing is lost that nobody has looked at."""
    comes(story, "unknown")
    comes(story, "hard", is_read=False)
    clock.forward(days=900)
    assert delete(story) == 0
    assert reports(story) == {1: ReportStatus.REVIEW, 2: ReportStatus.WAITING}


def test_what_is_younger_is_kept(story: Past, clock: Clock) -> None:
    comes(story, "soft")
    clock.forward(days=1)
    comes(story, "soft")
    clock.forward(days=179, hours=1)
    assert delete(story) == 1
    assert list(reports(story)) == [2]


def test_at_once_it_is_a_few_and_the_oldest_first(story: Past, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 3)
    for _ in range(5):
        comes(story, "soft")
    clock.forward(days=181)
    assert delete(story) == 3
    assert list(reports(story)) == [4, 5]
    assert delete(story) == 2


def test_large_ones_are_fewer_at_once_and_at_least_one(
    story: Past, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite all who write wait meanwhile."""
    for _ in range(4):
        comes(story, "soft")
    clock.forward(days=181)
    monkeypatch.setattr(retention, "_OCTETS", 15)
    assert delete(story) == 2, "of 8, 9, 10 and 11 octets"
    monkeypatch.setattr(retention, "_OCTETS", 1)
    assert [delete(story) for _ in range(3)] == [1, 1, 0]


def test_they_are_found_by_the_index(story: Past, clock: Clock) -> None:
    """At each tick: with a million reports it must cost no more."""
    comes(story, "soft")
    asked: list[tuple[str, Any]] = []
    engine = story.mailer.database.engine
    note: Callable[..., None] = lambda _c, _k, text, values, *_: asked.append((text, values))  # noqa: E731
    event.listen(engine, "before_cursor_execute", note)
    with story.mailer.database.reading() as session:
        assert outdated(session, clock() - KEPT) == []
        event.remove(engine, "before_cursor_execute", note)
        queries = [(text, values) for text, values in asked if text.startswith("SELECT")]
        assert len(queries) == 2
        for text, values in queries:
            assert _plan_names_the_index(session.connection(), text, values)


def _plan_names_the_index(connection: Connection, text: str, values: Any) -> bool:
    is_postgresql = connection.dialect.name == "postgresql"
    if is_postgresql:  # with a handful of rows it is cheaper to read and sort all of them
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
    plan = connection.exec_driver_sql(f"EXPLAIN {'' if is_postgresql else 'QUERY PLAN '}{text}", values)
    return "ix_raw_reports_status_id" in " ".join(str(row) for row in plan)


def test_a_tick_deletes_what_the_setting_says(make_mailer: Callable[..., Mailer], clock: Clock) -> None:
    """L6."""
    story = past(make_mailer(feedback_keep_days=40), [clock()])
    comes(story, "hard")
    clock.forward(days=39)
    tick(story.mailer)
    assert list(reports(story)) == [1]
    clock.forward(days=2)
    tick(story.mailer)
    assert reports(story) == {}
    assert story.suppressed == {"r0@example.com": "unknown user"}


def test_a_suppression_outlives_its_report_and_says_so(story: Past, clock: Clock) -> None:
    comes(story, "hard")
    story.store(story.event(FeedbackClass.HARD, reader=1, kind="refusal"))
    story.judge()
    clock.forward(days=181)
    delete(story)
    with story.mailer.database.reading() as session:
        assert review.reports_behind(session) == {1: None}, "the refusal never had one"
        assert [each.report_id for each, _ in review.events(session, None, None, None)] == [None, None]


def test_nobody_is_released_whom_an_event_bars_whose_report_is_gone(story: Past, clock: Clock) -> None:
    """Another report about the same reader is read anew as something else; the first cannot be read any more."""
    comes(story, "hard")
    clock.forward(days=20)
    comes(story, "hard")
    clock.forward(days=161)
    assert delete(story) == 1
    again = Replay(dict.fromkeys(ReportForm, lambda _: (Signal(FeedbackClass.SOFT),)), story.mailer.keyring,
                   story.mailer.policy)  # fmt: skip
    with story.mailer.database.transaction() as session:
        stride = again.stride(session, Which(), 0, clock())
        again.apply(session, stride.changes, clock())
    assert [(each.report_id, each.follows) for each in stride.changes] == [(2, "nothing")]
    assert story.suppressed == {"r0@example.com": "unknown user"}


def test_looking_for_them_changes_nothing(story: Past, clock: Clock) -> None:
    comes(story, "hard")
    clock.forward(days=181)
    before = everything(story.mailer)
    with story.mailer.database.reading() as session:
        assert list(outdated(session, clock() - KEPT)) == [1]
    assert everything(story.mailer) == before
