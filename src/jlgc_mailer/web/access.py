"""Who may see the pages of sends."""

import hmac
from urllib.parse import urlsplit

from flask import abort, request
from werkzeug.datastructures import WWWAuthenticate

from jlgc_mailer.web.pages import the_mailer

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def may_see_sends() -> bool:
    """On this machine everybody; elsewhere whoever knows the console's password."""
    return _is_local() or _knows_password()


def require_access() -> None:
    """Answer 401 to those who may not, or 403 while the operator has set no password."""
    if may_see_sends():
        return
    if not the_mailer().settings.console_password.get_secret_value():
        abort(403)
    abort(401, www_authenticate=WWWAuthenticate("basic", {"realm": "jlgc_mailer", "charset": "UTF-8"}))


def _is_local() -> bool:
    """An installation for this machine only, called by a name of this machine.

    The second half keeps out a page of another site that makes its own name point here (DNS rebinding).
    """
    return not the_mailer().settings.is_public and urlsplit(f"//{request.host}").hostname in _LOOPBACK


def _knows_password() -> bool:
    password = the_mailer().settings.console_password.get_secret_value()
    given = request.authorization.password if request.authorization else None
    return bool(password) and hmac.compare_digest((given or "").encode(), password.encode())
