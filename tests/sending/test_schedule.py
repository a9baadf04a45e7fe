"""When a send is due, in people's own time; and the moves a person makes with it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from jlgc_mailer.audience.zones import zone_named
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.errors import (
    AmbiguousLocalTime,
    IllegalMove,
    InvalidInput,
    MailerError,
    NoSuchLocalTime,
    NotAllowedNow,
)
from jlgc_mailer.sending import schedule
from jlgc_mailer.sending.schedule import local_moment
from jlgc_mailer.states import BatchStatus, Priority, SendStatus
from tests import factories
from tests.sending.conftest import Story

LONDON, TOKYO = ZoneInfo("Europe/London"), ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-01-15 09:00", LONDON, datetime(2026, 1, 15, 9, 0, tzinfo=UTC)),
        ("2026-07-15 09:00", LONDON, datetime(2026, 7, 15, 8, 0, tzinfo=UTC)),
        ("2026-07-15T09:00", TOKYO, datetime(2026, 7, 15, 0, 0, tzinfo=UTC)),
        ("2026-03-29 00:59", LONDON, datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        ("2026-03-29 02:00", LONDON, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("2026-10-25 00:59", LONDON, datetime(2026, 10, 24, 23, 59, tzinfo=UTC)),
        ("2026-10-25 02:00", LONDON, datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        ("2026-10-25 01:30+01:00", LONDON, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25 01:30+00:00", LONDON, datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_local_time_means_one_moment(text: str, zone: ZoneInfo, expected: datetime) -> None:
    assert local_moment(text, zone) == expected


def test_a_time_that_the_clocks_skip_is_refused_with_both_candidates() -> None:
    with pytest.raises(NoSuchLocalTime) as caught:
        local_moment("2026-03-29 01:30", LONDON)
    assert "2026-03-29 00:30+00:00" in str(caught.value)
    assert "2026-03-29 02:30+01:00" in str(caught.value)


def test_a_time_that_the_clocks_repeat_is_refused_with_both_candidates() -> None:
    with pytest.raises(AmbiguousLocalTime) as caught:
        local_moment("2026-10-25 01:30", LONDON)
    assert "2026-10-25 01:30+01:00" in str(caught.value)
    assert "2026-10-25 01:30+00:00" in str(caught.value)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)),
    st.sampled_from(["Europe/London", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_a_candidate_given_back_is_always_taken(moment: datetime, zone: str) -> None:
    moment = moment.replace(second=0, microsecond=0)
    try:
        first = local_moment(moment.isoformat(" "), ZoneInfo(zone))
    except (NoSuchLocalTime, AmbiguousLocalTime) as refused:
        for candidate in (refused.fields["first"], refused.fields["second"]):
            assert local_moment(str(candidate), ZoneInfo(zone)).tzinfo is UTC
    else:
        assert first.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment


@given(st.one_of(st.text(max_size=40), st.sampled_from(["0001-01-01 00:00", "9999-12-31 23:59-12:00"])))
def test_any_text_is_a_moment_or_a_clear_refusal(text: str) -> None:
    try:
        assert local_moment(text, LONDON).tzinfo is UTC
    except MailerError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "London"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        zone_named(name)


def test_a_time_gone_by_is_refused(tell: Callable[..., Story]) -> None:
    story = tell(planned=False)
    with story.mailer.database.transaction() as session, pytest.raises(InvalidInput, match="gone by"):
        send = session.get_one(Send, story.send_id)
        artefacts = artefacts_of(session, send.revision_id, send.recipe)
        past = story.mailer.clock() - timedelta(hours=1)
        order = schedule.Order(past, "Europe/London", send.lists, send.on_uncertain, 10)
        schedule.schedule(session, artefacts, order, story.mailer.clock())


def test_a_send_paused_before_its_time_is_scheduled_again_when_resumed(tell: Callable[..., Story]) -> None:
    story = tell(planned=False)
    with story.mailer.database.transaction() as session:
        schedule.pause(session, story.send_id)
    assert story.account.status is SendStatus.PAUSED
    with story.mailer.database.transaction() as session:
        schedule.resume(session, story.send_id)
    assert story.account.status is SendStatus.SCHEDULED


def test_a_paused_send_under_way_goes_on_as_sending(tell: Callable[..., Story]) -> None:
    story = tell()
    with story.mailer.database.transaction() as session:
        schedule.pause(session, story.send_id)
        schedule.resume(session, story.send_id)
    assert story.account.status is SendStatus.SENDING


def test_only_a_paused_send_is_resumed(tell: Callable[..., Story]) -> None:
    story = tell()
    with story.mailer.database.transaction() as session, pytest.raises(NotAllowedNow, match="sending"):
        schedule.resume(session, story.send_id)


def test_cancelling_records_everybody_not_reached_as_skipped(tell: Callable[..., Story]) -> None:
    story = tell(7)
    with story.mailer.database.transaction() as session:
        schedule.cancel(session, story.send_id, story.mailer.clock())
    assert story.lines == {("skipped", "cancelled"): 7}
    assert story.turn() is None
    with story.mailer.database.reading() as session:
        assert {batch.status for batch in session.query(Batch)} == {BatchStatus.DONE}


def test_an_illegal_move_names_both_states(tell: Callable[..., Story]) -> None:
    story = tell()
    with story.mailer.database.transaction() as session:
        schedule.cancel(session, story.send_id, story.mailer.clock())
    with story.mailer.database.transaction() as session, pytest.raises(IllegalMove, match="cancelled to paused"):
        schedule.pause(session, story.send_id)
    with story.mailer.database.reading() as session:
        assert session.query(Delivery).count() == 5


def test_a_batch_that_is_being_claimed_while_its_send_is_cancelled_is_left_to_its_worker(
    tell: Callable[..., Story],
) -> None:
    """A worker locks the batch and then the send; cancelling does not lock them the other way round."""
    story, is_locked = tell(2, batch_size=1), threading.Event()

    def claim() -> int:
        with story.mailer.database.transaction() as session:
            batch_id = session.scalars(select(Batch.id).order_by(Batch.id).limit(1).with_for_update()).one()
            is_locked.set()
            time.sleep(0.3)
            session.execute(update(Batch).where(Batch.id == batch_id).values(status=BatchStatus.CLAIMED))
            session.execute(update(Send).values(served_at=story.mailer.clock()))
            return batch_id

    with ThreadPoolExecutor(1) as pool:
        claimed = pool.submit(claim)
        is_locked.wait(10)
        with story.mailer.database.transaction() as session:
            schedule.cancel(session, story.send_id, story.mailer.clock())
    with story.mailer.database.reading() as session:
        statuses = {batch.id: batch.status for batch in session.scalars(select(Batch))}
    assert statuses.pop(claimed.result()) is BatchStatus.CLAIMED
    assert set(statuses.values()) == {BatchStatus.DONE}
    assert story.account.status is SendStatus.CANCELLED
    assert story.lines == {("skipped", "cancelled"): 1, ("pending", None): 1}


def test_an_order_is_kept_with_its_priority(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        revision = factories.issue(session, mailer)
        urgent = factories.send(session, mailer, revision, [news], planned=False, priority=Priority.URGENT).id
        usual = factories.send(session, mailer, revision, [news], planned=False).id
    with mailer.database.reading() as session:
        assert session.get_one(Send, urgent).priority is Priority.URGENT
        assert session.get_one(Send, usual).priority is Priority.NORMAL
        assert not session.get_one(Send, usual).is_by_local_time
