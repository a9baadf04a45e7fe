"""The command line as a whole: help at once, misuse and failure in one sentence with their exit status."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlalchemy import text

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.cli import group
from jlgc_mailer.settings import FILE_NAME
from tests.cli.conftest import PROGRAM, Command, program
from tests.servers import free_port

HEAVY = ("sqlalchemy", "celery", "kombu", "flask", "psycopg", "pydantic", "alembic", "mjml", "PIL", "rich", "redis")
ASK_ALL_HELPS = f"""
import sys
import click
from jlgc_mailer.cli import group
for path in {{paths!r}}:
    try:
        group.main([*path, "--help"], "jlgc-mailer")
    except SystemExit as left:
        assert left.code == 0
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules])
"""


def commands(command: click.Command = group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, *path, name)


PATHS = [path for path, _ in commands()]


def test_the_walk_finds_all_commands() -> None:
    assert {path[0] for path in PATHS if path} >= {"init", "demo", "serve", "web", "worker", "beat", "lists", "sends"}
    assert ("sends", "schedule") in PATHS


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_help_answers_and_shows_an_example(path: tuple[str, ...], run: Command) -> None:
    for option in ("--help", "-h"):
        answer = run(*path, option)
        assert (answer.status, answer.err) == (0, "")
        assert "Example:" in answer.out
        assert " ".join(("jlgc-mailer", *path)) in answer.out


def test_no_help_loads_anything_heavy() -> None:
    """That is what keeps each under 0.3 s."""
    script = ASK_ALL_HELPS.format(paths=PATHS)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count("Example:") == len(PATHS)
    assert done.stdout.splitlines()[-1].strip() == "loaded:"


def test_every_listing_has_json() -> None:
    listings = [(path, command) for path, command in commands() if path and path[-1] in ("list", "show")]
    assert len(listings) >= 9
    for path, command in listings:
        assert "--json" in {option for each in command.params for option in each.opts}, path


def test_the_version_is_told(run: Command) -> None:
    assert run("--version").words().startswith("jlgc-mailer, version ")


@pytest.mark.parametrize("path", [(), ("lists",), ("sends",)])
def test_a_group_without_a_command_shows_its_help_as_misuse(path: tuple[str, ...], run: Command) -> None:
    answer = run(*path)
    assert (answer.status, answer.out) == (2, "")
    assert "Example:" in answer.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing",), "No such command 'nothing'. See: jlgc-mailer --help"),
        (("lists", "create", "news"), "Missing option '--title'. See: jlgc-mailer lists create --help"),
        (("lists", "show"), "Missing argument 'NAME'. See: jlgc-mailer lists show --help"),
        (("lists", "list", "--jsn"), "No such option '--jsn'"),
        (("sends", "show", "first"), "Invalid value for 'SEND_ID'"),
        (("sends", "show", "0"), "Invalid value for 'SEND_ID'"),
        (("sends", "show", str(2**63)), "Invalid value for 'SEND_ID'"),
        (("web", "--port", "65536"), "Invalid value for '--port'"),
        (("worker", "--concurrency", "0"), "Invalid value for '--concurrency'"),
        (("sends", "test", "s", "a@example.org", "--language", "fr"), "Invalid value for '--language'"),
        (("--home", "/etc/hostname", "lists", "list"), "Invalid value for '--home'"),
    ],
)
def test_misuse_is_one_sentence_and_exit_status_2(arguments: tuple[str, ...], sentence: str, run: Command) -> None:
    assert run(*arguments).sentence(2).startswith(sentence)


def test_an_installation_that_is_not_there_is_told_with_what_to_do(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"sqlite:///{home / 'mailer.db'}"
    assert run("lists", "list").sentence(1) == f"The database at {place} is not there. Run: jlgc-mailer init"
    monkeypatch.delenv("JLGC_MAILER_SECRET_KEYS")
    assert run("lists", "list").sentence(1).startswith("Setting JLGC_MAILER_SECRET_KEYS: is missing. Run jlgc-mailer")
    assert not home.exists()


def test_a_bad_setting_is_told_with_its_place(run: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / FILE_NAME).write_text("# settings\nrubbish here\n", encoding="utf-8")
    assert run("issues", "list").sentence(1).startswith(f"Setting {home / FILE_NAME}:2: ")
    (home / FILE_NAME).unlink()
    monkeypatch.setenv("JLGC_MAILER_SMTP_PORT", "smtp")
    assert run("issues", "list").sentence(1).startswith("Setting JLGC_MAILER_SMTP_PORT: ")


@pytest.mark.parametrize("command", [("lists", "list"), ("init",), ("worker",), ("web",), ("serve",)])
def test_an_unreachable_database_is_one_sentence_without_the_password(
    command: tuple[str, ...], run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("JLGC_MAILER_DATABASE_URL", f"postgresql+psycopg://mailer:geheim@127.0.0.1:{port}/mailer")
    monkeypatch.setenv("JLGC_MAILER_BROKER_URL", "redis://127.0.0.1/0")
    sentence = run(*command).sentence(1)
    assert sentence.startswith(f"Cannot reach the database at postgresql+psycopg://mailer:***@127.0.0.1:{port}/mailer:")
    assert sentence.endswith("Start it, or correct JLGC_MAILER_DATABASE_URL.")


def test_a_folder_that_cannot_be_made_is_one_sentence(run: Command, home: Path) -> None:
    home.write_text("a file", encoding="utf-8")
    assert run("init").sentence(1) == f"{home}: File exists."


def test_what_nobody_foresaw_is_still_one_sentence_and_a_report(
    run: Command, mailer: Mailer, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here: a reason in the database that no version of the program wrote."""
    assert installed.is_dir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("suppressions", "add", "aiko@example.org", "--why", "asked").status == 0
    with mailer.database.transaction() as session:
        session.execute(text("UPDATE suppressions SET reason = 'nonsense'"))
    answer = run("suppressions", "list")
    assert (answer.status, answer.out, len(answer.err.splitlines())) == (1, "", 1)
    assert answer.err.startswith("Error: something unforeseen happened (LookupError: 'nonsense' is not among")
    (report,) = tmp_path.glob("jlgc-mailer-error-*.txt")
    assert answer.err.endswith(f" Please report {report}\n")
    assert "Traceback" in report.read_text(encoding="utf-8")


def test_the_installed_program_answers_like_this(home: Path) -> None:
    """Through real processes."""
    assert "Commands:" in program("--help").words()
    assert program("lists", "show").sentence(2).startswith("Missing argument 'NAME'.")
    assert program("lists", "list").sentence(1).endswith("Run: jlgc-mailer init")
    assert not home.exists()


def test_a_reader_that_goes_away_is_no_error_worth_a_word(home: Path) -> None:
    """As in `jlgc-mailer --help | head -1`."""
    assert not home.exists()
    shell = f"{PROGRAM} --help | true"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "")
