"""`init`: an installation from nothing, and again without harm."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, program


def test_init_makes_settings_with_a_fresh_key_for_its_owner_alone(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JLGC_MAILER_SECRET_KEYS")
    first = run("init").words()
    settings = home / "settings.env"
    assert first.splitlines() == [
        f"Settings are in {settings}. Look through them before you send.",
        f"The database at sqlite:///{home / 'mailer.db'} is ready.",
    ]
    assert (settings.stat().st_mode & 0o777, home.stat().st_mode & 0o777) == (0o600, 0o700)
    written = settings.read_text(encoding="utf-8")
    assert run("init").words() == f"The database at sqlite:///{home / 'mailer.db'} is ready."
    assert settings.read_text(encoding="utf-8") == written
    assert run("lists", "list").words() == "There are no lists. See: jlgc-mailer lists create -h"


def test_every_line_of_the_settings_file_is_a_setting(
    run: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who takes away every # gets no error but for what is left empty."""
    monkeypatch.delenv("JLGC_MAILER_SECRET_KEYS")
    run("init")
    settings = home / "settings.env"
    lines = [line.removeprefix("#") for line in settings.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line.startswith("JLGC_MAILER_") and "_URL" not in line]
    assert len(kept) >= 10
    settings.write_text("\n".join(kept), encoding="utf-8")
    assert run("lists", "list").status == 0


def test_two_installations_have_different_keys(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JLGC_MAILER_SECRET_KEYS")
    for name in ("one", "two"):
        assert run("--home", tmp_path / name, "init").status == 0
    one, two = ((tmp_path / name / "settings.env").read_text(encoding="utf-8") for name in ("one", "two"))
    assert one.splitlines()[2].startswith("JLGC_MAILER_SECRET_KEYS=")
    assert one.splitlines()[2] != two.splitlines()[2]


def test_a_key_from_the_environment_is_not_written_down(run: Command, home: Path) -> None:
    assert run("init").status == 0
    assert not (home / "settings.env").exists()


def test_a_database_that_is_named_is_prepared_and_no_other(run: Command, installed: Path) -> None:
    """On each pair."""
    place = run("init").words()
    assert place.startswith("The database at ")
    assert run("lists", "create", "news", "--title", "JLGC News", "--title-ja", "クレアニュース").status == 0
    assert run("init").words() == place
    assert run("lists", "list", "--json").json()[0]["title_ja"] == "クレアニュース"
    assert list(installed.iterdir()) == []


def test_the_installed_program_prepares_an_installation(home: Path) -> None:
    """Through a real process."""
    assert program("init").words() == f"The database at sqlite:///{home / 'mailer.db'} is ready."
