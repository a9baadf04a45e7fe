"""Pages of sends, read only: what is planned, how far it is, what became of everybody, and what came back.

No page names a reader.
"""

from flask import Blueprint, Response, abort, jsonify, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.db.sending import Send
from jlgc_mailer.states import Language
from jlgc_mailer.web.access import require_access
from jlgc_mailer.web.editions import SENT, edition_page
from jlgc_mailer.web.languages import NAMES, page_language
from jlgc_mailer.web.pages import page, the_mailer, wording_in
from jlgc_mailer.web.reports import (
    FEEDBACK_NAMES,
    OUTCOME_NAMES,
    OUTCOME_NOTES,
    STATUS_NAMES,
    Report,
    as_numbers,
    headline,
    list_titles,
    next_wave_text,
    progress_text,
    report,
)
from jlgc_mailer.web.returns import AT_ONCE, CLASS_NAMES, CLASS_NOTES, DAYS, quoted, reasons, returns

console = Blueprint("console", __name__)
console.before_request(require_access)

_AT_ONCE = 30


@console.get("/sends")
def sends() -> Response:
    """All sends, newest first, a page at a time."""
    before = request.args.get("before", type=int)
    newest_first = select(Send).order_by(Send.id.desc()).limit(_AT_ONCE + 1)
    with the_mailer().database.reading() as session:
        found = session.scalars(newest_first.where(Send.id < before) if before else newest_first).all()
        return page(
            "console/sends.html",
            reports=[_report(session, send) for send in found[:_AT_ONCE]],
            older=found[_AT_ONCE - 1].id if len(found) > _AT_ONCE else None,
            newest=not before,
            status_names=STATUS_NAMES,
            list_titles=list_titles,
            progress_text=progress_text,
        )


@console.get("/console/feedback")
def feedback() -> Response:
    """What came back: how the ways in are doing, what waits for a person, what is held against us."""
    mailer = the_mailer()
    with mailer.database.reading() as session:
        return page(
            "console/feedback.html",
            returns=returns(session, mailer.clock()),
            days=DAYS,
            at_once=AT_ONCE,
            class_names=CLASS_NAMES,
            class_notes=CLASS_NOTES,
            reasons=reasons,
            quoted=quoted,
        )


@console.get("/sends/<int:send_id>")
def send(send_id: int) -> Response:
    """One send: how it stands, and the account that adds up to its recipients."""
    with the_mailer().database.reading() as session:
        found = _found(session, send_id)
        languages = [each.language for each in artefacts_of(session, found.revision_id, found.recipe)]
        return page(
            "console/send.html",
            report=_report(session, found),
            editions=[(each, NAMES[each], _edition_address(send_id, each)) for each in languages],
            headline=headline,
            list_titles=list_titles,
            next_wave_text=next_wave_text,
            progress_text=progress_text,
            status_names=STATUS_NAMES,
            outcome_names=OUTCOME_NAMES,
            outcome_notes=OUTCOME_NOTES,
            feedback_names=FEEDBACK_NAMES,
        )


@console.get("/sends/<int:send_id>/progress.json")
def progress(send_id: int) -> Response:
    """The numbers of one send, for the page that is open on it."""
    with the_mailer().database.reading() as session:
        told = _report(session, _found(session, send_id))
    return jsonify(as_numbers(told, wording_in(page_language())))


@console.get("/sends/<int:send_id>/issue/<language>")
def edition(send_id: int, language: str) -> Response:
    """Exactly what this send sends, whatever became of the issue since (promise 3)."""
    with the_mailer().database.reading() as session:
        found = _found(session, send_id)
        artefacts = artefacts_of(session, found.revision_id, found.recipe)
        return edition_page(artefacts, language, SENT, lambda other: _edition_address(send_id, other))


def _found(session: Session, send_id: int) -> Send:
    return session.get(Send, send_id) or abort(404)


def _report(session: Session, found: Send) -> Report:
    return report(session, found, page_language().value, the_mailer().clock())


def _edition_address(send_id: int, language: Language) -> str:
    return url_for("console.edition", send_id=send_id, language=language.value)
