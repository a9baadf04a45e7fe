"""Pages of sends."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent, Trip
from jlgc_mailer.db.sending import Attempt, Batch, Delivery, Send
from jlgc_mailer.sending.schedule import pause, resume
from jlgc_mailer.states import (
    BreakerRule,
    DeliveryStatus,
    FeedbackClass,
    FeedbackKind,
    Language,
    Priority,
    ReplyClass,
    SendStatus,
    SkipReason,
    Stage,
)
from jlgc_mailer.web.app import create_app
from jlgc_mailer.web.pages import wording_in
from jlgc_mailer.web.reports import FEEDBACK_NAMES, OUTCOME_NAMES, OUTCOME_NOTES, STATUS_NAMES
from tests import factories
from tests.web.conftest import PASSWORD, Scene, everything, make_scene, soup

PAGES = ("/sends", "/sends/1", "/sends/1/progress.json", "/sends/1/issue/en")
OUTCOMES = [
    *[(DeliveryStatus.ACCEPTED, None)] * 5,
    *[(DeliveryStatus.REFUSED, ReplyClass.UNKNOWN_USER)] * 2,
    (DeliveryStatus.REFUSED, ReplyClass.MAILBOX_FULL),
    (DeliveryStatus.SKIPPED, SkipReason.UNSUBSCRIBED),
    (DeliveryStatus.SKIPPED, SkipReason.SUPPRESSED),
    (DeliveryStatus.UNCERTAIN, None),
]


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.fixture
def local(make_mailer: Callable[..., Mailer]) -> Mailer:
    return make_mailer(public_url="http://127.0.0.1:8025")


@pytest.fixture
def watched(local: Mailer) -> Scene:
    return make_scene(local)


@pytest.fixture
def desk(local: Mailer) -> FlaskClient:
    return create_app(local).test_client()


def settle(scene: Scene, outcomes: Iterable[tuple[DeliveryStatus, str | None]]) -> None:
    """Give the send one recipient for each outcome, and that outcome."""
    outcomes = list(outcomes)
    with scene.mailer.database.transaction() as session:
        first = session.scalars(select(Delivery).order_by(Delivery.id)).first()
        assert first
        for _ in outcomes[2:]:
            session.add(
                Delivery(
                    send_id=scene.send_id,
                    subscriber_id=None,
                    list_id=scene.list_id,
                    compiled_id=first.compiled_id,
                    address="someone@example.com",
                    status=DeliveryStatus.PENDING,
                    attempts=0,
                )
            )
        session.flush()
        ids = session.scalars(select(Delivery.id).order_by(Delivery.id)).all()
        for delivery_id, (status, reason) in zip(ids, outcomes, strict=True):
            session.execute(update(Delivery).where(Delivery.id == delivery_id).values(status=status, reason=reason))


def set_send(scene: Scene, **values: object) -> None:
    with scene.mailer.database.transaction() as session:
        session.execute(update(Send).where(Send.id == scene.send_id).values(**values))


def test_the_table_of_a_finished_send_adds_up_to_its_recipients(watched: Scene, desk: FlaskClient) -> None:
    settle(watched, OUTCOMES)
    set_send(watched, status=SendStatus.FINISHED, finished_at=watched.mailer.clock())
    page = soup(desk.get("/sends/1"))
    main = [int(row.td.text) for row in page.select("table.account tbody tr:not(.reason)")]
    total = int(page.select_one("table.account tfoot td").text)
    assert sum(main) == total == len(OUTCOMES)
    for body in page.select("table.account tbody"):
        reasons = [int(row.td.text) for row in body.select("tr.reason")]
        assert not reasons or sum(reasons) == int(body.tr.td.text)
    told = page.select_one("table.account").text
    for words in ("unknown user", "mailbox full", "unsubscribed", "suppressed"):
        assert words in told


def test_the_page_of_a_running_send_shows_how_far_it_is(watched: Scene, desk: FlaskClient) -> None:
    """L8: the bar has a label and the same in words."""
    settle(watched, [(DeliveryStatus.ACCEPTED, None), (DeliveryStatus.DEFERRED, ReplyClass.GREYLISTED)])
    page = soup(desk.get("/sends/1"))
    assert page.progress["value"] == "50"
    assert page.find("label", attrs={"for": page.progress["id"]}).text == "1 of 2 settled (50%)"
    assert page.find("meta", attrs={"http-equiv": "refresh"}).parent.name == "noscript"
    assert not [script for script in page.find_all("script") if not script.get("src")]


def test_the_numbers_for_the_script_are_those_of_the_page(watched: Scene, desk: FlaskClient) -> None:
    settle(watched, [(DeliveryStatus.REFUSED, ReplyClass.UNKNOWN_USER), (DeliveryStatus.PENDING, None)])
    with watched.mailer.database.transaction() as session:
        first = session.scalar(select(Delivery.id).order_by(Delivery.id).limit(1))
        session.execute(
            insert(Attempt).values(
                delivery_id=first, number=1, at=watched.mailer.clock(), outcome=DeliveryStatus.ACCEPTED,
                stage=Stage.CONTENT, text="", transport="smtp",
            )
        )  # fmt: skip
    page, told = soup(desk.get("/sends/1?lang=ja")), desk.get("/sends/1/progress.json?lang=ja").get_json()
    assert (told["status"], told["total"], told["settled"], told["percent"], told["recent"]) == ("sending", 2, 1, 50, 1)
    assert told["shown"]["refused: unknown user"] == "1"
    for place in page.select("[data-shows]"):
        assert told["shown"][place["data-shows"]] == place.text.strip()
    assert page.select_one("#progress")["data-source"] == "/sends/1/progress.json?lang=ja"


@pytest.mark.parametrize("language", Language)
def test_a_finished_send_says_how_many_are_uncertain_and_what_to_do(
    watched: Scene, desk: FlaskClient, language: Language
) -> None:
    settle(watched, OUTCOMES)
    set_send(watched, status=SendStatus.FINISHED, finished_at=watched.mailer.clock())
    page = soup(desk.get(f"/sends/1?lang={language.value}"))
    told = page.select_one("section[aria-labelledby=what-to-do]")
    assert [code.text for code in told.find_all("code")] == [
        "jlgc-mailer sends show 1",
        "jlgc-mailer sends settle 1 --accepted",
        "jlgc-mailer sends settle 1 --resend",
    ]
    headline = {
        Language.ENGLISH: "Every recipient is accounted for; it is uncertain whether 1 of them got it.",
        Language.JAPANESE: "このうち 1 件は、届いたかどうかを確認できていません。",
    }
    assert headline[language] in page.select_one(".headline").text


def test_a_cancelled_send_offers_no_settling_but_says_where_to_look(watched: Scene, desk: FlaskClient) -> None:
    settle(watched, OUTCOMES)
    set_send(watched, status=SendStatus.CANCELLED, finished_at=watched.mailer.clock())
    told = soup(desk.get("/sends/1")).select_one("section[aria-labelledby=what-to-do]")
    assert [code.text for code in told.find_all("code")] == ["jlgc-mailer sends show 1"]


def test_without_the_uncertain_there_is_nothing_to_do(watched: Scene, desk: FlaskClient) -> None:
    settle(watched, [(DeliveryStatus.ACCEPTED, None)] * 2)
    set_send(watched, status=SendStatus.FINISHED, finished_at=watched.mailer.clock())
    page = soup(desk.get("/sends/1"))
    assert "Every recipient is accounted for." in page.select_one(".headline").text
    assert page.select_one("section[aria-labelledby=what-to-do]") is None


def test_an_urgent_send_by_local_time_says_so_and_when_the_next_zone_gets_it(watched: Scene, desk: FlaskClient) -> None:
    """L8: and in the numbers for the script."""
    next_zone = watched.mailer.clock() + timedelta(hours=5)
    set_send(watched, local_at=watched.mailer.clock(), priority=Priority.URGENT)
    with watched.mailer.database.transaction() as session:
        session.execute(update(Batch).values(due_at=next_zone))
    page = soup(desk.get("/sends/1"))
    facts = {row.dt.text: row.dd.text for row in page.select("dl div")}
    assert facts["Priority"] == "Urgent: it does not wait behind other sends."
    assert facts["Local time"] == "Each reader gets it at the same time on the clocks of their own zone."
    assert facts["Next zone"] == "1 June 2026, 15:00 (Europe/London)"
    assert page.select_one(".headline").text.startswith("By local time. The next zone gets it on 1 June 2026, 15:00")
    told = desk.get("/sends/1/progress.json").get_json()["shown"]
    assert told["next wave"] == facts["Next zone"]
    assert [each.text for each in soup(desk.get("/sends")).select("td .detail")][:2] == ["by local time", "urgent"]
    with watched.mailer.database.transaction() as session:
        session.execute(update(Batch).values(due_at=watched.mailer.clock()))
    assert "all zones have begun" in desk.get("/sends/1").text


def test_a_usual_send_says_nothing_of_local_time_and_priority(watched: Scene, desk: FlaskClient) -> None:
    page = soup(desk.get("/sends/1"))
    assert not {"Priority", "Local time", "Next zone"} & {term.text for term in page.find_all("dt")}
    assert not [each for each in soup(desk.get("/sends")).select("td .detail") if "settled" not in each.text]


def test_a_finished_send_asks_no_more(watched: Scene, desk: FlaskClient) -> None:
    set_send(watched, status=SendStatus.FINISHED, finished_at=watched.mailer.clock())
    page = soup(desk.get("/sends/1"))
    assert not page.find("script")
    assert not page.find("meta", attrs={"http-equiv": "refresh"})


def test_a_hold_is_told_with_its_reason_and_without_addresses(watched: Scene, desk: FlaskClient) -> None:
    reason = "relay 127.0.0.1:25, rcpt: 421 not now <aiko@example.com>"
    with watched.mailer.database.transaction() as session:
        session.execute(update(Batch).values(hold=reason))
    page = soup(desk.get("/sends/1"))
    assert "Held for the moment." in page.select_one(".headline").text
    assert "relay 127.0.0.1:25, rcpt: 421 not now" in page.select_one(".holds").text
    assert "aiko" not in page.text


def test_a_paused_send_says_what_is_left(watched: Scene, desk: FlaskClient) -> None:
    with watched.mailer.database.transaction() as session:
        pause(session, watched.send_id)
    assert "Paused. 2 recipients are still to come." in soup(desk.get("/sends/1")).select_one(".headline").text


def test_a_send_that_paused_itself_says_why_in_both_languages(watched: Scene, desk: FlaskClient) -> None:
    """F9: until staff resume it; a pause by hand after that is no fault of the send."""
    with watched.mailer.database.transaction() as session:
        pause(session, watched.send_id)
        at = watched.mailer.clock()
        session.add(Trip(send_id=watched.send_id, rule=BreakerRule.HARD, at=at, bad=15, total=246))
    headline = [soup(desk.get(f"/sends/1{query}")).select_one(".headline").text for query in ("", "?lang=ja")]
    assert headline == [
        "Paused by itself: 6.1 % of 246 recipients do not exist.",
        "自動的に一時停止しました。宛先246件のうち6.1 %が存在しません。",
    ]
    with watched.mailer.database.transaction() as session:
        resume(session, watched.send_id)
        pause(session, watched.send_id)
    assert "Paused. 2 recipients" in soup(desk.get("/sends/1")).select_one(".headline").text


def test_what_came_back_is_counted_by_what_it_says(watched: Scene, desk: FlaskClient) -> None:
    """F6: each recipient once, however many reports tell of it."""
    kinds = [FeedbackClass.HARD, FeedbackClass.HARD, FeedbackClass.BLOCK, FeedbackClass.AUTO_REPLY]
    with watched.mailer.database.transaction() as session:
        delivery_id = session.scalar(select(Delivery.id).limit(1))
        session.add_all(
            FeedbackEvent(
                received_at=watched.mailer.clock(), source="test", kind=FeedbackKind.REPORT, delivery_id=delivery_id,
                feedback_class=kind, address_key="aiko@example.com", diagnosis="",
            )
            for kind in kinds
        )  # fmt: skip
    rows = soup(desk.get("/sends/1")).select(".bounces tbody tr")
    assert [[cell.text for cell in row.select("th, td")] for row in rows] == [
        ["There is no such mailbox", "1"],
        ["Blocked because of us", "1"],
    ]


def test_no_page_of_sends_names_a_reader(watched: Scene, desk: FlaskClient) -> None:
    for address in PAGES:
        text = desk.get(address).text
        assert "aiko" not in text
        assert "yoko" not in text


def test_complaints_are_counted_beside_the_table(watched: Scene, desk: FlaskClient) -> None:
    with watched.mailer.database.transaction() as session:
        delivery_id = session.scalar(select(Delivery.id).limit(1))
        session.add(
            FeedbackEvent(
                received_at=watched.mailer.clock(), source="test", kind=FeedbackKind.REPORT, delivery_id=delivery_id,
                feedback_class=FeedbackClass.COMPLAINT, address_key="aiko@example.com", diagnosis="",
            )
        )  # fmt: skip
    assert soup(desk.get("/sends/1")).select_one(".complaints b").text == "1"


def test_times_are_those_of_the_sends_zone_with_its_name(watched: Scene, desk: FlaskClient) -> None:
    set_send(watched, zone="Asia/Tokyo")
    assert "1 June 2026, 18:00 (Asia/Tokyo)" in desk.get("/sends").text
    assert "2026年6月1日 18:00 (Asia/Tokyo)" in desk.get("/sends/1?lang=ja").text


def test_a_scheduled_send_says_when_it_begins(local: Mailer, desk: FlaskClient) -> None:
    make_scene(local, planned=False)
    page = soup(desk.get("/sends/1"))
    assert page.select_one(".headline").text == "Sending begins on 1 June 2026, 10:00 (Europe/London)."
    assert not page.find("table")
    assert not page.find("progress")


def test_a_send_links_to_exactly_what_it_sends(watched: Scene, desk: FlaskClient) -> None:
    links = [link["href"] for link in soup(desk.get("/sends/1")).select("dd a")]
    assert links == ["/sends/1/issue/en", "/sends/1/issue/ja"]
    assert "夏号をお届けします。" in desk.get(links[1]).text


def test_many_sends_are_shown_a_page_at_a_time(watched: Scene, desk: FlaskClient) -> None:
    with watched.mailer.database.transaction() as session:
        news = session.get_one(Send, watched.send_id).lists
        revision = factories.issue(session, watched.mailer)
        for _ in range(30):
            factories.send(session, watched.mailer, revision, news, planned=False)
    page = soup(desk.get("/sends"))
    older = soup(desk.get(page.select_one(".pages a")["href"]))
    numbers = [row.a["href"] for each in (page, older) for row in each.select("tbody tr")]
    assert numbers == [f"/sends/{number}" for number in range(31, 0, -1)]


def test_before_the_first_send_the_page_says_so(local: Mailer, desk: FlaskClient) -> None:
    assert "Nothing has been scheduled yet." in desk.get("/sends").text


def test_a_send_that_does_not_exist_is_not_found(local: Mailer, desk: FlaskClient) -> None:
    assert [desk.get(address).status_code for address in PAGES[1:]] == [404] * 3


def test_looking_changes_nothing(watched: Scene, desk: FlaskClient) -> None:
    """L12."""
    before = everything(watched.mailer)
    for address in PAGES:
        assert desk.get(address).status_code == desk.head(address).status_code == 200
        assert desk.post(address).status_code == 405
    assert everything(watched.mailer) == before


def test_the_public_needs_the_password(make_mailer: Callable[..., Mailer]) -> None:
    mailer = make_mailer(console_password=PASSWORD)
    make_scene(mailer)
    public = create_app(mailer).test_client()
    for address in PAGES:
        assert public.get(address).status_code == 401
        assert public.get(address, headers=basic("wrong")).status_code == 401
        assert public.get(address, headers={"Authorization": "Bearer x"}).status_code == 401
        assert public.get(address, headers=basic(PASSWORD)).status_code == 200
    assert public.get("/sends").headers["WWW-Authenticate"].startswith("Basic realm=")
    assert "/sends" not in public.get("/").text
    assert "/sends" in public.get("/", headers=basic(PASSWORD, "")).text


def test_without_a_password_the_operator_is_told_what_to_set(client: FlaskClient) -> None:
    response = client.get("/sends", headers=basic(""))
    assert response.status_code == 403
    assert "set JLGC_MAILER_CONSOLE_PASSWORD" in response.text


def test_a_local_installation_is_open_only_under_a_local_name(watched: Scene, desk: FlaskClient) -> None:
    """A foreign site that makes its name point to this machine sees nothing."""
    assert desk.get("/sends", base_url="http://localhost:8025").status_code == 200
    assert desk.get("/sends", base_url="http://[::1]:8025").status_code == 200
    assert desk.get("/sends", base_url="http://evil.example").status_code == 403


@pytest.mark.parametrize("language", Language)
def test_every_status_and_reason_has_its_words(language: Language) -> None:
    """L8: in both languages."""
    t = wording_in(language)
    texts = [
        *STATUS_NAMES.values(),
        *OUTCOME_NAMES.values(),
        *OUTCOME_NOTES.values(),
        *FEEDBACK_NAMES.values(),
        *SkipReason,
        *ReplyClass,
    ]
    assert set(STATUS_NAMES) == set(SendStatus)
    assert set(OUTCOME_NAMES) == set(OUTCOME_NOTES) == set(DeliveryStatus)
    for text in texts:
        if text != ReplyClass.ACCEPTED:
            assert t(str(text))
