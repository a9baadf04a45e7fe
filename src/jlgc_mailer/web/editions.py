"""A compiled edition as a web page: the artefact that was mailed, with nobody's values in it (promise 3)."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from flask import Response, abort, make_response, render_template, url_for
from markupsafe import Markup

from jlgc_mailer.content.artefacts import compiled_value
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.render.merge import Values, fill, fill_html, pieces_of
from jlgc_mailer.states import Language
from jlgc_mailer.web.languages import NAMES, language_named
from jlgc_mailer.web.pages import the_mailer, wording_in

_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)

SENT, PREVIEW = "This is an issue of our newsletter, as sent by email.", "This is a preview for staff."


def edition_page(
    artefacts: Sequence[CompiledArtefact], language: str, note: str, address: Callable[[Language], str]
) -> Response:
    """The edition in `language`, or 404; above it stands what it is and the way to its other editions."""
    wanted = language_named(language)
    found = next((each for each in artefacts if each.language is wanted), None)
    if found is None:
        abort(404)
    compiled = compiled_value(found)
    html = fill_html(compiled.html, compiled.slots, _nobody(found.language))
    bar = render_template(
        "public/edition_bar.html",
        t=wording_in(found.language),
        note=note,
        language=found.language,
        editions=[(each.language, NAMES[each.language], address(each.language)) for each in artefacts],
    )
    response = make_response(_BODY.sub(lambda body: body.group() + bar, html, count=1))
    response.headers["Content-Language"] = found.language.value
    response.headers["Content-Security-Policy"] = _policy()
    return response


def subject_of(artefact: CompiledArtefact) -> Markup:
    """The subject line, with nobody's values in it."""
    compiled = compiled_value(artefact)
    return Markup.escape(fill(pieces_of(compiled.subject, compiled.slots), _nobody(artefact.language)))


def _nobody(language: Language) -> Values:
    """Values that hold for every visitor; who has no link of their own is told how leaving works."""
    words = wording_in(language)
    return {
        "name": "",
        "address": words.say("[your address]"),
        "list_title": words.say("[this newsletter]"),
        "unsubscribe_url": url_for("public.how_to_unsubscribe", lang=language.value),
    }


def _policy() -> str:
    """Mail carries its styles inside and runs nothing; pictures stand under the public address."""
    parts = urlsplit(the_mailer().settings.public_url)
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' {parts.scheme}://{parts.netloc}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
