"""Column types and conventions that all tables share, and the way into the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

from jlgc_mailer.errors import SettingError, Unreachable

_BUSY_SECONDS = 30
_CONNECT_SECONDS = 10
# A server that falls silent (its machine, or the network between) is given up within half a minute. TCP by itself waits
# a quarter of an hour for an acknowledgement, and for an answer for ever; but a worker that hears nothing has to stop
# before its lease of a minute is over and another one writes to the same people.
_SILENCE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC (SQLite keeps no zone, so it is put back on reading)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; hand on UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name == "sqlite" else UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give UTC, whatever zone the server's session has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_column(kind: type[StrEnum]) -> Enum:
    """Stores the value of a StrEnum as text, so that a new member needs no change of the table."""
    return Enum(kind, native_enum=False, length=40, values_callable=lambda members: [m.value for m in members])


BigId = BigInteger().with_variant(Integer, "sqlite")
Key = Annotated[int, mapped_column(BigId, primary_key=True, autoincrement=True)]
Moment = Annotated[datetime, mapped_column(UtcDateTime)]
ShortText = Annotated[str, mapped_column(String(255))]


class Base(DeclarativeBase):
    """All tables; constraints are named, so that migrations can speak of them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """Sessions over one engine. A transaction belongs to the use case that opens it here."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @property
    def place(self) -> str:
        """The address for people, without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    @property
    def is_absent(self) -> bool:
        """Whether it is a SQLite file that is not there yet; connecting to it would make an empty one."""
        url = self.engine.url
        return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Read and write; commits at the end of the block, or rolls all of it back."""
        with self.reachable(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read only: never waits for writers, and nothing is committed."""
        engine = self.engine.execution_options(reading=True)
        with self.reachable(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Tells in one sentence when there is no database to be used; other errors of SQL pass."""
        try:
            yield
        except DatabaseError as error:
            if self._is_absence(error):
                raise self._unreachable(error) from error
            raise

    def _is_absence(self, error: DatabaseError) -> bool:
        """A connection that cannot be made or was lost, and a file that is locked or broken; not, say, a deadlock."""
        if self.engine.dialect.name == "sqlite":
            return isinstance(error, OperationalError) or type(error) is DatabaseError  # the bare class: a broken file
        return isinstance(error, OperationalError) and (error.connection_invalidated or error.statement is None)

    def _unreachable(self, error: DatabaseError) -> Unreachable:
        first_line = (str(error.orig).strip() or "it does not answer").splitlines()[0].rstrip(".")
        is_file = self.engine.dialect.name == "sqlite"
        remedy = f"{'See to the file and its folder' if is_file else 'Start it'}, or correct JLGC_MAILER_DATABASE_URL."
        return Unreachable(service="database", place=self.place, problem=first_line, remedy=remedy)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed.render_as_string(hide_password=False))
        return create_engine(
            parsed,
            hide_parameters=True,  # values are addresses and letters, and errors reach logs
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            connect_args={"connect_timeout": _CONNECT_SECONDS} | _SILENCE,
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        raise SettingError(
            variable="JLGC_MAILER_DATABASE_URL",
            problem="is not a database address that is understood",
            remedy="Write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        ) from None


def _sqlite(url: str) -> Engine:
    """WAL lets readers go on beside a writer; a writer takes its lock at BEGIN, so it waits instead of failing."""
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
