"""Passwords and access tokens of relays, fetched at the moment when they are needed."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from jlgc_mailer.errors import SettingError

_REMEDY = "Mend it; a transport that stopped for it is then to be resumed."
_SECONDS = 20  # a worker's wire stands still meanwhile


def known(password: str) -> Callable[[], str]:
    """One that stands in the settings."""
    return lambda: password


def from_file(file: Path, place: str) -> Callable[[], str]:
    """The first line of a file; `place` says where it was named."""

    def read() -> str:
        try:
            return _only_line(file.read_text(encoding="utf-8"), place)
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise _unusable(place, f"{file}: {problem}") from None

    return read


def from_command(command: str, place: str, folder: Path) -> Callable[[], str]:
    """What a command prints, such as a fresh access token; no shell is involved."""

    def run() -> str:
        try:
            done = subprocess.run(  # noqa: S603  (the operator's own command, from the operator's own file)
                shlex.split(command),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _unusable(place, f"it printed nothing within {_SECONDS} seconds") from None
        except OSError as error:
            raise _unusable(place, f"it cannot be run: {error.strerror}") from None
        if done.returncode:
            said = next(iter(done.stderr.decode("utf-8", "replace").splitlines()), "nothing")
            raise _unusable(place, f"it ended with status {done.returncode} and said: {said[:200]}")
        return _only_line(done.stdout.decode("utf-8", "replace"), place)

    return run


def _only_line(text: str, place: str) -> str:
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0].strip():
        raise _unusable(place, "it has to give one line, the password or token and nothing else")
    return lines[0].strip()


def _unusable(place: str, problem: str) -> SettingError:
    return SettingError(variable=place, problem=problem.rstrip("."), remedy=_REMEDY)
