"""Issues and pictures on the web."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.issues import Media
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.sending.schedule import cancel
from jlgc_mailer.states import DeliveryStatus, SendStatus
from jlgc_mailer.web.app import create_app
from tests import factories
from tests.web.conftest import Scene, everything, make_scene, soup

DIGEST = "ab" * 32


@pytest.fixture
def unsent(mailer: Mailer) -> Scene:
    return make_scene(mailer, planned=False)


def preview_address(scene: Scene, language: str) -> str:
    return f"/preview/{scene.mailer.keyring.sign(Purpose.PREVIEW, scene.revision_id)}/{language}"


@pytest.mark.parametrize(("language", "greeting"), [("en", "Dear reader,"), ("ja", "読者の皆様")])
def test_a_sent_issue_is_shown_without_anybodys_values(
    scene: Scene, client: FlaskClient, language: str, greeting: str
) -> None:
    """L8: as subscribers got it, in its own language; no merge mark is left, and no name."""
    response = client.get(f"/issues/summer-2024/{language}")
    assert response.status_code == 200
    page = soup(response)
    assert page.html["lang"] == language
    assert greeting in page.text
    assert "zqslot" not in response.text
    assert "example.com" not in page.text


def test_the_web_copy_does_not_pretend_to_unsubscribe_a_visitor(scene: Scene, client: FlaskClient) -> None:
    """L4: its link tells how leaving works."""
    page = soup(client.get("/issues/summer-2024/en"))
    link = next(each for each in page.find_all("a") if each.text.strip() == "Unsubscribe")
    told = soup(client.get(link["href"]))
    assert told.h1.text == "How to unsubscribe"
    assert not told.find("form")


def test_the_web_copy_leads_to_its_other_edition(scene: Scene, client: FlaskClient) -> None:
    """L8: the language is named in itself."""
    link = soup(client.get("/issues/summer-2024/en")).body.header.find("a", lang="ja")
    assert link.text == "日本語"
    assert soup(client.get(link["href"])).html["lang"] == "ja"


def test_mail_on_the_web_may_run_nothing(scene: Scene, client: FlaskClient) -> None:
    response = client.get("/issues/summer-2024/en")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "img-src 'self' https://news.example.org;" in policy


@pytest.mark.parametrize(
    "address", ["/issues/summer-2024/en", "/issues/nothing/en", "/issues/summer-2024/fr", "/issues/../en"]
)
def test_what_was_not_sent_is_not_found(unsent: Scene, client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404
    assert "summer" not in soup(client.get("/issues")).main.text.lower()


@pytest.mark.parametrize("state", [SendStatus.SENDING, SendStatus.PAUSED, SendStatus.FINISHED])
def test_an_issue_is_public_from_the_moment_its_send_begins(
    scene: Scene, client: FlaskClient, state: SendStatus
) -> None:
    with scene.mailer.database.transaction() as session:
        session.execute(update(Send).values(status=state))
    assert client.get("/issues/summer-2024/ja").status_code == 200


def test_a_send_cancelled_before_anybody_got_it_publishes_nothing(scene: Scene, client: FlaskClient) -> None:
    with scene.mailer.database.transaction() as session:
        cancel(session, scene.send_id, scene.mailer.clock())
    assert client.get("/issues/summer-2024/en").status_code == 404


def test_a_send_cancelled_half_way_stays_readable_for_those_who_got_it(scene: Scene, client: FlaskClient) -> None:
    with scene.mailer.database.transaction() as session:
        first = select(Delivery.id).where(Delivery.subscriber_id == scene.english_id).scalar_subquery()
        session.execute(update(Delivery).where(Delivery.id == first).values(status=DeliveryStatus.ACCEPTED))
        cancel(session, scene.send_id, scene.mailer.clock())
    assert client.get("/issues/summer-2024/en").status_code == 200


def test_the_issue_shown_is_the_one_that_was_sent(
    scene: Scene, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later edit, not sent yet, changes nothing on the public page (promise 3)."""
    before = client.get("/issues/summer-2024/en").data
    monkeypatch.setattr(factories, "ENGLISH", factories.ENGLISH.replace("Welcome to", "Farewell from"))
    with scene.mailer.database.transaction() as session:
        assert factories.issue(session, scene.mailer).id != scene.revision_id
    assert client.get("/issues/summer-2024/en").data == before


def test_the_latest_send_of_an_issue_is_shown(
    scene: Scene, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factories, "ENGLISH", factories.ENGLISH.replace("Welcome to", "Corrected:"))
    with scene.mailer.database.transaction() as session:
        revision = factories.issue(session, scene.mailer)
        factories.send(session, scene.mailer, revision, [session.get_one(MailingList, scene.list_id)])
    assert "Corrected:" in client.get("/issues/summer-2024/en").text
    assert len(soup(client.get("/issues")).select(".issues > li")) == 1


def test_the_list_shows_both_editions_each_in_its_language(scene: Scene, client: FlaskClient) -> None:
    """L8."""
    editions = soup(client.get("/issues?lang=ja")).select(".edition")
    assert [edition["lang"] for edition in editions] == ["ja", "en"]
    assert editions[0].h2.text.strip() == "夏のニュース"
    for edition in editions:
        assert client.get(edition.a["href"]).status_code == 200


def test_an_empty_archive_says_so(mailer: Mailer, client: FlaskClient) -> None:
    assert "No issue has been sent yet." in client.get("/issues").text


def test_staff_can_preview_what_is_not_sent(unsent: Scene, client: FlaskClient) -> None:
    response = client.get(preview_address(unsent, "ja"))
    assert response.status_code == 200
    assert "プレビュー" in response.text
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert "private" in response.headers["Cache-Control"]
    link = soup(response).body.header.find("a", lang="en")
    assert link["href"] == preview_address(unsent, "en")


def test_a_preview_compiles_nothing_and_shows_what_was_compiled(
    unsent: Scene, make_mailer: Callable[..., Mailer]
) -> None:
    """L12: under new particulars nothing is compiled yet, and looking does not change that."""
    renamed = make_mailer(organisation_en="Another name")
    before = everything(renamed)
    assert create_app(renamed).test_client().get(preview_address(unsent, "en")).status_code == 200
    assert everything(renamed) == before


@pytest.mark.parametrize("token", ["x", "2abkmtyo4y7idwbc75xq", ""])
def test_a_preview_needs_its_token(unsent: Scene, client: FlaskClient, token: str) -> None:
    assert client.get(f"/preview/{token}/en").status_code == 404
    unsubscribe = unsent.mailer.keyring.sign(Purpose.UNSUBSCRIBE, unsent.revision_id)
    assert client.get(f"/preview/{unsubscribe}/en").status_code == 404


def test_a_picture_is_kept_for_ever_by_whoever_has_it(mailer: Mailer, client: FlaskClient) -> None:
    with mailer.database.transaction() as session:
        session.add(
            Media(digest=DIGEST, content_type="image/png", width=1, height=1, data=b"png", created_at=mailer.clock())
        )
    response = client.get(f"/media/{DIGEST}/a picture.png")
    assert (response.status_code, response.data, response.content_type) == (200, b"png", "image/png")
    assert {"public", "immutable", "max-age=31536000"} == set(re.split(", *", response.headers["Cache-Control"]))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = client.get(f"/media/{DIGEST}/a picture.png", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_a_picture_that_is_not_there_is_not_found(mailer: Mailer, client: FlaskClient) -> None:
    assert client.get(f"/media/{DIGEST}/x.png").status_code == 404
