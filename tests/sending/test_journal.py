"""The journal: what it says survives, and what it does not say did not happen."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.replies import Reply, read_reply
from jlgc_mailer.sending.claim import Claim
from jlgc_mailer.sending.journal import Journal, JournalFault, Story, boot_id, orphans, read_journal
from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.states import DeliveryStatus, Stage

NOW = datetime(2026, 6, 1, 9, 0, 0, 123456, tzinfo=UTC)
CLAIM = Claim(batch_id=3, send_id=2, first_id=101, last_id=200, mark=2**61 + 5)
_ids = st.integers(1, 2**63 - 1)
_numbers = st.integers(1, 10**6)
_moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
_replies = st.none() | st.builds(read_reply, st.integers(200, 599), st.text())
_outcomes = st.builds(
    Outcome,
    st.sampled_from([DeliveryStatus.ACCEPTED, DeliveryStatus.DEFERRED, DeliveryStatus.REFUSED]),
    st.sampled_from(Stage),
    _replies,
    _moments,
)


def written(folder: Path) -> Story:
    """The story of the only journal in the folder."""
    ((_, data),) = orphans(folder)
    return read_journal(data)


@given(st.dictionaries(st.tuples(_ids, _numbers), _outcomes, max_size=20), st.dictionaries(_ids, _numbers))
def test_what_is_noted_is_read_back(
    tmp_path_factory: object, outcomes: dict[tuple[int, int], Outcome], intents: dict[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("journals")  # type: ignore[attr-defined]
    journal = Journal(folder, "relay 1")
    journal.claim(CLAIM)
    journal.note([], list(intents.items()))
    journal.note([(each, number, outcome) for (each, number), outcome in outcomes.items()], [])
    journal.close(all_recorded=False)
    story = written(folder)
    assert story.claims == [CLAIM]
    assert story.transport == "relay 1"
    assert story.is_complete
    assert story.outcomes == outcomes
    assert story.intents == {each: n for each, n in intents.items() if each not in {told for told, _ in outcomes}}


def test_a_message_whose_reply_is_there_is_no_intent_any_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay")
    accepted = Outcome(DeliveryStatus.ACCEPTED, Stage.CONTENT, Reply(250, "Ok", "2.0.0"), NOW)
    journal.note([], [(7, 1), (8, 1)])
    journal.note([(7, 1, accepted)], [(9, 2)])
    journal.close(all_recorded=False)
    story = written(tmp_path)
    assert story.intents == {8: 1, 9: 2}
    assert story.outcomes == {(7, 1): accepted}


def test_the_last_line_counts_only_when_it_is_whole(tmp_path: Path) -> None:
    """A line that was being written when the machine died says nothing, and spoils no other."""
    journal = Journal(tmp_path, "relay")
    journal.note([], [(7, 1), (8, 1)])
    journal.close(all_recorded=False)
    ((_, data),) = orphans(tmp_path)
    for cut in range(1, len("> 8 1\n") + 1):
        assert read_journal(data[:-cut]).intents == {7: 1}


@given(st.binary())
def test_any_octets_are_read_without_complaint(data: bytes) -> None:
    assert isinstance(read_journal(data), Story)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=5))
def test_damaged_lines_spoil_no_other(damaged: list[bytes]) -> None:
    story = read_journal(b"\n".join([b"> 7 1", *(b"garbage " + line for line in damaged), b"> 8 2", b""]))
    assert story.intents == {7: 1, 8: 2}


def test_after_another_boot_silence_proves_nothing(tmp_path: Path) -> None:
    Journal(tmp_path, "relay").close(all_recorded=False)
    ((path, data),) = orphans(tmp_path)
    path.write_bytes(data.replace(boot_id().encode(), b"another-boot"))
    assert not written(tmp_path).is_complete


def test_a_journal_with_everything_recorded_is_gone(tmp_path: Path) -> None:
    Journal(tmp_path, "relay").close(all_recorded=True)
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_a_living_worker_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "relay")
    assert list(orphans(tmp_path)) == []
    journal.close(all_recorded=False)
    assert len(list(orphans(tmp_path))) == 1


def test_the_journal_of_a_killed_worker_is_found_at_once_with_all_it_noted(tmp_path: Path) -> None:
    """Promise 1: `kill -9` loses no line that was noted."""
    program = (
        "import pathlib, sys, time\n"
        "from jlgc_mailer.sending.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), 'relay')\n"
        "for number in range(1, 2000): journal.note([], [(number, 1)])\n"
        "print('noted', flush=True)\n"
        "time.sleep(60)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    with worker.stdout as told:
        assert told.readline() == b"noted\n"
        assert list(orphans(tmp_path)) == []
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    assert written(tmp_path).intents == dict.fromkeys(range(1, 2000), 1)


def test_a_full_disk_is_told_in_one_sentence_and_nothing_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "relay")
    monkeypatch.setattr(journal, "_file", os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(JournalFault, match=r"cannot be written: No space left on device\. Make room"):
        journal.note([], [(1, 1)])


@contextmanager
def _no_room() -> Iterator[None]:
    """No file of this process may have any content."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _no_renaming() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        yield


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root may open everything."""
    ours = os.geteuid()
    os.seteuid(65534 if ours == 0 else ours)
    try:
        yield
    finally:
        os.seteuid(ours)


def _next_descriptor() -> int:
    """The lowest that is free."""
    with Path("/dev/null").open("rb") as file:
        return file.fileno()


@pytest.mark.parametrize(("trouble", "problem"), [(_no_room, "File too large"), (_no_renaming, "Input/output error")])
def test_a_journal_that_cannot_be_begun_leaves_nothing_behind(
    trouble: Callable[[], AbstractContextManager[None]], problem: str, tmp_path: Path
) -> None:
    """Each turn tries again: what it left each time, a descriptor, a lock or a file, would end the process."""
    free = _next_descriptor()
    with trouble(), pytest.raises(JournalFault, match=rf"\.journal cannot be written: {problem}\. Make room"):
        Journal(tmp_path, "relay")
    assert list(tmp_path.iterdir()) == []
    assert _next_descriptor() == free
    Journal(tmp_path, "relay").close(all_recorded=True)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(JournalFault, match="cannot be written: Not a directory"):
        Journal(tmp_path / "home" / "journals", "relay")


@pytest.fixture
def open_folder(short_folder: Path) -> Iterator[Path]:
    """One that other users may look into."""
    with TemporaryDirectory(dir=short_folder) as name:
        yield Path(name)


def test_a_folder_of_another_user_is_one_sentence(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with _as_nobody(), pytest.raises(JournalFault, match=r"denied\. .*, or let workers write to its folder"):
        Journal(open_folder, "relay")


def test_a_journal_of_another_user_is_told_and_passed_by(open_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As one that was made by root."""
    for _ in range(3):
        Journal(open_folder, "relay").close(all_recorded=False)
    first, closed, last = sorted(open_folder.iterdir())
    open_folder.chmod(0o755)
    for path, mode in ((first, 0o644), (closed, 0o000), (last, 0o644)):
        path.chmod(mode)
    with _as_nobody():
        assert [path for path, _ in orphans(open_folder)] == [first, last]
    sentence = f"The journal {closed} cannot be read: Permission denied. Let the user that workers run as own it."
    assert caplog.messages == [sentence]


def test_what_is_no_file_is_told_and_passed_by(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0.journal").mkdir()
    (tmp_path / "0.new").mkdir()
    os.utime(tmp_path / "0.new", (0, 0))
    Journal(tmp_path, "relay").close(all_recorded=False)
    assert len(list(orphans(tmp_path))) == 1
    (told,) = caplog.messages
    assert "0.journal cannot be read: Is a directory" in told


def test_files_of_workers_that_died_before_their_first_line_are_swept(tmp_path: Path) -> None:
    """Not those of workers that live, nor of one that is just about to lock its own."""
    long_ago = time.time() - 61
    dead, living, young = (tmp_path / f"{name}.new" for name in ("dead", "living", "young"))
    for path in (dead, living, young):
        path.touch(mode=0o600)
    for path in (dead, living):
        os.utime(path, (long_ago, long_ago))
    with living.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(orphans(tmp_path)) == []
    assert sorted(tmp_path.iterdir()) == [living, young]
