"""Migrations: from nothing to the present, the same tables on both databases, and clear words before that."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import jlgc_mailer.db.feedback
import jlgc_mailer.db.migrate
import jlgc_mailer.db.sending
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.base import Base, Database
from jlgc_mailer.db.migrate import drop_everything, migrate
from jlgc_mailer.db.version import KNOWN, require_current
from jlgc_mailer.errors import NotInitialised, SettingError, Unreachable
from tests.servers import free_port


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
        with database.reading() as session:
            session.execute(text("SELECT 1"))
        yield database
        database.close()
        return
    address = request.getfixturevalue("postgresql_server")
    administer(address, "CREATE DATABASE empty")
    database = Database(f"{address}/empty")
    yield database
    database.close()
    administer(address, "DROP DATABASE empty WITH (FORCE)")


def administer(address: str, statement: str) -> None:
    plain = address.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(statement)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


def test_an_empty_database_becomes_what_the_models_say(empty: Database) -> None:
    with pytest.raises(NotInitialised) as caught:
        require_current(empty)
    assert str(caught.value) == f"The database at {empty.place} is empty. Run: jlgc-mailer init"
    migrate(empty)
    require_current(empty)
    with empty.engine.connect() as connection:
        assert differences(connection) == []


_LEDGER = """
    INSERT INTO issues (id, slug, created_at) VALUES (1, 'a', MOMENT);
    INSERT INTO revisions (id, issue_id, number, digest, content, frozen_at) VALUES (1, 1, 1, 'd', '{}', MOMENT);
    INSERT INTO mailing_lists (id, name, title_en, title_ja, created_at) VALUES (1, 'n', 'N', 'N', MOMENT);
    INSERT INTO compiled_artefacts
        (id, revision_id, language, recipe, sender, subject, html, text, slots, compiled_at)
        VALUES (1, 1, 'en', 'r', 's', 's', 'h', 't', '[]', MOMENT);
    INSERT INTO sends (id, revision_id, recipe, status, due_at, zone, on_uncertain, batch_size, created_at)
        VALUES (1, 1, 'r', 'sending', MOMENT, 'UTC', 'hold', 5, MOMENT);
    INSERT INTO subscribers (id, address, address_key, name, language, created_at)
        VALUES (1, 'a@b', 'a@b', 'Nm', 'en', MOMENT);
    INSERT INTO deliveries (id, send_id, subscriber_id, list_id, compiled_id, address, status, attempts)
        VALUES (10, 1, 1, 1, 1, 'a@b', 'deferred', 2);
    INSERT INTO attempts (delivery_id, number, at, outcome, stage, code, status, text, transport)
        VALUES (10, 1, MOMENT, 'deferred', 'rcpt', 451, '4.7.1', 'x y', 'main')
""".replace("MOMENT", "'2026-01-01 00:00:00'")


@pytest.fixture(params=KNOWN)
def earlier(request: pytest.FixtureRequest, empty: Database) -> Database:
    """A database of each version there has been, with a delivery and its attempt in it."""
    config = jlgc_mailer.db.migrate._config()
    with empty.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, request.param)
        for statement in _LEDGER.split(";"):
            connection.execute(text(statement))
    return empty


def test_every_earlier_version_becomes_the_present_one_and_keeps_what_is_in_it(earlier: Database) -> None:
    migrate(earlier)
    require_current(earlier)
    with earlier.engine.connect() as connection:
        assert differences(connection) == []
        kept = connection.execute(text("SELECT delivery_id, number, outcome, code, text FROM attempts")).one()
        assert tuple(kept) == (10, 1, "deferred", 451, "x y")
        assert connection.scalar(text("SELECT status FROM deliveries WHERE id = 10")) == "deferred"


def test_every_earlier_version_can_be_dropped_and_made_anew(earlier: Database) -> None:
    drop_everything(earlier)
    with earlier.engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    migrate(earlier)
    require_current(earlier)


def test_the_comparison_of_models_and_tables_sees_a_difference(mailer: Mailer) -> None:
    with mailer.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE subscribers ADD COLUMN forgotten INTEGER"))
    with mailer.database.engine.connect() as connection:
        assert "forgotten" in str(differences(connection))


def test_migrating_twice_changes_nothing(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO mailing_lists (name, title_en, title_ja, created_at) "
                "VALUES ('news', 'News', 'News', '2026-01-01 00:00:00')"
            )
        )
    migrate(mailer.database)
    require_current(mailer.database)
    with mailer.database.reading() as session:
        assert session.scalar(text("SELECT name FROM mailing_lists")) == "news"


def test_a_file_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'mailer.db'}")
    with pytest.raises(NotInitialised, match=r"is not there\. Run: jlgc-mailer init$"):
        require_current(database)
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_a_later_program_is_refused_by_name_and_left_alone(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (require_current, migrate):
        with pytest.raises(SettingError, match="version 9999, which this program does not know"):
            use(mailer.database)
    with mailer.database.reading() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


@pytest.mark.parametrize("use", [require_current, migrate])
def test_a_server_that_does_not_answer_is_one_sentence(use: object) -> None:
    database = Database(f"postgresql+psycopg://mailer:geheim@127.0.0.1:{free_port()}/mailer")
    assert callable(use)
    with pytest.raises(Unreachable) as caught:
        use(database)
    assert len(str(caught.value).splitlines()) == 1
    assert "geheim" not in str(caught.value)


def test_dropping_everything_leaves_an_empty_database(mailer: Mailer) -> None:
    drop_everything(mailer.database)
    assert inspect(mailer.database.engine).get_table_names() == []
    migrate(mailer.database)
    require_current(mailer.database)


def test_every_migration_is_known() -> None:
    folder = Path(jlgc_mailer.db.migrate.__file__).parent / "migrations" / "versions"
    assert tuple(sorted(file.name[:4] for file in folder.glob("[0-9]*.py"))) == KNOWN
