"""`feedback`: the ways in as commands, their exit statuses, and classifying files without an installation."""

import json
import os
import re
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.feedback.health import refused, seen
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.verp import envelope_sender
from jlgc_mailer.settings.feedback_file import FEEDBACK_FILE
from tests.cli.conftest import PROGRAM, Command, program
from tests.conftest import SECRET
from tests.feedback.mailboxes.conftest import refuse_reports, report

OURS = envelope_sender(7, Keyring((SECRET.encode(),)), "bounce.example.org")
BOUNCE = f"""\
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: {OURS}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

This is the mail system at host mx.example.com.

<hanako@example.com>: host mail.example.com said: 550 5.1.1 No such user here

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; hanako@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 No such user here

--b--
"""


@pytest.fixture
def ours(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with a bounce domain."""
    monkeypatch.setenv("JLGC_MAILER_BOUNCE_DOMAIN", "bounce.example.org")
    monkeypatch.delenv("ORIGINAL_RECIPIENT", raising=False)
    return installed


def stored(mailer: Mailer) -> list[tuple[str, str]]:
    with mailer.database.reading() as session:
        rows = session.execute(select(RawReport.source, RawReport.envelope_to).order_by(RawReport.id))
        return [(source, envelope_to) for source, envelope_to in rows]


# --- ingest -------------------------------------------------------------------------------------------------------


def test_a_pipe_stores_what_it_is_given_once(mailer: Mailer, ours: Path) -> None:
    assert ours.is_dir()
    assert program("feedback", "ingest", stdin=BOUNCE).words() == "Stored."
    assert program("feedback", "ingest", stdin=BOUNCE).words() == "It was stored before."
    assert stored(mailer) == [("pipe", OURS)]


def test_the_recipient_is_what_the_caller_says_then_the_mail_server_then_the_header(mailer: Mailer, ours: Path) -> None:
    assert ours.is_dir()
    told = {"ORIGINAL_RECIPIENT": "b+second@bounce.example.org"}
    program("feedback", "ingest", "--to", "b+first@bounce.example.org", stdin=BOUNCE, **told)
    program("feedback", "ingest", stdin=BOUNCE, **told)
    program("feedback", "ingest", stdin=BOUNCE)
    assert [envelope_to for _, envelope_to in stored(mailer)] == [
        "b+first@bounce.example.org",
        "b+second@bounce.example.org",
        OURS,
    ]


def test_a_giant_is_cut_and_read_to_its_end(mailer: Mailer, ours: Path) -> None:
    """F8. A reader that leaves early would be a failure to the mail server."""
    assert ours.is_dir()
    assert program("feedback", "ingest", stdin=BOUNCE + "x" * (LIMIT + 3_000_000)).words() == "Stored."
    assert stored(mailer) == [("pipe, cut", OURS)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"JLGC_MAILER_DATABASE_URL": "postgresql+psycopg://mailer:geheim@127.0.0.1:1/none"},
        {"JLGC_MAILER_DATABASE_URL": "sqlite:////nowhere/at/all.db"},
        {"JLGC_MAILER_SMTP_PORT": "no port"},
    ],
)
def test_whatever_is_wrong_the_mail_server_keeps_the_message(home: Path, wrong: dict[str, str]) -> None:
    """Promise 6: status 75 is EX_TEMPFAIL; on 1 it would bounce the bounce."""
    assert not home.exists()
    sentence = program("feedback", "ingest", stdin=BOUNCE, **wrong).sentence(75)
    assert "geheim" not in sentence


def test_what_the_database_refuses_is_told_without_the_statement(mailer: Mailer, ours: Path) -> None:
    """A mail server puts these words into its log."""
    assert ours.is_dir()
    refuse_reports(mailer)
    sentence = program("feedback", "ingest", stdin=BOUNCE).sentence(75)
    assert sentence == "The database does not take a report (IntegrityError). It stays where it is and is tried again."


# --- collect and health -------------------------------------------------------------------------------------------


@pytest.fixture
def maildir(ours: Path) -> Path:
    """A maildir with two reports, and a mailbox that is not there."""
    folder = ours / "Maildir"
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True)
    for number in (1, 2):
        (folder / "new" / str(number)).write_bytes(report(number))
    text = (
        '[mailboxes.office]\nkind = "maildir"\npath = "Maildir"\n[mailboxes.other]\nkind = "maildir"\npath = "none"\n'
    )
    (ours / FEEDBACK_FILE).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.usefixtures("maildir")
def test_mailboxes_are_looked_into_now(run: Command, mailer: Mailer) -> None:
    assert run("feedback", "collect", "office").words() == "office: 2 messages, 2 of them new."
    assert run("feedback", "collect", "office").words() == "office: 0 messages, 0 of them new."
    assert [source for source, _ in stored(mailer)] == ["mailbox office"] * 2


@pytest.mark.usefixtures("maildir")
def test_one_that_cannot_be_read_is_told_after_the_others_were(run: Command) -> None:
    answer = run("feedback", "collect")
    assert answer.status == 1
    assert answer.out.splitlines()[0] == "office: 2 messages, 2 of them new."
    assert answer.err.startswith("Error: other: The mailbox at ")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.usefixtures("maildir")
def test_what_the_database_refuses_is_one_sentence_for_each_mailbox(run: Command, mailer: Mailer) -> None:
    refuse_reports(mailer)
    answer = run("feedback", "collect", "office")
    assert (answer.status, answer.out.splitlines()) == (1, ["office: 0 messages, 0 of them new, 2 still wait there."])
    assert answer.err == (
        "Error: office: The database does not take a report (IntegrityError). "
        "It stays where it is and is tried again.\n"
    )


@pytest.mark.usefixtures("maildir")
def test_a_mailbox_that_nobody_knows_is_told_with_those_that_there_are(run: Command) -> None:
    sentence = run("feedback", "collect", "offce").sentence(1)
    assert sentence == "There is no mailbox 'offce'. There are: office, other."


def test_without_mailboxes_it_is_told_where_to_write_them(run: Command, ours: Path) -> None:
    sentence = run("feedback", "collect").sentence(1)
    assert sentence.endswith(f"Write [mailboxes.NAME] in {ours / FEEDBACK_FILE}.")


@pytest.mark.usefixtures("maildir")
def test_health_ends_with_1_while_a_way_in_has_a_problem(run: Command, ours: Path) -> None:
    run("feedback", "collect")
    answer = run("feedback", "health", "--json")
    assert answer.status == 1
    office, other = json.loads(answer.out)
    assert (office["name"], office["stored"], office["waiting"], office["problem"]) == ("mailbox office", 2, 0, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", office["last stored"])
    assert other["problem"].startswith("The mailbox at ")
    (ours / "none" / "new").mkdir(parents=True)
    assert run("feedback", "collect").status == 0
    assert run("feedback", "health").status == 0


def test_health_lists_what_is_configured_and_tells_what_nobody_tries(run: Command, maildir: Path, ours: Path) -> None:
    """A webhook may rest; a mailbox that no worker looks into is dead, and a monitor has to hear of it."""
    file = ours / FEEDBACK_FILE
    hook = f'[webhooks.own]\nkind = "generic"\nsecret = "{SECRET}"\n'
    file.write_text(f'[mailboxes.office]\nkind = "maildir"\npath = "{maildir}"\n{hook}', encoding="utf-8")
    answer = run("feedback", "health", "--json")
    assert answer.status == 1
    office, own = json.loads(answer.out)
    assert (office["name"], office["tried"], own["name"], own["problem"]) == (
        "mailbox office",
        None,
        "webhook own",
        None,
    )
    assert office["problem"].startswith("Nobody has tried it yet: ")
    run("feedback", "collect")
    assert run("feedback", "health").status == 0


@pytest.mark.parametrize(("name", "seconds"), [("mailbox office", 600), ("listener", 60)])
@pytest.mark.usefixtures("maildir")
def test_health_tells_what_nobody_has_tried_for_long(run: Command, mailer: Mailer, name: str, seconds: int) -> None:
    run("feedback", "collect", "office")
    problems = []
    for age in (seconds - 20, seconds + 1):
        with mailer.database.transaction() as session:
            seen(session, name, datetime.now(UTC) - timedelta(seconds=age))
        rows = json.loads(run("feedback", "health", "--json").out)
        problems += [row["problem"] for row in rows if row["name"] == name]
    assert problems[0] is None
    assert problems[1].startswith("Nobody has tried it since ")


@pytest.mark.usefixtures("ours")
def test_health_tells_what_was_refused_last_and_raises_no_alarm(run: Command, mailer: Mailer) -> None:
    """F10: anybody can post."""
    at = datetime(2026, 6, 1, 9, tzinfo=UTC)
    with mailer.database.transaction() as session:
        refused(session, "webhook ses", at, "its topic is not among those of the configuration")
    (row,) = run("feedback", "health", "--json").json()
    assert (row["tried"], row["problem"], row["last refused"]) == (None, None, "2026-06-01T09:00:00+00:00")
    answer = run("feedback", "health")
    assert (answer.status, "its topic is not among those" in answer.words()) == (0, True)


@pytest.mark.usefixtures("ours")
def test_health_says_when_nothing_takes_mail(run: Command, mailer: Mailer) -> None:
    """M9: each letter names an address to unsubscribe by mail, also when bounces come by webhook."""
    hints = []
    for name in ("webhook ses", "mailbox office"):
        with mailer.database.transaction() as session:
            seen(session, name, datetime.now(UTC), stored=1)
        hints.append(f"Nothing takes mail for {mailer.settings.bounce_domain}" in run("feedback", "health").words())
    assert hints == [True, False]


@pytest.mark.usefixtures("ours")
def test_a_way_in_that_is_not_used_any_more_can_be_forgotten(run: Command, mailer: Mailer) -> None:
    """Else a monitor has an alarm for ever."""
    with mailer.database.transaction() as session:
        seen(session, "listener", datetime.now(UTC) - timedelta(days=40), stored=3)
    assert run("feedback", "health").status == 1
    assert run("feedback", "health", "--forget", "listener").words().startswith("Forgot the way in 'listener'.")
    assert run("feedback", "health").words() == "Nothing has come in yet."
    sentence = run("feedback", "health", "--forget", "listener").sentence(1)
    assert sentence == "There is no way in 'listener'. See: jlgc-mailer feedback health"


@pytest.mark.usefixtures("ours")
def test_health_before_anything_came(run: Command) -> None:
    assert run("feedback", "health").words() == "Nothing has come in yet."


# --- listen -------------------------------------------------------------------------------------------------------


@contextmanager
def listening(*options: object) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The listener as a process, and where it says that it listens."""
    command = [PROGRAM, "feedback", "listen", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        assert process.stderr
        place = re.fullmatch(r"Listening at (\S+) \(\w+\) -- Ctrl-C ends\.\n", process.stderr.readline())
        assert place
        try:
            yield process, place[1]
        finally:
            process.kill()


@pytest.mark.usefixtures("ours")
def test_the_listener_takes_reports_until_it_is_told_to_end(mailer: Mailer) -> None:
    """With SIGTERM, and exit status 0."""
    with listening("--port", 0) as (process, place):
        host, _, port = place.partition(":")
        with smtplib.LMTP(host, int(port), timeout=20) as client:
            client.sendmail("", [OURS], BOUNCE)
            client.sendmail("", ["postmaster@bounce.example.org"], BOUNCE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert stored(mailer) == [("listener", OURS), ("listener", "postmaster@bounce.example.org")]


@pytest.mark.usefixtures("ours")
def test_the_listener_may_have_a_socket_file_and_other_names(mailer: Mailer, tmp_path: Path) -> None:
    file = tmp_path / "reports"
    with listening("--smtp", "--socket", file, "--accept", "returns") as (process, place):
        assert place == str(file)
        with smtplib.LMTP(place) as client:
            client.ehlo_msg = "EHLO"  # a socket file is known to the library's LMTP only
            client.sendmail("", ["returns@bounce.example.org"], BOUNCE)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("", ["postmaster@bounce.example.org"], BOUNCE)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("", ["b+aekq2hv6nb5xw4c7@bounce.example.org"], BOUNCE)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not file.exists()
    assert stored(mailer) == [("listener", "returns@bounce.example.org")]


@pytest.mark.usefixtures("ours")
def test_a_listener_that_was_killed_has_lost_nothing_that_it_took(mailer: Mailer) -> None:
    """Promise 6: kill -9 right after 250."""
    with listening("--port", 0) as (process, place):
        host, _, port = place.partition(":")
        client = smtplib.LMTP(host, int(port), timeout=20)
        client.sendmail("", [OURS], BOUNCE)
        process.kill()
        process.wait(20)
        client.close()
    assert stored(mailer) == [("listener", OURS)]


@pytest.mark.usefixtures("ours")
def test_a_port_that_is_taken_and_a_bad_certificate_are_one_sentence(run: Command, tmp_path: Path) -> None:
    with listening("--port", 0) as (_, place):
        sentence = run("feedback", "listen", "--port", place.partition(":")[2]).sentence(1)
    assert sentence == f"Cannot listen at {place}: Address already in use."
    bad, none = tmp_path / "bad.pem", tmp_path / "none.pem"
    bad.write_text("no certificate", encoding="utf-8")
    assert "bad.pem is not usable: " in run("feedback", "listen", "--certificate", bad).sentence(2)
    assert "none.pem' does not exist." in run("feedback", "listen", "--certificate", none).sentence(2)
    assert "none.pem' does not exist." in run("feedback", "listen", "--certificate", bad, "--key", none).sentence(2)
    assert "without --certificate" in run("feedback", "listen", "--key", bad).sentence(2)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--socket", "/nowhere/at/all"], "/nowhere/at/all: No such file or directory."),
        (["--socket", "/etc/passwd"], "/etc/passwd: Address already in use."),
        (["--socket", f"/tmp/{'x' * 200}"], f"/tmp/{'x' * 200}: AF_UNIX path too long."),
        (["--host", "192.0.2.1"], "192.0.2.1:8024: Cannot assign requested address."),
        (["--host", "x" * 70], f"{'x' * 70}:8024: That is no name of a host."),
    ],
)
def test_where_it_cannot_listen_is_told(run: Command, options: list[str], sentence: str) -> None:
    assert run("feedback", "listen", *options).sentence(1) == f"Cannot listen at {sentence}"


# --- classify -----------------------------------------------------------------------------------------------------


def test_files_are_classified_without_an_installation(run: Command, home: Path, tmp_path: Path) -> None:
    (tmp_path / "bounce.eml").write_text(BOUNCE, encoding="utf-8")
    answer = run("feedback", "classify", "--json", "bounce.eml", tmp_path / "bounce.eml")
    assert (answer.status, answer.err) == (0, "")
    first, second = (json.loads(line) for line in answer.out.splitlines())
    assert first | {"file": ""} == second | {"file": ""}
    assert (first["file"], second["file"]) == ("bounce.eml", str(tmp_path / "bounce.eml"))
    assert (first["recipient"], first["class"], first["status"]) == ("hanako@example.com", "hard", "5.1.1")
    assert "No such user here" in first["diagnosis"]
    assert not home.exists()


def test_without_json_it_is_a_table(run: Command, tmp_path: Path) -> None:
    (tmp_path / "bounce.eml").write_text(BOUNCE, encoding="utf-8")
    lines = run("feedback", "classify", "bounce.eml").words().splitlines()
    assert lines[0] == "file recipient class status diagnosis"
    assert lines[1].startswith("bounce.eml hanako@example.com hard 5.1.1 ")


def test_standard_input_is_a_file_too(home: Path) -> None:
    assert not home.exists()
    answer = program("feedback", "classify", "--json", "-", stdin=BOUNCE)
    assert json.loads(answer.out)["file"] == "-"
    assert json.loads(answer.out)["class"] == "hard"


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_done(run: Command, tmp_path: Path) -> None:
    for name in ("a", "c"):
        (tmp_path / name).write_text(BOUNCE, encoding="utf-8")
    answer = run("feedback", "classify", "--json", "a", "b", tmp_path, "c")
    assert answer.status == 1
    assert [json.loads(line)["file"] for line in answer.out.splitlines()] == ["a", "c"]
    assert answer.err.splitlines() == [
        "Error: b: No such file or directory.",
        f"Error: {tmp_path}: Is a directory.",
    ]


def test_names_and_octets_of_any_kind_are_json(home: Path, tmp_path: Path) -> None:
    assert not home.exists()
    name = os.fsdecode(b"\xff\xe5\xa0\xb1.eml")
    (tmp_path / name).write_bytes(b"To: x\r\n\r\n\xff\xfe\x00\x1b$B\x0e\xe2\x28\xa1")
    answer = program("feedback", "classify", "--json", tmp_path / name)
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert rows
    assert {row["file"] for row in rows} == {str(tmp_path / name)}


def test_what_a_terminal_obeys_is_in_no_table_and_escaped_in_json(run: Command, tmp_path: Path) -> None:
    """F8."""
    report = BOUNCE.replace("No such user here", "No \x1b]0;owned\x07\x9b31m\u202esuch user here")
    (tmp_path / "esc.eml").write_text(report, encoding="utf-8")
    for command in (("classify",), ("classify", "--json")):
        answer = run("feedback", *command, "esc.eml")
        assert answer.status == 0
        assert "owned" in answer.out
        assert all(each.isprintable() or each == "\n" for each in answer.out)


def test_an_operators_own_rules_come_first(run: Command, home: Path, tmp_path: Path) -> None:
    home.mkdir()
    rule = """
[[rule]]
id = "ours"
class = "soft"
scope = "diagnostic"
patterns = ["no such user here"]
source = "our own"
examples = ["550 no such user here"]
"""
    (home / "feedback-rules.toml").write_text(rule, encoding="utf-8")
    (tmp_path / "bounce.eml").write_text(BOUNCE, encoding="utf-8")
    assert json.loads(run("feedback", "classify", "--json", "bounce.eml").out)["class"] == "soft"
    (home / "feedback-rules.toml").write_text("nonsense", encoding="utf-8")
    assert str(home / "feedback-rules.toml") in run("feedback", "classify", "bounce.eml").sentence(1)
