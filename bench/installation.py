"""An installation for benchmarks: PostgreSQL and Valkey, readers on lists, issues of a given size on the wire."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from sqlalchemy import func, select, text

from bench.postfix import SESSIONS
from bench.programs import running
from jlgc_mailer.audience.lists import create_list
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.content.importing import IssueFiles, read_edition
from jlgc_mailer.content.issues import compiled_artefacts, find_issue, import_issue, latest_revision
from jlgc_mailer.db.migrate import migrate
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.render.compile import compile_edition
from jlgc_mailer.render.source import Compiled, EditionSource
from jlgc_mailer.sending.letters import ListFace, Recipient, Stationery
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.schedule import Order, schedule
from jlgc_mailer.settings import read_settings
from jlgc_mailer.states import DeliveryStatus, Language, UncertainPolicy
from tests import servers

_SECRET = "a key for benchmarks that is long enough"
_NOBODY = 65534
_HEAD = """---
subject: News of the summer
preheader: What happened in June and July
season: Summer 2024
from: JLGC London <newsletter@example.org>
---

# A summer in Whitehall

Dear {{ name|reader }},
"""
_TEXT = "We went with colleagues from the borough to see what has become of the park since the games of that year. "
_PARAGRAPH = 440  # characters


@dataclass(frozen=True)
class Installation:
    """Servers that run, and an empty database in them; each home of it has a broker of its own."""

    folder: Path
    database: str
    broker: str
    postmaster: int

    def settings(self, home: str, smtp_port: int) -> dict[str, str]:
        """All settings of one home, by name."""
        numbers = {name: number for number, name in enumerate(("", "rsa", "ed25519"))}
        return {
            "home": str(self.folder / f"home-{home}"),
            "database_url": self.database,
            "broker_url": f"{self.broker}/{numbers[home]}",
            "secret_keys": _SECRET,
            "smtp_port": str(smtp_port),
            "smtp_connections": str(SESSIONS),
        }

    def mailer(self, home: str = "", smtp_port: int = 25) -> Mailer:
        """The installation as seen from this process."""
        settings = self.settings(home, smtp_port)
        folder = Path(settings.pop("home"))
        folder.mkdir(exist_ok=True)
        return Mailer(read_settings(folder, **settings))

    @contextmanager
    def unhurried(self) -> Iterator[Mailer]:
        """The installation seen over sessions whose commits do not wait for the disk."""
        url = f"{self.database}?options=-csynchronous_commit%3Doff"
        mailer = Mailer(self.mailer().settings.model_copy(update={"database_url": url}))
        yield mailer
        mailer.database.close()


@contextmanager
def installation() -> Iterator[Installation]:
    """PostgreSQL as its makers ship it, so that commits are on disk, and Valkey."""
    with tempfile.TemporaryDirectory(prefix="mailer-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "postgresql").mkdir()
        with _postgresql(folder / "postgresql") as (address, pid), servers.valkey(folder) as broker:
            made = Installation(folder, address, broker, pid)
            migrate(made.mailer().database)
            yield made


@contextmanager
def _postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    user = _NOBODY if os.geteuid() == 0 else None
    programs = servers._postgresql_programs(folder, user)
    data, port = folder / "data", servers.free_port()
    make: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "mailer",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
    ]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, user=user)
    serve: list[str | Path] = [
        programs / "postgres",
        "-D",
        data,
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-c",
        "unix_socket_directories=",
    ]
    with running(serve, user=user) as process:
        servers._wait_until(lambda: psycopg.connect(_plain(_address(port))).close())
        yield _address(port), process.pid


def _address(port: int) -> str:
    return f"postgresql+psycopg://mailer@127.0.0.1:{port}/postgres"


def _plain(address: str) -> str:
    return address.replace("+psycopg", "")


def durability(mailer: Mailer) -> str:
    """What the server does before it says that a commit is done, and how long the disk takes for it."""
    names = "fsync", "synchronous_commit", "full_page_writes"
    with mailer.database.reading() as session:
        told = ", ".join(f"{name}={session.scalar(text(f'SHOW {name}'))}" for name in names)
    return f"PostgreSQL: {told}; a write of 8 KB and fsync take {_fsync(mailer.settings.home) * 1e3:.1f} ms here"


def _fsync(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        began = time.perf_counter()
        for _ in range(20):
            file.write(bytes(8192))
            os.fsync(file.fileno())
        return (time.perf_counter() - began) / 20


def add_readers(mailer: Mailer, list_name: str, number: int) -> None:
    """A list with so many of the readers, who are made when there are too few."""
    with mailer.database.transaction() as session:
        tied = create_list(session, list_name, "News", "ニュース", utc_now()).id
        session.execute(
            text(
                "INSERT INTO subscribers (address, address_key, name, language, zone, created_at)"
                " SELECT a, a, 'Reader ' || n, 'en', '', now()"
                " FROM generate_series((SELECT count(*) + 1 FROM subscribers), :number) AS n,"
                " LATERAL (SELECT 'reader' || n || '@example.com' AS a)"
            ),
            {"number": number},
        )
        session.execute(
            text(
                "INSERT INTO subscriptions (subscriber_id, list_id, status, changed_at)"
                " SELECT id, :list, 'confirmed', now() FROM subscribers ORDER BY id LIMIT :number"
            ),
            {"list": tied, "number": number},
        )
    with mailer.database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def add_issue(mailer: Mailer, slug: str, size: int) -> Compiled:
    """An issue whose letters have that size on the wire, or a few octets more or less."""
    edition = _edition_of(mailer, slug, size)
    with mailer.database.transaction() as session:
        import_issue(session, IssueFiles(slug, (edition,), {}), mailer.press, utc_now())
    return _compiled(mailer, edition)


def planned(mailer: Mailer, slug: str, list_name: str, batch_size: int) -> int:
    """A new send of the issue to the list, ready to be delivered."""
    now = utc_now()
    with mailer.database.transaction() as session:
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, now)
        lists = [session.scalars(select(MailingList).where(MailingList.name == list_name)).one()]
        send_id = schedule(
            session, artefacts, Order(now, "Europe/London", lists, UncertainPolicy.HOLD, batch_size), now
        ).id
        plan(session, send_id, now, mailer.keyring.key_id)
    return send_id


def accepted(mailer: Mailer, send_id: int) -> int:
    """To how many readers the send went."""
    mine = select(func.count()).where(Delivery.send_id == send_id, Delivery.status == DeliveryStatus.ACCEPTED)
    with mailer.database.reading() as session:
        return session.scalar(mine) or 0


def stationery(mailer: Mailer, compiled: Compiled, *, signed: bool = False) -> Stationery:
    """The stationery of a send of this edition."""
    face = ListFace("news", dict.fromkeys(Language, "News"))
    date = utc_now() - timedelta(minutes=1)
    return Stationery(mailer.identity, 1, date, {1: compiled}, {1: face}, mailer.signer if signed else None)


def recipient(number: int) -> Recipient:
    """A reader as a worker has them from the ledger."""
    return Recipient(number, 1, utc_now(), number, f"reader{number}@example.com", f"Reader {number}", 1, 1)


def _edition_of(mailer: Mailer, slug: str, size: int) -> EditionSource:
    """By the secant method: the size is nearly a linear function of the length of the text."""
    length, step, before = 5000, 5000, 0
    reached = _size(mailer, slug, length)
    while abs(reached - size) > size / 1000 and step:
        per_character = (reached - before) / step if before else 2.0
        step = round((size - reached) / per_character)
        before, length = reached, length + step
        reached = _size(mailer, slug, length)
    return _edition(slug, length)


def _size(mailer: Mailer, slug: str, length: int) -> int:
    return len(stationery(mailer, _compiled(mailer, _edition(slug, length))).letter(recipient(1_000_000)).content)


def _compiled(mailer: Mailer, edition: EditionSource) -> Compiled:
    return compile_edition(edition, mailer.press.site, mailer.press.templates)


def _edition(slug: str, length: int) -> EditionSource:
    text = _TEXT * (length // len(_TEXT) + 1)
    paragraphs = [text[start : min(start + _PARAGRAPH, length)] for start in range(0, length, _PARAGRAPH)]
    return read_edition("\n\n".join([_HEAD, *paragraphs]), "en.md", slug, Language.ENGLISH)
