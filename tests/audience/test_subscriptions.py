"""Joining and leaving: each once, each with its proof."""

import random
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.audience.subscriptions import (
    Evidence,
    confirm,
    find_subscriber,
    history,
    person,
    subscriptions,
    unsubscribe,
)
from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.people import ConsentRecord, Subscriber, Subscription
from jlgc_mailer.errors import InvalidInput, NotFound
from jlgc_mailer.states import ConsentAction, Language, SubscriptionStatus, SuppressionReason
from tests import factories
from tests.conftest import Clock

FORM = Evidence("paper form", "I would like to receive JLGC News")
LINK = Evidence("one-click", "unsubscribe link")
AIKO = person("Aiko@example.org", "Aiko Tanaka", "ja")


def facts(session: Session) -> list[tuple[object, ...]]:
    """Everything about people that is stored."""
    return [
        tuple(row)
        for table in (Subscriber, Subscription, ConsentRecord)
        for row in session.execute(select(*table.__table__.columns).order_by(table.__table__.c.id))
    ]


def test_joining_stores_the_person_the_tie_and_the_proof(mailer: Mailer) -> None:
    """L3: who, when, how, which wording, in which language."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        assert confirm(session, [AIKO], news.id, FORM, mailer.clock()) == 1
    with mailer.database.reading() as session:
        someone, tie, mailing_list = next(subscriptions(session))
        proof = session.scalars(select(ConsentRecord)).one()
    assert (someone.address, someone.name, someone.language) == ("Aiko@example.org", "Aiko Tanaka", Language.JAPANESE)
    assert (tie.status, tie.changed_at, mailing_list.name) == (SubscriptionStatus.CONFIRMED, mailer.clock(), "news")
    assert (proof.subscriber_id, proof.list_id) == (someone.id, news.id)
    assert (proof.action, proof.at, proof.how) == (ConsentAction.GIVEN, mailer.clock(), "paper form")
    assert (proof.wording, proof.language) == (FORM.wording, Language.JAPANESE)


def test_joining_again_in_any_spelling_changes_nothing(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        confirm(session, [AIKO], news.id, FORM, clock())
        before = facts(session)
    clock.forward(days=1)
    again = person("ＡＩＫＯ@Example.ORG", "Another name", "en")
    with mailer.database.transaction() as session:
        assert confirm(session, [again, AIKO, again], news.id, FORM, clock()) == 0
        assert facts(session) == before


def test_the_first_of_two_spellings_in_one_go_is_kept(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        other = person("aiko@EXAMPLE.org", "Another name", "en")
        assert confirm(session, [AIKO, other], news.id, FORM, mailer.clock()) == 1
        assert find_subscriber(session, "aiko@example.org").name == "Aiko Tanaka"


def test_a_person_known_from_one_list_joins_another_as_the_same_person(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news, jobs = factories.mailing_list(session), factories.mailing_list(session, "jobs")
        assert confirm(session, [AIKO], news.id, FORM, mailer.clock()) == 1
        assert confirm(session, [AIKO], jobs.id, FORM, mailer.clock()) == 1
        assert [(tie[0].id, tie[2].name) for tie in subscriptions(session)] == [(1, "jobs"), (1, "news")]


def test_the_same_people_confirmed_at_the_same_moment_are_confirmed_once(mailer: Mailer) -> None:
    """L3: one proof for each, whoever comes first and whatever the order of their files; nobody fails."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session).id
        known = [person(f"r{number}@example.org", "", "en") for number in range(0, 300, 2)]
        confirm(session, known, factories.mailing_list(session, "jobs").id, FORM, mailer.clock())
    people = [person(f"r{number}@example.org", "", "en") for number in range(300)]
    together = threading.Barrier(4)

    def import_(turn: int) -> int:
        shuffled = random.Random(turn).sample(people, len(people))
        together.wait(10)
        with mailer.database.transaction() as session:
            return confirm(session, shuffled, news, FORM, mailer.clock())

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(import_, range(4)))
    assert sorted(added) == [0, 0, 0, 300]
    with mailer.database.reading() as session:
        proofs = session.scalars(select(ConsentRecord.subscriber_id).where(ConsentRecord.list_id == news)).all()
        assert len(proofs) == len(set(proofs)) == len(list(subscriptions(session, "news"))) == 300


def test_whoever_confirms_somebody_beside_us_finds_them_confirmed(mailer: Mailer) -> None:
    """The other has looked before our commit, and comes to write after it."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session).id
        confirm(session, [AIKO], factories.mailing_list(session, "jobs").id, FORM, mailer.clock())
    added: list[int] = []

    def import_() -> None:
        with mailer.database.transaction() as session:
            added.append(confirm(session, [AIKO], news, FORM, mailer.clock()))

    other = threading.Thread(target=import_)
    with mailer.database.transaction() as session:
        assert confirm(session, [AIKO], news, FORM, mailer.clock()) == 1
        other.start()
        time.sleep(0.3)
    other.join(10)
    assert added == [0]
    with mailer.database.reading() as session:
        assert len(session.scalars(select(ConsentRecord).where(ConsentRecord.list_id == news)).all()) == 1


def test_a_zone_is_kept_as_it_was_given_first(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news, jobs = factories.mailing_list(session), factories.mailing_list(session, "jobs")
        confirm(session, [person("ken@example.org", "", "en", " Asia/Tokyo ")], news.id, FORM, mailer.clock())
        confirm(session, [person("ken@example.org", "", "en", "Europe/Paris"), AIKO], jobs.id, FORM, mailer.clock())
        assert history(session, find_subscriber(session, "ken@example.org"))["zone"] == "Asia/Tokyo"
        assert history(session, find_subscriber(session, "aiko@example.org"))["zone"] is None


def test_confirming_nobody_does_nothing(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        assert confirm(session, [], news.id, FORM, mailer.clock()) == 0
        assert facts(session) == []


def test_leaving_ends_the_tie_at_once_and_adds_a_proof(mailer: Mailer, clock: Clock) -> None:
    """L3, L4: the record of the consent that was given stays as it was."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        confirm(session, [AIKO], news.id, FORM, clock())
        given_ = facts(session)[-1]
    clock.forward(days=30)
    with mailer.database.transaction() as session:
        someone = find_subscriber(session, "aiko@example.org")
        assert unsubscribe(session, someone.id, [news.id], LINK, clock()) == [news.id]
    with mailer.database.reading() as session:
        tie = session.scalars(select(Subscription)).one()
        first, second = session.scalars(select(ConsentRecord).order_by(ConsentRecord.id))
        assert facts(session)[-2] == given_
    assert (tie.status, tie.changed_at) == (SubscriptionStatus.UNSUBSCRIBED, clock())
    assert (first.action, second.action) == (ConsentAction.GIVEN, ConsentAction.WITHDRAWN)
    assert (second.at, second.how, second.wording) == (clock(), "one-click", "unsubscribe link")


def test_leaving_again_changes_nothing(mailer: Mailer, clock: Clock) -> None:
    """M11: the one-click link is idempotent."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        someone = factories.subscriber(session, news)
        unsubscribe(session, someone.id, [news.id], LINK, clock())
        before = facts(session)
        clock.forward(days=1)
        assert unsubscribe(session, someone.id, [news.id, news.id], LINK, clock()) == []
        assert facts(session) == before


def test_a_stranger_leaves_nothing(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news)
        before = facts(session)
        assert unsubscribe(session, 999, [news.id], LINK, mailer.clock()) == []
        assert facts(session) == before


def test_leaving_one_list_keeps_the_others(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        lists = [factories.mailing_list(session, name) for name in ("news", "jobs", "events")]
        for each in lists:
            confirm(session, [AIKO], each.id, FORM, mailer.clock())
        someone = find_subscriber(session, "aiko@example.org")
        left = unsubscribe(session, someone.id, [lists[0].id, lists[2].id], LINK, mailer.clock())
        statuses = {name.name: tie.status.value for _, tie, name in subscriptions(session)}
    assert left == [lists[0].id, lists[2].id]
    assert statuses == {"news": "unsubscribed", "jobs": "confirmed", "events": "unsubscribed"}


def test_nobody_brings_back_who_left(mailer: Mailer) -> None:
    """Promise 2: neither an import nor a colleague's form."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        confirm(session, [AIKO], news.id, FORM, mailer.clock())
        unsubscribe(session, find_subscriber(session, "aiko@example.org").id, [news.id], LINK, mailer.clock())
        before = facts(session)
        assert confirm(session, [AIKO], news.id, Evidence("import", "people.csv"), mailer.clock()) == 0
        assert facts(session) == before


def test_a_failing_transaction_stores_no_half_person(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
    with pytest.raises(ZeroDivisionError), mailer.database.transaction() as session:
        confirm(session, [AIKO], news.id, FORM, mailer.clock())
        raise ZeroDivisionError
    with mailer.database.reading() as session:
        assert facts(session) == []


def test_a_thousand_people_at_once_are_all_confirmed(mailer: Mailer) -> None:
    people = [person(f"reader{number}@example.org", "", "en") for number in range(1000)]
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        assert confirm(session, people, news.id, FORM, mailer.clock()) == 1000
    with mailer.database.reading() as session:
        assert len(list(subscriptions(session, "news"))) == 1000
        assert len(session.scalars(select(ConsentRecord)).all()) == 1000


def test_a_person_is_found_by_any_spelling_or_told_missing(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        factories.subscriber(session, factories.mailing_list(session), "aiko@example.org")
        assert find_subscriber(session, "AIKO@example.org").address == "aiko@example.org"
        with pytest.raises(NotFound, match="There is no subscriber 'ken@example.org'"):
            find_subscriber(session, "ken@example.org")
        with pytest.raises(InvalidInput):
            find_subscriber(session, "ken")


def test_the_ties_of_a_list_that_is_not_there_are_an_error(mailer: Mailer) -> None:
    with pytest.raises(NotFound), mailer.database.reading() as session:
        next(subscriptions(session, "nothing"))


def test_the_history_of_a_person_holds_all_that_is_known(mailer: Mailer) -> None:
    """L6"""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        someone = factories.subscriber(session, news, "aiko@example.org")
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        unsubscribe(session, someone.id, [news.id], LINK, mailer.clock())
        suppress(session, someone.address_key, SuppressionReason.MANUAL, "asked by telephone", mailer.clock())
    with mailer.database.reading() as session:
        known = history(session, find_subscriber(session, "aiko@example.org"))
    assert (known["address"], known["name"]) == ("aiko@example.org", "Aiko Tanaka")
    assert known["suppressed"] == "manual (asked by telephone)"
    assert [(tie["list"], tie["status"]) for tie in known["subscriptions"]] == [("news", "unsubscribed")]
    assert [record["action"] for record in known["consent_records"]] == ["given", "withdrawn"]
    assert [(each["send"], each["status"], each["attempts"]) for each in known["deliveries"]] == [(1, "pending", 0)]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: person("aiko", "", "en"), "Address 'aiko'"),
        (lambda: person("a@example.org", "x" * 201, "en"), "Name"),
        (lambda: person("a@example.org", "a\0b", "en"), "Name"),
        (lambda: person("a@example.org", "", "en", "Tokyo"), "Zone 'Tokyo' cannot be used: it is no time zone."),
        (lambda: person("a@example.org", "", "fr"), "Language 'fr' cannot be used: choose en or ja."),
    ],
)
def test_a_person_who_cannot_be_written_to_is_refused(make: Callable[[], object], what: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert str(caught.value).startswith(what)


@given(st.text(), st.text(), st.sampled_from(["en", " JA ", "fr", ""]))
def test_any_name_and_language_give_a_person_or_a_reason(name: str, extra: str, language: str) -> None:
    """S11: a name that is kept fits on one line of a header."""
    try:
        someone = person("aiko@example.org", name + extra, language)
    except InvalidInput as error:
        assert len(str(error).splitlines()) == 1
        return
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(each) for each in someone.name}
    assert someone.language.value == language.strip().lower()


@pytest.mark.parametrize("name", ["علی\u200cرضا", "क्\u200dष", "👩\u200d👩\u200d👧", "𠮷野", "Siobhán O'Brien"])
def test_names_of_any_script_are_taken_with_their_joiners(name: str) -> None:
    assert person("a@example.org", name, "en").name == name
