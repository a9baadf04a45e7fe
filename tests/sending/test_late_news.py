"""News that comes late: of a worker that stalled beyond its lease, or from the journal of a machine that died."""

from collections import Counter
from collections.abc import Callable

from sqlalchemy import select

from jlgc_mailer.db.sending import Attempt, Delivery
from jlgc_mailer.sending.amends import retry
from jlgc_mailer.sending.recovery import recover
from jlgc_mailer.sending.schedule import cancel
from jlgc_mailer.states import UncertainPolicy
from tests.conftest import Clock
from tests.sending import model
from tests.sending.conftest import Story
from tests.sending.model import Worker

Tell = Callable[..., Story]


def start(story: Story, got: Counter[int]) -> Worker:
    """A worker that has claimed a batch and drawn one recipient."""
    worker = Worker(story.mailer.means, got)
    assert worker.begin_batch()
    worker.cycle(1, looks=True)
    return worker


def attempts(story: Story) -> list[tuple[int, str]]:
    with story.mailer.database.reading() as session:
        rows = session.scalars(select(Attempt).order_by(Attempt.number))
        return [(row.number, row.outcome.value) for row in rows]


def stalled_and_taken_over(story: Story, clock: Clock, got: Counter[int]) -> tuple[Worker, Worker]:
    """Two workers with the same reader's letter on the wire: the first came too late for its lease."""
    first = start(story, got)
    first.begin()
    clock.forward(minutes=6)
    second = start(story, got)
    second.begin()
    return first, second


def test_a_late_refusal_does_not_hide_that_the_next_attempt_was_accepted(tell: Tell, clock: Clock) -> None:
    story, got = tell(1, on_uncertain=UncertainPolicy.RESEND), Counter[int]()
    first, second = stalled_and_taken_over(story, clock, got)
    first.answer(model.REFUSED)
    first.cycle(1, looks=True)
    second.answer(model.ACCEPTED)
    second.cycle(1, looks=True)
    assert story.lines == {("accepted", None): 1}
    assert attempts(story) == [(1, "refused"), (2, "accepted")]


def test_a_late_acceptance_ends_the_matter(tell: Tell, clock: Clock) -> None:
    story, got = tell(1, on_uncertain=UncertainPolicy.RESEND), Counter[int]()
    first, second = stalled_and_taken_over(story, clock, got)
    first.answer(model.ACCEPTED)
    first.cycle(1, looks=True)
    second.answer(model.REFUSED)
    second.cycle(1, looks=True)
    assert story.lines == {("accepted", None): 1}


def test_a_batch_can_be_claimed_whatever_late_news_there_was(tell: Tell, clock: Clock) -> None:
    """The number of an attempt that a stalled worker used is not used again when the next one vanishes."""
    story, got = tell(1, on_uncertain=UncertainPolicy.RESEND), Counter[int]()
    first, second = stalled_and_taken_over(story, clock, got)
    for worker in (first, second):
        worker.answer(model.REFUSED)
        worker.cycle(1, looks=True)
        worker.give_back()
        worker.end()
    with story.mailer.database.transaction() as session:
        assert retry(session, story.send_id, (), clock()).changed == 1
    third = start(story, got)
    third.begin()
    third.die(is_taken=False).unlink()
    clock.forward(minutes=6)
    story.run()
    assert story.lines == {("accepted", None): 1}


def test_what_a_journal_tells_of_an_earlier_attempt_says_nothing_of_the_last(tell: Tell, clock: Clock) -> None:
    """S4: the machine dies in the second attempt of a turn; the line that it began did not get to its disk."""
    story, got = tell(1), Counter[int]()
    worker = start(story, got)
    worker.bar(model.GREYLISTED)
    worker.cycle(1, looks=True)
    worker.give_back()
    clock.forward(hours=1)
    assert worker.begin_batch()
    worker.cycle(1, looks=True)
    worker.begin()
    file = worker.die(is_taken=True)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(["! another-boot relay\n", *lines[1:-1]]))
    assert recover(story.mailer.means) == 1
    story.run()
    assert story.lines == {("uncertain", None): 1}
    with story.mailer.database.reading() as session:
        assert got == Counter(session.scalars(select(Delivery.id)))


def test_who_is_written_to_is_not_skipped_by_a_worker_that_lost_the_batch(tell: Tell, clock: Clock) -> None:
    """Promise 1: the send is cancelled while the second worker has a letter on the wire."""
    story, got = tell(2), Counter[int]()
    first = start(story, got)
    clock.forward(minutes=6)
    second = start(story, got)
    second.begin()
    with story.mailer.database.transaction() as session:
        cancel(session, story.send_id, clock())
    first.cycle(1, looks=True)
    first.give_back()
    second.answer(model.ACCEPTED)
    second.cycle(1, looks=True)
    assert story.lines == {("uncertain", None): 1, ("accepted", None): 1}
