"""`serve`, `web`, `worker` and `beat`: what they say when they cannot begin."""

import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.servers import free_port


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_a_broker_in_memory_is_no_broker_for_processes(command: str, run: Command, home: Path) -> None:
    assert run("init").status == 0
    assert run(command).sentence(1) == (
        "Setting JLGC_MAILER_BROKER_URL: is memory://, which no other process can reach. "
        "Use jlgc-mailer serve, or set it to redis://HOST:6379/0."
    )
    assert home.is_dir()


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_a_broker_that_does_not_answer_is_one_sentence_without_the_password(
    command: str, run: Command, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.is_dir()
    port = free_port()
    monkeypatch.setenv("JLGC_MAILER_BROKER_URL", f"redis://:geheim@127.0.0.1:{port}/0")
    sentence = run(command).sentence(1)
    assert sentence.startswith("Cannot reach the broker at redis://")
    assert f"127.0.0.1:{port}" in sentence
    assert sentence.endswith("Start Redis, or correct JLGC_MAILER_BROKER_URL.")
    assert "geheim" not in sentence


@pytest.mark.parametrize("command", ["web", "serve"])
def test_a_port_that_is_taken_is_one_sentence(command: str, run: Command, installed: Path) -> None:
    assert installed.is_dir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(command, "--port", taken.getsockname()[1]).sentence(1).startswith("Setting JLGC_MAILER_WEB_PORT: ")
