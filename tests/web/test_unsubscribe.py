"""Leaving by the link of a message."""

from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from jlgc_mailer.audience.subscriptions import Evidence, unsubscribe
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.people import ConsentRecord, MailingList, Subscriber, Subscription
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.sending.claim import claim_next
from jlgc_mailer.sending.ledger import take_due
from jlgc_mailer.sending.letters import unsubscribe_url
from jlgc_mailer.states import ConsentAction, SkipReason, SubscriptionStatus
from jlgc_mailer.web.app import BODY_LIMIT, create_app
from tests import factories
from tests.web.conftest import Scene, count, everything, soup, unreachable

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def status(scene: Scene, subscriber_id: int) -> SubscriptionStatus:
    with scene.mailer.database.reading() as session:
        mine = select(Subscription.status).where(Subscription.subscriber_id == subscriber_id)
        return session.scalars(mine).one()


def last_consent(scene: Scene) -> ConsentRecord:
    with scene.mailer.database.reading() as session:
        return session.scalars(select(ConsentRecord).order_by(ConsentRecord.id.desc()).limit(1)).one()


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_at_the_link_changes_nothing(scene: Scene, client: FlaskClient, method: str) -> None:
    """M11, L12: scanners fetch every link."""
    before = everything(scene.mailer)
    response = getattr(client, method)(scene.link(scene.english_id))
    assert response.status_code == 200
    assert everything(scene.mailer) == before


def test_the_page_shows_who_and_what_and_one_button(scene: Scene, client: FlaskClient) -> None:
    """M11: the page's button POSTs to the same address; the address is shown in part only."""
    page = soup(client.get(scene.link(scene.english_id)))
    assert [button.text for button in page.find_all("button")] == ["Unsubscribe"]
    assert page.form["method"] == "post"
    assert "action" not in page.form.attrs
    assert "a•••@example.com is subscribed to" in page.main.text
    assert "JLGC News" in page.main.text
    assert "aiko" not in page.text


@pytest.mark.parametrize("content_type", ["multipart/form-data", "application/x-www-form-urlencoded"])
def test_a_mail_program_unsubscribes_with_one_request(scene: Scene, client: FlaskClient, content_type: str) -> None:
    """M10, M11: both encodings; no cookie, login, CSRF token or Origin; 200, and no cookie set."""
    response = client.post(scene.link(scene.english_id), data=ONE_CLICK, content_type=content_type)
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert status(scene, scene.english_id) is SubscriptionStatus.UNSUBSCRIBED
    assert status(scene, scene.japanese_id) is SubscriptionStatus.CONFIRMED


def test_the_link_in_the_message_is_the_one_that_works(scene: Scene, client: FlaskClient) -> None:
    """M10: the URI alone identifies recipient and list."""
    url = unsubscribe_url(scene.mailer.identity, scene.japanese_id, scene.send_id)
    assert client.post(url.removeprefix(scene.mailer.settings.public_url), data=ONE_CLICK).status_code == 200
    assert status(scene, scene.japanese_id) is SubscriptionStatus.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", None),
        (b"", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"List-Unsubscribe=One-Click", "text/plain"),
        (b"\xff\xfe=%ff", "application/x-www-form-urlencoded"),
    ],
)
def test_whatever_the_body_is_the_request_unsubscribes(
    scene: Scene, client: FlaskClient, body: bytes, content_type: str | None
) -> None:
    """M11, L4."""
    response = client.post(scene.link(scene.english_id), data=body, content_type=content_type)
    assert response.status_code == 200
    assert status(scene, scene.english_id) is SubscriptionStatus.UNSUBSCRIBED


def test_a_second_request_gives_the_same_page_and_changes_nothing(scene: Scene, client: FlaskClient) -> None:
    """M11: idempotent."""
    first = client.post(scene.link(scene.english_id), data=ONE_CLICK)
    after_first = everything(scene.mailer)
    second = client.post(scene.link(scene.english_id), data=ONE_CLICK)
    assert (second.status_code, second.data) == (200, first.data)
    assert everything(scene.mailer) == after_first


def test_the_consent_record_tells_one_click_from_the_page(scene: Scene, client: FlaskClient) -> None:
    """L4: withdrawing is recorded with its way and the words of the page."""
    client.post(scene.link(scene.english_id), data=ONE_CLICK)
    record = last_consent(scene)
    assert (record.action, record.how) == (ConsentAction.WITHDRAWN, "one-click")
    assert record.wording == "List-Unsubscribe=One-Click"
    client.post(scene.link(scene.japanese_id))
    record = last_consent(scene)
    assert (record.subscriber_id, record.how) == (scene.japanese_id, "unsubscribe page")
    assert record.wording == "ニュースレターの配信を停止しますか [配信を停止する]"


def test_who_left_gets_nothing_of_the_send_that_is_under_way(scene: Scene, client: FlaskClient) -> None:
    """L4: effective before the next message is built."""
    client.post(scene.link(scene.english_id), data=ONE_CLICK)
    mailer = scene.mailer
    with mailer.database.transaction() as session:
        claim = claim_next(session, mailer.clock(), timedelta(minutes=1))
        assert claim
        due = take_due(
            session, claim, [each.id for each in session.get_one(Send, claim.send_id).lists], 0, 10, mailer.clock()
        )
        assert [recipient.subscriber_id for recipient in due.recipients] == [scene.japanese_id]
        mine = select(Delivery.reason).where(Delivery.subscriber_id == scene.english_id)
        assert session.scalar(mine) == SkipReason.UNSUBSCRIBED


def test_all_lists_of_the_send_are_left_and_no_other(scene: Scene, client: FlaskClient) -> None:
    """L4: the page names exactly the lists that are left."""
    mailer = scene.mailer
    with mailer.database.transaction() as session:
        lists = [factories.mailing_list(session, name) for name in ("events", "jobs", "other")]
        for each in lists:
            each.title_en = each.name.title()
        for each in (lists[0], lists[2]):
            factories.subscriber(session, each, "aiko@example.com")
        news = session.get_one(MailingList, scene.list_id)
        revision = factories.issue(session, mailer)
        send = factories.send(session, mailer, revision, [news, lists[0], lists[1]])
    link = f"/u/{mailer.keyring.sign(Purpose.UNSUBSCRIBE, scene.english_id, send.id)}"
    expected = ["JLGC News", "Events"]
    assert [item.text for item in soup(client.get(link)).select(".titles li")] == expected
    assert [item.text for item in soup(client.post(link)).select(".titles li")] == expected
    with mailer.database.reading() as session:
        still = select(Subscription.list_id).where(
            Subscription.subscriber_id == scene.english_id, Subscription.status == SubscriptionStatus.CONFIRMED
        )
        assert list(session.scalars(still)) == [lists[2].id]


def test_the_page_of_someone_who_left_says_so_and_has_no_button(scene: Scene, client: FlaskClient) -> None:
    """M11: also in the other language, where the switch of the finished page leads."""
    client.post(scene.link(scene.english_id))
    page = soup(client.get(f"{scene.link(scene.english_id)}?lang=ja"))
    assert page.h1.text == "配信を停止しました"
    assert not page.find_all("button")


def test_an_old_link_works_again_after_coming_back(scene: Scene, client: FlaskClient) -> None:
    """M11: tokens do not expire."""
    client.post(scene.link(scene.english_id))
    with scene.mailer.database.transaction() as session:
        tie = session.scalars(select(Subscription).where(Subscription.subscriber_id == scene.english_id)).one()
        tie.status = SubscriptionStatus.CONFIRMED
    assert soup(client.get(scene.link(scene.english_id))).find("button")
    client.post(scene.link(scene.english_id))
    assert status(scene, scene.english_id) is SubscriptionStatus.UNSUBSCRIBED


def test_the_reader_is_answered_in_their_language(scene: Scene, client: FlaskClient) -> None:
    """L8: the subscriber's language, unless the address asks for another."""
    link = scene.link(scene.japanese_id)
    assert soup(client.get(link, headers={"Accept-Language": "en"})).html["lang"] == "ja"
    assert soup(client.get(f"{link}?lang=en")).html["lang"] == "en"
    finished = client.post(f"{link}?lang=en")
    assert soup(finished).h1.text == "You have been unsubscribed"


def test_a_forged_link_tells_nothing(scene: Scene, client: FlaskClient) -> None:
    """M10: hard to forge; every broken token gets the same page, and changes nothing."""
    good = scene.link(scene.english_id)
    foreign = Keyring((b"another key of thirty-two octets!",)).sign(
        Purpose.UNSUBSCRIBE, scene.english_id, scene.send_id
    )
    keyring = scene.mailer.keyring
    broken = [
        good[:-1] + ("a" if good[-1] != "a" else "b"),
        good[:-4],
        "/u/x",
        "/u/鍵",
        f"/u/{foreign}",
        f"/u/{keyring.sign(Purpose.PREVIEW, scene.english_id, scene.send_id)}",
        f"/u/{keyring.sign(Purpose.UNSUBSCRIBE, scene.english_id)}",
    ]
    before = everything(scene.mailer)
    answers = {
        (r.status_code, r.data) for link in broken for r in (client.get(link), client.post(link, data=ONE_CLICK))
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert everything(scene.mailer) == before


def test_the_link_of_a_test_message_says_so(scene: Scene, client: FlaskClient) -> None:
    """M11: a test message carries a link too, and nothing comes of it."""
    link = f"/u/{scene.mailer.keyring.sign(Purpose.UNSUBSCRIBE, 0, 0)}"
    before = everything(scene.mailer)
    for response in (client.get(link), client.post(link, data=ONE_CLICK)):
        assert response.status_code == 200
        assert soup(response).h1.text == "This was a test message"
    assert everything(scene.mailer) == before


def test_an_erased_subscriber_gets_the_page_of_success(scene: Scene, client: FlaskClient) -> None:
    """M11: the answer is the same whether or not we still know the address."""
    success = client.post(scene.link(scene.english_id), data=ONE_CLICK)
    with scene.mailer.database.transaction() as session:
        session.execute(delete(Subscriber).where(Subscriber.id == scene.english_id))
    records = count(scene.mailer, ConsentRecord)
    erased = client.post(scene.link(scene.english_id), data=ONE_CLICK)
    assert (erased.status_code, erased.data) == (200, success.data)
    assert client.get(scene.link(scene.english_id)).data == success.data
    assert count(scene.mailer, ConsentRecord) == records


def test_a_link_of_a_send_that_a_restored_backup_lost_still_works(scene: Scene, client: FlaskClient) -> None:
    """L4: what we lost must not hold the reader back."""
    link = f"/u/{scene.mailer.keyring.sign(Purpose.UNSUBSCRIBE, scene.english_id, scene.send_id + 1000)}"
    assert client.post(link, data=ONE_CLICK).status_code == 200
    assert status(scene, scene.english_id) is SubscriptionStatus.UNSUBSCRIBED


def test_an_unreachable_database_asks_to_come_again(scene: Scene, tmp_path: Path) -> None:
    """M11: 503, so that mail programs repeat the request; success is not pretended."""
    response = (
        create_app(unreachable(scene.mailer, tmp_path)).test_client().post(scene.link(scene.english_id), data=ONE_CLICK)
    )
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_a_huge_body_is_refused_unread(scene: Scene, client: FlaskClient) -> None:
    """M11: the endpoint is open to everybody, so what it reads is limited."""
    response = client.post(scene.link(scene.english_id), data={"x": "x" * (BODY_LIMIT + 1)})
    assert response.status_code == 413
    assert status(scene, scene.english_id) is SubscriptionStatus.CONFIRMED


def test_no_address_of_the_link_redirects(scene: Scene, client: FlaskClient) -> None:
    """M11: never 3xx, not even for a sloppy address."""
    link = scene.link(scene.english_id)
    answers = [client.post(address, data=ONE_CLICK).status_code for address in (f"/{link}", f"{link}/", link.upper())]
    assert all(code < 300 or code >= 400 for code in answers)


def test_someone_who_left_before_is_not_recorded_twice(scene: Scene, client: FlaskClient, mailer: Mailer) -> None:
    """L4."""
    with mailer.database.transaction() as session:
        unsubscribe(session, scene.english_id, [scene.list_id], Evidence("test", "words"), mailer.clock())
    records = count(mailer, ConsentRecord)
    assert client.post(scene.link(scene.english_id), data=ONE_CLICK).status_code == 200
    assert count(mailer, ConsentRecord) == records
