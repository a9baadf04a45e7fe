"""Providers post to /hooks/NAME: stored to the octet before it is acknowledged, or refused (promise 6, F10)."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport, WayIn
from jlgc_mailer.errors import InvalidFile, Unreachable
from jlgc_mailer.feedback.webhooks import read_webhook
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.settings.webhooks import read_webhooks
from jlgc_mailer.states import ReportForm, ReportStatus, Verdict
from jlgc_mailer.web.app import BODY_LIMIT, create_app
from jlgc_mailer.web.hooks import POST_LIMIT
from jlgc_mailer.web.server import serving
from jlgc_mailer.worker.tasks import read
from tests.feedback.past import past
from tests.feedback.webhooks.providers import (
    SECRET,
    SUBSCRIBE_URL,
    TOPIC,
    Amazon,
    SendGrid,
    basic,
    body_of,
    generic_headers,
    mailgun,
    mailgun_failure,
    sendgrid_event,
    ses_bounce,
)
from tests.web.conftest import count, everything, unreachable


@pytest.fixture(scope="module")
def keys() -> tuple[Amazon, SendGrid]:
    """Made once, as that takes time."""
    return Amazon(), SendGrid()


@pytest.fixture
def amazon(keys: tuple[Amazon, SendGrid]) -> Amazon:
    keys[0].fetched.clear()
    keys[0].answers = True
    return keys[0]


@pytest.fixture
def sendgrid(keys: tuple[Amazon, SendGrid]) -> SendGrid:
    return keys[1]


@pytest.fixture
def webhooks(tmp_path: Path, amazon: Amazon, sendgrid: SendGrid) -> Callable[[Mailer], Mailer]:
    """Gives a mailer a webhook of each kind, named after it, and Amazon of this test to ask."""
    (tmp_path / "feedback.toml").write_text(
        f"""
        [webhooks.ses]
        kind = "ses"
        topics = ["{TOPIC}"]
        [webhooks.sendgrid]
        kind = "sendgrid"
        public_key = "{sendgrid.public_key}"
        [webhooks.mailgun]
        kind = "mailgun"
        secret = "{SECRET}"
        [webhooks.postmark]
        kind = "postmark"
        user = "postmark"
        secret = "{SECRET}"
        [webhooks.brevo]
        kind = "brevo"
        secret = "{SECRET}"
        [webhooks.generic]
        kind = "generic"
        secret_file = "secret.txt"
        """,
        encoding="utf-8",
    )
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")

    def give(mailer: Mailer) -> Mailer:
        vars(mailer)["webhooks"] = read_webhooks(mailer.settings, amazon.fetch)
        return mailer

    return give


@pytest.fixture
def mailer(make_mailer: Callable[..., Mailer], webhooks: Callable[[Mailer], Mailer]) -> Mailer:
    return webhooks(make_mailer())


@pytest.fixture
def client(mailer: Mailer) -> FlaskClient:
    return create_app(mailer).test_client()


@pytest.fixture
def posts(amazon: Amazon, sendgrid: SendGrid) -> Mapping[str, tuple[bytes, Mapping[str, str]]]:
    """A genuine post for each kind of webhook."""
    event, brevo = body_of([sendgrid_event()]), body_of({"event": "spam", "email": "reader@example.com"})
    postmark = body_of({"RecordType": "SpamComplaint", "ID": 1, "Email": "reader@example.com"})
    generic = body_of([{"class": "complaint", "recipient": "reader@example.com", "event_id": "7"}])
    return {
        "ses": (amazon.envelope(ses_bounce()), {}),
        "sendgrid": (event, sendgrid.headers(event)),
        "mailgun": (mailgun(mailgun_failure()), {}),
        "postmark": (postmark, basic("postmark", SECRET)),
        "brevo": (brevo, {"Authorization": f"Bearer {SECRET}"}),
        "generic": (generic, generic_headers(generic)),
    }


def refused_with(kind: str) -> int:
    """Postmark would give up on 403, and a wrong password can be mended."""
    return 401 if kind in {"postmark", "brevo"} else 403


def signals(form: ReportForm, body: bytes) -> tuple[Signal, ...]:
    return tuple(read_webhook(form, body, default_rules()))


Posts = Mapping[str, tuple[bytes, Mapping[str, str]]]
KINDS = [form.value for form in ReportForm if form is not ReportForm.MESSAGE]


def post(client: FlaskClient, name: str, body: bytes, headers: Mapping[str, str] | None = None) -> TestResponse:
    return client.post(f"/hooks/{name}", data=body, headers=dict(headers or {}))


def reports(mailer: Mailer) -> list[RawReport]:
    with mailer.database.reading() as session:
        return list(session.scalars(select(RawReport).order_by(RawReport.id)))


def body_of_report(mailer: Mailer, report: RawReport) -> bytes:
    with mailer.database.reading() as session:
        return session.scalars(select(RawReport.body).where(RawReport.id == report.id)).one()


def way_in(mailer: Mailer, name: str) -> WayIn:
    with mailer.database.reading() as session:
        return session.get_one(WayIn, f"webhook {name}")


# --- what is genuine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_genuine_post_is_stored_to_the_octet_and_acknowledged(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str
) -> None:
    """Promise 6, F10: raw body kept; no cookie, no login, no token of a form."""
    body, headers = posts[kind]
    response = post(client, kind, body, headers)
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert "Set-Cookie" not in response.headers
    (report,) = reports(mailer)
    assert body_of_report(mailer, report) == body
    assert (report.source, report.form, report.status) == (f"webhook {kind}", kind, ReportStatus.WAITING)
    assert [signal.recipient for signal in signals(report.form, body)] == ["reader@example.com"]
    health = way_in(mailer, kind)
    assert (health.stored, health.problem, health.tried_at) == (1, None, mailer.clock())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_post_again_is_acknowledged_and_changes_nothing(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str
) -> None:
    """F10: idempotent; a replay has no effect, and a provider that missed our answer gets it again."""
    body, headers = posts[kind]
    assert [post(client, kind, body, headers).status_code for _ in range(3)] == [200, 200, 200]
    assert count(mailer, RawReport) == 1
    assert way_in(mailer, kind).stored == 1


def test_a_post_is_known_by_its_table_and_not_by_its_kind(
    make_mailer: Callable[..., Mailer], tmp_path: Path, posts: Posts
) -> None:
    (tmp_path / "feedback.toml").write_text(
        f'[webhooks.office]\nkind = "brevo"\nsecret = "{SECRET}"\n', encoding="utf-8"
    )
    mailer = make_mailer()
    client = create_app(mailer).test_client()
    body, headers = posts["brevo"]
    assert post(client, "office", body, headers).status_code == 200
    assert post(client, "brevo", body, headers).status_code == 404
    assert [(report.source, report.form) for report in reports(mailer)] == [("webhook office", ReportForm.BREVO)]


def test_what_says_nothing_is_stored_too(mailer: Mailer, client: FlaskClient, sendgrid: SendGrid) -> None:
    """F10: unknown events are tolerated."""
    body = body_of([sendgrid_event(event="of_next_year")])
    assert post(client, "sendgrid", body, sendgrid.headers(body)).status_code == 200
    assert count(mailer, RawReport) == 1


def test_a_batch_that_is_larger_than_any_page_takes_is_stored(
    mailer: Mailer, client: FlaskClient, sendgrid: SendGrid
) -> None:
    body = body_of([sendgrid_event(sg_event_id=str(number)) for number in range(1000)])
    assert len(body) > BODY_LIMIT
    assert post(client, "sendgrid", body, sendgrid.headers(body)).status_code == 200
    assert len(signals(ReportForm.SENDGRID, body_of_report(mailer, reports(mailer)[0]))) == 1000


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_genuine_is_refused_and_not_stored(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """F10: an altered body, or without its signature; the log tells why, and nobody the addresses or the secret."""
    body, headers = posts[kind]
    altered = {"ses": body.replace(b"reader@", b"other@"), "mailgun": body.replace(b"e0b5477167110d68", b"other")}
    answers = [post(client, kind, body, {"X-Signature": "t=1,v1=00"})] if kind not in altered else []
    if kind not in {"postmark", "brevo"}:
        answers.append(post(client, kind, altered.get(kind, body + b" "), headers))
    answers.append(post(client, kind, altered.get(kind, body), {"Authorization": "Basic eDp5"}))
    assert {(answer.status_code, answer.data) for answer in answers} == {(refused_with(kind), b"refused\n")}
    assert count(mailer, RawReport) == 0
    assert f"webhook {kind}: A post was refused: " in caplog.text
    assert not any(told in caplog.text for told in ("example.com", SECRET))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_raises_no_alarm_and_does_not_fill_the_log(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    """F10: anybody can post."""
    body, headers = posts[kind]
    post(client, kind, body, headers)
    for _ in range(5):
        assert post(client, kind, b"{}").status_code == refused_with(kind)
    assert (way_in(mailer, kind).problem, caplog.text.count("A post was refused")) == (None, 1)
    clock.forward(minutes=1)
    post(client, kind, b"{}")
    assert caplog.text.count("A post was refused") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_refusal_is_noted_for_operators_at_most_once_a_minute(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str, clock: Any
) -> None:
    """F10: as after a change of keys, when nothing gets in any more. It is no problem: anybody can bring it about."""
    noted = []
    for _ in range(4):
        assert post(client, kind, b"{}").status_code == refused_with(kind)
        noted.append(way_in(mailer, kind).refused_at)
        clock.forward(seconds=30)
    begun = noted[0]
    assert begun is not None
    assert noted == [begun, begun, begun + timedelta(minutes=1), begun + timedelta(minutes=1)]
    body, headers = posts[kind]
    assert post(client, kind, body, headers).status_code == 200
    health = way_in(mailer, kind)
    assert (health.stored, health.problem, health.tried_at, health.refused_at) == (1, None, clock.now, noted[3])
    assert str(health.refusal).startswith("it")


def test_one_that_was_only_refused_was_not_tried(mailer: Mailer, client: FlaskClient) -> None:
    post(client, "generic", b"{}", {"X-Signature": "t=1,v1=00"})
    health = way_in(mailer, "generic")
    assert (health.tried_at, health.stored_at, health.stored) == (None, None, 0)
    assert health.refusal == "its signature does not fit: the key is another's, or somebody changed the post"


def test_a_wrong_password_is_answered_as_http_wants_it(client: FlaskClient) -> None:
    """RFC 9110 15.5.2: 401 tells how to log in."""
    answer = post(client, "postmark", b"{}", basic("postmark", "wrong"))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("hours", [-60, 60])
@pytest.mark.parametrize("kind", ["ses", "sendgrid", "mailgun", "generic"])
def test_while_our_clock_is_wrong_posts_come_again(
    mailer: Mailer, client: FlaskClient, posts: Posts, kind: str, hours: int, clock: Any
) -> None:
    """Promise 6: Amazon gives up on whatever is answered with 4xx."""
    body, headers = posts[kind]
    clock.forward(hours=hours)
    answer = post(client, kind, body, headers)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert "our clock is wrong" in str(way_in(mailer, kind).refusal)
    assert count(mailer, RawReport) == 0
    clock.forward(hours=-hours)
    assert post(client, kind, body, headers).status_code == 200


def test_what_is_refused_is_refused_without_the_database_too(
    mailer: Mailer, webhooks: Callable[[Mailer], Mailer], tmp_path: Path
) -> None:
    client = create_app(webhooks(unreachable(mailer, tmp_path))).test_client()
    assert post(client, "generic", b"{}").status_code == 403


def test_strangers_cannot_have_us_ask_around_for_certificates(
    mailer: Mailer, client: FlaskClient, amazon: Amazon
) -> None:
    """F10: with a topic of ours, and with regions that there are or are not; nobody is asked, nothing is wrong."""
    amazon.answers = False
    for region in ("zz-nowhere-1", "zz-nowhere-2", "eu-west-1"):
        url = f"https://sns.{region}.amazonaws.com/SimpleNotificationService-0123abcd.pem"
        assert post(client, "ses", amazon.envelope(ses_bounce(), SigningCertURL=url)).status_code == 403
    health = way_in(mailer, "ses")
    assert (amazon.fetched, health.problem) == ([], None)
    assert "region of the topic" in str(health.refusal)


def test_that_amazon_is_silent_is_told_once_a_minute(
    client: FlaskClient, amazon: Amazon, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    """F10: whoever knows a topic of ours can bring it about while Amazon cannot be reached."""
    amazon.answers = False
    for told in (1, 1, 2, 2):
        assert post(client, "ses", amazon.envelope(ses_bounce())).status_code == 503
        assert caplog.text.count("it is silent") == told
        clock.forward(seconds=30)


def test_an_event_without_an_id_is_refused_with_the_reason(mailer: Mailer, client: FlaskClient, posts: Posts) -> None:
    """F9: a year later the same words would be taken for the same event, and be dropped."""
    event = {"class": "hard", "recipient": "reader@example.com"}
    for document in (event, [event | {"event_id": "1"}, event], [event | {"event_id": " "}], [7]):
        body = body_of(document)
        answer = post(client, "generic", body, generic_headers(body))
        assert (answer.status_code, "event_id" in answer.text) == (400, True)
    assert count(mailer, RawReport) == 0
    assert "needs an event_id" in str(way_in(mailer, "generic").problem)
    body, headers = posts["generic"]
    assert post(client, "generic", body, headers).status_code == 200
    assert way_in(mailer, "generic").problem is None


def test_a_recorded_signature_of_mailgun_brings_no_other_body(mailer: Mailer, client: FlaskClient) -> None:
    """F10: it does not cover the body, so its token is for one use, and its timestamp fresh."""
    genuine = mailgun(mailgun_failure())
    forged = json.loads(genuine) | {"event-data": mailgun_failure(event="complained", recipient="victim@example.com")}
    assert post(client, "mailgun", genuine).status_code == 200
    assert post(client, "mailgun", body_of(forged)).status_code == 403
    assert post(client, "mailgun", genuine).status_code == 200
    assert count(mailer, RawReport) == 1
    assert post(client, "mailgun", mailgun(mailgun_failure(), token="another")).status_code == 200


def test_two_webhooks_with_one_key_share_its_tokens(make_mailer: Callable[..., Mailer], tmp_path: Path) -> None:
    """F10: else a recorded signature would bring another body to the other one."""
    tables = [f'[webhooks.{name}]\nkind = "mailgun"\nsecret = "{SECRET}"\n' for name in ("one", "two")]
    (tmp_path / "feedback.toml").write_text("".join(tables), encoding="utf-8")
    mailer = make_mailer()
    client = create_app(mailer).test_client()
    genuine = mailgun(mailgun_failure())
    forged = body_of(json.loads(genuine) | {"event-data": mailgun_failure(event="complained")})
    codes = [post(client, name, body).status_code for name, body in (("one", genuine), ("two", forged))]
    assert codes == [200, 403]
    assert count(mailer, RawReport) == 1


def test_of_two_bodies_with_one_token_at_once_one_is_stored(mailer: Mailer) -> None:
    """F10, also with several web processes."""
    genuine = json.loads(mailgun(mailgun_failure()))
    bodies = [body_of(genuine | {"event-data": mailgun_failure(id=str(number))}) for number in range(4)]
    app = create_app(mailer)
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda body: post(app.test_client(), "mailgun", body).status_code, bodies))
    assert sorted(codes) == [200, 403, 403, 403]
    assert count(mailer, RawReport) == 1


def test_a_token_is_forgotten_only_when_its_timestamp_is_long_stale(
    mailer: Mailer, client: FlaskClient, clock: Any
) -> None:
    """F10: so the table stays small, and no token can come back."""
    old = mailgun(mailgun_failure())
    post(client, "mailgun", old)
    clock.forward(hours=25)
    assert post(client, "mailgun", mailgun(mailgun_failure(), clock.now, "another")).status_code == 200
    assert post(client, "mailgun", old).status_code == 503
    assert len(everything(mailer)["webhook_tokens"]) == 1


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch"])
def test_nothing_is_shown_or_changed_by_other_methods(
    mailer: Mailer, client: FlaskClient, posts: Posts, method: str
) -> None:
    """Promise 9."""
    before = everything(mailer)
    body, headers = posts["generic"]
    assert getattr(client, method)("/hooks/generic", data=body, headers=headers).status_code == 405
    assert everything(mailer) == before


def test_an_unknown_name_is_not_found(mailer: Mailer, client: FlaskClient, posts: Posts) -> None:
    body, headers = posts["generic"]
    assert [post(client, name, body, headers).status_code for name in ("none", "鍵", "generic/", "")] == [404] * 4
    assert count(mailer, RawReport) == 0


def test_too_large_a_post_is_refused_unread(mailer: Mailer, client: FlaskClient) -> None:
    body = b" " * (POST_LIMIT + 1)
    assert post(client, "generic", body, generic_headers(body)).status_code == 413
    assert count(mailer, RawReport) == 0


# --- when something is away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_database_the_provider_is_asked_to_come_again(
    mailer: Mailer, webhooks: Callable[[Mailer], Mailer], tmp_path: Path, posts: Posts, kind: str
) -> None:
    """Promise 6: never acknowledged before it is stored."""
    client = create_app(webhooks(unreachable(mailer, tmp_path))).test_client()
    body, headers = posts[kind]
    response = post(client, kind, body, headers)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_without_the_broker_a_post_is_stored_all_the_same(
    mailer: Mailer, client: FlaskClient, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4: the nudge is a hint."""

    def no_broker(_mailer: Mailer, _task: str) -> None:
        raise Unreachable(service="broker", place="redis", problem="it is away", remedy="Start it.")

    monkeypatch.setattr(Mailer, "nudge", no_broker)
    body, headers = posts["generic"]
    assert post(client, "generic", body, headers).status_code == 200
    assert count(mailer, RawReport) == 1


def test_a_worker_is_told_after_the_commit(
    mailer: Mailer, client: FlaskClient, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 4."""
    seen: list[int] = []
    monkeypatch.setattr(Mailer, "nudge", lambda mailer, _task: seen.append(count(mailer, RawReport)))
    body, headers = posts["generic"]
    post(client, "generic", body, headers)
    post(client, "generic", body)
    assert seen == [1]


def test_a_secret_that_cannot_be_read_loses_nothing(
    mailer: Mailer, client: FlaskClient, posts: Posts, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").unlink()
    body, headers = posts["generic"]
    assert post(client, "generic", body, headers).status_code == 503
    assert "[webhooks.generic] secret_file: " in str(way_in(mailer, "generic").problem)
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
    assert post(client, "generic", body, headers).status_code == 200


def test_a_fault_of_the_file_is_told_when_the_process_starts(
    make_mailer: Callable[..., Mailer], tmp_path: Path
) -> None:
    (tmp_path / "feedback.toml").write_text("[webhooks.ses]\nkind = 'ses'\n", encoding="utf-8")
    with pytest.raises(InvalidFile, match=r"\[webhooks.ses\] topics: is missing"):
        create_app(make_mailer())


# --- the handshake of SNS -------------------------------------------------------------------------------------------


def test_a_subscription_is_stored_then_confirmed(mailer: Mailer, client: FlaskClient, amazon: Amazon) -> None:
    """F10: SubscribeURL is visited only after verifying."""
    body = amazon.envelope("You have chosen to subscribe", "SubscriptionConfirmation")
    assert post(client, "ses", body).status_code == 200
    assert amazon.fetched[-1] == SUBSCRIBE_URL
    assert count(mailer, RawReport) == 1


def test_a_forged_subscription_is_not_visited(mailer: Mailer, client: FlaskClient, amazon: Amazon) -> None:
    body = amazon.envelope("You have chosen to subscribe", "SubscriptionConfirmation")
    forged = body_of(json.loads(body) | {"SubscribeURL": SUBSCRIBE_URL.replace("2336412f37", "1")})
    assert post(client, "ses", forged).status_code == 403
    assert not [url for url in amazon.fetched if "ConfirmSubscription" in url]
    assert count(mailer, RawReport) == 0


def test_while_amazon_does_not_answer_its_posts_come_again(
    mailer: Mailer, client: FlaskClient, amazon: Amazon, clock: Any
) -> None:
    amazon.answers = False
    body = amazon.envelope(ses_bounce())
    assert post(client, "ses", body).status_code == 503
    assert "it is silent" in str(way_in(mailer, "ses").problem)
    amazon.answers = True
    clock.forward(minutes=1)
    assert post(client, "ses", body).status_code == 200


def test_an_ended_subscription_is_told_to_operators(mailer: Mailer, client: FlaskClient, amazon: Amazon) -> None:
    body = amazon.envelope("You have chosen to deactivate", "UnsubscribeConfirmation")
    assert post(client, "ses", body).status_code == 200
    assert "ended the subscription" in str(way_in(mailer, "ses").problem)


# --- what comes of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ses", "sendgrid", "brevo"])
def test_what_a_provider_posts_suppresses_the_reader_once(
    mailer: Mailer, client: FlaskClient, amazon: Amazon, sendgrid: SendGrid, kind: str
) -> None:
    """F1, F9, F10: named by our envelope sender, our Message-ID, or the address in what a provider vouches for."""
    story = past(mailer, [mailer.clock() - timedelta(hours=1)])
    number = story.deliveries[1][0]
    bounce = ses_bounce() | {"mail": {"source": story.token(), "messageId": "amazon-1"}}
    message_id = f"<{mailer.keyring.sign(Purpose.MESSAGE_ID, number)}@news.example.org>"
    event = body_of([sendgrid_event(**{"smtp-id": message_id})])
    bodies = {
        "ses": [(amazon.envelope(bounce), {}), (amazon.envelope(bounce, MessageId="again"), {})],
        "sendgrid": [(event, sendgrid.headers(event)), (event + b" ", sendgrid.headers(event + b" "))],
        "brevo": [
            (body_of({"event": "spam", "email": "R0@example.com", "ts_event": 1, "id": webhook}), bearer)
            for webhook, bearer in enumerate([{"Authorization": f"Bearer {SECRET}"}] * 2)
        ],
    }[kind]
    for body, headers in bodies:
        assert post(client, kind, body, headers).status_code == 200
    read(mailer)
    assert count(mailer, RawReport) == 2
    assert [(each.delivery_id, each.verdict) for each in story.events] == [(number, Verdict.SUPPRESS)]
    assert list(story.suppressed) == ["r0@example.com"]


# --- on the wire ----------------------------------------------------------------------------------------------------


def test_providers_are_answered_on_the_wire(mailer: Mailer, sendgrid: SendGrid) -> None:
    """Promise 6, through the real server: large batches pass, and headers keep their values."""
    body = body_of([sendgrid_event(sg_event_id=str(number)) for number in range(1000)])
    with serving(mailer, "127.0.0.1", 0) as place:
        url = f"{place.url}/hooks/sendgrid"
        with urlopen(Request(url, body, sendgrid.headers(body)), timeout=10) as answer:
            assert answer.status == 200
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(url, body + b" ", sendgrid.headers(body)), timeout=10)
        with caught.value:
            assert caught.value.code == 403
    assert [body_of_report(mailer, report) for report in reports(mailer)] == [body]


def test_the_server_does_not_wait_for_too_large_a_post(mailer: Mailer) -> None:
    with serving(mailer, "127.0.0.1", 0) as place, closing(HTTPConnection(place.host, place.port, timeout=10)) as wire:
        wire.putrequest("POST", "/hooks/generic")
        wire.putheader("Content-Length", str(POST_LIMIT + 1))
        wire.endheaders()
        assert wire.getresponse().status == 413
