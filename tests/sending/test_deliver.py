"""Delivering: everybody once, nobody who left, and the ledger says what the receiver has."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.audience.subscriptions import Evidence, unsubscribe
from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.people import MailingList, Subscriber
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.mail.dkim_keys import FOLDER, Algorithm, new_key, write_key
from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending import schedule
from jlgc_mailer.sending.cancelled import settle_cancelled
from jlgc_mailer.sending.claim import end_holds, hold_send, renew
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.sending.letters import Letter, Recipient, Stationery
from jlgc_mailer.sending.means import Means
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.pace import Grant
from jlgc_mailer.sending.pace.in_process import InProcessPace
from jlgc_mailer.sending.pace.limits import Limits
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.progress import uncertain
from jlgc_mailer.sending.record import Result, record
from jlgc_mailer.sending.transports import Supply, Trouble
from jlgc_mailer.sending.transports.smtp.wire import SmtpTransport
from jlgc_mailer.settings.feedback_rules import RULES_FILE
from jlgc_mailer.states import (
    BatchStatus,
    DeliveryStatus,
    FeedbackClass,
    Priority,
    SendStatus,
    Stage,
    SuppressionReason,
    UncertainPolicy,
)
from tests import factories
from tests.conftest import SECRET, Clock
from tests.fakes import HANG_UP, Overheard, Receiver
from tests.sending.conftest import Story

Tell = Callable[..., Story]


def test_everybody_gets_it_once_and_the_send_is_finished(tell: Tell, receiver: Receiver) -> None:
    """Promise 1."""
    story = tell(25, batch_size=10)
    story.run()
    assert sorted(receiver.addresses) == sorted(f"r{n}@example.com" for n in range(25))
    assert story.lines == {("accepted", None): 25}
    assert story.account.status is SendStatus.FINISHED


def test_batches_go_over_the_same_connections(tell: Tell, receiver: Receiver) -> None:
    """S5."""
    story = tell(30, batch_size=5, smtp_connections=2, turn_seconds=20)
    story.run()
    assert receiver.connections <= 2
    assert len(receiver.received) == 30


def test_a_connection_is_renewed_after_its_share_of_messages(tell: Tell, receiver: Receiver) -> None:
    """S5."""
    tell(10, smtp_messages_per_connection=4, smtp_connections=1).run()
    assert receiver.connections == 3
    assert len(receiver.received) == 10


def test_every_envelope_has_its_own_sender_that_names_the_delivery(tell: Tell, receiver: Receiver) -> None:
    """F1."""
    tell(5).run()
    senders = {each.sender for each in receiver.received}
    assert len(senders) == 5
    assert all(sender.startswith("b+") and sender.endswith("@bounce.example.org") for sender in senders)
    assert not any("r1" in sender for sender in senders)


def test_who_leaves_after_planning_is_skipped_with_the_reason(tell: Tell, receiver: Receiver) -> None:
    """Promise 2, L4."""
    story = tell(5)
    with story.mailer.database.transaction() as session:
        now = story.mailer.clock()
        unsubscribe(session, story.subscriber_ids[1], [story.list_id], Evidence("test", "x"), now)
        suppress(session, "r3@example.com", SuppressionReason.COMPLAINT, "test", now)
    story.run()
    assert sorted(receiver.addresses) == ["r0@example.com", "r2@example.com", "r4@example.com"]
    assert story.lines == {
        ("accepted", None): 3,
        ("skipped", "unsubscribed"): 1,
        ("skipped", "suppressed"): 1,
    }


def test_when_all_of_a_batch_have_left_it_is_done_without_a_connection(tell: Tell, receiver: Receiver) -> None:
    story = tell(25)
    with story.mailer.database.transaction() as session:
        for each in story.subscriber_ids:
            unsubscribe(session, each, [story.list_id], Evidence("test", "x"), story.mailer.clock())
    story.run()
    assert story.lines == {("skipped", "unsubscribed"): 25}
    assert receiver.connections == 0
    assert story.account.status is SendStatus.FINISHED


def test_a_refusal_is_recorded_and_is_feedback_too(tell: Tell, receiver: Receiver) -> None:
    """Promise 6, S3."""
    receiver.rcpt["r1@example.com"] = ["550 5.1.1 No such user"]
    story = tell(3)
    story.run()
    assert story.lines == {("accepted", None): 2, ("refused", "unknown user"): 1}
    with story.mailer.database.reading() as session:
        event = session.scalars(select(FeedbackEvent)).one()
        attempt = session.scalars(select(Attempt).where(Attempt.outcome == DeliveryStatus.REFUSED)).one()
    assert event.address_key == "r1@example.com"
    assert "5.1.1 No such user" in event.diagnosis
    assert (attempt.stage, attempt.code, attempt.status, attempt.text) == (Stage.RCPT, 550, "5.1.1", "No such user")


OWN_RULES = """
[[rule]]
id = "holiday-mode"
class = "soft"
patterns = ['holiday mode']
source = "mail.example.com, June 2026"
"""


@pytest.mark.parametrize(
    ("rules", "meant"), [(OWN_RULES, FeedbackClass.SOFT), ("", FeedbackClass.HARD), ("nonsense", FeedbackClass.HARD)]
)
def test_a_refusal_is_read_by_an_operators_own_rules_too(
    tell: Tell,
    receiver: Receiver,
    rules: str,
    meant: FeedbackClass,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """F5: as reports are. Rules with a fault are told of, and hold up nobody."""
    (tmp_path / RULES_FILE).write_text(rules, "utf-8")
    receiver.rcpt["r1@example.com"] = ["550 5.1.1 User unknown: holiday mode"]
    story = tell(3)
    story.run()
    with story.mailer.database.reading() as session:
        assert session.scalars(select(FeedbackEvent.feedback_class)).one() is meant
    assert (RULES_FILE in caplog.text) is (rules == "nonsense")


def test_the_deferred_are_tried_again_in_time_and_get_the_same_bytes(
    tell: Tell, receiver: Receiver, clock: Clock
) -> None:
    """S2, M12."""
    receiver.data["r0@example.com"] = [HANG_UP, "250 2.0.0 Ok"]
    receiver.rcpt["r1@example.com"] = ["451 4.7.1 Greylisted, try again later", "250 2.1.5 Ok"]
    story = tell(3, on_uncertain=UncertainPolicy.RESEND)
    story.run()
    assert story.lines[("deferred", "greylisted")] == 1
    assert story.turn() is None
    clock.forward(minutes=8)
    story.run()
    assert story.lines == {("accepted", None): 3}
    copies = [each.content for each in receiver.received if each.address == "r0@example.com"]
    assert len(copies) == 2
    assert copies[0] == copies[1]


def test_a_retry_is_the_same_octets_though_keys_and_names_were_changed_meanwhile(
    tell: Tell, receiver: Receiver, clock: Clock, make_mailer: Callable[..., Mailer], tmp_path: Path
) -> None:
    """M12: Message-ID, Date, signature and all; M10, M17: the copy is signed."""
    write_key(tmp_path / FOLDER, new_key(Algorithm.RSA, "news.example.org", "one"))
    receiver.data["r0@example.com"] = ["451 4.3.0 Try again later", "250 2.0.0 Ok"]
    receiver.keeps_deferred = True
    story = tell(1)
    story.run()
    with story.mailer.database.transaction() as session:
        session.get_one(Subscriber, story.subscriber_ids[0]).name = "Somebody Else"
    changed = make_mailer(smtp_port=receiver.port, secret_keys=f"{'a new secret' * 4},{SECRET}")
    clock.forward(minutes=8)
    while deliver_next(changed.means):
        pass
    first, second = receiver.received
    assert first.content == second.content
    assert first.sender == second.sender
    assert b"DKIM-Signature: v=1; a=rsa-sha256" in first.content


def test_retries_come_later_and_later_and_end(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """S2."""
    receiver.rcpt["r0@example.com"] = ["452 4.2.2 Mailbox full"]
    story = tell(1)
    waits = []
    for _ in range(60):
        story.run()
        with story.mailer.database.reading() as session:
            again = session.scalars(select(Delivery)).one().next_attempt_at
        if again is None:
            break
        waits.append(again - clock())
        clock.now = again
    assert waits[0] < timedelta(minutes=7)
    assert waits[1] >= timedelta(minutes=30)
    assert max(waits) <= timedelta(hours=10)
    assert timedelta(days=4) <= sum(waits, timedelta()) <= timedelta(days=5)
    assert story.lines == {("refused", "gave up after retries"): 1}
    assert story.account.status is SendStatus.FINISHED


def test_a_relay_that_is_down_charges_nobody_and_says_so(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """S3."""
    story = tell(4, smtp_port=1)
    worked = story.turn()
    assert worked is not None
    assert worked.hold
    assert "127.0.0.1:1" in worked.hold
    assert story.lines == {("pending", None): 4}
    assert story.account.holds == (worked.hold,)
    again = story.turn()
    assert again is not None
    assert "paused until" in (again.hold or "")
    assert story.account.holds == (again.hold,)
    assert story.turn() is None, "it waits for its hold, and does not spin"
    with story.mailer.database.reading() as session:
        assert session.query(Attempt).count() == 0
        assert {each.attempts for each in session.scalars(select(Delivery))} == {0}


@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
def test_421_at_any_stage_puts_the_rest_back_and_charges_nobody(
    tell: Tell, receiver: Receiver, clock: Clock, where: str
) -> None:
    """S3."""
    goodbye = "421 4.3.2 Shutting down"
    if where == "mail":
        receiver.mail = ["250 2.1.0 Ok", goodbye]
    else:
        getattr(receiver, where)["r1@example.com"] = [goodbye, "250 2.0.0 Ok"]
    story = tell(3, smtp_connections=1)
    story.run()
    assert sorted(receiver.addresses) == ["r0@example.com", "r1@example.com", "r2@example.com"]
    assert story.lines == {("accepted", None): 3}


def test_a_refused_sender_pauses_the_way_and_charges_nobody(tell: Tell, receiver: Receiver) -> None:
    """S3."""
    receiver.mail = ["550 5.7.1 You are blocked"]
    story = tell(2, smtp_connections=1)
    story.turn()
    assert story.lines == {("pending", None): 2}
    assert "You are blocked" in story.account.holds[0]


def test_a_connection_lost_before_the_content_charges_nobody(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    receiver.rcpt["r0@example.com"] = [HANG_UP, "250 2.1.5 Ok"]
    story = tell(2)
    story.run()
    assert story.lines == {("accepted", None): 2}
    with story.mailer.database.reading() as session:
        assert {each.attempts for each in session.scalars(select(Delivery))} == {1}


def test_a_connection_lost_after_the_final_dot_is_uncertain_and_never_resent_silently(
    tell: Tell, receiver: Receiver, clock: Clock
) -> None:
    """S4, promise 1."""
    receiver.data["r1@example.com"] = [HANG_UP]
    story = tell(3)
    story.run()
    clock.forward(days=5)
    story.run()
    assert story.lines == {("accepted", None): 2, ("uncertain", None): 1}
    assert receiver.addresses.count("r1@example.com") == 1
    with story.mailer.database.reading() as session:
        assert uncertain(session, story.send_id) == ["r1@example.com"]
    assert story.account.status is SendStatus.FINISHED


def test_a_vanished_machines_batch_is_taken_over_when_its_lease_ends(
    tell: Tell, receiver: Receiver, clock: Clock
) -> None:
    """Promise 1: the uncertain are those whom it meant to write to, and nobody else."""
    story = tell(25)
    lease = story.mailer.means.lease
    claim, on_wire = story.vanish(10)
    assert story.turn() is None, "nobody takes it while the lease lasts"
    clock.forward(seconds=lease.total_seconds() + 1)
    story.run()
    assert story.lines == {("accepted", None): 15, ("uncertain", None): 10}
    assert not set(receiver.addresses) & {each.address for each in on_wire}
    with story.mailer.database.transaction() as session:
        assert not renew(session, claim, clock() + lease, []), "the dead worker's claim is worth nothing now"


def test_with_the_policy_resend_the_uncertain_are_sent_again(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    story = tell(5, on_uncertain=UncertainPolicy.RESEND)
    story.vanish(5)
    clock.forward(seconds=story.mailer.means.lease.total_seconds() + 1)
    story.run()
    assert story.lines == {("accepted", None): 5}
    assert sorted(receiver.addresses) == [f"r{n}@example.com" for n in range(5)]
    with story.mailer.database.reading() as session:
        outcomes = list(session.scalars(select(Attempt.outcome)))
    assert outcomes.count(DeliveryStatus.UNCERTAIN) == 5, "the resending is not silent"


def test_cancelling_settles_what_a_vanished_machine_left(tell: Tell, clock: Clock) -> None:
    story = tell(15)
    story.vanish(10)
    with story.mailer.database.transaction() as session:
        schedule.cancel(session, story.send_id, clock())
    clock.forward(seconds=story.mailer.means.lease.total_seconds() + 1)
    assert story.turn() is None, "nobody is written to any more"
    assert settle_cancelled(story.mailer.means) == 1
    assert story.lines == {("uncertain", None): 10, ("skipped", "cancelled"): 5}
    with story.mailer.database.reading() as session:
        assert {each.status for each in session.scalars(select(Batch))} == {BatchStatus.DONE}


def test_under_resend_a_cancel_does_not_hide_who_may_have_it(tell: Tell, receiver: Receiver) -> None:
    """Promise 1."""
    receiver.data["r0@example.com"] = [HANG_UP]
    story = tell(2, on_uncertain=UncertainPolicy.RESEND, retry_greylist_seconds=3600)
    story.run()
    assert story.lines == {("accepted", None): 1, ("deferred", "uncertain"): 1}
    with story.mailer.database.transaction() as session:
        schedule.cancel(session, story.send_id, story.mailer.clock())
    settle_cancelled(story.mailer.means)
    assert story.lines == {("accepted", None): 1, ("uncertain", None): 1}


def test_an_outcome_that_comes_after_the_lease_was_lost_is_still_the_truth(tell: Tell, clock: Clock) -> None:
    story = tell(1)
    means = story.mailer.means
    _, (recipient,) = story.vanish(1)
    clock.forward(seconds=means.lease.total_seconds() + 1)
    story.run()
    assert story.lines == {("uncertain", None): 1}
    accepted = Outcome(DeliveryStatus.ACCEPTED, Stage.CONTENT, Reply(250, "Ok"), clock())
    with means.database.transaction() as session:
        record(session, [Result(recipient, accepted)], UncertainPolicy.HOLD, "test", means.retry, means.rules)
    assert story.lines == {("accepted", None): 1}


def test_a_name_that_cannot_stand_in_a_message_fails_alone(tell: Tell, receiver: Receiver) -> None:
    """S11: refused with a clear reason; the others get theirs."""
    story = tell(3)
    with story.mailer.database.transaction() as session:
        evil = session.scalars(select(Delivery).where(Delivery.address == "r1@example.com")).one()
        evil.name = "Evil\r\nBcc: all@example.com"
    story.run()
    assert story.lines == {("accepted", None): 2, ("refused", "content refused"): 1}


def test_an_address_that_the_way_cannot_carry_fails_alone(tell: Tell, receiver: Receiver) -> None:
    """S9: 5.6.7 for that recipient, not for the batch."""
    receiver.offers_smtputf8 = False
    story = tell(2)
    with story.mailer.database.transaction() as session:
        session.scalars(select(Delivery).where(Delivery.address == "r0@example.com")).one().address = "用戸@example.com"
    story.run()
    assert story.lines == {("accepted", None): 1, ("refused", "address not supported"): 1}


def test_nothing_is_claimed_while_a_send_is_paused(tell: Tell, receiver: Receiver) -> None:
    """Promise 7."""
    story = tell(4)
    with story.mailer.database.transaction() as session:
        schedule.pause(session, story.send_id)
    assert story.turn() is None
    with story.mailer.database.transaction() as session:
        schedule.resume(session, story.send_id)
    story.run()
    assert story.lines == {("accepted", None): 4}


def test_delivering_when_nothing_waits_is_harmless(tell: Tell) -> None:
    """Promise 4: a repeated message finds nothing to do."""
    story = tell(2)
    story.run()
    assert deliver_next(story.mailer.means) is None


def overhear(story: Story, on_note: Callable[[list[str]], None]) -> Means:
    """The means of a story, with something that happens when letters go out."""

    class Watched(SmtpTransport):
        def deliver(self, supply: Supply) -> Trouble | None:
            return super().deliver(Overheard(supply, on_note))

    means = story.mailer.means
    return replace(means, open_transport=lambda route, _: Watched(replace(route.relay, connections=1), means.clock))


def test_a_fault_of_ours_costs_one_recipient_and_not_the_send(tell: Tell) -> None:
    """Promise 1: whoever was on the wire is uncertain; all others get theirs at once."""
    story = tell(5)

    def fail(addresses: list[str]) -> None:
        if "r2@example.com" in addresses:
            raise RuntimeError("a fault")

    means = overhear(story, fail)
    with pytest.raises(RuntimeError):
        deliver_next(means)
    while deliver_next(means):
        pass
    assert story.lines == {("accepted", None): 4, ("uncertain", None): 1}
    assert story.account.status is SendStatus.FINISHED


def test_a_wire_that_breaks_leaves_its_batch_to_the_journal(tell: Tell, receiver: Receiver, tmp_path: Path) -> None:
    """Promise 1: nobody on another machine, who cannot see the journal, takes the batch before the lease is over."""
    story = tell(5)

    def fail(addresses: list[str]) -> None:
        if "r2@example.com" in addresses:
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError):
        deliver_next(overhear(story, fail))
    assert deliver_next(replace(story.mailer.means, journals=tmp_path / "of another machine")) is None
    story.run()
    assert story.lines == {("accepted", None): 4, ("uncertain", None): 1}
    assert len(receiver.addresses) == len(set(receiver.addresses))


def test_a_pace_that_cannot_be_asked_any_more_leaves_the_batch_to_the_journal(
    tell: Tell, receiver: Receiver, tmp_path: Path
) -> None:
    """Promise 1: Redis goes away in mid-turn."""
    story = tell(40, smtp_per_minute=600, clock=utc_now)
    means = story.mailer.means

    class Broken(InProcessPace):
        def reserve(self, transport: str, limits: Limits, wanted: Mapping[str, int], now: datetime) -> Grant:
            if receiver.received:
                raise Unreachable(service="broker", place="redis", problem="gone", remedy="Start it.")
            return super().reserve(transport, limits, wanted, now)

    with pytest.raises(Unreachable):
        deliver_next(replace(means, pace=Broken(lambda _name, _since: 0)))
    sent = len(receiver.received)
    assert 0 < sent < 40
    assert deliver_next(replace(means, journals=tmp_path / "of another machine")) is None
    story.run()
    assert story.lines == {("accepted", None): 40}
    assert len(receiver.received) == 40


def test_a_batch_of_a_cancelled_send_is_not_drawn_by_a_turn_under_way(
    tell: Tell, receiver: Receiver, clock: Clock
) -> None:
    story = tell(60, batch_size=20, turn_seconds=20)
    story.vanish(20)
    with story.mailer.database.transaction() as session:
        other = factories.mailing_list(session, "other")
        for number in range(20):
            factories.subscriber(session, other, f"s{number}@example.com")
        factories.send(session, story.mailer, session.get_one(Send, story.send_id).revision, [other])
        schedule.cancel(session, story.send_id, clock())
    clock.forward(seconds=story.mailer.means.lease.total_seconds() + 1)
    story.run()
    assert {address[0] for address in receiver.addresses} == {"s"}


def test_workers_that_find_no_way_out_do_not_get_in_each_others_way(tell: Tell, tmp_path: Path, clock: Clock) -> None:
    """On PostgreSQL they would lock batches and the send in opposite order."""
    (tmp_path / "transports.toml").write_text(
        '[transports.relay]\nhost = "127.0.0.1"\nsecurity = "none"\nwindows = ["Sun 01:00-02:00"]\n'
    )
    story = tell(40, batch_size=2)
    with ThreadPoolExecutor(4) as pool:
        turns = [pool.submit(deliver_next, story.mailer.means) for _ in range(24)]
        told = [turn.result(30) for turn in turns]
    assert any(worked and "01:00" in (worked.hold or "") for worked in told)
    assert story.lines == {("pending", None): 40}
    assert story.turn() is None


def test_a_hold_does_not_change_when_a_batch_is_due(tell: Tell, clock: Clock) -> None:
    """A wave of readers in another zone does not leave early, because somebody resumed a transport."""
    story = tell(4, batch_size=2)
    later = clock() + timedelta(hours=10)
    with story.mailer.database.transaction() as session:
        batches = session.scalars(select(Batch).order_by(Batch.id)).all()
        batches[1].due_at = later
        session.flush()
        hold_send(session, story.send_id, clock() + timedelta(hours=1), "no way out")
    assert story.turn() is None
    with story.mailer.database.transaction() as session:
        end_holds(session)
    story.run()
    assert story.lines == {("accepted", None): 2, ("pending", None): 2}


def test_a_letter_that_cannot_be_made_is_tried_again_and_keeps_nobody_else(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = tell(3)
    make = Stationery.letter

    def letter(self: Stationery, recipient: Recipient) -> Letter:
        if recipient.address == "r1@example.com":
            raise KeyError("season")
        return make(self, recipient)

    monkeypatch.setattr(Stationery, "letter", letter)
    story.run()
    assert story.lines == {("accepted", None): 2, ("deferred", "other reason"): 1}


def test_a_worker_that_comes_back_after_its_lease_takes_nothing_from_its_successor(tell: Tell, clock: Clock) -> None:
    """Promise 1: what it defers late would be sent twice, or never."""
    story = tell(2, on_uncertain=UncertainPolicy.RESEND)
    means = story.mailer.means
    _, (first, _) = story.vanish(2)
    clock.forward(seconds=means.lease.total_seconds() + 1)
    story.vanish(2)
    before = story.lines
    deferred = Outcome(DeliveryStatus.DEFERRED, Stage.RCPT, Reply(451, "later"), clock())
    with means.database.transaction() as session:
        record(session, [Result(first, deferred)], UncertainPolicy.HOLD, "test", means.retry, means.rules)
    assert story.lines == before


def test_a_late_deferral_does_not_reopen_a_batch_that_is_done(tell: Tell, clock: Clock) -> None:
    story = tell(1)
    means = story.mailer.means
    _, (recipient,) = story.vanish(1)
    clock.forward(seconds=means.lease.total_seconds() + 1)
    story.run()
    deferred = Outcome(DeliveryStatus.DEFERRED, Stage.RCPT, Reply(451, "later"), clock())
    with means.database.transaction() as session:
        record(session, [Result(recipient, deferred)], UncertainPolicy.HOLD, "test", means.retry, means.rules)
    assert story.lines == {("uncertain", None): 1}


def test_a_send_cancelled_under_way_leaves_nobody_waiting(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """Promise 1: whoever was not reached is skipped, because it was cancelled."""
    receiver.rcpt["r0@example.com"] = ["451 4.7.1 Greylisted, try again later"]
    receiver.latency = 0.1
    story = tell(25)

    def cancel(addresses: list[str]) -> None:
        if "r2@example.com" in addresses:
            with story.mailer.database.transaction() as session:
                schedule.cancel(session, story.send_id, clock())

    deliver_next(overhear(story, cancel))
    lines = story.lines
    assert lines.pop(("skipped", "cancelled")) + sum(lines.values()) == 25
    assert set(lines) == {("accepted", None)}
    with story.mailer.database.reading() as session:
        assert {each.status for each in session.scalars(select(Batch))} == {BatchStatus.DONE}


def test_a_pause_is_felt_within_a_second(tell: Tell, receiver: Receiver) -> None:
    """Promise 7: also by a relay that takes its time."""
    receiver.latency = 0.1
    story = tell(60, smtp_connections=2)
    worker = threading.Thread(target=deliver_next, args=(story.mailer.means,))
    worker.start()
    while not receiver.received:
        time.sleep(0.01)
    with story.mailer.database.transaction() as session:
        schedule.pause(session, story.send_id)
    paused_at = time.monotonic()
    worker.join(10)
    assert time.monotonic() - paused_at < 1
    lines = story.lines
    assert lines[("accepted", None)] == len(receiver.received) < 60
    assert lines[("pending", None)] == 60 - len(receiver.received)


def test_a_worker_that_is_told_to_end_gives_its_batch_back_at_once(tell: Tell, receiver: Receiver) -> None:
    receiver.latency = 0.1
    story = tell(60, smtp_connections=2)
    worker = threading.Thread(target=deliver_next, args=(story.mailer.means,))
    worker.start()
    while not receiver.received:
        time.sleep(0.01)
    story.mailer.stopping.set()
    worker.join(2)
    assert not worker.is_alive()
    with story.mailer.database.reading() as session:
        assert session.scalars(select(Batch)).one().status is BatchStatus.READY
    story.mailer.stopping.clear()
    story.run()
    assert story.lines == {("accepted", None): 60}
    assert len(receiver.received) == 60


def test_who_leaves_while_the_batch_is_under_way_gets_nothing(tell: Tell, receiver: Receiver) -> None:
    """Promise 2, L4: effective before the next message is built, also when the relay is slow."""
    receiver.latency = 0.1
    story = tell(20, smtp_connections=1)
    worker = threading.Thread(target=story.run)
    worker.start()
    while not receiver.received:
        time.sleep(0.01)
    with story.mailer.database.transaction() as session:
        unsubscribe(session, story.subscriber_ids[19], [story.list_id], Evidence("test", "x"), story.mailer.clock())
    worker.join(20)
    assert "r19@example.com" not in receiver.addresses
    assert story.lines == {("accepted", None): 19, ("skipped", "unsubscribed"): 1}


def test_an_urgent_send_does_not_wait_behind_the_batch_under_way(tell: Tell, receiver: Receiver) -> None:
    receiver.latency = 0.05
    story = tell(60, smtp_connections=1)
    worker = threading.Thread(target=story.run)
    worker.start()
    while not receiver.received:
        time.sleep(0.01)
    with story.mailer.database.transaction() as session:
        news = session.scalars(select(MailingList)).one()
        late = factories.mailing_list(session, "late")
        factories.subscriber(session, late, "urgent@example.com")
        send = session.get_one(Send, story.send_id)
        urgent = factories.send(session, story.mailer, send.revision, [late], planned=False)
        urgent.priority = Priority.URGENT
        session.flush()
        plan(session, urgent.id, story.mailer.clock(), story.mailer.keyring.key_id)
    worker.join(30)
    assert news.name == "news"
    assert receiver.addresses.index("urgent@example.com") < 45
    assert len(receiver.received) == 61


def test_sends_take_turns(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """Several sends at once share fairly."""
    story = tell(20, batch_size=5)
    with story.mailer.database.transaction() as session:
        other = factories.mailing_list(session, "other")
        for number in range(20):
            factories.subscriber(session, other, f"s{number}@example.com")
        factories.send(session, story.mailer, session.get_one(Send, story.send_id).revision, [other], batch_size=5)
    for _ in range(4):
        story.turn()
        clock.forward(seconds=1)
    assert {address[0] for address in receiver.addresses} == {"r", "s"}
    assert sum(address.startswith("r") for address in receiver.addresses) == 10


def test_giving_up_is_feedback_too(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """Promise 6."""
    receiver.rcpt["r0@example.com"] = ["452 4.2.2 Mailbox full"]
    story = tell(1, retry_give_up_seconds=60)
    story.run()
    clock.forward(minutes=10)
    story.run()
    assert story.lines == {("refused", "gave up after retries"): 1}
    with story.mailer.database.reading() as session:
        assert "Mailbox full" in session.scalars(select(FeedbackEvent)).one().diagnosis


def test_days_on_hold_are_no_attempts(tell: Tell, receiver: Receiver, clock: Clock) -> None:
    """S2, S3: the time to give up begins with the first real attempt."""
    receiver.mail = ["421 4.3.2 Shutting down"]
    receiver.rcpt["r0@example.com"] = ["451 4.7.1 Greylisted, try again later"]
    story = tell(1, smtp_connections=1)
    story.turn()
    clock.forward(days=6)
    story.run()
    assert story.lines == {("deferred", "greylisted"): 1}


@pytest.mark.parametrize("reply", ["550 5.1.1 a\0b\x1b[31m", "550 5.1.1 " + "x" * 400])
def test_whatever_a_server_says_can_be_recorded(tell: Tell, receiver: Receiver, reply: str) -> None:
    """S12."""
    receiver.rcpt["r0@example.com"] = [reply]
    story = tell(2)
    story.run()
    assert story.lines == {("accepted", None): 1, ("refused", "unknown user"): 1}


@pytest.mark.parametrize("reply", ["250 2.0.0 but you have not sent it", "354 go on", "220 hello"])
def test_an_answer_to_another_question_charges_nobody(tell: Tell, receiver: Receiver, reply: str) -> None:
    """S3: 354 to RCPT is no acceptance."""
    receiver.rcpt["r0@example.com"] = ["354 go on"] if reply.startswith("354") else ["250 2.1.5 Ok"]
    receiver.data["r0@example.com"] = [reply]
    story = tell(1)
    story.turn()
    assert ("refused", "other reason") not in story.lines


def test_a_relay_whose_name_is_no_name_charges_nobody(tell: Tell) -> None:
    """S3."""
    story = tell(2, smtp_host="mail..example.org")
    story.turn()
    assert story.lines == {("pending", None): 2}
    assert "mail..example.org" in story.account.holds[0]
