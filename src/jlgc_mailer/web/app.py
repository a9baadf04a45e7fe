"""The web application of an installation."""

from typing import Any

from flask import Flask
from jinja2 import StrictUndefined

from jlgc_mailer.bootstrap import Mailer, templates_folder
from jlgc_mailer.web.archive import archive
from jlgc_mailer.web.console import console
from jlgc_mailer.web.faults import answer_faults
from jlgc_mailer.web.hooks import WEBHOOKS, hooks
from jlgc_mailer.web.languages import asked_for
from jlgc_mailer.web.pages import EXTENSION, protect
from jlgc_mailer.web.public import public

BODY_LIMIT = 64 * 1024


def create_app(mailer: Mailer) -> Flask:
    """The pages of this installation as a WSGI application. It has no session and sets no cookie."""
    folder = templates_folder() / "web"
    app = Flask(__name__, template_folder=str(folder), static_folder=str(folder / "static"))
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.url_map.merge_slashes = False  # a redirect would break one-click (STANDARDS M11)
    app.extensions[EXTENSION] = mailer
    app.extensions[WEBHOOKS] = mailer.webhooks  # read now: a fault in their file is told when the process starts
    for pages in (public, archive, console, hooks):
        app.register_blueprint(pages)
    app.url_defaults(lambda endpoint, values: _keep_language(app, endpoint, values))
    app.after_request(protect)
    answer_faults(app)
    return app


def _keep_language(app: Flask, endpoint: str, values: dict[str, Any]) -> None:
    """A language that was asked for stays in the links of the page, as there is no cookie to keep it."""
    chosen = asked_for()
    if chosen and endpoint != "static" and not app.url_map.is_endpoint_expecting(endpoint, "language"):
        values.setdefault("lang", chosen.value)
