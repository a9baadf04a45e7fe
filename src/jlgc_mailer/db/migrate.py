"""Bring a database to the version that this code needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData

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
    ours = {*Base.metadata.tables, "alembic_version"}
    there = MetaData()  # as they are: those of an earlier version may depend on each other otherwise
    with database.engine.begin() as connection:
        there.reflect(connection, only=lambda name, _: name in ours, resolve_fks=False)
        there.drop_all(connection)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
