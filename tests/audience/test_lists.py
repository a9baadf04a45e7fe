"""Mailing lists: their names, and how many people stand where."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.audience.lists import create_list, find_list, summaries
from jlgc_mailer.audience.subscriptions import Evidence, unsubscribe
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.errors import AlreadyExists, InvalidInput, NotFound
from jlgc_mailer.mail.message import address_header
from jlgc_mailer.states import Language
from tests import factories


def test_a_created_list_is_found_by_its_name(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        create_list(session, "news", "JLGC News", "クレアニュース", mailer.clock())
    with mailer.database.reading() as session:
        found = find_list(session, "news")
    assert (found.title(Language.ENGLISH), found.title(Language.JAPANESE)) == ("JLGC News", "クレアニュース")
    assert found.created_at == mailer.clock()


def test_a_name_is_taken_only_once(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        factories.mailing_list(session)
    with (
        pytest.raises(AlreadyExists, match="There is already a mailing list 'news'"),
        mailer.database.transaction() as session,
    ):
        factories.mailing_list(session)
    with mailer.database.reading() as session:
        assert len(summaries(session)) == 1


def test_a_list_that_is_not_there_is_told_with_what_to_do(mailer: Mailer) -> None:
    with pytest.raises(NotFound) as caught, mailer.database.reading() as session:
        find_list(session, "nothing")
    assert str(caught.value) == "There is no mailing list 'nothing'. See: jlgc-mailer lists list"


@given(name=st.text(max_size=70) | st.from_regex(r"[a-z0-9-]{0,70}"))
@example("a" * 63)
@example("a" * 64)
@example("-a")
@example("news\n")
def test_every_name_that_is_accepted_is_a_label_of_the_list_id(mailer: Mailer, name: str) -> None:
    """M9: the List-Id is a domain name, so a list's name is at most 63 letters, digits and inner hyphens."""
    with mailer.database.transaction() as session:
        try:
            created = create_list(session, name, "News", "ニュース", mailer.clock())
        except InvalidInput as error:
            assert len(str(error).splitlines()) == 1
            return
        assert created.name.encode("idna").decode() == name
        assert b"<%s.example.org>" % name.encode() in address_header("List-Id", "News", f"{name}.example.org")
        session.rollback()


def test_a_title_that_no_header_can_hold_is_refused(mailer: Mailer) -> None:
    """S11"""
    for title in ("", "  ", "two\nlines", "a\0b", "x" * 201, "\ud800"):
        for titles in ((title, "ニュース"), ("News", title)):
            with pytest.raises(InvalidInput, match="List title"), mailer.database.transaction() as session:
                create_list(session, "news", *titles, mailer.clock())


def test_the_numbers_of_a_list_count_each_status(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        quiet, news = factories.mailing_list(session, "quiet"), factories.mailing_list(session, "news")
        people = [factories.subscriber(session, news) for _ in range(3)]
        unsubscribe(session, people[0].id, [news.id], Evidence("test", "I left in a test"), mailer.clock())
    with mailer.database.reading() as session:
        numbers = [
            (each.mailing_list.name, each.confirmed, each.pending, each.unsubscribed) for each in summaries(session)
        ]
    assert numbers == [("news", 2, 0, 1), ("quiet", 0, 0, 0)]
    assert quiet.id != news.id
