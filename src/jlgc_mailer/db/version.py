"""Which version the tables are of, asked without alembic: every process asks at its start, few migrate."""

from sqlalchemy import Connection, inspect, text

from jlgc_mailer.db.base import Database
from jlgc_mailer.errors import NotInitialised, SettingError

KNOWN = ("0001", "0002", "0003", "0004", "0005")  # of the folder migrations/versions, in their order


def require_current(database: Database) -> None:
    """Raise NotInitialised unless all migrations have run; Unreachable when nothing answers."""
    if database.is_absent:
        raise NotInitialised(place=database.place, problem="not there")
    with database.reachable(), database.engine.connect() as connection:
        current = known_version(connection)
    if current != KNOWN[-1]:
        problem = "empty" if current is None else f"at version {current}, and this program needs {KNOWN[-1]}"
        raise NotInitialised(place=database.place, problem=problem)


def known_version(connection: Connection) -> str | None:
    """The version of the tables, None if there are none; raises SettingError for one that a later program made."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    current = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if current is not None and current not in KNOWN:
        raise SettingError(
            variable="JLGC_MAILER_DATABASE_URL",
            problem=f"names a database of version {current}, which this program does not know",
            remedy="Install the version of jlgc-mailer that made it, or name another database.",
        )
    return str(current) if current is not None else None
