"""What all pages have in common: the template, its language and words, and the headers that protect it."""

from typing import cast

from flask import Response, current_app, make_response, render_template
from markupsafe import Markup

from jlgc_mailer.bootstrap import Mailer, templates_folder
from jlgc_mailer.render.runs import mark_runs
from jlgc_mailer.states import Language
from jlgc_mailer.web.languages import NAMES, Wording, page_language, switch_address

EXTENSION = "jlgc_mailer"

_OWN_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _OWN_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # an address may hold a token
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


_MAIL_LINK = Markup('<a href="mailto:{}">{}</a>')


def the_mailer() -> Mailer:
    """The installation that this application serves."""
    return cast("Mailer", current_app.extensions[EXTENSION])


def wording_in(language: Language) -> Wording:
    """What the pages say, in `language`."""
    return Wording.of(templates_folder() / "web", language)


def page(template: str, *, status: int = 200, reader: Language | None = None, **values: object) -> Response:
    """A page in the language that fits the request and its reader."""
    language = page_language(reader)
    own = the_mailer().settings
    organisation = own.organisation_ja if language is Language.JAPANESE else own.organisation_en
    body = render_template(
        template,
        t=wording_in(language),
        language=language,
        languages=[(each, NAMES[each], switch_address(each)) for each in Language],
        organisation=organisation,
        postal_address=mark_runs(own.postal_address, language),
        contact=own.contact,
        mail_link=lambda: _MAIL_LINK.format(own.contact, own.contact),
        **values,
    )
    response = make_response(body, status)
    response.headers["Content-Language"] = language.value
    response.vary.add("Accept-Language")
    return response


def protect(response: Response) -> Response:
    """Put the protecting headers on a response that does not bring its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
