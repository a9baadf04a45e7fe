"""Planning resolves the audience once, and everybody in it exactly once."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from jlgc_mailer.audience.subscriptions import Evidence, confirm, person, unsubscribe
from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.content.issues import compiled_artefacts
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.db.people import Subscriber, Suppression
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.errors import NotAllowedNow
from jlgc_mailer.sending.plan import due_sends, plan, plan_due
from jlgc_mailer.states import Language, SendStatus, SuppressionReason
from tests import factories
from tests.conftest import Clock
from tests.sending.conftest import Story

KEY_ID = 7


def test_planning_twice_changes_nothing(tell: Callable[..., Story]) -> None:
    """Promise 4: a repeated message changes only timing."""
    story = tell(5, batch_size=2, planned=False)
    with story.mailer.database.transaction() as session:
        assert plan(session, story.send_id, story.mailer.clock(), KEY_ID) == 3
    with story.mailer.database.transaction() as session:
        assert plan(session, story.send_id, story.mailer.clock(), KEY_ID) is None
    assert story.account.total == 5


def test_workers_that_plan_at_the_same_moment_plan_once(tell: Callable[..., Story]) -> None:
    story = tell(50, planned=False)

    def attempt(_: int) -> int | None:
        with story.mailer.database.transaction() as session:
            return plan(session, story.send_id, story.mailer.clock(), KEY_ID)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    assert sorted(results, key=str) == [1, *[None] * 7]
    assert story.account.total == 50


def test_batches_are_ranges_that_hold_every_pending_delivery_once(tell: Callable[..., Story]) -> None:
    story = tell(23, batch_size=5)
    with story.mailer.database.reading() as session:
        ranges = [(batch.first_id, batch.last_id) for batch in session.scalars(select(Batch).order_by(Batch.number))]
        ids = list(session.scalars(select(Delivery.id).order_by(Delivery.id)))
    assert [each for low, high in ranges for each in ids if low <= each <= high] == ids
    assert len(ranges) == 5


def test_one_person_on_five_lists_gets_one_delivery(mailer: Mailer) -> None:
    """Promise 1."""
    with mailer.database.transaction() as session:
        lists = [factories.mailing_list(session, f"list-{n}") for n in range(5)]
        for each in lists:
            confirm(session, [person("Aiko@Example.com", "", "ja")], each.id, Evidence("t", "t"), mailer.clock())
        revision = factories.issue(session, mailer)
        send = factories.send(session, mailer, revision, lists)
        assert session.query(Delivery).filter_by(send_id=send.id).count() == 1


def test_each_reader_gets_the_edition_in_their_language(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news, "en@example.com", language=Language.ENGLISH)
        factories.subscriber(session, news, "ja@example.com", language=Language.JAPANESE)
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        languages = dict(
            session.execute(
                select(Delivery.address, CompiledArtefact.language).join(
                    CompiledArtefact, CompiledArtefact.id == Delivery.compiled_id
                )
            ).all()
        )
    assert languages == {"en@example.com": Language.ENGLISH, "ja@example.com": Language.JAPANESE}


def test_the_suppressed_are_in_the_plan_as_skipped_and_leavers_are_not_in_it(tell: Callable[..., Story]) -> None:
    """Promise 2."""
    story = tell(4, planned=False)
    with story.mailer.database.transaction() as session:
        now = story.mailer.clock()
        suppress(session, "r1@example.com", SuppressionReason.MANUAL, "test", now)
        unsubscribe(session, story.subscriber_ids[2], [story.list_id], Evidence("test", "x"), now)
        plan(session, story.send_id, now, KEY_ID)
    assert story.lines == {("pending", None): 2, ("skipped", "suppressed"): 1}


def test_a_send_without_recipients_is_finished_at_once(tell: Callable[..., Story]) -> None:
    story = tell(0)
    assert story.account.status is SendStatus.FINISHED


def test_a_send_is_due_at_its_time_and_not_before(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        send = factories.send(session, mailer, factories.issue(session, mailer), [news], planned=False)
        assert list(due_sends(session, clock())) == [send.id]
        clock.forward(seconds=-1)
        assert list(due_sends(session, clock())) == []
        assert plan(session, send.id, clock(), KEY_ID) is None


def test_a_change_of_templates_after_scheduling_does_not_change_what_is_sent(
    tell: Callable[..., Story], tmp_path: Path
) -> None:
    """Promise 3: the issue, compiled again with another footer, is not what is sent."""
    story = tell(1, planned=False)
    shutil.copytree(story.mailer.press.templates, tmp_path / "templates")
    template = tmp_path / "templates" / "email" / "newsletter.mjml"
    template.write_text(template.read_text(encoding="utf-8").replace("</mj-body>", "<!-- new --></mj-body>"), "utf-8")
    with story.mailer.database.transaction() as session:
        send = session.get_one(Send, story.send_id)
        bound = {each.id for each in artefacts_of(session, send.revision_id, send.recipe)}
        press = replace(story.mailer.press, templates=tmp_path / "templates")
        today = {each.id for each in compiled_artefacts(session, send.revision, press, story.mailer.clock())}
        plan(session, story.send_id, story.mailer.clock(), KEY_ID)
        sent = set(session.scalars(select(Delivery.compiled_id)))
    assert today
    assert not today & bound
    assert sent <= bound


def test_a_send_whose_letters_are_missing_is_told_in_a_sentence(tell: Callable[..., Story]) -> None:
    """And it stays as it was: others are planned, and this one when its letters are back."""
    story = tell(1, planned=False)
    with story.mailer.database.transaction() as session:
        session.execute(update(Send).values(recipe="of nothing that is kept"))
    with pytest.raises(NotAllowedNow) as caught, story.mailer.database.transaction() as session:
        plan(session, story.send_id, story.mailer.clock(), KEY_ID)
    assert str(caught.value).startswith("The send 1 cannot be planned: its compiled letters are missing")
    assert "sends cancel 1" in str(caught.value)
    assert (story.account.status, story.account.total) == (SendStatus.SCHEDULED, 0)


def test_name_and_key_are_those_of_the_moment_of_planning(tell: Callable[..., Story]) -> None:
    """M12: a letter is the same in every retry, whatever the reader is called by then."""
    story = tell(2, planned=False)
    with story.mailer.database.transaction() as session:
        session.execute(update(Subscriber).where(Subscriber.id == story.subscriber_ids[0]).values(name="Ken Sato"))
        plan(session, story.send_id, story.mailer.clock(), KEY_ID)
        session.execute(update(Subscriber).values(name="Somebody else"))
        assert session.scalars(select(Delivery.name).order_by(Delivery.id)).all() == ["Ken Sato", "Aiko Tanaka"]
        assert session.get_one(Send, story.send_id, populate_existing=True).key_id == KEY_ID


def test_a_send_to_suppressed_readers_alone_is_finished_at_once(tell: Callable[..., Story]) -> None:
    story = tell(2, planned=False)
    with story.mailer.database.transaction() as session:
        for number in range(2):
            suppress(session, f"r{number}@example.com", SuppressionReason.MANUAL, "test", story.mailer.clock())
        assert plan(session, story.send_id, story.mailer.clock(), KEY_ID) == 0
    assert story.lines == {("skipped", "suppressed"): 2}
    assert story.account.status is SendStatus.FINISHED


def test_a_suppression_that_was_released_bars_nobody(tell: Callable[..., Story]) -> None:
    story = tell(1, planned=False)
    now = story.mailer.clock()
    with story.mailer.database.transaction() as session:
        suppress(session, "r0@example.com", SuppressionReason.MANUAL, "test", now)
        session.execute(update(Suppression).values(released_at=now))
        plan(session, story.send_id, now, KEY_ID)
    assert story.lines == {("pending", None): 1}


def test_readers_of_several_lists_are_counted_where_they_are_confirmed(mailer: Mailer) -> None:
    """Promise 1: each once, by the first list they are on; those who have left all are not in it."""
    with mailer.database.transaction() as session:
        news, jobs, other = (factories.mailing_list(session, name) for name in ("news", "jobs", "other"))
        both = factories.subscriber(session, news, "both@example.com")
        factories.subscriber(session, jobs, "both@example.com")
        half = factories.subscriber(session, jobs, "half@example.com")
        factories.subscriber(session, news, "half@example.com")
        gone = factories.subscriber(session, news, "gone@example.com")
        factories.subscriber(session, other, "other@example.com")
        for someone in (half, gone):
            unsubscribe(session, someone.id, [news.id], Evidence("test", "x"), mailer.clock())
        factories.send(session, mailer, factories.issue(session, mailer), [jobs, news])
        planned = session.execute(select(Delivery.subscriber_id, Delivery.list_id)).all()
    assert sorted(map(tuple, planned)) == sorted([(both.id, news.id), (half.id, jobs.id)])


def test_sends_that_are_planned_at_the_same_moment_keep_to_themselves(mailer: Mailer) -> None:
    """Their deliveries may take turns in the ids; everybody is in exactly one batch of each send."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        people = [person(f"r{number}@example.com", "", "en") for number in range(500)]
        confirm(session, people, news.id, Evidence("t", "t"), mailer.clock())
        revision = factories.issue(session, mailer)
        sends = [factories.send(session, mailer, revision, [news], planned=False, batch_size=7).id for _ in range(4)]

    def attempt(send_id: int) -> None:
        with mailer.database.transaction() as session:
            plan(session, send_id, mailer.clock(), KEY_ID)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, sends))
    in_batches = (
        select(Delivery.send_id, func.count(), func.count(Delivery.id.distinct()))
        .join(Batch, (Batch.send_id == Delivery.send_id) & Delivery.id.between(Batch.first_id, Batch.last_id))
        .group_by(Delivery.send_id)
    )
    with mailer.database.reading() as session:
        assert sorted(map(tuple, session.execute(in_batches))) == [(send_id, 500, 500) for send_id in sends]


def test_the_address_that_was_planned_is_kept_when_the_subscriber_is_gone(tell: Callable[..., Story]) -> None:
    story = tell(1)
    with story.mailer.database.transaction() as session:
        session.delete(session.get_one(Subscriber, story.subscriber_ids[0]))
    story.run()
    assert story.lines == {("skipped", "unsubscribed"): 1}


def test_a_send_that_cannot_be_planned_keeps_no_other_waiting(
    mailer: Mailer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news, zone="Europe/London")
        revision = factories.issue(session, mailer)
        broken, sound = (factories.send(session, mailer, revision, [news], planned=False) for _ in range(2))
        broken.zone, broken.local_at = "Atlantis/Poseidonis", clock()
    plan_due(mailer.database, clock(), mailer.keyring.key_id)
    with mailer.database.reading() as session:
        assert session.get_one(Send, broken.id).status is SendStatus.SCHEDULED
        assert session.get_one(Send, sound.id).status is SendStatus.SENDING
    assert f"send {broken.id} cannot be planned" in caplog.text
