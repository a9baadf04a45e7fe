"""Several workers at once, on real threads and real time."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from jlgc_mailer.bootstrap import utc_now
from jlgc_mailer.sending import schedule
from jlgc_mailer.states import SendStatus
from tests.fakes import Receiver
from tests.sending.conftest import Story


def work(story: Story) -> None:
    while story.turn():
        pass


def start_workers(story: Story, number: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(story,)) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_four_workers_share_a_send_and_everybody_gets_it_once(tell: Callable[..., Story], receiver: Receiver) -> None:
    """Promise 1, promise 4."""
    story = tell(120, batch_size=7, clock=utc_now)
    for thread in start_workers(story, 4):
        thread.join()
    assert Counter(receiver.addresses) == Counter(f"r{n}@example.com" for n in range(120))
    assert story.lines == {("accepted", None): 120}
    assert story.account.status is SendStatus.FINISHED


def test_pause_is_felt_within_a_second_by_every_worker(tell: Callable[..., Story], receiver: Receiver) -> None:
    """Promise 7."""
    receiver.latency = 0.05
    story = tell(200, batch_size=50, clock=utc_now)
    threads = start_workers(story, 3)
    while len(receiver.received) < 10:
        time.sleep(0.01)
    with story.mailer.database.transaction() as session:
        schedule.pause(session, story.send_id)
    paused = time.monotonic()
    for thread in threads:
        thread.join()
    assert time.monotonic() - paused < 1
    assert len(receiver.received) < 200
    counts = story.lines
    assert counts[("accepted", None)] == len(receiver.received)
    assert counts[("accepted", None)] + counts[("pending", None)] == 200
    receiver.latency = 0
    with story.mailer.database.transaction() as session:
        schedule.resume(session, story.send_id)
    work(story)
    assert Counter(receiver.addresses) == Counter(f"r{n}@example.com" for n in range(200))


def test_a_slow_receiver_does_not_cost_the_lease(tell: Callable[..., Story], receiver: Receiver) -> None:
    receiver.latency = 0.8
    story = tell(3, clock=utc_now, lease_seconds=1)
    other = threading.Thread(target=work, args=(story,))
    worker = threading.Thread(target=work, args=(story,))
    worker.start()
    time.sleep(1.5)
    other.start()
    worker.join()
    other.join()
    assert Counter(receiver.addresses) == Counter(f"r{n}@example.com" for n in range(3))
