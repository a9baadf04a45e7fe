"""What is written: issues, editions, frozen revisions, their compiled artefacts, and media."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from jlgc_mailer.db.base import Base, BigId, Key, Moment, ShortText, enum_column
from jlgc_mailer.states import Language


class Issue(Base):
    """A number of the newsletter. `slug` is its name in addresses and commands."""

    __tablename__ = "issues"

    id: Mapped[Key]
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    created_at: Mapped[Moment]
    editions: Mapped[list["Edition"]] = relationship(order_by="Edition.language")


class Edition(Base):
    """An issue's version in one language, as it was last imported."""

    __tablename__ = "editions"
    __table_args__ = (UniqueConstraint("issue_id", "language"),)

    id: Mapped[Key]
    issue_id: Mapped[int] = mapped_column(BigId, ForeignKey("issues.id"))
    language: Mapped[Language] = mapped_column(enum_column(Language))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class Revision(Base):
    """A frozen, digested snapshot of all editions of an issue."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("issue_id", "number"), UniqueConstraint("issue_id", "digest"))

    id: Mapped[Key]
    issue_id: Mapped[int] = mapped_column(BigId, ForeignKey("issues.id"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    frozen_at: Mapped[Moment]
    issue: Mapped[Issue] = relationship()


class CompiledArtefact(Base):
    """One edition of a revision as mail: HTML and text with marked slots (promise 3).

    `recipe` is the digest of what else went in: templates and the sender's particulars. The same
    revision under another recipe is another artefact, so what was sent stays as it was.
    """

    __tablename__ = "compiled_artefacts"
    __table_args__ = (UniqueConstraint("revision_id", "language", "recipe"),)

    id: Mapped[Key]
    revision_id: Mapped[int] = mapped_column(BigId, ForeignKey("revisions.id"))
    language: Mapped[Language] = mapped_column(enum_column(Language))
    recipe: Mapped[str] = mapped_column(String(64))
    sender: Mapped[ShortText]
    subject: Mapped[str] = mapped_column(Text)
    html: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    slots: Mapped[list[Any]] = mapped_column(JSON)
    compiled_at: Mapped[Moment]


class Media(Base):
    """A picture, kept under the digest of its bytes."""

    __tablename__ = "media"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    content_type: Mapped[str] = mapped_column(String(80))
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Moment]
