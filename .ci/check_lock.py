"""Do the lock files answer pyproject.toml? One sentence for each problem, and exit status 1; nothing is fetched."""

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
RUNNING, TESTS = "requirements.lock", "requirements-dev.lock"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?![0-9a-f])")
_CAPS = {"<", "<=", "==", "===", "~="}


@dataclass(frozen=True)
class Pin:
    """One package at one version, as a lock has it; a universal lock may have several for different platforms."""

    version: Version
    is_hashed: bool


Lock = Mapping[str, list[Pin]]


def main() -> int:
    """Check the files of this checkout; the exit status."""
    files = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", RUNNING, TESTS)}
    problems = list(problems_in(files["pyproject.toml"], files[RUNNING], files[TESTS]))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def problems_in(pyproject: str, running: str, tests: str) -> Iterator[str]:
    """What is wrong with the lock files, a sentence each."""
    project = tomllib.loads(pyproject)["project"]
    needed = [Requirement(each) for each in project["dependencies"]]
    wanted = [Requirement(each) for each in project["optional-dependencies"]["dev"]]
    yield from _caps([*needed, *wanted])
    locks = {RUNNING: read_lock(running), TESTS: read_lock(tests)}
    for name, text in ((RUNNING, running), (TESTS, tests)):
        yield from _faults(name, text, locks[name])
    yield from _unanswered(RUNNING, locks[RUNNING], needed)
    yield from _unanswered(TESTS, locks[TESTS], [*needed, *wanted])
    yield from _differences(locks[RUNNING], locks[TESTS])


def read_lock(text: str) -> Lock:
    """The pins of a lock by name; the lines of one pin are joined by backslashes."""
    pins: defaultdict[str, list[Pin]] = defaultdict(list)
    for line in text.replace("\\\n", " ").splitlines():
        if found := _PIN.match(line):
            pin = Pin(Version(found["version"]), bool(_HASH.search(line)))
            pins[canonicalize_name(found["name"])].append(pin)
    return dict(pins)


def _caps(requirements: Iterable[Requirement]) -> Iterator[str]:
    """`packaging` is everybody's dependency: a cap here would hold every other package back."""
    for each in requirements:
        if canonicalize_name(each.name) == "packaging" and any(part.operator in _CAPS for part in each.specifier):
            yield f"pyproject.toml caps packaging ({each}); take the upper bound out."


def _faults(name: str, text: str, lock: Lock) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if "://" in line:
            yield f"{name}:{number} names a host; write the lock with: make lock"
        elif line and not line[0].isspace() and line[0] != "#" and not _PIN.match(line):
            yield f"{name}:{number} is no pin of the form name==version."
    for package, pins in lock.items():
        if not all(pin.is_hashed for pin in pins):
            yield f"{name} has no hash for {package}."


def _unanswered(name: str, lock: Lock, requirements: Iterable[Requirement]) -> Iterator[str]:
    for each in requirements:
        pins = lock.get(canonicalize_name(each.name), [])
        if not pins:
            yield f"{name} has no pin for {each}; run: make lock"
        for pin in pins:
            if not each.specifier.contains(pin.version, prereleases=True):
                yield f"{name} pins {each.name} at {pin.version}, but pyproject.toml asks for {each}; run: make lock"


def _differences(running: Lock, tests: Lock) -> Iterator[str]:
    """What is tested is what runs."""
    for package, pins in running.items():
        ours, theirs = ({str(pin.version) for pin in each} for each in (pins, tests.get(package, [])))
        if ours != theirs:
            has = " and ".join(sorted(theirs)) or "no pin"
            yield f"{RUNNING} has {package} {' and '.join(sorted(ours))}, but {TESTS} has {has}; run: make lock"


if __name__ == "__main__":
    sys.exit(main())
