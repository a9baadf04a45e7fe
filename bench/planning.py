"""Planning a send to 100,000 (`--people`), against a bare INSERT ... SELECT of the same columns, on both databases."""

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    String,
    case,
    cast,
    delete,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from bench.rounds import seconds_of
from jlgc_mailer.audience.lists import create_list
from jlgc_mailer.bootstrap import Mailer, examples_folder
from jlgc_mailer.content.importing import read_issue
from jlgc_mailer.content.issues import compiled_artefacts, import_issue
from jlgc_mailer.db.base import Base
from jlgc_mailer.db.issues import Revision
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.db.people import MailingList, Subscriber, Subscription, Suppression
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.schedule import Order, schedule
from jlgc_mailer.settings import read_settings
from jlgc_mailer.states import (
    DeliveryStatus,
    Language,
    SendStatus,
    SubscriptionStatus,
    SuppressionReason,
    UncertainPolicy,
)
from tests import servers

_PEOPLE = 100_000
_SUPPRESSED_ONE_IN = 100
_ROUNDS = 5
_ZONES = ("Europe/London", "Asia/Tokyo", "America/New_York")


def run(people: int = _PEOPLE) -> Iterator[str]:
    """A line for each kind of send on each database."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield from _on("SQLite", "", Path(folder) / "sqlite", people)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with servers.postgresql(Path(folder)) as address:
            yield from _on("PostgreSQL", f"{address}/postgres", Path(folder) / "home", people)


def _on(database: str, url: str, home: Path, people: int) -> Iterator[str]:
    home.mkdir()
    mailer = Mailer(read_settings(home, secret_keys="a key for benchmarks that is long enough", database_url=url))
    migrate(mailer.database)
    with closing(mailer.database):
        lists = _prepare(mailer, people)
        for name, chosen, local_time in (
            ("one list", lists[:1], False),
            ("two lists", lists, False),
            ("one list, local time", lists[:1], True),
        ):
            send_id = _schedule(mailer, chosen, local_time)
            before = _peak()
            _plan(mailer, send_id)
            grown = _peak() - before
            ours, bare = _compare(mailer, partial(_plan, mailer, send_id), partial(_bare, mailer, send_id))
            yield (
                f"{database}, {name}: plan {people / ours:,.0f} rows/s; bare {people / bare:,.0f} rows/s; "
                f"ratio {bare / ours:.2f}; peak memory +{grown:.1f} MB"
            )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _compare(mailer: Mailer, *works: Callable[[], None]) -> list[float]:
    """The median seconds of each in turns; making the tables empty again is not counted."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(_ROUNDS):
        for work, seconds in zip(works, taken, strict=True):
            _forget(mailer)
            seconds.append(seconds_of(work))
    return [median(seconds) for seconds in taken]


def _prepare(mailer: Mailer, people: int) -> list[int]:
    """Readers on two lists, made inside the database; one in a hundred is suppressed."""
    now = mailer.clock()
    with mailer.database.transaction() as session:
        lists = [create_list(session, name, "News", "ニュース", now).id for name in ("news", "jobs")]
        import_issue(session, read_issue(examples_folder() / "summer-2024"), mailer.press, now)
        created = literal(now, Subscriber.created_at.type)
        _fill(session, Subscriber, _readers(people), created_at=created)
        for list_id in lists:
            tied = {"list_id": literal(list_id), "status": literal(SubscriptionStatus.CONFIRMED.value)}
            _fill(session, Subscription, {"subscriber_id": Subscriber.id}, **tied, changed_at=created)
        barred = select(Subscriber.address_key).where(Subscriber.id % _SUPPRESSED_ONE_IN == 0).subquery()
        reason = literal(SuppressionReason.MANUAL.value)
        _fill(session, Suppression, dict(barred.c.items()), reason=reason, source=literal("bench"), created_at=created)
    with mailer.database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    return lists


def _readers(people: int) -> dict[str, ColumnElement[Any]]:
    numbers = select(literal(1, Integer).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < people))
    address = literal("reader") + cast(numbers.c.n, String) + literal("@example.com")
    zone = case(dict(enumerate(_ZONES)), value=numbers.c.n % len(_ZONES))
    return {
        "address": address,
        "address_key": address,
        "name": literal("Reader ") + cast(numbers.c.n, String),
        "language": literal(Language.ENGLISH.value),
        "zone": zone,
    }


def _fill(session: Session, table: type[Base], some: Mapping[str, Any], **others: ColumnElement[Any]) -> None:
    columns = {**some, **others}
    session.execute(insert(table).from_select(list(columns), select(*columns.values())))


def _schedule(mailer: Mailer, list_ids: Sequence[int], local_time: bool) -> int:
    now = mailer.clock()
    with mailer.database.transaction() as session:
        lists = [session.get_one(MailingList, list_id) for list_id in list_ids]
        artefacts = compiled_artefacts(session, session.scalars(select(Revision)).one(), mailer.press, now)
        order = Order(now, _ZONES[0], lists, UncertainPolicy.HOLD, 500, local_time=local_time)
        return schedule(session, artefacts, order, now).id


def _plan(mailer: Mailer, send_id: int) -> None:
    with mailer.database.transaction() as session:
        assert plan(session, send_id, mailer.clock(), 1)


def _bare(mailer: Mailer, send_id: int) -> None:
    columns = {
        "send_id": literal(send_id),
        "subscriber_id": Subscriber.id,
        "list_id": literal(1),
        "compiled_id": literal(1),
        "address": Subscriber.address,
        "name": Subscriber.name,
        "status": literal(DeliveryStatus.PENDING.value),
        "reason": null(),
        "attempts": literal(0),
    }
    with mailer.database.transaction() as session:
        session.execute(insert(Delivery).from_select(list(columns), select(*columns.values())))


def _forget(mailer: Mailer) -> None:
    is_sqlite = mailer.database.engine.dialect.name == "sqlite"
    with mailer.database.transaction() as session:
        session.execute(delete(Batch) if is_sqlite else text("TRUNCATE deliveries, batches CASCADE"))
        session.execute(delete(Delivery))
        session.execute(update(Send).values(status=SendStatus.SCHEDULED, planned_at=None))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=_PEOPLE, help="how many readers (default %(default)s)")
    for line in run(parser.parse_args().people):
        print(line, flush=True)
