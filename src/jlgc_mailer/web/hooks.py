"""Webhooks: providers post what became of our mail; it is stored before it is acknowledged (promise 6, F10)."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from flask import Blueprint, Response, abort, current_app, request
from sqlalchemy.orm import Session

from jlgc_mailer.bootstrap import READ_TASK, Mailer
from jlgc_mailer.errors import MailerError, Unreachable
from jlgc_mailer.feedback import health
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.feedback.webhooks.posted import Posted, Refusal, Webhook
from jlgc_mailer.feedback.webhooks.tokens import brings_nothing_else
from jlgc_mailer.web.pages import the_mailer

hooks = Blueprint("hooks", __name__)
log = logging.getLogger("jlgc_mailer.web")

WEBHOOKS = "jlgc_mailer.webhooks"  # where the application keeps them, by name
POST_LIMIT = 5 * 1024 * 1024  # SNS sends 256 KB at most, SendGrid batches of 768 KB; Postmark may add the bounce itself
_RETRY_SECONDS = 120
_TOLD = "jlgc_mailer.webhooks.told"  # when strangers last made us tell each thing
_QUIET = timedelta(minutes=1)
_USED = Refusal("its token has brought another post before: somebody put a recorded signature on it")
_CHALLENGES = 'Basic realm="webhook", Bearer realm="webhook"'  # RFC 9110 11.6.1: what 401 has to say


@hooks.post("/hooks/<name>")
def take_post(name: str) -> Response:
    """Store what a provider posts. 400, 401 or 403 when it is refused, 503 when it may be taken later."""
    mailer = the_mailer()
    webhooks: Mapping[str, Webhook] = current_app.extensions[WEBHOOKS]
    if name not in webhooks:
        abort(404)
    webhook = webhooks[name]
    request.max_content_length = POST_LIMIT
    posted = Posted({key.lower(): value for key, value in request.headers.items()}, request.get_data(cache=False))
    try:
        # It may ask the provider, so it comes before the transaction (promise 5).
        refusal = webhook.guard.refusal(posted, mailer.clock())
    except MailerError as error:
        if _is_news(webhook, str(error), mailer.clock()):
            _tell(mailer, webhook, str(error))
        return _answer(503, "come again later")
    return _refuse(mailer, webhook, refusal) if refusal else _take_genuine(mailer, webhook, posted)


def _take_genuine(mailer: Mailer, webhook: Webhook, posted: Posted) -> Response:
    if fault := webhook.guard.fault(posted):
        _tell(mailer, webhook, f"A post was not stored: {fault}")
        return _answer(400, fault)
    try:
        refusal = _take(mailer, webhook, posted)
    except MailerError as error:
        _tell(mailer, webhook, str(error))
        return _answer(503, "come again later")
    if refusal:
        return _refuse(mailer, webhook, refusal)
    with suppress(Unreachable):  # the post is stored, and the next tick finds it (promise 4)
        mailer.nudge(READ_TASK)
    return _answer(200, "stored")


def _take(mailer: Mailer, webhook: Webhook, posted: Posted) -> Refusal | None:
    """Keep a genuine post and do what its provider expects then; gives the reason why it is refused otherwise."""
    with mailer.database.transaction() as session:
        refusal = _keep(session, mailer, webhook, posted)
    if refusal is None:
        news = webhook.guard.afterwards(posted)
        if news:
            _tell(mailer, webhook, news)
    return refusal


def _keep(session: Session, mailer: Mailer, webhook: Webhook, posted: Posted) -> Refusal | None:
    now, inbound = mailer.clock(), Inbound(webhook.source, webhook.form, posted.body)
    token = webhook.guard.once(posted)
    if token and not brings_nothing_else(session, token, inbound.digest, now):
        return _USED
    stored = store(session, inbound, now)
    health.seen(session, webhook.source, now, stored=int(stored))
    return None


def _tell(mailer: Mailer, webhook: Webhook, problem: str) -> None:
    """Tell operators; never what was posted, which holds addresses."""
    log.warning("%s: %s", webhook.source, problem)
    with mailer.database.transaction() as session:
        health.seen(session, webhook.source, mailer.clock(), problem=problem)


def _refuse(mailer: Mailer, webhook: Webhook, refusal: Refusal) -> Response:
    """Seldom told, and not as a problem: anybody can post, and must neither raise an alarm nor fill a disk."""
    now = mailer.clock()
    if _is_news(webhook, refusal.why, now):
        log.warning("%s: A post was refused: %s", webhook.source, refusal.why)
    if _is_news(webhook, "", now):
        with suppress(Unreachable), mailer.database.transaction() as session:
            health.refused(session, webhook.source, now, refusal.why)
    return _answer(refusal.status, "refused")


def _is_news(webhook: Webhook, why: str, now: datetime) -> bool:
    """Whether this process has not told it for a minute."""
    told: dict[tuple[str, str], datetime] = current_app.extensions.setdefault(_TOLD, {})
    last = told.get((webhook.name, why))
    if last is not None and abs(now - last) < _QUIET:
        return False
    told[webhook.name, why] = now
    return True


def _answer(status: int, word: str) -> Response:
    """An answer for machines."""
    response = Response(f"{word}\n", status, content_type="text/plain; charset=utf-8")
    if status == 503:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    if status == 401:
        response.headers["WWW-Authenticate"] = _CHALLENGES
    return response
