"""Pages for what goes wrong: plain words, never a traceback, and never a token in the log."""

import logging

from flask import Flask, Response, request
from sqlalchemy.exc import InterfaceError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from jlgc_mailer.errors import NotInitialised, Unreachable
from jlgc_mailer.web.pages import page

log = logging.getLogger("jlgc_mailer.web")

_RETRY_SECONDS = 120
_KEPT_HEADERS = ("Allow", "WWW-Authenticate", "Retry-After")
FAULTS = {
    400: ("This request cannot be understood", "Please go back and try again."),
    401: ("Please sign in", "The pages of sends need the password of the console. Any user name will do."),
    403: (
        "These pages are closed",
        "The operator has not set a password yet: set JLGC_MAILER_CONSOLE_PASSWORD and start the program again.",
    ),
    404: (
        "This page does not exist",
        "The address may be incomplete. If it comes from a message, please copy the whole of it.",
    ),
    405: ("This page cannot be used in that way", "Please open it from its link."),
    413: ("This request is too large", "Please go back and send less."),
    500: ("Something went wrong on our side", "We have taken note of it. Please try again a little later."),
    503: ("We cannot answer at the moment", "Nothing has been changed. Please try again in a few minutes."),
}


def answer_faults(app: Flask) -> None:
    """Give every fault its page."""
    app.register_error_handler(HTTPException, _known)
    app.register_error_handler(Unreachable, _unavailable)
    app.register_error_handler(NotInitialised, _unavailable)
    app.register_error_handler(InterfaceError, _unavailable)
    app.register_error_handler(NoConnectionFree, _unavailable)
    app.register_error_handler(Exception, _unexpected)


def _known(error: HTTPException) -> Response:
    code = error.code or 500
    title, advice = FAULTS.get(code, FAULTS[500 if code >= 500 else 400])
    response = page("error.html", status=code, title=title, advice=advice)
    for name, value in error.get_headers():
        if name in _KEPT_HEADERS:
            response.headers[name] = value
    return response


def _unavailable(error: Exception) -> Response:
    """The database does not answer: mail programs and readers shall come again."""
    log.error("%s %s: %s", request.method, _place(), error)
    return _known(ServiceUnavailable(retry_after=_RETRY_SECONDS))


def _unexpected(error: Exception) -> Response:
    log.error("%s %s failed", request.method, _place(), exc_info=error)
    return _known(InternalServerError())


def _place() -> str:
    """The rule that matched and not the address, which may hold a token."""
    return request.url_rule.rule if request.url_rule else "an unknown address"
