"""Compiled artefacts as sending, pages and the archive read them: without anything that compiles."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.render.fields import Slots
from jlgc_mailer.render.source import Compiled


def artefacts_of(session: Session, revision_id: int, recipe: str) -> list[CompiledArtefact]:
    """The artefacts that are kept for a revision and recipe, by language."""
    mine = select(CompiledArtefact).where(CompiledArtefact.revision_id == revision_id)
    return list(session.scalars(mine.where(CompiledArtefact.recipe == recipe).order_by(CompiledArtefact.language)))


def compiled_value(artefact: CompiledArtefact) -> Compiled:
    """The artefact as the value that merging takes."""
    slots = Slots()
    for field, fallback in artefact.slots:
        slots.mark(field, fallback)
    return Compiled(artefact.language, artefact.sender, artefact.subject, artefact.html, artefact.text, slots.all)
