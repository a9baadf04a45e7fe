"""What the files around the program promise: the containers, the settings' example, the lock files, the papers."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import redis
import yaml

from jlgc_mailer.cli import group
from jlgc_mailer.settings import PREFIX, Settings, read_settings
from jlgc_mailer.states import Stage
from tests import servers

ROOT = Path(__file__).parents[1]
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "jlgc-mailer"}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
_SET, _LEFT = (re.findall(rf"^{mark}(\w+)=(.*)$", EXAMPLE, re.MULTILINE) for mark in ("", "#"))
_OPERATORS = {"&&", "||", "|", ";", "&", ">", "<"}


def papers(test: Any) -> Any:
    return pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))(test)


# --- containers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_tells_its_health_or_is_a_job(name: str) -> None:
    is_job = SERVICES[name].get("restart") == "no"
    assert is_job or SERVICES[name]["healthcheck"]["test"]
    assert is_job or SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))
    assert name not in OURS or service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_is_published_beyond_this_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_images_of_others_are_named_with_a_version(name: str) -> None:
    assert re.search(r":v?\d", SERVICES[name]["image"])


@pytest.mark.parametrize("name", OURS)
def test_commands_of_services_are_commands_of_the_program(name: str) -> None:
    assert not isinstance(_understand(list(OURS[name]["command"])), click.Group)


def test_processes_start_after_the_tables_are_there() -> None:
    for name in set(OURS) - {"migrate"}:
        assert OURS[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert OURS["migrate"]["command"] == ["init"]
    assert OURS["migrate"]["depends_on"]["database"]["condition"] == "service_healthy"


def test_workers_can_be_multiplied() -> None:
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_journals_survive_a_container_and_are_found_by_the_next() -> None:
    """They are in the home folder, which all processes share, on this machine; its user may write there."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    home = next(iter(re.findall(rf"{PREFIX}HOME=(\S+)", lines)))
    assert f"mkdir -m 0700 {home}" in lines
    assert f"chown mailer:mailer {home}" in lines
    for service in OURS.values():
        assert service["volumes"] == [f"home:{home}"]
        assert not any(home.startswith(folder) for folder in service["tmpfs"])
    assert COMPOSE["volumes"]["home"] is None


def test_the_image_runs_as_nobody_in_particular_and_holds_no_secret() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    user = [line.split()[1] for line in lines if line.startswith("USER ")][-1]
    assert int(user.partition(":")[0]) >= 10_000
    assert not [line for line in lines if re.search("secret|password", line, re.IGNORECASE)]
    assert any("--require-hashes -r requirements.lock" in line for line in lines)
    assert {folder for line in lines for folder in re.findall(r"^COPY (\w+) \./", line)} >= {"templates", "examples"}


def test_only_named_things_get_into_the_image() -> None:
    """The list of what is left out begins with everything, so that a .env beside it stays outside."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and line[0] != "#"]
    assert rules[0] == "*"
    assert all((ROOT / rule[1:]).exists() for rule in rules if rule[0] == "!")


def test_worker_and_beat_are_well_while_the_broker_hears_them(tmp_path: Path) -> None:
    check = SERVICES["worker"]["healthcheck"]["test"][2:]
    assert SERVICES["beat"]["healthcheck"] == SERVICES["worker"]["healthcheck"]
    with servers.valkey(tmp_path) as broker:
        environment = os.environ | {f"{PREFIX}BROKER_URL": f"{broker}/0"}

        def is_well() -> bool:
            ran = subprocess.run([sys.executable, *check], env=environment, capture_output=True, check=False)
            return ran.returncode == 0

        assert not is_well()
        with redis.Redis.from_url(broker) as somebody:
            somebody.ping()
            assert is_well()
        assert not is_well()
    assert not is_well()


# --- settings -----------------------------------------------------------------------------------------------------


def _known(name: str) -> bool:
    return name.removeprefix(PREFIX).lower() in Settings.model_fields


@pytest.mark.parametrize("name", [name for name, _ in (*_SET, *_LEFT) if name.startswith(PREFIX)])
def test_the_example_names_settings_that_exist(name: str) -> None:
    assert _known(name)


def test_every_setting_is_in_the_example_or_set_by_compose() -> None:
    named = {name for name, _ in (*_SET, *_LEFT)} | set(OURS["web"]["environment"])
    assert {f"{PREFIX}{field}".upper() for field in Settings.model_fields} - named == {f"{PREFIX}HOME"}


@pytest.mark.parametrize("name", OURS)
def test_compose_sets_settings_that_exist(name: str) -> None:
    assert all(_known(variable) for variable in OURS[name]["environment"])


@pytest.mark.parametrize(("name", "value"), [each for each in _LEFT if "EHLO_NAME" not in each[0]])
def test_values_left_as_they_are_stand_in_the_example(name: str, value: str) -> None:
    assert float(value) == Settings.model_fields[name.removeprefix(PREFIX).lower()].default


def test_the_example_holds_no_secret() -> None:
    assert {name for name, value in _SET if not value} >= {f"{PREFIX}SECRET_KEYS", "POSTGRES_PASSWORD"}
    assert not [value for name, value in _SET if re.search("SECRET|PASSWORD", name) and value]


def test_the_example_with_its_secrets_made_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (*_SET, (f"{PREFIX}SECRET_KEYS", "0123456789abcdef" * 4)):
        monkeypatch.setenv(name, value)
    for name, value in OURS["web"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "password", value))
    settings = read_settings(tmp_path)
    assert settings.smtp_host in SERVICES
    assert not settings.is_public


# --- lock files ---------------------------------------------------------------------------------------------------


def _check_lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_lock", ROOT / ".ci" / "check_lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_lock"] = module
    spec.loader.exec_module(module)
    return module


_HASHED = "one==1.5 \\\n    --hash=sha256:" + "0" * 64 + "\n"
_PYPROJECT = '[project]\ndependencies = ["one>=1"]\n[project.optional-dependencies]\ndev = []\n'


@pytest.mark.parametrize(
    ("pyproject", "running", "tests", "problem"),
    [
        (_PYPROJECT, _HASHED, _HASHED, None),
        (_PYPROJECT.replace(">=1", ">=2"), _HASHED, _HASHED, "asks for one>=2"),
        (_PYPROJECT.replace('"]', '", "two"]'), _HASHED, _HASHED, "no pin for two"),
        (_PYPROJECT.replace("dev = []", 'dev = ["two"]'), _HASHED, _HASHED, "requirements-dev.lock has no pin for two"),
        (_PYPROJECT, "one==1.5\n", _HASHED, "has no hash for one"),
        (_PYPROJECT, "--index-url https://packages.example\n" + _HASHED, _HASHED, "names a host"),
        (_PYPROJECT, _HASHED, _HASHED.replace("1.5", "1.6"), "requirements-dev.lock has 1.6"),
        (_PYPROJECT, "one>=1.5\n" + _HASHED, _HASHED, "is no pin"),
        (_PYPROJECT.replace('"]', '", "packaging<27"]'), _HASHED, _HASHED, "caps packaging"),
    ],
)
def test_the_check_of_the_lock_files_finds(pyproject: str, running: str, tests: str, problem: str | None) -> None:
    problems = list(_check_lock().problems_in(pyproject, running, tests))
    assert any(problem in each for each in problems) if problem else not problems


_IMPORT_ALL = """
import importlib, pkgutil, sys
from importlib.metadata import packages_distributions

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

locked = {*sys.argv[1:], "jlgc-mailer"}
owners = packages_distributions().items()
missing = {name for name, of in owners if locked.isdisjoint(each.replace("_", "-").lower() for each in of)}
sys.meta_path.insert(0, NotInstalled())
import jlgc_mailer
for module in pkgutil.walk_packages(jlgc_mailer.__path__, "jlgc_mailer."):
    if ".migrations" not in module.name:
        importlib.import_module(module.name)
for name in ("kombu.transport.redis", "kombu.transport.memory", "celery.apps.worker", "celery.concurrency.prefork",
             "celery.concurrency.thread", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"):
    importlib.import_module(name)
"""


def test_the_program_needs_nothing_beyond_the_lock_it_runs_with() -> None:
    """The tests run with more than that installed, so a package that is missing there would not be missed here."""
    locked = _check_lock().read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    ran = subprocess.run([sys.executable, "-c", _IMPORT_ALL, *locked], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr.splitlines()[-1]


# --- papers -------------------------------------------------------------------------------------------------------


def _rules() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def _code(paper: Path) -> Iterator[str]:
    """Lines of code blocks and pieces of code in sentences; a line that ends in a backslash goes on."""
    for index, piece in enumerate(paper.read_text(encoding="utf-8").split("```")):
        if index % 2:
            yield from piece.replace("\\\n", " ").splitlines()[1:]
        else:
            yield from re.findall(r"`([^`\n]+)`", piece)


def _arguments(line: str) -> list[str] | None:
    """What a line gives to the program, itself or in a container; None if it is another program's."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    at = next((n for n, word in enumerate(words) if word == "jlgc-mailer" or word.endswith("bin/jlgc-mailer")), None)
    if at is None and words[:3] == ["docker", "compose", "run"]:
        at = next((n for n, word in enumerate(words) if word in OURS), None)
    if at is None:
        return None
    end = next((n for n, word in enumerate(words) if n > at and word in _OPERATORS), len(words))
    return [word.replace("%i", "worker") for word in words[at + 1 : end]]  # systemd's word for which of several


def _understand(words: list[str]) -> click.Command:
    """The command that is meant, its options resolved, not run; raises click.UsageError for what does not exist."""
    command: click.Command = group
    context = click.Context(group, info_name="jlgc-mailer", **group.context_settings)  # a group keeps its help option
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not words:
            return command
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name, parent=context)
    command.make_context(context.info_name, list(words), parent=context)
    return command


def test_the_readme_names_the_two_commands() -> None:
    code = list(_code(ROOT / "README.md"))
    assert "make demo" in code
    assert "make test" in code


def test_make_help_lists_targets_that_exist() -> None:
    listed = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    phony = next(iter(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)))
    assert set(phony.split()) == listed == _rules()


@papers
def test_targets_in_papers_exist(paper: Path) -> None:
    named = {line.split()[1] for line in _code(paper) if re.match(r"make [a-z]", line)}
    assert named <= _rules()


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that ask before they do something are answered."""
    monkeypatch.setattr("click.core.confirm", lambda *_args, **_kwargs: True)


@papers
@pytest.mark.usefixtures("unasked")
def test_commands_in_papers_exist(paper: Path) -> None:
    assert [problem for line in _code(paper) for problem in _problems(line)] == []


def _problems(line: str) -> Iterator[str]:
    words = _arguments(line)
    if words:
        try:
            _understand(words)
        except click.UsageError as error:
            yield f"{line!r}: {error.format_message()}"


@pytest.mark.usefixtures("unasked")
def test_commands_are_found_in_the_papers_that_people_follow() -> None:
    """If none were found, the test above would pass whatever they are."""
    for name, some in (
        ("README.md", 3),
        ("docs/staff-guide.md", 12),
        ("docs/staff-guide.ja.md", 12),
        ("docs/runbook.md", 3),
    ):
        found = [words for line in _code(ROOT / name) if (words := _arguments(line))]
        assert len(found) >= some, name
        assert {_understand(words).name for words in found} - {group.name}, name


@papers
def test_links_between_papers_lead_somewhere(paper: Path) -> None:
    text = "".join(paper.read_text(encoding="utf-8").split("```")[::2])
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (paper.parent / link).exists()] == []


@papers
def test_files_in_papers_exist(paper: Path) -> None:
    named = {file for line in _code(paper) for file in re.findall(r"^(?:src|tests|bench|docs)/[\w./-]+$", line)}
    assert [file for file in named if not (ROOT / file).exists()] == []


def test_the_runbook_has_advice_for_every_stage_at_which_a_relay_can_fail() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    table = text.partition("| stage |")[2].partition("\n\n")[0]
    stages = [stage for cell in re.findall(r"^\| ([a-z, ]+) \|", table, re.MULTILINE) for stage in cell.split(", ")]
    assert stages == [stage.value for stage in Stage if stage is not Stage.BUILD]


def test_a_worker_has_the_same_time_to_end_in_a_container_and_by_hand() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"TimeoutStopSec={SERVICES['worker']['stop_grace_period']}in\n" in readme


@papers
def test_settings_in_papers_exist(paper: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", paper.read_text(encoding="utf-8")))
    assert {name for name in named if not _known(name)} <= {PREFIX}


def test_commands_that_do_not_exist_are_found() -> None:
    """The tests above are worth nothing if they let everything pass."""
    for line in ("jlgc-mailer issues imprt x", "jlgc-mailer sends schedule x --list a --when now", "jlgc-mailer serv"):
        with pytest.raises(click.UsageError):
            _understand(_arguments(line) or [])
