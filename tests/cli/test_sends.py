"""`sends`"""

import io
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.sending.plan import plan
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
        plan(session, 1, clock())
    shown = run("sends", "show", 1, "--json").json()
    assert (shown["total"], shown["pending"], shown["accepted"], shown["uncertain_addresses"]) == (2, 2, 0, [])
    text = run("sends", "show", 1).words()
    assert "pending 2" in text
    assert "total 2" in text
    assert run("sends", "cancel", 1, "--yes").words() == "Send 1 is cancelled."
    assert run("sends", "show", 1, "--json").json()["skipped_why"] == {"cancelled": 2}


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
