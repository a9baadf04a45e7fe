"""What all tests share: an installation on each of the two pairs, and no way out of this machine."""

import itertools
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.settings import Settings, read_settings
from tests import servers

SECRET = "a secret for tests that is long enough to be one"
_numbers = itertools.count(1)

settings.register_profile("mailer", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("mailer")


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """A test that reaches for the outside fails at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "127.0.0.1"
        if host not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


class Clock:
    """A clock that a test sets; calling it tells the time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 6, 1, 9, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder that other users may enter, as a server of another user must."""
    with tempfile.TemporaryDirectory(prefix="mailer-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def postgresql_server(short_folder: Path) -> Iterator[str]:
    folder = short_folder / "postgresql"
    folder.mkdir(mode=0o755)
    with servers.postgresql(folder) as address:
        _administer(address, "CREATE DATABASE migrated")
        migrated = Database(f"{address}/migrated")
        migrate(migrated)
        migrated.close()
        yield address


@pytest.fixture(scope="session")
def valkey_server(short_folder: Path) -> Iterator[str]:
    folder = short_folder / "valkey"
    folder.mkdir()
    with servers.valkey(folder) as address:
        yield address


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "migrated.db"
    database = Database(f"sqlite:///{file}")
    migrate(database)
    database.close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Database and broker addresses of a fresh, migrated installation: SQLite + memory, PostgreSQL + Valkey."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "mailer.db")
        yield {"database_url": f"sqlite:///{tmp_path / 'mailer.db'}", "broker_url": "memory://"}
        return
    address, broker = request.getfixturevalue("postgresql_server"), request.getfixturevalue("valkey_server")
    name = f"test_{next(_numbers)}"
    _administer(address, f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY FILE_COPY")
    with redis.Redis.from_url(f"{broker}/0") as client:
        client.flushall()
    yield {"database_url": f"{address}/{name}", "broker_url": f"{broker}/0"}
    _administer(address, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(address: str, statement: str) -> None:
    plain = address.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def make_mailer(pair: dict[str, str], tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Mailer]]:
    """Mailers on the same installation, with settings to taste; on the test's clock unless another is given."""
    made: list[Mailer] = []

    def make(clock: Callable[[], datetime] = clock, **settings: Any) -> Mailer:
        made.append(Mailer(make_settings(tmp_path, **(pair | settings)), clock))
        return made[-1]

    yield make
    for mailer in made:
        mailer.database.close()
        mailer.queue.close()


@pytest.fixture
def mailer(make_mailer: Callable[..., Mailer]) -> Mailer:
    """An installation on a migrated, empty database."""
    return make_mailer()


def make_settings(home: Path, **overrides: Any) -> Settings:
    """Settings of an installation that is reached over https."""
    return read_settings(
        home,
        **{
            "secret_keys": SECRET,
            "public_url": "https://news.example.org",
            "mail_domain": "news.example.org",
            "bounce_domain": "bounce.example.org",
            "organisation_en": "Japan Local Government Centre, London",
            "organisation_ja": "自治体国際化協会ロンドン事務所",
            "postal_address": "15 Whitehall, London SW1A 2DD, United Kingdom",
            "contact": "newsletter@example.org",
            **overrides,
        },
    )
