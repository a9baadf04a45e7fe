"""Planning a send of 100,000, against a bare INSERT ... SELECT of the same rows, on SQLite."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import delete, insert, literal, select, update

from bench.rounds import medians
from jlgc_mailer.audience.lists import create_list
from jlgc_mailer.bootstrap import Mailer, examples_folder
from jlgc_mailer.content.importing import read_issue
from jlgc_mailer.content.issues import compiled_artefacts, import_issue
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.db.people import Subscriber, Subscription
from jlgc_mailer.db.sending import Batch, Delivery, Send
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.schedule import Order, schedule
from jlgc_mailer.settings import read_settings
from jlgc_mailer.states import DeliveryStatus, Language, SendStatus, SubscriptionStatus, UncertainPolicy

_PEOPLE = 100_000
_ROUNDS = 5


def run() -> Iterator[str]:
    """One line with both and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        mailer = Mailer(read_settings(Path(folder), secret_keys="a key for benchmarks that is long enough"))
        migrate(mailer.database)
        send_id = _prepare(mailer)
        ours, bare = medians(_ROUNDS, lambda: _plan(mailer, send_id), lambda: _bare(mailer, send_id))
        mailer.database.close()
    yield f"plan {_PEOPLE / ours:,.0f} rows/s; bare {_PEOPLE / bare:,.0f} rows/s; ratio {bare / ours:.2f}"


def _prepare(mailer: Mailer) -> int:
    now = mailer.clock()
    with mailer.database.transaction() as session:
        news = create_list(session, "news", "News", "ニュース", now)
        revision = import_issue(session, read_issue(examples_folder() / "summer-2024"), mailer.press, now).revision
        people = [{"address": f"r{n}@example.com", "address_key": f"r{n}@example.com"} for n in range(_PEOPLE)]
        session.execute(insert(Subscriber).values(name="", language=Language.ENGLISH, created_at=now), people)
        ties = select(
            Subscriber.id, literal(news.id), literal(SubscriptionStatus.CONFIRMED.value), Subscriber.created_at
        )
        session.execute(insert(Subscription).from_select(["subscriber_id", "list_id", "status", "changed_at"], ties))
        artefacts = compiled_artefacts(session, revision, mailer.press, now)
        return schedule(session, artefacts, Order(now, "Europe/London", [news], UncertainPolicy.HOLD, 500), now).id


def _plan(mailer: Mailer, send_id: int) -> None:
    _forget(mailer, send_id)
    with mailer.database.transaction() as session:
        plan(session, send_id, mailer.clock())


def _bare(mailer: Mailer, send_id: int) -> None:
    _forget(mailer, send_id)
    columns = ["send_id", "subscriber_id", "list_id", "compiled_id", "address", "status", "attempts"]
    with mailer.database.transaction() as session:
        rows = select(
            literal(send_id),
            Subscriber.id,
            literal(1),
            literal(1),
            Subscriber.address,
            literal(DeliveryStatus.PENDING.value),
            literal(0),
        )
        session.execute(insert(Delivery).from_select(columns, rows))


def _forget(mailer: Mailer, send_id: int) -> None:
    """Both begin with no deliveries; emptying costs both the same."""
    with mailer.database.transaction() as session:
        session.execute(delete(Batch))
        session.execute(delete(Delivery))
        session.execute(update(Send).where(Send.id == send_id).values(status=SendStatus.SCHEDULED, planned_at=None))
