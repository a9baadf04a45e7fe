"""Bring a database to the version that this code needs, or say that it is not there yet."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from jlgc_mailer.db.base import Base, Database
from jlgc_mailer.errors import NotInitialised, SettingError


def migrate(database: Database) -> None:
    """Create or upgrade all tables, in one transaction; nothing happens when they are current."""
    config = _config()
    with database.reachable(), database.engine.begin() as connection:
        _version(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(database: Database) -> None:
    """Raise NotInitialised unless all migrations have run; Unreachable when nothing answers."""
    if database.is_absent:
        raise NotInitialised(place=database.place, problem="not there")
    with database.reachable(), database.engine.connect() as connection:
        current = _version(connection)
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if current != head:
        problem = "empty" if current is None else f"at version {current}, and this program needs {head}"
        raise NotInitialised(place=database.place, problem=problem)


def _version(connection: Connection) -> str | None:
    """The version of the tables, None if there are none; raises SettingError for one that a later program made."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SettingError(
            variable="JLGC_MAILER_DATABASE_URL",
            problem=f"names a database of version {current}, which this program does not know",
            remedy="Install the version of jlgc-mailer that made it, or name another database.",
        )
    return current


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
