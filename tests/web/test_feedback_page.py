"""The page of what came back."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import Alert, FeedbackEvent, RawReport
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback import health
from jlgc_mailer.feedback.matching import BY_A_PERSON, FORGED, NOT_OURS, NOT_THE_READER, ONLY_ADDRESS
from jlgc_mailer.feedback.reading import UNCLEAR
from jlgc_mailer.states import FeedbackClass, FeedbackKind, Language, ReportForm, ReportStatus
from jlgc_mailer.web.app import create_app
from jlgc_mailer.web.pages import wording_in
from jlgc_mailer.web.returns import CLASS_NAMES, CLASS_NOTES, REASON_NAMES
from tests.web.conftest import PASSWORD, Scene, everything, make_scene, soup
from tests.web.test_console import basic

PAGE = "/console/feedback"


@pytest.fixture
def local(make_mailer: Callable[..., Mailer]) -> Mailer:
    return make_mailer(public_url="http://127.0.0.1:8025")


@pytest.fixture
def watched(local: Mailer) -> Scene:
    return make_scene(local)


@pytest.fixture
def desk(local: Mailer) -> FlaskClient:
    return create_app(local).test_client()


def came(scene: Scene, kind: FeedbackClass, days: float = 0, **values: object) -> None:
    """Something was said about a reader, so many days ago."""
    with scene.mailer.database.transaction() as session:
        event = {
            "received_at": scene.mailer.clock() - timedelta(days=days), "source": "lmtp", "feedback_class": kind,
            "kind": FeedbackKind.REPORT, "delivery_id": session.scalar(select(Delivery.id).limit(1)),
            "address_key": "aiko@example.com", "diagnosis": "no such user aiko@example.com",
        }  # fmt: skip
        session.add(FeedbackEvent(**{**event, **values}))


def waits(scene: Scene, why: str) -> None:
    """A report waits for a person."""
    with scene.mailer.database.transaction() as session:
        session.add(
            RawReport(
                received_at=scene.mailer.clock(), source="mailbox office", form=ReportForm.MESSAGE, digest=why[:64],
                envelope_to="b+x@bounce.example.org", body=b"aiko@example.com", status=ReportStatus.REVIEW, why=why,
            )
        )  # fmt: skip


def test_it_says_how_the_ways_in_are_doing(watched: Scene, desk: FlaskClient) -> None:
    with watched.mailer.database.transaction() as session:
        now = watched.mailer.clock()
        health.seen(session, "lmtp", now, stored=3)
        health.seen(session, "mailbox office", now, backlog=7, problem="login refused for aiko@example.com")
    page = soup(desk.get(PAGE))
    ways = page.select(".way")
    assert page.select_one("h1 + .holds").text == "Ways in with a problem: mailbox office. See what it is"
    assert [way.h3.text.split() for way in ways] == [["lmtp", "Works"], ["mailbox", "office", "Problem"]]
    assert [cell.text for cell in ways[0].select("dd")] == ["1 June 2026, 09:00 (UTC)"] * 2 + ["3"]
    assert [cell.text for cell in ways[1].select("dd")] == ["1 June 2026, 09:00 (UTC)", "not yet", "0", "7"]
    assert ways[1].select_one(".holds").text == "login refused for ...@..."


@pytest.mark.parametrize(
    ("language", "used", "status", "term"),
    [("en", True, "Works", "Last refused something"), ("ja", False, "未使用", "最後に拒否した日時")],
)
def test_it_says_what_a_webhook_refused_last(
    watched: Scene, desk: FlaskClient, language: str, used: bool, status: str, term: str
) -> None:
    """F10: it is no problem, as strangers can bring it about; but after a change of keys nothing else tells."""
    with watched.mailer.database.transaction() as session:
        now = watched.mailer.clock()
        if used:
            health.seen(session, "webhook ses", now, stored=1)
        health.refused(session, "webhook ses", now, "its signature does not fit")
    page = soup(desk.get(f"{PAGE}?lang={language}"))
    (way,) = page.select(".way")
    assert (page.select_one("h1 + .holds"), way.select_one(".status").text) == (None, status)
    assert way.select("dt")[-1].text == term
    assert way.select("dd")[-1].select_one('[lang="en"]').text == "its signature does not fit"


def test_it_lists_what_waits_for_a_person_and_names_the_commands(watched: Scene, desk: FlaskClient) -> None:
    waits(watched, f"{NOT_OURS}; it cannot be read: ValueError: <aiko@example.com>")
    waits(watched, UNCLEAR)
    page = soup(desk.get(PAGE))
    rows = [[" ".join(cell.text.split()) for cell in row.select("th, td")] for row in page.select(".review tbody tr")]
    assert rows == [
        ["Report 1", "1 June 2026, 09:00 (UTC) mailbox office",
         "Nothing in it names a message of ours. it cannot be read: ValueError: <...@...>"],
        ["Report 2", "1 June 2026, 09:00 (UTC) mailbox office", "What it says is not clear."],
    ]  # fmt: skip
    assert [code.text for code in page.select("code")] == [
        "jlgc-mailer feedback show 1",
        "jlgc-mailer feedback resolve 1 --as …",
    ]
    assert "Reports that wait: 2." in page.text


def test_of_a_long_queue_it_shows_the_oldest_and_the_number(watched: Scene, desk: FlaskClient) -> None:
    for number in range(53):
        waits(watched, f"reason {number}")
    page = soup(desk.get(PAGE))
    assert len(page.select(".review tbody tr")) == 50
    assert "Reports that wait: 53." in page.text


def test_it_counts_what_was_said_in_the_last_30_days(watched: Scene, desk: FlaskClient) -> None:
    """F6."""
    for kind, days in [(FeedbackClass.HARD, 0), (FeedbackClass.HARD, 29), (FeedbackClass.HARD, 31)]:
        came(watched, kind, days)
    came(watched, FeedbackClass.COMPLAINT)
    rows = soup(desk.get(PAGE)).select(".counts tbody tr")
    assert [row.td.text for row in rows] == ["2", "0", "0", "1", "0", "0", "0", "0"]
    assert rows[0].th.text.startswith("There is no such mailbox")


def test_it_tells_what_receivers_hold_against_us(watched: Scene, desk: FlaskClient) -> None:
    """F6."""
    assert not soup(desk.get(PAGE)).select(".blocks")
    came(watched, FeedbackClass.BLOCK, rule="listed")
    with watched.mailer.database.transaction() as session:
        said = "550 <aiko@example.com>: listed"
        session.add(Alert(send_id=watched.send_id, rule="listed", at=watched.mailer.clock(), diagnosis=said))
    (row,) = soup(desk.get(PAGE)).select(".blocks tbody tr")
    assert [" ".join(cell.text.split()) for cell in row.select("th, td")] == [
        "Send 1",
        "550 <...@...>: listed Recipients: 1, by the rule listed",
    ]
    assert row.a["href"] == "/sends/1"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_it_names_no_reader_and_is_built_like_every_page(watched: Scene, desk: FlaskClient, language: str) -> None:
    """L8."""
    for kind in FeedbackClass:
        came(watched, kind)
    waits(watched, "it cannot be read: aiko@example.com")
    with watched.mailer.database.transaction() as session:
        health.seen(session, "lmtp", watched.mailer.clock(), problem="no room")
    response = desk.get(f"{PAGE}?lang={language}")
    assert "aiko" not in response.text
    page = soup(response)
    assert page.html["lang"] == language
    assert len(page.find_all("h1")) == 1
    levels = [int(heading.name[1]) for heading in page.select("h1, h2, h3")]
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    assert all(table.caption and table.find("th", scope="col") for table in page.find_all("table"))
    ids = [each["id"] for each in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {each["aria-labelledby"] for each in page.select("[aria-labelledby]")} <= set(ids)


def test_before_anything_came_back_it_says_so(local: Mailer, desk: FlaskClient) -> None:
    text = desk.get(PAGE).text
    assert "Nothing waits for a person." in text
    assert "Nothing has come in yet." in text


def test_it_is_found_from_the_sends_and_leads_back(watched: Scene, desk: FlaskClient) -> None:
    assert soup(desk.get("/sends")).find("a", string="What came back")["href"] == PAGE
    assert soup(desk.get(PAGE)).select_one(".back a")["href"] == "/sends"


def test_looking_changes_nothing(watched: Scene, desk: FlaskClient) -> None:
    """L12."""
    waits(watched, UNCLEAR)
    before = everything(watched.mailer)
    assert desk.get(PAGE).status_code == desk.head(PAGE).status_code == 200
    assert desk.post(PAGE).status_code == 405
    assert everything(watched.mailer) == before


def test_the_public_needs_the_password(make_mailer: Callable[..., Mailer]) -> None:
    public = create_app(make_mailer(console_password=PASSWORD)).test_client()
    assert public.get(PAGE).status_code == 401
    assert public.get(PAGE, headers=basic("wrong")).status_code == 401
    assert public.get(PAGE, headers=basic(PASSWORD)).status_code == 200


@pytest.mark.parametrize("language", Language)
def test_every_class_and_reason_has_its_words(language: Language) -> None:
    """L8: in both languages."""
    assert set(CLASS_NAMES) == set(CLASS_NOTES) == set(FeedbackClass)
    assert set(REASON_NAMES) == {NOT_OURS, FORGED, BY_A_PERSON, ONLY_ADDRESS, NOT_THE_READER, UNCLEAR}
    t = wording_in(language)
    for text in (*CLASS_NAMES.values(), *CLASS_NOTES.values(), *REASON_NAMES.values()):
        assert t(text)
