"""`lists`"""

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("installed")


def test_lists_are_created_listed_and_shown(run: Command) -> None:
    assert run("lists", "list").words() == "There are no lists. See: jlgc-mailer lists create -h"
    assert run("lists", "list", "--json").json() == []
    assert run("lists", "create", "news", "--title", "JLGC [News]").words() == "Created the mailing list news."
    run("lists", "create", "jobs", "--title", "Jobs", "--title-ja", "求人")
    assert run("lists", "list", "--json").json() == [
        {"name": "jobs", "title": "Jobs", "title_ja": "求人", "confirmed": 0, "pending": 0, "unsubscribed": 0},
        {"name": "news", "title": "JLGC [News]", "title_ja": "JLGC [News]"}
        | dict.fromkeys(("confirmed", "pending", "unsubscribed"), 0),
    ]
    assert run("lists", "list").words().splitlines() == [
        "name title title_ja confirmed pending unsubscribed",
        "jobs Jobs 求人 0 0 0",
        "news JLGC [News] JLGC [News] 0 0 0",
    ]
    shown = run("lists", "show", "news", "--json").json()
    assert shown["list_id"] == "news.localhost.localdomain"
    assert "list_id news.localhost.localdomain" in run("lists", "show", "news").words()


def test_a_list_that_cannot_be_made_or_found_is_told(run: Command) -> None:
    run("lists", "create", "news", "--title", "News")
    taken = run("lists", "create", "news", "--title", "News").sentence(1)
    assert taken == "There is already a mailing list 'news'. Choose another name."
    assert run("lists", "create", "News!", "--title", "News").sentence(2).startswith("List name 'News!' cannot be used")
    assert run("lists", "create", "x", "--title", "a\nb").sentence(2).startswith("List title 'a\\nb' cannot be used")
    assert run("lists", "show", "jobs").sentence(1) == "There is no mailing list 'jobs'. See: jlgc-mailer lists list"
    assert len(run("lists", "list", "--json").json()) == 1
