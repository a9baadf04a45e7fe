"""The processes of an installation, as something between a supervisor and its opposite."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 30
_BREATH = 0.5  # seconds between two starts of the same process, if it ends by itself


class Processes:
    """Commands by name, each in a session of its own, all writing to one log. What has ended, `revive` starts again."""

    def __init__(self, commands: Mapping[str, Sequence[str | Path]], environment: Mapping[str, str], log: Path) -> None:
        self.ended_alone = 0
        self._commands = commands
        self._environment = dict(environment)
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        self._started_at: dict[str, float] = {}
        self._killed: set[str] = set()

    def revive(self) -> None:
        """Start whatever does not run."""
        for name in self._commands:
            process = self._running.get(name)
            if process and process.poll() is None:
                continue
            if process and name not in self._killed:
                if time.monotonic() < self._started_at[name] + _BREATH:
                    continue
                self.ended_alone += 1
            self._start(name)

    def kill(self, name: str) -> bool:
        """SIGKILL this process, if it runs."""
        process = self._running[name]
        if process.poll() is not None:
            return False
        process.kill()
        process.wait(_PATIENCE)
        self._killed.add(name)
        return True

    def kill_child(self, name: str) -> bool:
        """SIGKILL what it forked, if there is anything."""
        children = self._children(name)
        for child in children:
            os.kill(child, signal.SIGKILL)
        return bool(children)

    def end(self) -> None:
        """SIGTERM to all, the last one first; SIGKILL to what is left: children whose parent was killed."""
        try:
            for process in reversed(self._running.values()):
                process.terminate()
                process.wait(_PATIENCE)
        finally:
            for session in self._sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(session, signal.SIGKILL)

    def _start(self, name: str) -> None:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._commands[name], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process
        self._sessions.add(process.pid)
        self._started_at[name] = time.monotonic()
        self._killed.discard(name)

    def _children(self, name: str) -> list[int]:
        pid = self._running[name].pid
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:  # it has just ended
            return []


@contextmanager
def running(processes: Processes) -> Iterator[Processes]:
    """All of them, for as long as the block lasts."""
    try:
        processes.revive()
        yield processes
    finally:
        processes.end()
