"""Issues in the store: imported, frozen into revisions, compiled once per edition and recipe (promise 3)."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jlgc_mailer.content.artefacts import artefacts_of
from jlgc_mailer.content.importing import IssueFiles
from jlgc_mailer.content.media import store_pictures
from jlgc_mailer.db.issues import CompiledArtefact, Edition, Issue, Revision
from jlgc_mailer.errors import InvalidInput, NotFound
from jlgc_mailer.render.compile import compile_edition, recipe_digest, size_findings
from jlgc_mailer.render.source import Block, BlockKind, Compiled, EditionSource, Picture, Site
from jlgc_mailer.states import Language

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,79}\Z")


@dataclass(frozen=True)
class Press:
    """What compiling needs besides the edition."""

    site: Site
    templates: Path

    @property
    def recipe(self) -> str:
        """The digest of templates and particulars: artefacts of another recipe are other artefacts."""
        return recipe_digest(self.site, self.templates)


@dataclass(frozen=True)
class Imported:
    """What an import did: `is_new_revision` is false when the same content was there already.

    `large` has the editions whose HTML passes the size that is worth a warning, with their octets (STANDARDS M8).
    """

    revision: Revision
    is_new_revision: bool
    large: Mapping[Language, int]


def import_issue(session: Session, files: IssueFiles, press: Press, now: datetime) -> Imported:
    """Store an issue's editions, freeze them and compile them; in one transaction, so all of it or nothing."""
    if not _SLUG.match(files.slug):
        problem = "the folder's name becomes part of web addresses: use a-z, 0-9 and hyphens, at most 80."
        raise InvalidInput(what="Issue name", value=files.slug, problem=problem)
    issue = session.scalar(select(Issue).where(Issue.slug == files.slug)) or Issue(slug=files.slug, created_at=now)
    session.add(issue)
    store_pictures(session, files.pictures.values(), now)
    _store_editions(session, issue, files.editions)
    before = session.scalar(select(func.max(Revision.id)).where(Revision.issue_id == issue.id)) or 0
    revision = freeze(session, issue, now)
    artefacts = compiled_artefacts(session, revision, press, now)
    large = {each.language: found.size for each in artefacts for found in size_findings(each.html)}
    return Imported(revision, revision.id > before, large)


def freeze(session: Session, issue: Issue, now: datetime) -> Revision:
    """The revision of the issue's present content: the one that has its digest already, or a new one."""
    content = _present_content(issue)
    digest = _digest(content)
    revision = session.scalar(select(Revision).where(Revision.issue_id == issue.id, Revision.digest == digest))
    if revision is None:
        number = session.scalar(select(func.count()).where(Revision.issue_id == issue.id)) or 0
        revision = Revision(issue_id=issue.id, number=number + 1, digest=digest, content=content, frozen_at=now)
        session.add(revision)
        session.flush()
    return revision


def compiled_artefacts(session: Session, revision: Revision, press: Press, now: datetime) -> list[CompiledArtefact]:
    """The artefacts of a revision under today's recipe, one per edition, compiled if they are not there yet."""
    recipe = press.recipe
    found = artefacts_of(session, revision.id, recipe)
    present = {artefact.language for artefact in found}
    for edition in editions_of(revision):
        if edition.language not in present:
            found.append(_stored(compile_edition(edition, press.site, press.templates), revision.id, recipe, now))
            session.add(found[-1])
    session.flush()
    return sorted(found, key=lambda artefact: artefact.language)


def find_issue(session: Session, slug: str) -> Issue:
    """The issue of that name; raises NotFound."""
    issue = session.scalar(select(Issue).where(Issue.slug == slug))
    if issue is None:
        raise NotFound(kind="issue", name=slug, remedy="See: jlgc-mailer issues list")
    return issue


def all_issues(session: Session) -> list[Issue]:
    """All issues, newest first."""
    return list(session.scalars(select(Issue).order_by(Issue.created_at.desc(), Issue.id.desc())))


def latest_revision(session: Session, issue: Issue) -> Revision:
    """The revision of the issue's present content: the newest, unless an earlier text was imported again."""
    digest = _digest(_present_content(issue))
    return session.scalars(select(Revision).where(Revision.issue_id == issue.id, Revision.digest == digest)).one()


def editions_of(revision: Revision) -> list[EditionSource]:
    """The editions of a revision as written, by language."""
    slug = revision.issue.slug
    languages = [Language(language) for language in sorted(revision.content)]
    return [_edition(revision.content[each], slug, each, languages) for each in languages]


def _store_editions(session: Session, issue: Issue, sources: Sequence[EditionSource]) -> None:
    """The issue's editions become exactly these; one whose file is gone is taken out."""
    kept = {edition.language: edition for edition in issue.editions}
    for source in sources:
        edition = kept.pop(source.language, None) or Edition(language=source.language)
        edition.content = _content(source)
        if edition not in issue.editions:
            issue.editions.append(edition)
    for edition in kept.values():
        issue.editions.remove(edition)
        session.delete(edition)
    session.flush()


def _present_content(issue: Issue) -> dict[str, Any]:
    return {edition.language.value: edition.content for edition in issue.editions}


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _content(source: EditionSource) -> dict[str, Any]:
    return {
        "subject": source.subject,
        "preheader": source.preheader,
        "season": source.season,
        "from": source.sender,
        "blocks": [asdict(block) for block in source.blocks],
        "pictures": {address: asdict(picture) for address, picture in source.pictures.items()},
        "place": Path(source.place).name,
    }


def _edition(content: Mapping[str, Any], slug: str, language: Language, languages: Sequence[Language]) -> EditionSource:
    return EditionSource(
        slug=slug,
        language=language,
        subject=content["subject"],
        preheader=content["preheader"],
        season=content["season"],
        sender=content["from"],
        blocks=tuple(Block(**{**block, "kind": BlockKind(block["kind"])}) for block in content["blocks"]),
        pictures={address: Picture(**picture) for address, picture in content["pictures"].items()},
        other_languages=tuple(other for other in languages if other != language),
        place=f"{slug}/{content['place']}",
    )


def _stored(compiled: Compiled, revision_id: int, recipe: str, now: datetime) -> CompiledArtefact:
    return CompiledArtefact(
        revision_id=revision_id,
        language=compiled.language,
        recipe=recipe,
        sender=compiled.sender,
        subject=compiled.subject,
        html=compiled.html,
        text=compiled.text,
        slots=[[slot.field, slot.fallback] for slot in compiled.slots],
        compiled_at=now,
    )
