"""Bring a database to the version that this code needs, or say that it is not there yet."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from jlgc_mailer.db.base import Base, Database, unreachable
from jlgc_mailer.errors import NotInitialised


def migrate(database: Database) -> None:
    """Create or upgrade all tables, in one transaction; nothing happens when they are current."""
    config = _config()
    try:
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise unreachable(database.place, error) from error


def require_current(database: Database) -> None:
    """Raise NotInitialised unless all migrations have run; Unreachable when nothing answers."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    try:
        with database.engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise unreachable(database.place, error) from error
    if current != head:
        problem = "empty" if current is None else f"at version {current}, and this program needs {head}"
        raise NotInitialised(place=database.place, problem=problem)


def drop_everything(database: Database) -> None:
    """Remove all our tables and their data. Only the demo does this, and only to its own database."""
    with database.engine.begin() as connection:
        Base.metadata.drop_all(connection)
        if inspect(connection).has_table("alembic_version"):
            connection.exec_driver_sql("DROP TABLE alembic_version")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
