"""An installation with readers and an issue on its way, and browsers that look at its pages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import func, select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.base import Base
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.states import Language
from jlgc_mailer.web.app import create_app
from tests import factories

PASSWORD = "a password for the console"


@dataclass(frozen=True)
class Scene:
    """A send to one list, with an English and a Japanese reader."""

    mailer: Mailer
    send_id: int
    revision_id: int
    list_id: int
    english_id: int
    japanese_id: int

    def link(self, subscriber_id: int) -> str:
        return f"/u/{self.mailer.keyring.sign(Purpose.UNSUBSCRIBE, subscriber_id, self.send_id)}"


@pytest.fixture
def scene(mailer: Mailer) -> Scene:
    return make_scene(mailer)


def make_scene(mailer: Mailer, *, planned: bool = True) -> Scene:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        english = factories.subscriber(session, news, "aiko@example.com")
        japanese = factories.subscriber(session, news, "yoko@example.jp", "", Language.JAPANESE)
        revision = factories.issue(session, mailer)
        send = factories.send(session, mailer, revision, [news], planned=planned)
        return Scene(mailer, send.id, revision.id, news.id, english.id, japanese.id)


@pytest.fixture
def client(mailer: Mailer) -> FlaskClient:
    return create_app(mailer).test_client()


def soup(response: Any) -> BeautifulSoup:
    return BeautifulSoup(response.text, "html.parser")


def everything(mailer: Mailer) -> dict[str, list[Any]]:
    """All rows of all tables, to see that nothing changed."""
    with mailer.database.reading() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: sorted(map(repr, session.execute(select(table)).all())) for table in tables}


def count(mailer: Mailer, table: type[Base]) -> int:
    with mailer.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def unreachable(mailer: Mailer, folder: Path) -> Mailer:
    """The same installation, whose database does not answer."""
    gone = f"sqlite:///{folder / 'no such folder' / 'mailer.db'}"
    return Mailer(mailer.settings.model_copy(update={"database_url": gone}), mailer.clock)
