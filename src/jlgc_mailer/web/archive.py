"""Issues on the web: those that were sent, previews for staff, and the pictures of both."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, abort, send_file, url_for
from markupsafe import Markup
from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.db.issues import CompiledArtefact, Issue, Media, Revision
from jlgc_mailer.db.sending import Delivery, Send
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.states import DeliveryStatus, Language, SendStatus
from jlgc_mailer.web.editions import PREVIEW, SENT, edition_page, subject_of
from jlgc_mailer.web.languages import NAMES, page_language
from jlgc_mailer.web.pages import page, the_mailer

archive = Blueprint("archive", __name__)

_FOREVER = 365 * 86400  # seconds, as caches count them
_A_WHILE = 300


@dataclass(frozen=True)
class ListedEdition:
    """An edition in the list of issues."""

    language: Language
    subject: Markup
    season: str


@dataclass(frozen=True)
class ListedIssue:
    """An issue in the list, with the time and zone of its latest send."""

    slug: str
    sent_at: datetime
    zone: str
    editions: list[ListedEdition]


@archive.get("/issues")
def issues() -> Response:
    """All issues that were sent, newest first."""
    with the_mailer().database.reading() as session:
        latest = {send.revision.issue_id: send for send in reversed(session.scalars(_sent()).all())}
        newest_first = sorted(latest.values(), key=lambda send: (send.planned_at, send.id), reverse=True)
        own = page_language()
        return page("public/issues.html", issues=[_listed(session, send, own) for send in newest_first], names=NAMES)


@archive.get("/issues/<slug>/<language>")
def edition(slug: str, language: str) -> Response:
    """One edition as its subscribers got it; 404 for what was not sent."""
    with the_mailer().database.reading() as session:
        send = session.scalars(_sent().where(Issue.slug == slug).limit(1)).first()
        artefacts = artefacts_of(session, send.revision_id, send.recipe) if send else []
        response = edition_page(artefacts, language, SENT, lambda other: url_for(".edition", slug=slug, language=other))
    response.cache_control.public = True
    response.cache_control.max_age = _A_WHILE
    return response


@archive.get("/preview/<token>/<language>")
def preview(token: str, language: str) -> Response:
    """One edition of a revision that may not be sent yet, for whoever staff gave the address to."""
    mailer = the_mailer()
    numbers = mailer.keyring.read(Purpose.PREVIEW, token)
    with mailer.database.reading() as session:
        artefacts = current_artefacts(session, numbers[0], mailer.press.recipe) if numbers else []
        response = edition_page(
            artefacts, language, PREVIEW, lambda other: url_for(".preview", token=token, language=other)
        )
    response.cache_control.private = True
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@archive.get("/media/<digest>/<name>")
def media(digest: str, name: str) -> Response:
    """A picture; under its digest it never changes. `name` is for people who save it."""
    with the_mailer().database.reading() as session:
        found = session.get(Media, digest)
    if found is None:
        abort(404)
    response = send_file(
        io.BytesIO(found.data), found.content_type, download_name=name, etag=digest, max_age=_FOREVER, conditional=True
    )
    response.cache_control.public = True
    response.cache_control.immutable = True
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def current_artefacts(session: Session, revision_id: int, recipe: str) -> Sequence[CompiledArtefact]:
    """What would be sent of a revision today; if that is not compiled yet, what was compiled last."""
    last = select(CompiledArtefact.recipe).where(CompiledArtefact.revision_id == revision_id)
    return artefacts_of(session, revision_id, recipe) or artefacts_of(
        session, revision_id, session.scalar(last.order_by(CompiledArtefact.id.desc()).limit(1)) or ""
    )


def _sent() -> Select[Send]:
    """Sends that are out or on their way, latest first; a cancelled one counts if somebody has got it."""
    got = select(Delivery.id).where(Delivery.send_id == Send.id, Delivery.status == DeliveryStatus.ACCEPTED)
    went_out = or_(Send.status != SendStatus.CANCELLED, got.exists())
    return (
        select(Send)
        .join(Revision, Revision.id == Send.revision_id)
        .join(Issue, Issue.id == Revision.issue_id)
        .where(and_(Send.planned_at.is_not(None), went_out))
        .order_by(Send.planned_at.desc(), Send.id.desc())
    )


def _listed(session: Session, send: Send, own: Language) -> ListedIssue:
    """The issue with the edition in the page's `own` language first."""
    content = send.revision.content
    artefacts = sorted(artefacts_of(session, send.revision_id, send.recipe), key=lambda each: each.language is not own)
    editions = [
        ListedEdition(each.language, subject_of(each), str(content[each.language.value]["season"]))
        for each in artefacts
    ]
    return ListedIssue(send.revision.issue.slug, send.planned_at or send.due_at, send.zone, editions)
