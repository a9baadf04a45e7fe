"""`suppressions`"""

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("installed")


def test_an_address_is_suppressed_once_and_listed(run: Command) -> None:
    assert run("suppressions", "list").words() == "Nobody is suppressed."
    add = ("suppressions", "add", "Aiko@Example.org", "--why")
    assert run(*add, "asked by telephone").words() == "Suppressed aiko@example.org."
    assert run(*add, "asked again").words() == "aiko@example.org was suppressed before."
    (row,) = run("suppressions", "list", "--json").json()
    assert (row["address"], row["reason"], row["source"]) == ("aiko@example.org", "manual", "asked by telephone")
    assert row["since"].endswith("+00:00")
    assert "aiko@example.org manual asked by telephone" in run("suppressions", "list").words()


def test_a_reason_of_any_length_is_kept_as_far_as_there_is_room(run: Command) -> None:
    assert run("suppressions", "add", "aiko@example.org", "--why", "x" * 1000).status == 0
    (row,) = run("suppressions", "list", "--json").json()
    assert row["source"] == "x" * 255


def test_an_address_that_is_none_is_misuse(run: Command) -> None:
    assert run("suppressions", "add", "aiko", "--why", "asked").sentence(2).startswith("Address 'aiko' cannot be used")
    assert run("suppressions", "list", "--json").json() == []


def test_a_released_address_is_listed_no_more_and_can_be_barred_again(run: Command) -> None:
    run("suppressions", "add", "aiko@example.org", "--why", "bounced")
    release = ("suppressions", "release", "Aiko@Example.org", "--reason", "has a new mailbox")
    assert run(*release).words() == "Released aiko@example.org."
    assert run("suppressions", "list", "--json").json() == []
    assert run(*release).sentence(1) == (
        "There is no suppression of 'aiko@example.org'. See: jlgc-mailer suppressions list"
    )
    assert run("suppressions", "add", "aiko@example.org", "--why", "again").words() == "Suppressed aiko@example.org."


@pytest.mark.parametrize("blank", ["", "   ", "\t"])
def test_a_reason_that_says_nothing_is_refused(run: Command, blank: str) -> None:
    add = ("suppressions", "add", "aiko@example.org", "--why")
    assert "it is blank. Say why" in run(*add, blank).sentence(2)
    assert run("suppressions", "list", "--json").json() == []
    run(*add, "bounced")
    assert "it is blank. Say why" in run("suppressions", "release", "aiko@example.org", "--reason", blank).sentence(2)
    assert len(run("suppressions", "list", "--json").json()) == 1
