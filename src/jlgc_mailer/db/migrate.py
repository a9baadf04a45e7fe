"""Bring a database to the version that this code needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from jlgc_mailer.db.base import Base, Database
from jlgc_mailer.db.version import known_version


def migrate(database: Database) -> None:
    """Create or upgrade all tables, in one transaction; nothing happens when they are current."""
    config = _config()
    with database.reachable(), database.engine.begin() as connection:
        known_version(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
