"""`feedback list`, `show`, `resolve` and `replay`"""

import contextlib
import os
import pty
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import Alert, FeedbackEvent, RawReport
from jlgc_mailer.db.people import Suppression
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.states import FeedbackClass, ReportForm, ReportStatus
from jlgc_mailer.worker.tasks import forget, read
from tests.cli.conftest import PROGRAM, Command, program
from tests.conftest import Clock
from tests.feedback.past import Past, past

RULES = """
[[rule]]
id = "holiday-mode"
class = "soft"
patterns = ['unobtainium']
source = "our postmaster"
status = "4.2.1"
"""


@pytest.fixture
def story(mailer: Mailer, installed: Path, clock: Clock) -> Past:
    """An installation with a send to r0@example.com and r1@example.com, just now."""
    assert installed.is_dir()
    return past(mailer, [clock()])


def bounce(text: str, recipient: str = "r0@example.com") -> bytes:
    return f"""\
From: MAILER-DAEMON@mx.example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

<{recipient}>: {text}

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.0.0
Remote-MTA: dns; mail.example.com
Diagnostic-Code: smtp; {text}

--b--
""".encode()


def comes(story: Past, text: str, to: str = "", recipient: str = "r0@example.com") -> bytes:
    """A report comes in, is read and judged."""
    body = bounce(text, recipient)
    with story.mailer.database.transaction() as session:
        inbound = Inbound("lmtp", ReportForm.MESSAGE, body, "postmaster@mx.example.com", to)
        assert store(session, inbound, story.mailer.clock())
    read(story.mailer)
    return body


def test_before_anything_comes_back_the_list_says_so(installed: Path, run: Command) -> None:
    assert run("feedback", "list").words() == "Nothing waits for a person.\nNothing has come back."
    assert run("feedback", "list", "--json").json() == {
        "alerts": [],
        "review": [],
        "events": [],
        "unread": 0,
    }
    assert run("feedback", "list", "--review", "--json").json() == {"alerts": [], "review": [], "unread": 0}


def test_what_no_worker_has_read_yet_is_counted(story: Past, run: Command) -> None:
    with story.mailer.database.transaction() as session:
        store(session, Inbound("lmtp", ReportForm.MESSAGE, bounce("550 no")), story.mailer.clock())
    assert run("feedback", "list").words().endswith("Not read yet: 1. Workers read what comes in; is one running?")


def test_the_list_begins_with_what_somebody_has_to_look_at(story: Past, run: Command) -> None:
    comes(story, "550 5.1.1 No such user", story.token())
    comes(story, "550 5.7.1 Service unavailable; client host blocked using Spamhaus", story.token(reader=1))
    comes(story, "550 5.1.1 No such user", recipient="stranger@example.net")
    facts = run("feedback", "list", "--json").json()
    (alert,) = facts["alerts"]
    assert (alert["send"], alert["recipients"]) == (1, 1)
    assert "Spamhaus" in alert["diagnosis"]
    (waiting,) = facts["review"]
    assert (waiting["report"], waiting["recipients"]) == (3, ["stranger@example.net"])
    assert waiting["why"] == "nothing in it names a delivery of ours"
    assert [
        (each["report"], each["class"], each["verdict"], each["address"], each["send"]) for each in facts["events"]
    ] == [
        (3, "hard", "note", "stranger@example.net", None),
        (2, "block", "note", "r1@example.com", 1),
        (1, "hard", "suppress", "r0@example.com", 1),
    ]
    words = run("feedback", "list").words()
    assert words.index("Held against us:") < words.index("In review:") < words.index("Said:")
    assert [each["report"] for each in run("feedback", "list", "--class", "hard", "--json").json()["events"]] == [3, 1]
    late = run("feedback", "list", "--all", "--since", "2026-06-02", "--json").json()
    assert late == {"alerts": [], "review": [], "events": [], "unread": 0}
    early = run("feedback", "list", "--since", "2026-06-01 09:00", "--json").json()
    assert early == facts


def test_a_long_queue_is_cut_and_says_how_to_see_the_rest(story: Past, run: Command) -> None:
    with story.mailer.database.transaction() as session:
        for number in range(52):
            body = bounce(f"550 5.1.1 No such user {number}", "stranger@example.net")
            store(session, Inbound("lmtp", ReportForm.MESSAGE, body), story.mailer.clock())
    read(story.mailer)
    assert "2 more. To see them, too: jlgc-mailer feedback list --review --all" in run("feedback", "list").words()
    assert len(run("feedback", "list", "--review", "--json").json()["review"]) == 50
    whole = run("feedback", "list", "--all", "--json").json()
    assert len(whole["review"]) == len(whole["events"]) == 52


def test_a_report_shows_what_decided_and_what_followed(story: Past, run: Command) -> None:
    comes(story, "550 5.1.1 No such user", story.token())
    facts = run("feedback", "show", 1, "--json").json()
    assert (facts["envelope from"], facts["envelope to"]) == ("postmaster@mx.example.com", story.token())
    assert (facts["source"], facts["form"], facts["state"]) == ("lmtp", "message", "read")
    (event,) = facts["events"]
    assert (event["address"], event["class"], event["status"]) == ("r0@example.com", "hard", "5.1.1")
    assert (event["remote mta"], event["matched by"], event["believed"]) == ("mail.example.com", "token", True)
    assert (event["verdict"], event["why"], event["suppression"]) == ("suppress", "there is no such mailbox", 1)
    assert event["rule"]
    assert event["source of the rule"]
    told = run("feedback", "show", 1).words()
    assert "source of the rule:" in told
    assert "suppression: 1" in told
    assert "jlgc-mailer feedback show 1 --raw > report.eml" in told
    assert run("suppressions", "list", "--json").json()[0]["report"] == 1


def test_the_octets_of_a_report_come_out_as_they_came_in(story: Past, installed: Path) -> None:
    body = b"\r\n\n\r\0\xff\xfe mixed\r\nlines\n"
    with story.mailer.database.transaction() as session:
        store(session, Inbound("lmtp", ReportForm.MESSAGE, body), story.mailer.clock())
    file = installed / "report.eml"
    with file.open("wb") as stream:
        subprocess.run([PROGRAM, "feedback", "show", "1", "--raw"], stdout=stream, check=True, timeout=60)
    assert file.read_bytes() == body


def test_a_report_in_review_says_how_to_decide(story: Past, run: Command) -> None:
    comes(story, "550 5.1.1 No such user", recipient="stranger@example.net")
    assert "jlgc-mailer feedback resolve 1 --as hard --reason '...'" in run("feedback", "show", 1).words()


@pytest.mark.parametrize("command", [("show", "7"), ("show", "7", "--raw"), ("replay", "7"),
                                     ("resolve", "7", "--as", "ignore", "--reason", "spam")])  # fmt: skip
def test_a_report_that_does_not_exist_is_one_sentence(installed: Path, run: Command, command: tuple[str, ...]) -> None:
    assert run("feedback", *command).sentence(1) == (
        "There is no report 7. Those that are settled are deleted after a time. See: jlgc-mailer feedback list"
    )


def test_a_person_decides_and_is_told_what_followed(story: Past, run: Command) -> None:
    comes(story, "554 zzz", story.token())
    resolve = ("feedback", "resolve", 1, "--reason", "their postmaster says so", "--as")
    assert run(*resolve, "hard").words() == (
        "Report 1 is resolved: hard, r0@example.com: suppress (there is no such mailbox)."
    )
    assert run(*resolve, "hard").words() == "Report 1 was resolved like that before."
    assert "it was resolved as hard for r0@example.com before" in run(*resolve, "soft").sentence(1)
    assert story.suppressed == {"r0@example.com": "unknown user"}
    assert run("feedback", "list", "--json").json()["review"] == []
    assert run("feedback", "show", 1, "--json").json()["events"][1]["rule"] == "by hand"


def test_a_report_about_two_readers_is_resolved_for_both(story: Past, run: Command) -> None:
    comes(story, "554 zzz", recipient="stranger@example.net")
    resolve = ("feedback", "resolve", 1, "--reason", "both left", "--as", "hard")
    both = ("--recipient", "r0@example.com", "--recipient", "r1@example.com")
    assert run(*resolve, *both).words() == (
        "Report 1 is resolved: hard, r0@example.com: suppress (there is no such mailbox); "
        "hard, r1@example.com: suppress (there is no such mailbox)."
    )
    assert list(story.suppressed) == ["r0@example.com", "r1@example.com"]
    assert run(*resolve, *both).words() == "Report 1 was resolved like that before."


def test_many_reports_are_resolved_at_once_and_one_that_cannot_be_holds_up_none(story: Past, run: Command) -> None:
    comes(story, "554 zzz", story.token())
    comes(story, "554 zzz 2", story.token(reader=1))
    comes(story, "554 zzz 3")
    comes(story, "554 zzz 4", recipient="stranger@example.net")
    resolve = ("feedback", "resolve", "--as", "hard", "--reason", "they say so", 1)
    assert run(*resolve, 2, 1).words() == "Reports resolved as hard: 2 of 2 (2 suppress)."
    answer = run(*resolve, 3, 7, 4)
    assert answer.status == 1
    assert answer.out == "Reports resolved as hard: 1 of 4 (1 suppress). Resolved like that before: 1.\n"
    assert answer.err.startswith("Error: There is no report 7.")
    assert "There is no subscriber 'stranger@example.net'" in answer.err
    assert len(answer.err.splitlines()) == 1
    ignore = ("feedback", "resolve", "--as", "ignore", "--reason", "spam", 4)
    assert run(*ignore, "--recipient", "r0@example.com").sentence(2).startswith("--recipient is for one report")
    assert run(*resolve, 4, "--recipient", "r0@example.com").sentence(2).startswith("--recipient is for one report")
    assert run(*ignore).words() == "Report 4 is resolved: ignore."


def test_a_wrong_recipient_is_one_sentence(story: Past, run: Command) -> None:
    comes(story, "554 zzz", recipient="stranger@example.net")
    resolve = ("feedback", "resolve", 1, "--as", "hard", "--reason", "x", "--recipient")
    assert run(*resolve, "nobody").sentence(2).startswith("Address 'nobody' cannot be used")
    assert run(*resolve, "stranger@example.net").sentence(1).startswith("There is no subscriber 'stranger@example.net'")
    assert run("feedback", "resolve", 1, "--as", "ignore", "--reason", "spam").words() == (
        "Report 1 is resolved: ignore."
    )


def test_a_decision_without_a_reason_is_none(story: Past, run: Command) -> None:
    comes(story, "554 zzz", story.token())
    assert "it is blank. Say why" in run("feedback", "resolve", 1, "--as", "hard", "--reason", "  ").sentence(2)
    assert len(run("feedback", "list", "--json").json()["review"]) == 1
    assert story.suppressed == {}


@pytest.mark.parametrize(
    "command",
    [("resolve", 1, "--as", "hard", "--reason", "they say so"), ("replay", "--rules", "hard.toml", "--apply")],
)
def test_a_send_that_pauses_itself_by_it_is_told(
    story: Past, run: Command, installed: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...]
) -> None:
    """F9: a command that judges never stops a send in silence."""
    comes(story, "554 unobtainium", story.token())
    monkeypatch.setenv("JLGC_MAILER_FEEDBACK_HARD_AFTER", "1")
    monkeypatch.chdir(installed)
    Path("hard.toml").write_text(RULES.replace("soft", "hard"), "utf-8")
    told = "Send 1 paused itself, as too much of it came back. See: jlgc-mailer sends show 1"
    assert told not in run("feedback", "replay", "--rules", "hard.toml").words()
    assert run("feedback", *command).words().endswith(told)
    assert run("sends", "show", 1, "--json").json()["status"] == "paused"
    assert told not in run("feedback", *command).words()


def test_a_change_of_rules_is_told_before_it_is_done(story: Past, run: Command, installed: Path) -> None:
    comes(story, "550 5.1.1 No such user: unobtainium", story.token())
    comes(story, "550 5.1.1 No such user", story.token(reader=1), "r1@example.com")
    (installed / "new.toml").write_text(RULES, "utf-8")
    assert run("feedback", "replay").words() == "Reports read again: 2. Changes: none."
    replay = ("feedback", "replay", "--rules", installed / "new.toml")
    line = "report 1: r0@example.com: hard -> soft, released"
    assert run(*replay).words() == (
        f"{line}\nReports read again: 2. Changes: 1 (1 released). Whether a send pauses itself by it is not foreseen."
        " Give the command again with --apply to make them."
    )
    assert list(story.suppressed) == ["r0@example.com", "r1@example.com"]
    assert run(*replay, "--apply").words() == f"{line}\nReports read again: 2. Changes: 1 (1 released)."
    assert list(story.suppressed) == ["r1@example.com"]
    assert run(*replay, "--apply").words() == "Reports read again: 2. Changes: none."
    (event,) = run("feedback", "show", 1, "--json").json()["events"]
    assert (event["class"], event["rule"]) == ("soft", "holiday-mode")


def test_rules_of_the_home_folder_are_those_of_now_and_each_has_its_source(
    story: Past, run: Command, installed: Path
) -> None:
    comes(story, "550 5.1.1 No such user: unobtainium", story.token())
    (installed / "feedback-rules.toml").write_text(RULES, "utf-8")
    assert "hard -> soft, released" in run("feedback", "replay", 1, "--apply").words()
    assert run("feedback", "show", 1, "--json").json()["events"][0]["source of the rule"] == "our postmaster"
    assert run("feedback", "replay", "--review").words() == "Reports read again: 0. Changes: none."
    assert run("feedback", "replay", "--since", "2026-07-01").words().startswith("Reports read again: 0.")


def test_rules_that_cannot_be_used_are_one_sentence(story: Past, run: Command, installed: Path) -> None:
    (installed / "bad.toml").write_text("[[rule]]\nid = 'x'\n", "utf-8")
    assert "bad.toml, rule 1" in run("feedback", "replay", "--rules", installed / "bad.toml").sentence(1)


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_date_that_is_none_is_told_by_an_example(installed: Path, run: Command, command: str) -> None:
    assert (
        run("feedback", command, "--since", "foo")
        .sentence(2)
        .startswith("Invalid value for '--since': 'foo' is no date such as 2026-11-01, or '2026-11-01 09:30'.")
    )


def test_what_strangers_write_is_shown_without_what_a_terminal_obeys(story: Past, run: Command) -> None:
    """F8: in tables, in lines and in JSON."""
    comes(story, "550 5.1.1 No such user", story.token())
    says = "550 \x1b]0;owned\x07\x1b[2J\x9b31m\u202eno"
    with story.mailer.database.transaction() as session:
        session.execute(update(FeedbackEvent).values(diagnosis=says))
        session.execute(update(RawReport).values(envelope_from=says, why=says, status=ReportStatus.REVIEW))
        session.execute(update(Suppression).values(source=says))
        session.add(Alert(send_id=1, rule="other reason", at=story.mailer.clock(), diagnosis=says))
        session.add(story.event(FeedbackClass.BLOCK, diagnosis=says))
    for command in (("feedback", "list"), ("feedback", "show", 1), ("suppressions", "list")):
        told = run(*command).out
        assert "550 ]0;owned[2J31mno" in told
        assert all(each.isprintable() or each == "\n" for each in told)
        in_json = run(*command, "--json")
        assert all(each.isprintable() or each == "\n" for each in in_json.out)
        assert "\\u001b[2J\\u009b31m\\u202eno" in in_json.out
    assert run("feedback", "show", 1, "--json").json()["envelope from"] == says


def test_octets_are_not_written_to_a_terminal(story: Past) -> None:
    """F8."""
    comes(story, "550 \x1b[2J")
    terminal, its_end = pty.openpty()
    show = [PROGRAM, "feedback", "show", "1", "--raw"]
    done = subprocess.run(show, stdout=its_end, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(its_end)
    os.set_blocking(terminal, False)
    with contextlib.suppress(OSError):  # the end of what was written, which is nothing
        assert not os.read(terminal, 1)
    os.close(terminal)
    sentence = "What came in may hold codes that a terminal obeys. Write it into a file: "
    command = "jlgc-mailer feedback show 1 --raw > report.eml"
    assert (done.returncode, done.stderr) == (1, f"Error: {sentence}{command}\n")


def test_of_reports_that_were_deleted_for_their_age_it_is_said(story: Past, run: Command, clock: Clock) -> None:
    """L6: what followed from them stays."""
    comes(story, "550 5.1.1 No such user", story.token())
    clock.forward(days=181)
    forget(story.mailer)
    (event,) = run("feedback", "list", "--json").json()["events"]
    assert (event["report"], event["kind"], event["verdict"]) == (None, "report", "suppress")
    assert run("feedback", "list").words().splitlines()[-1].startswith("deleted 2026-06-01T09:00:00+00:00 hard")
    assert run("suppressions", "list", "--json").json()[0]["report"] is None
    assert run("suppressions", "list").words().endswith(" deleted")
    assert run("feedback", "show", 1).sentence(1).startswith("There is no report 1. Those that are settled are deleted")
    assert run("feedback", "replay", "--apply").words() == "Reports read again: 0. Changes: none."
    assert list(story.suppressed) == ["r0@example.com"]


def test_replay_in_a_pipe_prints_lines_and_nothing_else(story: Past, installed: Path) -> None:
    comes(story, "550 5.1.1 No such user: unobtainium", story.token())
    (installed / "feedback-rules.toml").write_text(RULES, "utf-8")
    ran = program("feedback", "replay")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "report 1: r0@example.com: hard -> soft, released"
