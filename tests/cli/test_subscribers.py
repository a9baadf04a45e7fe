"""`subscribers`"""

import csv
from pathlib import Path

import pytest

from jlgc_mailer.bootstrap import Mailer
from tests import factories
from tests.cli.conftest import Command, program

ADD = ("subscribers", "add", "Aiko@example.org", "--list", "news", "--name", "Aiko [/Tanaka]", "--language", "ja")
FORM = ("--evidence", "paper form, 3 June 2026")
PEOPLE = "email,name\naiko@example.org,Aiko\nwrong@,Wrong\n\nken@example.org,Ken\npierre@example.org,Pierre\x07\n"


@pytest.fixture(autouse=True)
def news(installed: Path, mailer: Mailer) -> Path:
    """A mailing list in an installation."""
    with mailer.database.transaction() as session:
        factories.mailing_list(session)
    return installed


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    return file


def test_a_person_is_added_listed_and_shown_with_the_proof(run: Command) -> None:
    """L3: and a name that looks like markup is shown as it is."""
    assert run("subscribers", "list").words() == "There are no subscribers here."
    assert run(*ADD, *FORM).words() == "Added Aiko@example.org."
    assert run(*ADD, *FORM).words().endswith("is on news already, or has left it; nothing was changed.")
    row = {"address": "Aiko@example.org", "name": "Aiko [/Tanaka]", "language": "ja", "list": "news"}
    assert run("subscribers", "list", "--json").json() == [row | {"status": "confirmed"}]
    assert "Aiko@example.org Aiko [/Tanaka] ja news confirmed" in run("subscribers", "list", "--list", "news").words()
    shown = run("subscribers", "show", "aiko@EXAMPLE.org", "--json").json()
    assert [proof["wording"] for proof in shown["consent_records"]] == ["paper form, 3 June 2026"]
    assert shown["deliveries"] == []
    text = run("subscribers", "show", "aiko@example.org").words()
    assert all(
        part in text for part in ("subscriptions:", "consent records:", "deliveries:", "paper form, 3 June 2026")
    )


def test_a_person_is_added_with_the_zone_they_live_in(run: Command) -> None:
    assert run(*ADD, *FORM, "--zone", "Tokyo").sentence(2).startswith("Zone 'Tokyo' cannot be used")
    assert run(*ADD, *FORM, "--zone", "Asia/Tokyo").words() == "Added Aiko@example.org."
    assert run("subscribers", "show", "aiko@example.org", "--json").json()["zone"] == "Asia/Tokyo"
    assert "zone Asia/Tokyo" in run("subscribers", "show", "aiko@example.org").words()


def test_what_cannot_be_added_or_found_is_told(run: Command) -> None:
    """A missing proof is misuse (L3)."""
    assert run(*ADD).sentence(2).startswith("Missing option '--evidence'.")
    assert run("subscribers", "add", "aiko", "--list", "news", *FORM).sentence(2).startswith("Address 'aiko' cannot be")
    assert run("subscribers", "show", "aiko").sentence(2).startswith("Address 'aiko' cannot be used")
    assert run("subscribers", "show", "ken@example.org").sentence(1).startswith("There is no subscriber 'ken@example")
    for arguments in (
        ("add", "a@example.org", "--list", "jobs", *FORM),
        ("list", "--list", "jobs"),
        ("import", "people.csv", "--list", "jobs"),
    ):
        assert run("subscribers", *arguments).sentence(1).startswith("There is no mailing list 'jobs'.")


def test_an_import_stores_good_rows_and_writes_bad_ones_to_a_file(run: Command, people: Path, tmp_path: Path) -> None:
    errors = tmp_path / "bad.csv"
    command = ("subscribers", "import", people, "--list", "news", "--errors", errors)
    assert run(*command).words() == f"2 added, 0 known before, 2 bad (see {errors})."
    with errors.open(encoding="utf-8-sig", newline="") as stream:
        header, *bad = csv.reader(stream)
    assert header == ["line", "reason", "row"]
    assert [(row[0], row[2:]) for row in bad] == [
        ("3", ["wrong@", "Wrong"]),
        ("6", ["pierre@example.org", "Pierre\x07"]),
    ]
    assert bad[0][1].startswith("Address 'wrong@' cannot be used: ")
    before = run("subscribers", "list", "--json").json()
    assert run(*command).words() == f"0 added, 2 known before, 2 bad (see {errors})."
    assert run("subscribers", "list", "--json").json() == before


def test_an_import_without_an_errors_file_tells_bad_rows_on_stderr(run: Command, people: Path) -> None:
    done = run("subscribers", "import", people, "--list", "news", "--language", "ja")
    assert (done.status, done.out) == (0, "2 added, 0 known before, 2 bad.\n")
    first, second = done.err.splitlines()
    assert first.startswith(f"{people}:3: Address 'wrong@' cannot be used: ")
    assert second.startswith(f"{people}:6: Name ")
    assert {row["language"] for row in run("subscribers", "list", "--json").json()} == {"ja"}


def test_an_import_that_cannot_begin_changes_nothing(run: Command, people: Path, tmp_path: Path) -> None:
    begin = ("subscribers", "import")
    missing = run(*begin, "nothing.csv", "--list", "news").sentence(1)
    assert missing == "nothing.csv: No such file or directory. Give a CSV file that can be read."
    same = run(*begin, people, "--list", "news", "--errors", tmp_path / "." / "people.csv").sentence(2)
    assert same.startswith("The file for bad rows would overwrite the file to import")
    nowhere = tmp_path / "nowhere" / "bad.csv"
    told = run(*begin, people, "--list", "news", "--errors", nowhere).sentence(1)
    assert told == f"{nowhere}: No such file or directory."
    assert people.read_text(encoding="utf-8") == PEOPLE
    (tmp_path / "headless.csv").write_text("aiko@example.org\n", encoding="utf-8")
    assert run(*begin, "headless.csv", "--list", "news").sentence(1).startswith("headless.csv:1: the first line names")
    assert run("subscribers", "list", "--json").json() == []


def test_the_installed_program_shows_no_bar_where_nobody_looks(people: Path) -> None:
    """Through a real process on each pair: stderr is no terminal, so it stays empty."""
    done = program("subscribers", "import", people, "--list", "news", "--errors", "bad.csv")
    assert done.words() == "2 added, 0 known before, 2 bad (see bad.csv)."
