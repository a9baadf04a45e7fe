"""Amends: the refused get another try, the uncertain are settled, and a finished send goes on for them."""

import threading
import time
from collections.abc import Iterable

import pytest
from sqlalchemy import func, select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.errors import NotAllowedNow, NotFound
from jlgc_mailer.sending import amends
from jlgc_mailer.sending.amends import Amended, Settlement
from jlgc_mailer.sending.plan import finish_done
from jlgc_mailer.sending.schedule import cancel
from jlgc_mailer.states import BatchStatus, DeliveryStatus, ReplyClass, SendStatus, check_move
from tests import factories
from tests.conftest import Clock

ACCEPTED = (DeliveryStatus.ACCEPTED, None)
FULL = (DeliveryStatus.REFUSED, ReplyClass.MAILBOX_FULL)
UNKNOWN = (DeliveryStatus.REFUSED, ReplyClass.UNKNOWN_USER)
UNCERTAIN = (DeliveryStatus.UNCERTAIN, None)
Became = tuple[DeliveryStatus, str | None]


def finished(mailer: Mailer, outcomes: Iterable[Became], batch_size: int = 2) -> int:
    """A finished send; r0@example.com, r1@example.com ... became what `outcomes` say, each at the first attempt."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        outcomes = list(outcomes)
        for number in range(len(outcomes)):
            factories.subscriber(session, news, f"r{number}@example.com")
        send = factories.send(session, mailer, factories.issue(session, mailer), [news], batch_size=batch_size)
        for number, (status, reason) in enumerate(outcomes):
            changed = {"status": status, "reason": reason, "attempts": 1, "first_attempt_at": mailer.clock()}
            session.execute(update(Delivery).where(Delivery.address == f"r{number}@example.com").values(**changed))
        session.execute(update(Batch).values(status=BatchStatus.DONE))
        finish_done(session, mailer.clock())
        return send.id


def became(mailer: Mailer) -> list[Became]:
    with mailer.database.reading() as session:
        return [tuple(row) for row in session.execute(select(Delivery.status, Delivery.reason).order_by(Delivery.id))]


def retry(mailer: Mailer, send_id: int, *reasons: ReplyClass) -> Amended:
    with mailer.database.transaction() as session:
        return amends.retry(session, send_id, reasons, mailer.clock())


def settle(mailer: Mailer, send_id: int, how: Settlement, *addresses: str) -> Amended:
    with mailer.database.transaction() as session:
        return amends.settle(session, send_id, how, addresses, mailer.clock())


def status_of(mailer: Mailer, send_id: int) -> SendStatus:
    with mailer.database.reading() as session:
        return session.get_one(Send, send_id).status


def test_a_retry_makes_the_refused_due_now_and_the_send_go_on(mailer: Mailer, clock: Clock) -> None:
    """S2: the time until giving up begins anew; only batches that hold one of them are ready again."""
    send_id = finished(mailer, [ACCEPTED, FULL, ACCEPTED, ACCEPTED, UNKNOWN, UNCERTAIN])
    clock.forward(days=6)
    with mailer.database.reading() as session:
        assert amends.refused(session, send_id) == 2
    assert retry(mailer, send_id) == Amended(2, 0)
    with mailer.database.reading() as session:
        send = session.get_one(Send, send_id)
        assert (send.status, send.finished_at) == (SendStatus.SENDING, None)
        due = session.scalars(select(Delivery).where(Delivery.status == DeliveryStatus.DEFERRED)).all()
        assert [(each.address[:2], each.next_attempt_at, each.first_attempt_at, each.attempts) for each in due] == [
            ("r1", clock(), None, 1),
            ("r4", clock(), None, 1),
        ]
        batches = session.scalars(select(Batch).order_by(Batch.number)).all()
        assert [batch.status.value for batch in batches] == ["ready", "done", "ready"]
        assert {batch.due_at for batch in batches if batch.status is BatchStatus.READY} == {clock()}
    assert sorted(status for status, _ in became(mailer)) == ["accepted"] * 3 + ["deferred"] * 2 + ["uncertain"]


def test_only_the_refused_of_the_named_reasons_are_tried_again(mailer: Mailer) -> None:
    send_id = finished(mailer, [FULL, UNKNOWN, FULL, (DeliveryStatus.REFUSED, ReplyClass.EXPIRED)])
    with mailer.database.reading() as session:
        assert amends.refused(session, send_id, [ReplyClass.MAILBOX_FULL]) == 2
    assert retry(mailer, send_id, ReplyClass.MAILBOX_FULL, ReplyClass.EXPIRED) == Amended(3, 0)
    assert [status.value for status, _ in became(mailer)] == ["deferred", "refused", "deferred", "deferred"]


def test_a_retry_of_nobody_leaves_the_send_finished(mailer: Mailer) -> None:
    send_id = finished(mailer, [ACCEPTED, UNKNOWN])
    assert retry(mailer, send_id, ReplyClass.MAILBOX_FULL) == Amended(0, 0)
    assert status_of(mailer, send_id) is SendStatus.FINISHED


def test_a_retry_again_changes_nothing_more(mailer: Mailer) -> None:
    send_id = finished(mailer, [FULL])
    assert retry(mailer, send_id) == Amended(1, 0)
    assert retry(mailer, send_id) == Amended(0, 0)


def test_a_paused_send_stays_paused(mailer: Mailer) -> None:
    send_id = finished(mailer, [FULL])
    with mailer.database.transaction() as session:
        session.execute(update(Send).values(status=SendStatus.PAUSED, finished_at=None))
    assert retry(mailer, send_id) == Amended(1, 0)
    assert status_of(mailer, send_id) is SendStatus.PAUSED


def test_nobody_of_another_send_is_tried_again(mailer: Mailer) -> None:
    send_id = finished(mailer, [FULL])
    with mailer.database.transaction() as session:
        send = session.get_one(Send, send_id)
        other = factories.send(session, mailer, send.revision, send.lists)
        session.execute(update(Delivery).where(Delivery.send_id == other.id).values(status=DeliveryStatus.REFUSED))
    assert retry(mailer, send_id) == Amended(1, 0)
    assert became(mailer)[1][0] is DeliveryStatus.REFUSED


def test_a_batch_that_a_worker_holds_is_left_alone_and_counted(mailer: Mailer) -> None:
    """The worker would end it without looking at what has been added."""
    send_id = finished(mailer, [FULL, FULL, FULL])
    with mailer.database.transaction() as session:
        session.execute(update(Batch).where(Batch.number == 1).values(status=BatchStatus.CLAIMED, claim=5))
        session.execute(update(Send).values(status=SendStatus.SENDING))
    assert retry(mailer, send_id) == Amended(1, 2)
    assert [status.value for status, _ in became(mailer)] == ["refused", "refused", "deferred"]


@pytest.mark.parametrize("cancelled_first", [True, False])
def test_a_cancelled_send_is_not_taken_up_again(mailer: Mailer, cancelled_first: bool) -> None:
    send_id = finished(mailer, [FULL, UNCERTAIN])
    with mailer.database.transaction() as session:
        session.execute(update(Send).values(status=SendStatus.SENDING))
        cancel(session, send_id, mailer.clock())
    before = became(mailer)
    with pytest.raises(NotAllowedNow, match="cannot be taken up again: it is cancelled"):
        if cancelled_first:
            retry(mailer, send_id)
        else:
            settle(mailer, send_id, Settlement.RESEND)
    assert became(mailer) == before
    assert status_of(mailer, send_id) is SendStatus.CANCELLED


def test_the_uncertain_are_sent_again(mailer: Mailer, clock: Clock) -> None:
    send_id = finished(mailer, [UNCERTAIN, ACCEPTED, UNKNOWN, UNCERTAIN])
    clock.forward(days=1)
    assert settle(mailer, send_id, Settlement.RESEND) == Amended(2, 0)
    assert [status.value for status, _ in became(mailer)] == ["deferred", "accepted", "refused", "deferred"]
    assert status_of(mailer, send_id) is SendStatus.SENDING


def test_the_uncertain_are_counted_as_accepted_and_the_send_stays_finished(mailer: Mailer) -> None:
    """There was no attempt, so none is recorded; the reason tells that a person decided."""
    send_id = finished(mailer, [UNCERTAIN, ACCEPTED])
    assert settle(mailer, send_id, Settlement.ACCEPTED) == Amended(1, 0)
    assert became(mailer) == [(DeliveryStatus.ACCEPTED, "settled by hand"), ACCEPTED]
    assert status_of(mailer, send_id) is SendStatus.FINISHED
    with mailer.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Attempt)) == 0


def test_only_the_named_addresses_are_settled_in_any_spelling(mailer: Mailer) -> None:
    send_id = finished(mailer, [UNCERTAIN] * 3)
    assert settle(mailer, send_id, Settlement.ACCEPTED, "R1@example.com") == Amended(1, 0)
    assert [status.value for status, _ in became(mailer)] == ["uncertain", "accepted", "uncertain"]


def test_an_address_that_is_not_uncertain_is_told_and_nothing_changes(mailer: Mailer) -> None:
    send_id = finished(mailer, [UNCERTAIN, ACCEPTED])
    with pytest.raises(NotFound, match="no uncertain recipient 'r1@example.com'"):
        settle(mailer, send_id, Settlement.ACCEPTED, "r0@example.com", "r1@example.com")
    assert became(mailer)[0] == UNCERTAIN


def test_a_send_that_is_not_there_is_told(mailer: Mailer) -> None:
    with pytest.raises(NotFound, match="There is no send 9"):
        retry(mailer, 9)
    with pytest.raises(NotFound, match="There is no send 9"):
        settle(mailer, 9, Settlement.ACCEPTED)


def test_a_send_is_not_finished_while_somebody_takes_it_up_again(mailer: Mailer) -> None:
    """Whoever finishes sends waits for the one who makes batches ready, and then sees them."""
    send_id = finished(mailer, [FULL])
    with mailer.database.transaction() as session:
        session.execute(update(Send).values(status=SendStatus.SENDING, finished_at=None))

    def finish() -> None:
        with mailer.database.transaction() as session:
            finish_done(session, mailer.clock())

    other = threading.Thread(target=finish)
    with mailer.database.transaction() as session:
        amends.retry(session, send_id, (), mailer.clock())
        other.start()
        time.sleep(0.3)
    other.join(10)
    assert status_of(mailer, send_id) is SendStatus.SENDING
    assert became(mailer)[0][0] is DeliveryStatus.DEFERRED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (DeliveryStatus.REFUSED, DeliveryStatus.DEFERRED),
        (DeliveryStatus.UNCERTAIN, DeliveryStatus.DEFERRED),
        (DeliveryStatus.UNCERTAIN, DeliveryStatus.ACCEPTED),
    ],
)
def test_what_amends_do_is_legal(old: DeliveryStatus, new: DeliveryStatus) -> None:
    check_move("It", old, new)
    check_move("It", BatchStatus.DONE, BatchStatus.READY)
    check_move("It", SendStatus.FINISHED, SendStatus.SENDING)
