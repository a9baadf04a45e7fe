"""The tasks find their work in the database, whatever becomes of the messages that announce it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from jlgc_mailer.audience.suppression import in_force, suppression_of
from jlgc_mailer.bootstrap import DELIVER_TASK, Mailer, utc_now
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.sending import Batch, Send
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.sending import routes
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.progress import account
from jlgc_mailer.states import BatchStatus, ReportForm, ReportStatus, SendStatus, SuppressionReason, Verdict
from jlgc_mailer.worker import tasks
from jlgc_mailer.worker.processes import embedded
from tests import factories
from tests.fakes import Receiver, listening

_PATIENCE = 30
_BOUNCE = """From: MAILER-DAEMON@mx.example.com
To: {sender}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=part

--part
Content-Type: text/plain

The mail system could not deliver your message.

--part
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {address}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{address}>: user unknown

--part--
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as started:
        yield started


@pytest.fixture
def live(make_mailer: Callable[..., Mailer], receiver: Receiver) -> Mailer:
    """An installation on real time, with a quick beat."""
    return make_mailer(
        clock=utc_now,
        smtp_port=receiver.port,
        tick_seconds=0.2,
        retry_greylist_seconds=0.5,
        lease_seconds=2,
        worker_concurrency=3,
    )


def scheduled(mailer: Mailer, readers: int, batch_size: int = 10) -> int:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for number in range(readers):
            factories.subscriber(session, news, f"r{number}@example.com")
        revision = factories.issue(session, mailer)
        return factories.send(session, mailer, revision, [news], planned=False, batch_size=batch_size).id


def wait_until_finished(mailer: Mailer, send_id: int) -> dict[tuple[str, str | None], int]:
    give_up = time.monotonic() + _PATIENCE
    while True:
        with mailer.database.reading() as session:
            numbers = account(session, session.get_one(Send, send_id))
        if numbers.status is SendStatus.FINISHED:
            return {(line.status.value, line.reason): line.count for line in numbers.lines}
        assert time.monotonic() < give_up, numbers
        time.sleep(0.05)


def test_a_due_send_goes_out_by_itself_and_bad_news_is_judged(live: Mailer, receiver: Receiver) -> None:
    """Promises 1, 4, 6: schedule, tick, plan, deliver, retry, judge, finish."""
    receiver.rcpt["r3@example.com"] = ["550 5.1.1 No such user"]
    receiver.rcpt["r4@example.com"] = ["451 4.7.1 Greylisted, try again later", "250 2.1.5 Ok"]
    receiver.rcpt["r5@example.com"] = ["550 5.7.1 Your server is on a blocklist"]
    send_id = scheduled(live, 40)
    with embedded(live):
        lines = wait_until_finished(live, send_id)
        _wait_until_judged(live, 2)
    assert lines == {("accepted", None): 38, ("refused", "unknown user"): 1, ("refused", "refused by policy"): 1}
    assert max(Counter(receiver.addresses).values()) == 1
    with live.database.reading() as session:
        bar = suppression_of(session, "r3@example.com")
        assert bar is not None
        assert bar.reason is SuppressionReason.UNKNOWN_USER
        assert suppression_of(session, "r5@example.com") is None, "F6: our reputation suppresses nobody"


def _wait_until_judged(mailer: Mailer, number: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        with mailer.database.reading() as session:
            verdicts = list(session.scalars(select(FeedbackEvent.verdict)))
        if len([each for each in verdicts if each is not None]) == number:
            assert sorted(verdicts) == [Verdict.NOTE, Verdict.SUPPRESS]
            return
        assert time.monotonic() < give_up, verdicts
        time.sleep(0.05)


def test_what_comes_in_is_read_and_judged_and_stops_a_send(
    make_mailer: Callable[..., Mailer], receiver: Receiver
) -> None:
    """Promises 4, 6, F9: by a tick as well as by a task of its own."""
    mailer = make_mailer(smtp_port=receiver.port, turn_seconds=0, feedback_hard_after=4, feedback_hard_percent=20)
    send_id = scheduled(mailer, 8, batch_size=4)
    tasks.tick(mailer)
    tasks.deliver(mailer)
    for task, sent in zip((tasks.tick, tasks.read), receiver.received[:2], strict=True):
        report = _BOUNCE.format(sender=sent.sender, address=sent.address).replace("\n", "\r\n").encode()
        with mailer.database.transaction() as session:
            assert store(session, Inbound("lmtp", ReportForm.MESSAGE, report, "", sent.sender), mailer.clock())
        task(mailer)
    with mailer.database.reading() as session:
        assert [each.address_key for each in in_force(session)] == receiver.addresses[:2]
        numbers = account(session, session.get_one(Send, send_id))
        assert session.scalars(select(RawReport.status)).all() == [ReportStatus.READ] * 2
    assert [str(stop) for stop in numbers.stops] == ["paused by itself: 50.0 % of 4 recipients do not exist"]


def test_a_send_stops_when_enough_went_out_though_nothing_new_came_back(
    make_mailer: Callable[..., Mailer], receiver: Receiver
) -> None:
    """F9: refused at once are two of two, too few to tell; at four they are half, and no news tells of it."""
    mailer = make_mailer(smtp_port=receiver.port, turn_seconds=0, feedback_hard_after=4, feedback_hard_percent=20)
    send_id = scheduled(mailer, 8, batch_size=2)
    for number in range(2):
        receiver.rcpt[f"r{number}@example.com"] = ["550 5.1.1 No such user"]
    tasks.tick(mailer)
    tasks.deliver(mailer)
    tasks.tick(mailer)
    with mailer.database.reading() as session:
        assert account(session, session.get_one(Send, send_id)).status is SendStatus.SENDING
    tasks.deliver(mailer)
    tasks.tick(mailer)
    with mailer.database.reading() as session:
        numbers = account(session, session.get_one(Send, send_id))
    assert [str(stop) for stop in numbers.stops] == ["paused by itself: 50.0 % of 4 recipients do not exist"]


def test_lost_repeated_and_early_messages_change_only_timing(live: Mailer, receiver: Receiver) -> None:
    """Promise 4: here every message is lost, and some come that nobody sent."""
    send_id = scheduled(live, 20, batch_size=5)
    tasks.deliver(live)
    tasks.tick(live)
    live.queue.control.purge()
    tasks.deliver(live)
    tasks.tick(live)
    tasks.tick(live)
    for _ in range(6):
        tasks.deliver(live)
    with live.database.reading() as session:
        numbers = account(session, session.get_one(Send, send_id))
    assert [(line.status.value, line.count) for line in numbers.lines] == [("accepted", 20)]
    assert len(receiver.received) == 20


def test_a_nudge_that_was_lost_is_made_up_for_by_the_beat(live: Mailer, receiver: Receiver) -> None:
    send_id = scheduled(live, 5)
    with embedded(live):
        live.queue.control.purge()
        wait_until_finished(live, send_id)
    assert len(receiver.received) == 5


def test_a_worker_that_died_between_its_last_batch_and_the_finish_is_made_up_for(live: Mailer) -> None:
    """Promise 4: two workers that end the last batches at once, or one that dies there, leave it to the beat."""
    send_id = scheduled(live, 3)
    with live.database.transaction() as session:
        plan(session, send_id, live.clock(), live.keyring.key_id)
        session.execute(update(Batch).values(status=BatchStatus.DONE))
    tasks.tick(live)
    with live.database.reading() as session:
        assert session.get_one(Send, send_id).status is SendStatus.FINISHED


def test_a_relay_that_comes_back_gets_everything(
    live: Mailer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3: the transport is paused, longer each time, and then goes on by itself."""
    monkeypatch.setattr(routes, "_FIRST_PAUSE", timedelta(seconds=0.5))
    receiver.mail = ["550 5.7.1 Not now"] * 2
    send_id = scheduled(live, 12, batch_size=4)
    with embedded(live):
        lines = wait_until_finished(live, send_id)
    assert lines == {("accepted", None): 12}


def test_an_unreachable_database_is_one_line_in_the_log_and_no_end_of_the_worker(
    make_mailer: Callable[..., Mailer], caplog: pytest.LogCaptureFixture
) -> None:
    mailer = make_mailer(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none")
    app = tasks.with_tasks(mailer)
    app.tasks[DELIVER_TASK]()
    assert "Cannot reach the database" in caplog.text
    assert "Traceback" not in caplog.text


def test_an_unreachable_broker_is_one_sentence_and_loses_nothing(
    make_mailer: Callable[..., Mailer], receiver: Receiver
) -> None:
    """Promise 4: the work is committed before anybody is told of it."""
    deaf = make_mailer(clock=utc_now, smtp_port=receiver.port, broker_url="redis://127.0.0.1:1/0")
    send_id = scheduled(deaf, 3)
    with pytest.raises(Unreachable, match="Cannot reach the broker"):
        tasks.tick(deaf)
    tasks.deliver(deaf)
    with deaf.database.reading() as session:
        assert account(session, session.get_one(Send, send_id)).status is SendStatus.FINISHED
    assert len(receiver.received) == 3
