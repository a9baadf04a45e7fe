"""Maildirs and mbox files: what others do with them at the same time is respected."""

import mailbox
import os
import stat
import subprocess
import sys
import threading
import time
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.feedback.mailboxes import mbox as mbox_module
from jlgc_mailer.feedback.mailboxes.maildir import Maildir
from jlgc_mailer.feedback.mailboxes.mbox import Mbox
from tests.feedback.mailboxes.conftest import MINUTE, Files, bodies, report

# --- maildir ------------------------------------------------------------------------------------------------------


def test_a_maildir_may_keep_what_was_read(mailer: Mailer, files: Files) -> None:
    files.put_into_maildir(report(1), report(2))
    kept = Maildir("office", MINUTE, files.maildir, keeps=True)
    assert mailer.collector.collect(kept).stored == 2
    assert mailer.collector.collect(kept).taken == 0
    inbox = mailbox.Maildir(files.maildir, create=False)
    flags = {key: inbox.get_message(key).get_flags() for key in inbox.keys()}  # noqa: SIM118  (it is no dict)
    assert list(flags.values()) == ["S", "S"]
    assert not list((files.maildir / "new").iterdir())


def test_what_is_no_message_stays_in_the_maildir(mailer: Mailer, files: Files) -> None:
    (files.maildir / "new" / ".hidden").touch()
    (files.maildir / "new" / "folder").mkdir()
    (files.maildir / "new" / "1.leads.nowhere").symlink_to("/nowhere/at/all")
    files.put_into_maildir(report(1))
    found = mailer.collector.collect(Maildir("office", MINUTE, files.maildir))
    assert (found.taken, found.problem) == (1, None)
    assert len(list((files.maildir / "new").iterdir())) == 3


def test_a_file_that_somebody_else_takes_meanwhile_is_no_trouble(mailer: Mailer, files: Files) -> None:
    files.put_into_maildir(report(1), report(2))
    with Maildir("office", MINUTE, files.maildir).visit() as visit:
        min((files.maildir / "new").iterdir()).unlink()
        batches = list(visit.batches())
        for file in (files.maildir / "new").iterdir():
            file.unlink()
        for batch in batches:
            visit.settle(batch)
    assert [message.body for batch in batches for message in batch] == [report(2)]
    assert visit.problems == []


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(mailer: Mailer, files: Files) -> None:
    """F8. This one fails for root too: there is nothing at the beginning of a process's memory."""
    files.put_into_maildir(report(1))
    (files.maildir / "new" / "1.broken").symlink_to("/proc/self/mem")
    found = mailer.collector.collect(Maildir("office", MINUTE, files.maildir))
    assert bodies(mailer) == [report(1)]
    assert found.problem == f"{files.maildir}/new/1.broken cannot be read: Input/output error. The rest was read."


# --- mbox ---------------------------------------------------------------------------------------------------------


def test_an_mbox_that_is_not_there_is_empty(mailer: Mailer, tmp_path: Path) -> None:
    assert mailer.collector.collect(Mbox("office", MINUTE, tmp_path / "none")).problem is None
    assert not (tmp_path / "none").exists()


def test_an_mbox_keeps_its_owner_and_mode_and_its_lock_goes(mailer: Mailer, files: Files) -> None:
    files.put_into_mbox(report(1))
    files.mbox.chmod(0o660)
    before = files.mbox.stat()
    mailer.collector.collect(Mbox("office", MINUTE, files.mbox))
    after = files.mbox.stat()
    assert (after.st_ino, after.st_uid, stat.S_IMODE(after.st_mode), after.st_size) == (
        before.st_ino,
        before.st_uid,
        0o660,
        0,
    )
    assert sorted(each.name for each in files.mbox.parent.glob("mbox*")) == ["mbox"]


def test_only_from_after_an_empty_line_begins_a_message(mailer: Mailer, files: Files) -> None:
    inner = b"Subject: x\n\nFrom the office:\nFrom here\n>From quoted\n"
    files.put_into_mbox(b"Subject: y\n\nx\nFrom within\n", inner.replace(b"\n\nFrom the", b"\n\nx\nFrom the"))
    files.mbox.write_bytes(files.mbox.read_bytes().replace(b"\n", b"\r\n"))
    mailer.collector.collect(Mbox("office", MINUTE, files.mbox))
    assert bodies(mailer) == [
        b"Subject: y\r\n\r\nx\r\nFrom within\r\n",
        b"Subject: x\r\n\r\nx\r\nFrom the office:\r\nFrom here\r\n>From quoted\r\n",
    ]


def test_what_begins_without_from_is_a_message_too(mailer: Mailer, files: Files) -> None:
    files.mbox.write_bytes(b"\n\nSubject: torn\n\nx\n\nFrom a Mon Jun  1 09:00:00 2026\nSubject: whole\n\ny")
    mailer.collector.collect(Mbox("office", MINUTE, files.mbox))
    assert bodies(mailer) == [b"\n\nSubject: torn\n\nx\n", b"Subject: whole\n\ny"]


@given(st.lists(st.text(st.sampled_from("abF\nrom >"), max_size=40), max_size=6))
def test_what_the_library_of_python_writes_is_read(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """As a mail server of another make would write it, with ">From " for "From "."""
    file = tmp_path_factory.mktemp("written") / "mbox"
    written = mailbox.mbox(file)
    for number, text in enumerate(texts):
        message = Message()
        message["Subject"] = str(number)
        message.set_payload(text)
        written.add(message)
    written.close()
    with Mbox("office", MINUTE, file).visit() as visit:
        found = [message.body for batch in visit.batches() for message in batch]
    read = [body.partition(b"\n\n")[2].removesuffix(b"\n").replace(b"\n>From ", b"\nFrom ") for body in found]
    assert [each.rstrip(b"\n").removeprefix(b">") for each in read] == [
        each.encode().replace(b"\n>From ", b"\nFrom ").rstrip(b"\n").removeprefix(b">") for each in texts
    ]
    assert file.stat().st_size == 0


_DELIVERS = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as stream:
    fcntl.lockf(stream, fcntl.LOCK_EX)
    print("taken", flush=True)
    time.sleep(0.6)
"""


def test_who_delivers_under_a_lock_of_the_file_is_waited_for(mailer: Mailer, files: Files) -> None:
    files.put_into_mbox(report(1))
    command = [sys.executable, "-c", _DELIVERS, str(files.mbox)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "taken\n"
        began = time.monotonic()
        assert mailer.collector.collect(Mbox("office", MINUTE, files.mbox)).stored == 1
        assert time.monotonic() - began > 0.3


def test_who_delivers_under_a_lock_beside_the_file_is_waited_for(mailer: Mailer, files: Files) -> None:
    files.put_into_mbox(report(1))
    lock = files.mbox.with_name("mbox.lock")
    lock.touch()
    threading.Timer(0.6, lock.unlink).start()
    began = time.monotonic()
    assert mailer.collector.collect(Mbox("office", MINUTE, files.mbox)).stored == 1
    assert time.monotonic() - began > 0.3


def test_a_lock_that_stays_is_told_and_nothing_is_touched(
    mailer: Mailer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox_module, "_BETWEEN", 0.001)
    files.put_into_mbox(report(1))
    lock = files.mbox.with_name("mbox.lock")
    lock.touch()
    found = mailer.collector.collect(Mbox("office", MINUTE, files.mbox))
    assert "somebody else keeps it locked" in (found.problem or "")
    assert lock.exists()
    assert bodies(mailer) == []
    an_hour_ago = time.time() - 3600
    os.utime(lock, (an_hour_ago, an_hour_ago))
    assert mailer.collector.collect(Mbox("office", MINUTE, files.mbox)).stored == 1
