"""`sends`"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from jlgc_mailer.audience.lists import find_list
from jlgc_mailer.audience.subscriptions import Evidence, confirm, person
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent, Trip
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.sending.plan import finish_done, plan
from jlgc_mailer.states import (
    BatchStatus,
    BreakerRule,
    DeliveryStatus,
    FeedbackClass,
    FeedbackKind,
    ReplyClass,
    SendStatus,
)
from tests import factories
from tests.cli.conftest import Command
from tests.conftest import Clock
from tests.fakes import Receiver, listening
from tests.servers import free_port

SCHEDULE = ("sends", "schedule", "summer-2024", "--list", "news")
LATER = ("--at", "2090-12-01 09:00")


@pytest.fixture(autouse=True)
def issue(installed: Path, mailer: Mailer) -> Path:
    """An issue, a list and two readers of it."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.issue(session, mailer)
        for name in ("aiko", "ken"):
            factories.subscriber(session, news, f"{name}@example.org")
    return installed


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A relay that the settings name."""
    with listening(Receiver()) as receiver:
        monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", str(receiver.port))
        yield receiver


def test_a_send_is_scheduled_listed_shown_and_moved(run: Command, mailer: Mailer, clock: Clock) -> None:
    assert run("sends", "list").words() == "There are no sends. See: jlgc-mailer sends schedule -h"
    scheduled = run(*SCHEDULE, *LATER, "--zone", "Asia/Tokyo", "--uncertain", "resend").words()
    assert scheduled == "Send 1: summer-2024, revision 1, due 2090-12-01 09:00 JST."
    (row,) = run("sends", "list", "--json").json()
    assert (row["lists"], row["status"], row["due"]) == ("news", "scheduled", "2090-12-01 09:00 JST")
    assert "1 summer-2024 news scheduled 2090-12-01 09:00 JST Asia/Tokyo 0 0" in run("sends", "list").words()
    assert run("sends", "pause", 1).words() == "Send 1 is paused."
    assert run("sends", "resume", 1).words() == "Send 1 is resumed."
    clock.forward(days=70 * 366)
    with mailer.database.transaction() as session:
        plan(session, 1, clock(), mailer.keyring.key_id)
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["total"], shown["pending"], shown["accepted"], shown["uncertain_addresses"]) == (2, 2, 0, [])
    text = run("sends", "show", 1).words()
    assert "pending 2" in text
    assert "total 2" in text
    assert run("sends", "cancel", 1, "--yes").words() == "Send 1 is cancelled."
    assert run("sends", "show", 1, "--json").json()["skipped_why"] == {"cancelled": 2}


def test_a_send_that_paused_itself_says_why_and_how_to_go_on(run: Command, mailer: Mailer, clock: Clock) -> None:
    """F9."""
    run(*SCHEDULE, *LATER)
    clock.forward(days=70 * 366)
    with mailer.database.transaction() as session:
        plan(session, 1, clock(), mailer.keyring.key_id)
        session.add(Trip(send_id=1, rule=BreakerRule.COMPLAINTS, at=clock(), bad=2, total=2000))
        for delivery_id in session.scalars(select(Delivery.id)):
            session.add(
                FeedbackEvent(
                    received_at=clock(), source="test", kind=FeedbackKind.REPORT, delivery_id=delivery_id,
                    feedback_class=FeedbackClass.COMPLAINT, address_key="", diagnosis="",
                )
            )  # fmt: skip
    run("sends", "pause", 1)
    why = "paused by itself: 0.10 % of 2,000 readers complained"
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["stops"], shown["complaints"], shown["came_back"]) == ([why], 2, {"complaint": 2})
    text = run("sends", "show", 1).words()
    assert f"It has {why}. To go on all the same: jlgc-mailer sends resume 1" in text
    assert "Came back later: 2 complaint" in text
    run("sends", "resume", 1)
    assert run("sends", "show", 1, "--json").json()["stops"] == []


def test_an_illegal_move_names_both_states(run: Command) -> None:
    run(*SCHEDULE, *LATER)
    run("sends", "cancel", 1, "--yes")
    assert run("sends", "pause", 1).sentence(1) == "Send 1 cannot go from cancelled to paused."
    assert run("sends", "cancel", 1, "--yes").sentence(1) == "Send 1 cannot go from cancelled to cancelled."
    assert (
        run("sends", "resume", 1).sentence(1) == "The send 1 cannot be resumed: it is cancelled. Only a paused one can."
    )


def test_what_is_not_there_is_told(run: Command) -> None:
    for command in (("show", 9), ("pause", 9), ("resume", 9), ("cancel", 9, "--yes")):
        assert run("sends", *command).sentence(1) == "There is no send 9. See: jlgc-mailer sends list"
    assert run("sends", "schedule", "winter", "--list", "news", "--now").sentence(1).startswith("There is no issue")
    assert run("sends", "schedule", "summer-2024", "--list", "jobs", "--now").sentence(1).startswith("There is no mail")
    assert run("sends", "test", "winter", "a@example.org").sentence(1).startswith("There is no issue 'winter'")
    assert run("sends", "list", "--json").json() == []


@pytest.mark.parametrize(
    ("local", "first", "second"),
    [
        ("2030-03-31 01:30", "2030-03-31 00:30+00:00", "2030-03-31 02:30+01:00"),
        ("2030-10-27 01:30", "2030-10-27 01:30+01:00", "2030-10-27 01:30+00:00"),
    ],
)
def test_a_time_that_clocks_skip_or_repeat_is_refused_with_both_candidates(
    local: str, first: str, second: str, run: Command
) -> None:
    """London in spring and in autumn; each candidate is then accepted as it was printed."""
    told = run(*SCHEDULE, "--at", local).sentence(2)
    assert told.startswith(f"{local} ")
    assert (
        f"Europe/London: the clocks go {'forward' if '-03-' in local else 'back'}. Choose {first} or {second}." in told
    )
    assert run("sends", "list", "--json").json() == []
    for candidate in (first, second):
        assert run(*SCHEDULE, "--at", candidate).status == 0


def test_a_time_that_makes_no_sense_is_misuse(run: Command) -> None:
    assert run(*SCHEDULE).sentence(2).startswith("Give either --at or --now.")
    assert run(*SCHEDULE, *LATER, "--now").sentence(2).startswith("Give either --at or --now.")
    assert run(*SCHEDULE, "--at", "tomorrow").sentence(2).startswith("Time 'tomorrow' cannot be used")
    assert "it has gone by" in run(*SCHEDULE, "--at", "2020-01-01 09:00").sentence(2)
    assert run(*SCHEDULE, *LATER, "--zone", "London").sentence(2).startswith("Zone 'London' cannot be used")
    assert run("sends", "list", "--json").json() == []


def test_a_test_goes_to_one_address_in_every_language_or_in_one(run: Command, relay: Receiver) -> None:
    both = run("sends", "test", "summer-2024", "me@example.org").words()
    assert both.splitlines() == [
        f"{language}: accepted for me@example.org (250 2.0.0 Accepted)." for language in ("en", "ja")
    ]
    one = run("sends", "test", "summer-2024", "me@example.org", "--language", "ja", "--name", "愛子").words()
    assert one.startswith("ja: accepted")
    assert relay.addresses == ["me@example.org"] * 3
    message = message_from_bytes(relay.received[-1].content, policy=default)
    text = message.get_body(("plain",))
    assert message["Subject"] == "夏のニュース"
    assert text is not None
    assert "愛子様" in text.get_content()


def test_a_refused_test_and_a_relay_that_is_away_are_one_sentence_each(
    run: Command, relay: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.rcpt["me@example.org"] = ["550 5.1.1 No such user"]
    command = ("sends", "test", "summer-2024", "me@example.org")
    refused = run(*command).sentence(1)
    assert refused.startswith("The test (en) to me@example.org was refused: 550 5.1.1 No such user.")
    port = free_port()
    monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", str(port))
    assert run(*command).sentence(1).startswith(f"The relay 127.0.0.1:{port} does not take mail (connect): ")


def test_cancelling_asks_first_and_no_answer_is_no(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*SCHEDULE, *LATER)
    for answer in ("n\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        kept = run("sends", "cancel", 1)
        assert (kept.status, kept.err.split("\n")[-2]) == (1, "Error: stopped.")
        assert kept.out.startswith("Nobody who has not got it yet will. Cancel the send? [y/N]: ")
    assert run("sends", "list", "--json").json()[0]["status"] == "scheduled"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("sends", "cancel", 1).status == 0
    assert run("sends", "list", "--json").json()[0]["status"] == "cancelled"


def test_a_send_by_local_time_tells_who_gets_it_when(run: Command, mailer: Mailer, clock: Clock) -> None:
    """The clock of the command is the real one, so the zone that is past the time is far in the east."""
    with mailer.database.transaction() as session:
        news = find_list(session, "news")
        for number, zone in enumerate(("Asia/Tokyo", "Asia/Tokyo", "America/New_York")):
            factories.subscriber(session, news, f"far{number}@example.org", zone=zone)
    told = run(*SCHEDULE, *LATER, "--local-time", "--urgent").words()
    assert told.splitlines() == [
        "Send 1: summer-2024, revision 1, due 2090-12-01 00:00 GMT, urgent, by local time.",
        "readers in get it how many",
        "Asia/Tokyo 2090-12-01 00:00 GMT 2",
        "Europe/London 2090-12-01 09:00 GMT 2",
        "America/New_York 2090-12-01 14:00 GMT 1",
    ]
    assert (
        run("sends", "show", 1).words().startswith("Send 1: summer-2024, scheduled, due 2090-12-01 00:00 GMT, urgent,")
    )
    clock.now = datetime(2090, 12, 1, tzinfo=UTC)
    with mailer.database.transaction() as session:
        plan(session, 1, clock(), mailer.keyring.key_id)
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["priority"], shown["local_time"], shown["next_zone"]) == ("urgent", True, "2090-12-01 00:00 GMT")
    assert "Next zone: 2090-12-01 00:00 GMT" in run("sends", "show", 1).words()


def test_zones_that_are_past_the_time_are_told_to_get_it_at_once(run: Command, mailer: Mailer) -> None:
    """In Kiritimati it is a day later than in Niue, at any moment."""
    with mailer.database.transaction() as session:
        factories.subscriber(session, find_list(session, "news"), "far@example.org", zone="Pacific/Kiritimati")
    soon = datetime.now(ZoneInfo("Pacific/Niue")) + timedelta(minutes=10)
    told = run(*SCHEDULE, "--at", f"{soon:%Y-%m-%d %H:%M}", "--zone", "Pacific/Niue", "--local-time").words()
    assert "Pacific/Kiritimati at once 1" in told
    assert f"Pacific/Niue {soon:%Y-%m-%d %H:%M} -11 2" in told


def test_local_time_needs_a_time(run: Command) -> None:
    assert run(*SCHEDULE, "--now", "--local-time").sentence(2).startswith("--local-time needs --at.")


def settled_as(mailer: Mailer, status: DeliveryStatus, reason: str | None = None, readers: int = 2) -> None:
    """A finished send 1 whose recipients all became that."""
    with mailer.database.transaction() as session:
        news = find_list(session, "news")
        people = [person(f"more{number}@example.org", "", "en") for number in range(readers - 2)]
        confirm(session, people, news.id, Evidence("test", "x"), mailer.clock())
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        session.execute(update(Delivery).values(status=status, reason=reason, attempts=1))
        session.execute(update(Batch).values(status=BatchStatus.DONE))
        finish_done(session, mailer.clock())


def test_the_refused_are_tried_again(run: Command, mailer: Mailer) -> None:
    settled_as(mailer, DeliveryStatus.REFUSED, ReplyClass.MAILBOX_FULL)
    assert run("sends", "retry", 1, "--reason", "unknown user").words() == "Send 1: 0 due again."
    assert run("sends", "retry", 1, "--reason", "mailbox full").words() == "Send 1: 2 due again."
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["status"], shown["deferred"], shown["refused"]) == ("sending", 2, 0)
    assert run("sends", "retry", 1, "--reason", "accepted").sentence(2).startswith("Invalid value for '--reason'")


def test_a_finished_send_says_who_is_uncertain_and_what_to_do(run: Command, mailer: Mailer) -> None:
    settled_as(mailer, DeliveryStatus.UNCERTAIN)
    text = run("sends", "show", 1).words()
    assert "uncertain: aiko@example.org" in text
    assert "Uncertain: 2. Search the mail server's log for them, then give one of these:" in text
    assert "jlgc-mailer sends settle 1 --accepted" in text
    assert run("sends", "settle", 1, "--accepted", "--address", "AIKO@example.org").words() == (
        "Send 1: 1 counted as accepted."
    )
    assert run("sends", "settle", 1, "--resend").words() == "Send 1: 1 due again."
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["status"], shown["accepted"], shown["deferred"], shown["uncertain"]) == ("sending", 1, 1, 0)


def test_what_cannot_be_amended_is_told(run: Command, mailer: Mailer) -> None:
    settled_as(mailer, DeliveryStatus.UNCERTAIN)
    assert run("sends", "settle", 1).sentence(2).startswith("Give either --resend or --accepted.")
    unknown = run("sends", "settle", 1, "--accepted", "--address", "me@example.org").sentence(1)
    assert unknown == "There is no uncertain recipient 'me@example.org'. See: jlgc-mailer sends show 1"
    assert run("sends", "settle", 1, "--accepted", "--address", "me").sentence(2).startswith("Address 'me' cannot be")
    for command in (("retry", 9), ("settle", 9, "--resend")):
        assert run("sends", *command).sentence(1) == "There is no send 9. See: jlgc-mailer sends list"
    with mailer.database.transaction() as session:
        session.execute(update(Send).values(status=SendStatus.CANCELLED))
    assert run("sends", "retry", 1).sentence(1).startswith("The send 1 cannot be taken up again: it is cancelled.")


def test_batches_at_work_are_told_to_be_tried_later(run: Command, mailer: Mailer) -> None:
    settled_as(mailer, DeliveryStatus.REFUSED, ReplyClass.POLICY)
    with mailer.database.transaction() as session:
        session.execute(update(Batch).values(status=BatchStatus.CLAIMED))
        session.execute(update(Send).values(status=SendStatus.SENDING))
    assert run("sends", "retry", 1).words().splitlines() == [
        "Send 1: 0 due again.",
        "2 are in batches that are being sent now. Give the command again in a few minutes.",
    ]


@pytest.mark.parametrize(
    ("status", "command", "question"),
    [
        (DeliveryStatus.REFUSED, ("retry", 1), "101 refused recipients are tried again. Go on? [y/N]: "),
        (DeliveryStatus.UNCERTAIN, ("settle", 1, "--resend"), "101 uncertain recipients are sent it again. Go on?"),
    ],
)
def test_above_a_hundred_it_asks_first(
    status: DeliveryStatus,
    command: tuple[object, ...],
    question: str,
    run: Command,
    mailer: Mailer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled_as(mailer, status, readers=101)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    kept = run("sends", *command)
    assert kept.status == 1
    assert kept.out.startswith(question)
    assert run("sends", "show", 1, "--json").json()["status"] == "finished"
    assert run("sends", *command, "--yes").words() == "Send 1: 101 due again."
