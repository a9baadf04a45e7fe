"""Pages for readers: the way in, and the way out of a newsletter (STANDARDS M11, L4, L12)."""

from flask import Blueprint, Response, abort, request
from sqlalchemy import text

from jlgc_mailer.audience.leaving import Link, Standing, leave, read_link
from jlgc_mailer.audience.subscriptions import Evidence
from jlgc_mailer.states import Language
from jlgc_mailer.web.access import may_see_sends
from jlgc_mailer.web.languages import page_language
from jlgc_mailer.web.pages import page, the_mailer, wording_in

public = Blueprint("public", __name__)

_QUESTION = "Stop receiving this newsletter?"
_BUTTON = "Unsubscribe"
_ONE_CLICK = ("List-Unsubscribe", "One-Click")


@public.get("/")
def landing() -> Response:
    """Where to go from here."""
    return page("public/landing.html", shows_sends=may_see_sends())


@public.get("/health")
def health() -> Response:
    """For machines: whether the database answers; 503 comes from the error pages otherwise."""
    with the_mailer().database.reading() as session:
        session.execute(text("SELECT 1"))
    return Response('{"status":"ok"}\n', content_type="application/json")


@public.get("/unsubscribe")
def how_to_unsubscribe() -> Response:
    """For visitors without a link of their own: how leaving works."""
    return page("public/how_to_unsubscribe.html")


@public.get("/u/<token>")
def unsubscribe_page(token: str) -> Response:
    """Ask; nothing changes, whoever fetches it (promise 9)."""
    mailer = the_mailer()
    with mailer.database.reading() as session:
        link = read_link(session, mailer.keyring, token)
        return _answer(link, link.standing) if link else abort(404)


@public.post("/u/<token>")
def unsubscribe_now(token: str) -> Response:
    """Unsubscribe, whether a reader or a mail program asks; the token alone decides who (RFC 8058)."""
    mailer = the_mailer()
    field, command = _ONE_CLICK
    is_one_click = request.form.get(field) == command  # reads the network: before the transaction (promise 5)
    with mailer.database.transaction() as session:
        link = read_link(session, mailer.keyring, token)
        if link is None:
            abort(404)
        leave(session, link, _evidence(page_language(link.language), is_one_click), mailer.clock())
        return _answer(link, Standing.TEST if link.standing is Standing.TEST else Standing.LEFT)


def _answer(link: Link, standing: Standing) -> Response:
    templates = {
        Standing.SUBSCRIBED: "public/unsubscribe.html",
        Standing.LEFT: "public/unsubscribed.html",
        Standing.TEST: "public/test_message.html",
    }
    response = page(
        templates[standing],
        reader=link.language,
        question=_QUESTION,
        button=_BUTTON,
        titles=link.titles(page_language(link.language)),
        masked_address=link.masked_address,
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _evidence(language: Language, is_one_click: bool) -> Evidence:
    """The words the person saw; of a mail program's button nobody knows them, so the command it sent."""
    if is_one_click:
        return Evidence("one-click", "=".join(_ONE_CLICK))
    words = wording_in(language)
    return Evidence("unsubscribe page", f"{words(_QUESTION)} [{words(_BUTTON)}]")
