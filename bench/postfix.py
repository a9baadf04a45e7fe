"""Postfix's own load generator and sink: the peer that sending is measured against."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.programs import running
from bench.rounds import seconds_of
from tests.servers import free_port

SESSIONS = 10
_PATIENCE = 120


class NoPostfix(SystemExit):
    """The programs are not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not found on PATH or in /usr/sbin. Install Debian's postfix: apt install postfix")


@contextmanager
def sink() -> Iterator[int]:
    """A port of this machine where every message is taken and thrown away."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # as root it insists
    with running([_program("smtp-sink"), *user, f"127.0.0.1:{port}", "1000"]):
        _wait_for(port)
        yield port


def source(port: int, messages: int, size: int) -> float:
    """The seconds that smtp-source takes for so many messages of `size` octets over ten connections that stay open."""
    command = [_program("smtp-source"), "-s", str(SESSIONS), "-d", "-m", str(messages), "-l", str(size)]
    command += ["-f", "bounce@example.org", "-t", "reader@example.com", f"127.0.0.1:{port}"]
    return seconds_of(lambda: subprocess.run(command, check=True, timeout=_PATIENCE))


def require() -> None:
    """End with a sentence if the programs are not there."""
    for name in ("smtp-sink", "smtp-source"):
        _program(name)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise NoPostfix(name)
    return found


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return
