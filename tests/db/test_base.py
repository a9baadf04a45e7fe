"""The way into the database: times in UTC, whole transactions, and one sentence when nothing is there."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import String, cast, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.errors import SettingError, Unreachable
from tests.servers import free_port

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=ZONES)


def a_list(name: str, created_at: datetime) -> MailingList:
    return MailingList(name=name, title_en="News", title_ja="ニュース", created_at=created_at)


@given(moment=MOMENTS)
def test_a_time_of_any_zone_comes_back_as_the_same_moment_in_utc(mailer: Mailer, moment: datetime) -> None:
    with mailer.database.transaction() as session:
        created = a_list("news", moment)
        session.add(created)
        session.flush()
        session.expire(created)
        assert created.created_at == moment
        assert created.created_at.utcoffset() == timedelta(0)
        session.rollback()


def test_a_time_is_stored_in_utc(mailer: Mailer) -> None:
    tokyo = timezone(timedelta(hours=9))
    with mailer.database.transaction() as session:
        session.add(a_list("news", NOON.astimezone(tokyo)))
        session.flush()
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        stored = session.scalar(select(cast(MailingList.created_at, String)))
    assert str(stored).startswith("2026-07-01 12:00:00")


def test_a_server_in_another_zone_changes_nothing(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
        session.add(a_list("news", NOON))
        session.flush()
        session.expire_all()
        found = session.scalars(select(MailingList)).one()
        assert found.created_at.isoformat() == "2026-07-01T12:00:00+00:00"
        assert session.scalar(select(MailingList.id).where(MailingList.created_at == NOON)) == found.id


def test_a_time_without_a_zone_is_refused(mailer: Mailer) -> None:
    with pytest.raises(StatementError, match="naive datetime"), mailer.database.transaction() as session:
        session.add(a_list("news", NOON.replace(tzinfo=None)))


def test_a_transaction_that_fails_leaves_nothing(mailer: Mailer) -> None:
    with pytest.raises(IntegrityError), mailer.database.transaction() as session:
        session.add(a_list("first", NOON))
        session.flush()
        session.add_all([a_list("twice", NOON), a_list("twice", NOON)])
    with mailer.database.reading() as session:
        assert session.scalars(select(MailingList)).all() == []


def test_readers_do_not_wait_for_a_writer_and_see_what_was_committed(mailer: Mailer) -> None:
    with mailer.database.transaction() as writing:
        writing.add(a_list("news", NOON))
        writing.flush()
        with mailer.database.reading() as session:
            assert session.scalars(select(MailingList.name)).all() == []
    with mailer.database.reading() as session:
        assert session.scalars(select(MailingList.name)).all() == ["news"]


def test_writers_that_read_first_wait_for_each_other_and_all_get_through(mailer: Mailer) -> None:
    """SQLite would tell the second one at once that the database is locked."""
    together = threading.Barrier(2)

    def add(name: str) -> None:
        together.wait(10)
        for number in range(5):
            with mailer.database.transaction() as session:
                found = session.scalars(select(MailingList.id)).all()
                session.add(a_list(f"{name}-{number}-{len(found)}", NOON))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(add, name) for name in ("one", "two")]:
            done.result(30)
    with mailer.database.reading() as session:
        assert len(session.scalars(select(MailingList)).all()) == 10


@pytest.mark.parametrize("use", ["transaction", "reading"])
def test_an_unreachable_server_is_one_sentence_without_the_password(use: str) -> None:
    port = free_port()
    database = Database(f"postgresql+psycopg://mailer:geheim@127.0.0.1:{port}/mailer")
    with pytest.raises(Unreachable) as caught, getattr(database, use)() as session:
        session.execute(text("SELECT 1"))
    sentence = str(caught.value)
    place = f"postgresql+psycopg://mailer:***@127.0.0.1:{port}/mailer"
    assert sentence.startswith(f"Cannot reach the database at {place}: ")
    assert sentence.endswith("Start it, or correct JLGC_MAILER_DATABASE_URL.")
    assert "geheim" not in sentence
    assert len(sentence.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [("missing/mailer.db", None, "unable to open database file"), ("mailer.db", b"no table" * 999, "file is not a")],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    name: str, content: bytes | None, problem: str, tmp_path: Path
) -> None:
    if content:
        (tmp_path / name).write_bytes(content)
    with (
        pytest.raises(Unreachable, match=problem) as caught,
        Database(f"sqlite:///{tmp_path / name}").reading() as session,
    ):
        session.execute(text("SELECT 1"))
    assert str(caught.value).endswith("See to the file and its folder, or correct JLGC_MAILER_DATABASE_URL.")


@pytest.mark.parametrize(
    "url",
    [
        "mailer.db",
        "mysql://mailer@localhost/mailer",
        "nonsense://mailer",
        "postgresql+nothing://localhost/mailer",
        "postgresql+psycopg://mailer:geheim@localhost:port/mailer",
    ],
)
def test_an_address_that_is_none_names_the_setting_and_not_the_password(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        Database(url)
    assert str(caught.value).startswith("Setting JLGC_MAILER_DATABASE_URL: is not a database address")
    assert "postgresql+psycopg://USER:PASSWORD@HOST/NAME" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_what_fails_is_told_without_its_values(mailer: Mailer) -> None:
    """They are addresses, and end in logs."""
    with pytest.raises(DBAPIError) as caught, mailer.database.engine.connect() as connection:
        connection.execute(text("INSERT INTO absent VALUES (:address)"), {"address": "aiko@example.org"})
    assert "aiko" not in str(caught.value)


@pytest.mark.parametrize("pair", ["postgresql"], indirect=True)
def test_a_deadlock_is_not_taken_for_an_absent_database(mailer: Mailer) -> None:
    """Two transactions lock two rows in opposite order: one is ended by the database, which is there all the same."""
    with mailer.database.transaction() as session:
        session.execute(text("CREATE TABLE pairs (id int PRIMARY KEY, n int)"))
        session.execute(text("INSERT INTO pairs VALUES (1, 0), (2, 0)"))
    both_locked, errors = threading.Barrier(2, timeout=20), []

    def cross(first: int, second: int) -> None:
        try:
            with mailer.database.transaction() as session:
                session.execute(text(f"UPDATE pairs SET n = 1 WHERE id = {first}"))
                both_locked.wait()
                session.execute(text(f"UPDATE pairs SET n = 1 WHERE id = {second}"))
        except OperationalError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(errors) == 1
    assert "deadlock" in errors[0]


@pytest.mark.parametrize("pair", ["postgresql"], indirect=True)
def test_a_silent_server_is_given_up_within_half_a_minute(mailer: Mailer) -> None:
    """The kernel asks for it: a lease lasts a minute, and a worker that hears nothing stops before its end."""
    with mailer.database.reading() as session:
        session.execute(text("SELECT 1"))
        descriptor = session.connection().connection.dbapi_connection.pgconn.socket  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(descriptor)) as wire:
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [wire.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [10, 5, 3, 30_000]
