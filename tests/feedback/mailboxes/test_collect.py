"""Collecting from mailboxes of all kinds: nothing leaves one before it is committed, nothing is stored twice (F8)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from jlgc_mailer.bootstrap import TICK_TASK, Mailer
from jlgc_mailer.db.feedback import WayIn
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.health import ways_in
from jlgc_mailer.feedback.mailboxes.collect import Collected
from jlgc_mailer.feedback.mailboxes.maildir import Maildir
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.states import ReportForm, ReportStatus
from jlgc_mailer.worker import tasks
from tests.conftest import SECRET, Clock
from tests.feedback.mailboxes.conftest import Box, Files, bodies, refuse_reports, report, stored
from tests.feedback.servers import PASSWORD, Script, imap, pop3


def health(mailer: Mailer) -> WayIn:
    with mailer.database.reading() as session:
        (found,) = ways_in(session)
        return found


def test_what_waits_is_stored_to_the_octet_and_leaves(mailer: Mailer, box: Box) -> None:
    """F8, and F1: the envelope's recipient is read from the header."""
    box.put(report(1), report(2, b".\r\n..two dots\r\nFrom here\r\n"), report(3))
    found = mailer.collector.collect(box.mailbox)
    assert (found.taken, found.stored, found.waiting, found.problem) == (3, 3, 0, None)
    assert bodies(mailer) == [report(1), report(2, b".\r\n..two dots\r\nFrom here\r\n"), report(3)]
    assert box.left() == 0
    first = stored(mailer)[0]
    assert (first.source, first.form, first.status) == ("mailbox office", ReportForm.MESSAGE, ReportStatus.WAITING)
    assert first.envelope_to == "b+token1@bounce.example.org"
    assert (health(mailer).stored, health(mailer).backlog, health(mailer).problem) == (3, 0, None)


def test_an_empty_mailbox_is_no_trouble(mailer: Mailer, box: Box) -> None:
    assert mailer.collector.collect(box.mailbox) == Collected()
    assert health(mailer).tried_at == mailer.clock()


def test_more_than_fits_into_one_visit_is_taken_in_several(mailer: Mailer, box: Box) -> None:
    box.put(*(report(number) for number in range(1234)))
    found = mailer.collector.collect(box.mailbox)
    assert (found.taken, found.stored, box.left()) == (1234, 1234, 0)
    assert bodies(mailer) == [report(number) for number in range(1234)]


def test_what_was_stored_before_a_crash_is_stored_once(mailer: Mailer, box: Box) -> None:
    """F8: the same mail is found again when nobody could remove it."""
    box.put(report(1), report(2))
    mailer.collector.collect(box.mailbox)
    box.put(report(1), report(2), report(3))
    found = mailer.collector.collect(box.mailbox)
    assert (found.taken, found.stored, box.left()) == (3, 1, 0)
    assert bodies(mailer) == [report(1), report(2), report(3)]


def test_a_message_that_is_too_large_is_cut_and_says_so(mailer: Mailer, box: Box) -> None:
    """F8: a report of 10 MB and more has a limit, and does not hold up the others."""
    huge = report(1, (b"x" * 998 + b"\r\n") * (LIMIT // 1000 + 1))
    box.put(huge, report(2))
    mailer.collector.collect(box.mailbox)
    assert [each.source for each in stored(mailer)] == ["mailbox office, cut", "mailbox office"]
    assert bodies(mailer)[0] == huge[:LIMIT]
    assert box.left() == 0


def test_while_the_database_is_away_all_stays_where_it_is(make_mailer: Callable[..., Mailer], box: Box) -> None:
    """F8: removed only after the commit."""
    box.put(report(1), report(2))
    before = box.left()
    deaf = make_mailer(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unreachable):
        deaf.collector.collect(box.mailbox)
    assert box.left() == before
    mailer = make_mailer()
    assert mailer.collector.collect(box.mailbox).stored == 2
    assert box.left() == 0


def test_what_the_database_refuses_is_told_as_a_fault_of_the_database(mailer: Mailer, box: Box) -> None:
    """F8: without the statement, and everything stays where it is."""
    box.put(report(1), report(2))
    before = box.left()
    refuse_reports(mailer)
    found = mailer.collector.collect(box.mailbox)
    assert (found.taken, found.stored, box.left()) == (0, 0, before)
    assert found.problem == (
        "The database does not take a report (IntegrityError). It stays where it is and is tried again."
    )
    assert health(mailer).problem == found.problem


def test_a_process_that_is_told_to_end_leaves_the_rest_for_later(mailer: Mailer, box: Box) -> None:
    box.put(*(report(number) for number in range(250)))
    mailer.stopping.set()
    assert mailer.collector.collect(box.mailbox).stored == 100
    assert box.left() > 0
    mailer.stopping.clear()
    mailer.collector.collect(box.mailbox)
    assert (len(bodies(mailer)), box.left()) == (250, 0)


_DIES = """
import os, signal, sys
from pathlib import Path
from jlgc_mailer.bootstrap import TICK_TASK, Mailer
from jlgc_mailer.settings import read_settings

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

mailer = Mailer(read_settings(Path(sys.argv[1])))
(mailbox,) = mailer.mailboxes
module = sys.modules[type(mailbox).__module__]
module._Visit.settle = die
mailer.collector.collect(mailbox)
"""


@pytest.mark.parametrize("kind", ["imap", "maildir", "mbox"])
def test_kill_9_between_the_commit_and_the_removal_neither_loses_nor_doubles(
    mailer: Mailer, pair: dict[str, str], tmp_path: Path, kind: str, files: Files, script: Script
) -> None:
    """Promise 6, F8: everybody's report is stored once, and removed by whoever comes next."""
    places = {"maildir": f"path = '{files.maildir}'", "mbox": f"path = '{files.mbox}'"}
    put = {"maildir": files.put_into_maildir, "mbox": files.put_into_mbox, "imap": script.put}[kind]
    put(report(1), report(2))
    with imap(script):
        user = f"host = '127.0.0.1'\nport = {script.port}\nsecurity = 'none'\nuser = 'reports'\npassword = '{PASSWORD}'"
        text = f"[mailboxes.office]\nkind = '{kind}'\n{places.get(kind, user)}\n"
        (tmp_path / "feedback.toml").write_text(text, encoding="utf-8")
        home = {"SECRET_KEYS": SECRET, "DATABASE_URL": pair["database_url"], "BOUNCE_DOMAIN": "bounce.example.org"}
        environment = os.environ | {f"JLGC_MAILER_{name}": value for name, value in home.items()}
        dead = subprocess.run([sys.executable, "-c", _DIES, tmp_path], env=environment, timeout=60, check=False)
        assert dead.returncode == -signal.SIGKILL
        assert bodies(mailer) == [report(1), report(2)]
        (tmp_path / "mbox.lock").unlink(missing_ok=True)
        (mailbox,) = mailer.mailboxes
        assert mailer.collector.collect(mailbox) == Collected(taken=2)
    assert bodies(mailer) == [report(1), report(2)]
    assert (files.mbox.read_bytes(), list((files.maildir / "new").iterdir()), script.messages) == (b"", [], {})


# --- when and by whom ---------------------------------------------------------------------------------------------


def test_a_mailbox_is_looked_into_once_in_its_interval(mailer: Mailer, box: Box, clock: Clock) -> None:
    assert mailer.collector.collect_due(box.mailbox) == Collected()
    clock.forward(seconds=59)
    assert mailer.collector.collect_due(box.mailbox) is None
    clock.forward(seconds=1)
    assert mailer.collector.collect_due(box.mailbox) == Collected()


def test_of_many_workers_one_looks_into_it(make_mailer: Callable[..., Mailer], files: Files) -> None:
    files.put_into_maildir(report(1))
    mailbox = Maildir("office", timedelta(seconds=60), files.maildir)
    collectors = [make_mailer().collector for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda collector: collector.collect_due(mailbox), collectors))
    assert sorted(each.stored for each in found if each) == [1]


def test_a_problem_is_told_until_the_mailbox_is_well_again(mailer: Mailer, files: Files, clock: Clock) -> None:
    mailbox = Maildir("office", timedelta(seconds=60), files.maildir)
    (files.maildir / "new").rmdir()
    found = mailer.collector.collect(mailbox)
    assert found.problem == (
        f"The mailbox at {files.maildir} cannot be read: No such file or directory. "
        "What is in it stays there and is tried again."
    )
    assert (health(mailer).problem, health(mailer).problem_at) == (found.problem, clock.now)
    (files.maildir / "new").mkdir()
    mailer.collector.collect(mailbox)
    assert (health(mailer).problem, health(mailer).problem_at) == (None, None)


# --- by the worker ------------------------------------------------------------------------------------------------


def test_the_worker_looks_into_all_mailboxes_and_one_that_fails_holds_up_none(
    mailer: Mailer, files: Files, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    files.put_into_maildir(report(1))
    text = f"""
[mailboxes.broken]
kind = "maildir"
path = "nowhere"

[mailboxes.office]
kind = "maildir"
path = "{files.maildir}"
"""
    (tmp_path / "feedback.toml").write_text(text, encoding="utf-8")
    tasks.collect(mailer)
    assert bodies(mailer) == [report(1)]
    assert "mailbox broken: The mailbox at " in caplog.text
    files.put_into_maildir(report(2))
    tasks.collect(mailer)
    assert bodies(mailer) == [report(1)]
    clock.forward(minutes=1)
    tasks.collect(mailer)
    assert bodies(mailer) == [report(1), report(2)]


@pytest.mark.parametrize(
    "broken",
    [
        f"kind = 'pop3'\nhost = '{'x' * 64}.example.org'\nuser = 'u'\npassword = 'p'",
        "kind = 'pop3'\nhost = '127.0.0.1'\nsecurity = 'none'\nuser = 'u'\npassword_command = 'echo \"x'",
    ],
)
def test_a_fault_that_nobody_thought_of_is_told_and_holds_up_no_other_mailbox(
    mailer: Mailer, files: Files, tmp_path: Path, script: Script, broken: str
) -> None:
    """F8: such as a host that is no name (UnicodeError), or a command with half a quotation (ValueError)."""
    files.put_into_maildir(report(1))
    with pop3(script):
        text = f"[mailboxes.broken]\n{broken}\nport = {script.port}\n"
        text += f"[mailboxes.office]\nkind = 'maildir'\npath = '{files.maildir}'\n"
        (tmp_path / "feedback.toml").write_text(text, encoding="utf-8")
        tasks.collect(mailer)
    assert bodies(mailer) == [report(1)]
    with mailer.database.reading() as session:
        problems = {way.name: way.problem for way in ways_in(session)}
    assert str(problems["mailbox broken"]).startswith("The mailbox at broken cannot be read: ")
    assert problems["mailbox office"] is None


def test_a_file_whose_name_is_no_text_can_be_told_of(mailer: Mailer, files: Files) -> None:
    """F8."""
    files.put_into_maildir(report(1))
    (files.maildir / "new" / os.fsdecode(b"0\xff.host")).symlink_to(files.maildir / "cur")
    bad = files.maildir / "new" / os.fsdecode(b"1\xff.host")
    bad.write_bytes(report(2))
    (files.maildir / "cur").rmdir()
    mailbox = Maildir("office", timedelta(seconds=60), files.maildir, keeps=True)
    found = mailer.collector.collect(mailbox)
    assert found.stored == 2
    assert str(found.problem).isprintable()
    assert health(mailer).problem == found.problem
    assert bad.exists()


def test_beat_asks_for_it_on_the_queue_of_short_tasks(mailer: Mailer) -> None:
    queue = tasks.with_tasks(mailer)
    entry = queue.conf.beat_schedule["collect"]
    assert entry["task"] in queue.tasks
    assert queue.conf.task_routes[entry["task"]] == queue.conf.task_routes[TICK_TASK]


def test_without_the_file_there_is_nothing_to_look_into(mailer: Mailer) -> None:
    tasks.collect(mailer)
    with mailer.database.reading() as session:
        assert ways_in(session) == []
