"""Planning resolves the audience once, and everybody in it exactly once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from jlgc_mailer.audience.subscriptions import Evidence, confirm, person, unsubscribe
from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.issues import artefacts_of
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.db.people import Subscriber
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.sending.plan import due_sends, plan
from jlgc_mailer.states import Language, SendStatus, SuppressionReason
from tests import factories
from tests.conftest import Clock
from tests.sending.conftest import Story


def test_planning_twice_changes_nothing(tell: Callable[..., Story]) -> None:
    """Promise 4: a repeated message changes only timing."""
    story = tell(5, batch_size=2, planned=False)
    with story.mailer.database.transaction() as session:
        assert plan(session, story.send_id, story.mailer.clock()) == 3
    with story.mailer.database.transaction() as session:
        assert plan(session, story.send_id, story.mailer.clock()) is None
    assert story.account.total == 5


def test_workers_that_plan_at_the_same_moment_plan_once(tell: Callable[..., Story]) -> None:
    story = tell(50, planned=False)

    def attempt(_: int) -> int | None:
        with story.mailer.database.transaction() as session:
            return plan(session, story.send_id, story.mailer.clock())

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
        plan(session, story.send_id, now)
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
        assert plan(session, send.id, clock()) is None


def test_a_change_of_templates_after_scheduling_does_not_change_what_is_sent(tell: Callable[..., Story]) -> None:
    """Promise 3."""
    story = tell(1, planned=False)
    with story.mailer.database.transaction() as session:
        send = session.get_one(Send, story.send_id)
        bound = {each.id for each in artefacts_of(session, send.revision_id, send.recipe)}
        factories.issue(session, story.mailer)  # imported again
        plan(session, story.send_id, story.mailer.clock())
        assert set(session.scalars(select(Delivery.compiled_id))) <= bound


def test_the_address_that_was_planned_is_kept_when_the_subscriber_is_gone(tell: Callable[..., Story]) -> None:
    story = tell(1)
    with story.mailer.database.transaction() as session:
        session.delete(session.get_one(Subscriber, story.subscriber_ids[0]))
    story.run()
    assert story.lines == {("skipped", "unsubscribed"): 1}
