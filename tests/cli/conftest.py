"""Commands as people give them: inside this process, and as the installed program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jlgc_mailer.cli import main
from jlgc_mailer.settings import Settings
from tests.conftest import SECRET

PROGRAM = Path(sys.executable).with_name("jlgc-mailer")


@dataclass(frozen=True)
class Run:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What `--json` printed."""
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)

    def words(self) -> str:
        """The text it printed on success, with single spaces and no empty lines."""
        assert (self.status, self.err) == (0, "")
        return "\n".join(" ".join(line.split()) for line in self.out.splitlines() if line.strip())

    def sentence(self, status: int) -> str:
        """The one sentence on stderr with which it failed; nothing else was printed."""
        assert (self.status, self.out, len(self.err.splitlines())) == (status, "", 1), self
        assert self.err.startswith("Error: ")
        assert "Traceback" not in self.err
        assert "unforeseen" not in self.err
        return self.err.removeprefix("Error: ").strip()


Command = Callable[..., Run]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder; nothing is set in the environment but its name and the key."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"JLGC_MAILER_{field.upper()}", raising=False)
    monkeypatch.setenv("JLGC_MAILER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JLGC_MAILER_SECRET_KEYS", SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def installed(home: Path, pair: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same on a migrated, empty database."""
    for name, value in pair.items():
        monkeypatch.setenv(f"JLGC_MAILER_{name.upper()}", value)
    monkeypatch.setenv("JLGC_MAILER_PUBLIC_URL", "https://news.example.org")
    home.mkdir()
    return home


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Gives a command inside this process."""
    assert home

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["jlgc-mailer", *map(str, arguments)])
        capsys.readouterr()
        status: object = 0
        try:
            main()
        except SystemExit as left:
            status = left.code
        assert isinstance(status, int)
        return Run(status, *capsys.readouterr())

    return run


def program(*arguments: object, stdin: str = "", **environment: str) -> Run:
    """Gives a command to the installed program, in a process of its own."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | environment,
        timeout=60,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)
