"""What vanished workers left: just what their journals tell gets into the ledger, and none keeps a machine back."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.db.base import Database
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.sending import Attempt, Batch, Delivery
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.journal import Journal, boot_id
from jlgc_mailer.sending.letters import Recipient
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.recovery import recover
from jlgc_mailer.sending.schedule import cancel
from jlgc_mailer.states import BatchStatus, DeliveryStatus, Stage
from tests.conftest import Clock
from tests.fakes import Receiver
from tests.sending.conftest import Story
from tests.servers import free_port

ACCEPTED = DeliveryStatus.ACCEPTED, Stage.CONTENT, Reply(250, "Ok", "2.0.0")
DEFERRED = DeliveryStatus.DEFERRED, Stage.CONTENT, Reply(451, "Later", "4.3.0")
REFUSED = DeliveryStatus.REFUSED, Stage.RCPT, Reply(550, "No such user", "5.1.1")
Told = tuple[DeliveryStatus, Stage, Reply]


def leave(
    story: Story,
    claim: Claim,
    told: Mapping[Recipient, Told] | None = None,
    intents: Sequence[Recipient] = (),
    damage: str = "",
) -> Path:
    """The journal of a worker that heard this of those it wrote to, and not yet of `intents`, and is gone."""
    means = story.mailer.means
    journal = Journal(means.journals, "relay")
    (path,) = means.journals.glob("*.journal")
    journal.claim(claim)
    journal.note([], [(each.delivery_id, each.attempts) for each in (*(told or {}), *intents)])
    heard = [(each.delivery_id, each.attempts, Outcome(*said, means.clock())) for each, said in (told or {}).items()]
    journal.note(heard, [])
    journal.close(all_recorded=False)
    with path.open("a") as file:
        file.write(damage)
    return path


def after_another_boot(path: Path) -> None:
    """As if the machine had been started again since."""
    path.write_text(path.read_text().replace(boot_id(), "another-boot"))


def batch_of(story: Story) -> Batch:
    with story.mailer.database.reading() as session:
        return session.scalars(select(Batch).where(Batch.send_id == story.send_id)).one()


def everything(story: Story) -> Collection[object]:
    """All that recovery may write, as values."""
    with story.mailer.database.reading() as session:
        return [
            [tuple(row) for row in session.execute(select(*kind.__table__.columns).order_by(kind.__table__.c.id))]
            for kind in (Batch, Delivery, Attempt, FeedbackEvent)
        ]


def test_a_journal_is_settled_exactly(tell: Callable[..., Story], receiver: Receiver) -> None:
    """Promise 1: what the relay said is recorded; uncertain is what went out and was not answered, and nothing else."""
    story = tell(readers=5)
    claim, (first, second, third, fourth) = story.vanish(on_wire=4)
    leave(story, claim, {first: ACCEPTED, second: DEFERRED, third: REFUSED}, intents=[fourth])
    assert recover(story.mailer.means) == 1
    assert story.lines == {
        ("accepted", None): 1,
        ("deferred", "other reason"): 1,
        ("refused", "unknown user"): 1,
        ("uncertain", None): 1,
        ("pending", None): 1,
    }
    with story.mailer.database.reading() as session:
        attempts = session.execute(select(Attempt.delivery_id, Attempt.number, Attempt.outcome, Attempt.transport))
        assert set(map(tuple, attempts)) == {
            (first.delivery_id, 1, "accepted", "relay"),
            (second.delivery_id, 1, "deferred", "relay"),
            (third.delivery_id, 1, "refused", "relay"),
            (fourth.delivery_id, 1, "uncertain", "relay"),
        }
        assert session.scalars(select(FeedbackEvent.delivery_id)).all() == [third.delivery_id]
    freed = batch_of(story)
    assert (freed.status, freed.claim, freed.on_wire) == (BatchStatus.READY, None, None)
    assert list(story.mailer.means.journals.iterdir()) == []
    story.run()
    assert [each.address for each in receiver.received] == ["r4@example.com"]


def test_settling_twice_changes_nothing(tell: Callable[..., Story], clock: Clock) -> None:
    """A process may end between the commit and the removal of the journal, and others may have gone on since."""
    story = tell(readers=5)
    claim, (first, second, third, fourth) = story.vanish(on_wire=4)
    path = leave(story, claim, {first: ACCEPTED, second: DEFERRED, third: REFUSED}, intents=[fourth])
    data = path.read_bytes()
    recover(story.mailer.means)
    for go_on in (lambda: None, story.run):
        go_on()
        before = everything(story)
        clock.forward(seconds=10)
        path.write_bytes(data)
        assert recover(story.mailer.means) == 1
        assert everything(story) == before


@pytest.mark.parametrize(("another_boot", "uncertain"), [(False, 1), (True, 3)])
def test_after_another_boot_whoever_was_meant_to_be_written_to_is_uncertain(
    tell: Callable[..., Story], *, another_boot: bool, uncertain: int
) -> None:
    """Four were on the wire, one was answered, one intent is in the journal: the lines of the others may be lost."""
    story = tell(readers=6)
    claim, (first, second, *_) = story.vanish(on_wire=4)
    path = leave(story, claim, {first: ACCEPTED}, intents=[second])
    if another_boot:
        after_another_boot(path)
    recover(story.mailer.means)
    assert story.lines == {("accepted", None): 1, ("uncertain", None): uncertain, ("pending", None): 5 - uncertain}
    assert batch_of(story).status is BatchStatus.READY


@pytest.mark.parametrize("another_boot", [False, True])
def test_a_batch_that_another_worker_has_by_now_is_not_freed(
    tell: Callable[..., Story], clock: Clock, *, another_boot: bool
) -> None:
    """Promise 4; what the first one knows of its own recipients is news all the same."""
    story = tell(readers=6)
    claim, (first, second) = story.vanish(on_wire=2)
    path = leave(story, claim, {first: ACCEPTED}, intents=[second])
    if another_boot:
        after_another_boot(path)
    clock.forward(seconds=61)
    other, theirs = story.vanish(on_wire=3)
    assert other.batch_id == claim.batch_id
    assert story.lines == {("uncertain", None): 2, ("pending", None): 4}
    before = batch_of(story)
    recover(story.mailer.means)
    assert story.lines == {("accepted", None): 1, ("uncertain", None): 1, ("pending", None): 4}
    after = batch_of(story)
    assert (after.status, after.claim) == (BatchStatus.CLAIMED, other.mark)
    assert (after.on_wire, after.lease_until) == (before.on_wire, before.lease_until)
    assert after.on_wire == str([each.delivery_id for each in theirs])


def test_of_a_cancelled_send_the_rest_is_skipped(tell: Callable[..., Story]) -> None:
    story = tell(readers=5)
    claim, (first, second, third) = story.vanish(on_wire=3)
    leave(story, claim, {first: ACCEPTED, second: DEFERRED}, intents=[third])
    with story.mailer.database.transaction() as session:
        cancel(session, story.send_id, story.mailer.clock())
    recover(story.mailer.means)
    assert story.lines == {("accepted", None): 1, ("uncertain", None): 1, ("skipped", "cancelled"): 3}
    assert batch_of(story).status is BatchStatus.DONE


def test_damaged_numbers_spoil_nothing_else_of_a_journal(tell: Callable[..., Story]) -> None:
    """Beyond 64 bits the database would refuse all of the story."""
    story = tell(readers=3)
    claim, (first, second) = story.vanish(on_wire=2)
    damage = (
        f"> {2**63} 1\n> {first.delivery_id} {10**6 + 1}\n> -1 1\n# {2**64} 1 1 1 1\n"
        f"< {10**30} 1 accepted content 0.0 -\n< {second.delivery_id} 0 accepted content 0.0 -\n"
        f"< {second.delivery_id} 1 accepted content 0.0 {10**20} - Ok\n"
    )
    leave(story, claim, {first: ACCEPTED}, intents=[second], damage=damage)
    assert recover(story.mailer.means) == 1
    assert story.lines == {("accepted", None): 1, ("uncertain", None): 1, ("pending", None): 1}
    assert list(story.mailer.means.journals.iterdir()) == []


def unsettleable(story: Story) -> tuple[Claim, Path]:
    """A journal whose lines are whole and cannot be true: a deferral in the last hour of the calendar."""
    claim, (first, *_) = story.vanish(on_wire=2)
    return claim, leave(
        story, claim, damage=f"< {first.delivery_id} 1 deferred content 253402300799.0 451 4.3.0 Later\n"
    )


def test_a_journal_that_cannot_be_settled_is_set_aside_and_work_goes_on(
    tell: Callable[..., Story], clock: Clock, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    story = tell(readers=5, batch_size=5)
    _, path = unsettleable(story)
    data = path.read_bytes()
    assert recover(story.mailer.means) == 0
    assert recover(story.mailer.means) == 0
    (told,) = caplog.messages
    assert told.startswith(f"The journal {path} cannot be settled: OverflowError: ")
    assert told.endswith(f"It is kept as {path.stem}.bad: see 'Journals' in the runbook.")
    assert len(told.splitlines()) == 1
    assert [each.read_bytes() for each in path.parent.iterdir()] == [data]
    clock.forward(seconds=61)
    story.run()
    assert story.lines == {("accepted", None): 3, ("uncertain", None): 2}
    assert len(receiver.received) == 3


def test_a_journal_behind_a_bad_one_is_settled_in_the_same_turn(tell: Callable[..., Story]) -> None:
    story = tell(readers=4, batch_size=2)
    _, bad = unsettleable(story)
    hidden = bad.rename(bad.with_name("0.hidden"))
    claim, (third, fourth) = story.vanish(on_wire=2)
    leave(story, claim, {third: ACCEPTED}, intents=[fourth])
    hidden.rename(hidden.with_suffix(".journal"))  # the first in order
    assert recover(story.mailer.means) == 1
    assert story.lines == {("accepted", None): 1, ("uncertain", None): 1, ("pending", None): 2}
    assert [each.name for each in bad.parent.iterdir()] == ["0.bad"]


def test_while_the_database_is_away_journals_are_kept(tell: Callable[..., Story]) -> None:
    story = tell(readers=2)
    claim, (first, _) = story.vanish(on_wire=2)
    path = leave(story, claim, {first: ACCEPTED})
    away = Database(f"postgresql+psycopg://mailer@127.0.0.1:{free_port()}/mailer")
    with pytest.raises(Unreachable):
        recover(replace(story.mailer.means, database=away))
    assert path.exists()
    assert recover(story.mailer.means) == 1
    assert story.lines == {("accepted", None): 1, ("pending", None): 1}


@pytest.mark.parametrize("pair", ["postgresql"], indirect=True)
def test_a_trouble_of_the_database_is_not_held_against_a_journal(
    tell: Callable[..., Story], pair: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A lock that is not had in time, as a deadlock or a full disk, passes: setting the journal aside would lose it."""
    story = tell(readers=2)
    claim, (first, _) = story.vanish(on_wire=2)
    path = leave(story, claim, {first: ACCEPTED})
    impatient = Database(f"{pair['database_url']}?options=-c%20lock_timeout%3D50")
    with story.mailer.database.transaction() as session:
        session.execute(select(Batch.id).with_for_update())
        assert recover(replace(story.mailer.means, database=impatient)) == 0
    impatient.close()
    assert path.exists()
    assert story.lines == {("pending", None): 2}
    (told,) = caplog.messages
    assert "is not settled yet: OperationalError: canceling statement due to lock timeout. It is tried again" in told
    assert recover(story.mailer.means) == 1
    assert story.lines == {("accepted", None): 1, ("pending", None): 1}
