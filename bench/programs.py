"""Processes of a benchmark: each ends with its block; what they use, as the kernel tells it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PATIENCE = 20
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, in a group of its own, that is told to end and then made to."""
    process = subprocess.Popen(
        command, env=environment, user=user, stdout=stdout, stderr=stderr, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(_PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def family(pid: int) -> list[int]:
    """The process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def cpu_seconds(pid: int) -> float:
    """What the process and its children have used, those that have ended too."""
    used = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        used += sum(map(int, fields[11:15] if each == pid else fields[11:13]))
    return used / _TICKS


def resident_megabytes(pid: int) -> float:
    """The resident memory of one process; pages that it shares with others are counted too."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
