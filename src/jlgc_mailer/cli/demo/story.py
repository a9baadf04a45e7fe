"""The demo told in order: prepare, plan, two readers leave, send, account for everybody, show."""

import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import inspect, select

from jlgc_mailer.audience.lists import create_list
from jlgc_mailer.audience.subscriptions import Evidence, confirm, find_subscriber, person
from jlgc_mailer.audience.suppression import suppress
from jlgc_mailer.bootstrap import READ_TASK, Mailer, examples_folder
from jlgc_mailer.cli.demo import show
from jlgc_mailer.cli.demo.people import Fate, Reader, readers
from jlgc_mailer.cli.demo.world import World
from jlgc_mailer.cli.processes import wait_for_end
from jlgc_mailer.content.importing import read_issue
from jlgc_mailer.content.issues import compiled_artefacts, import_issue
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.migrate import drop_everything, migrate
from jlgc_mailer.db.people import MailingList
from jlgc_mailer.errors import NotAllowedNow
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.address import parse_address
from jlgc_mailer.sending.letters import unsubscribe_url
from jlgc_mailer.sending.plan import plan
from jlgc_mailer.sending.schedule import Order, schedule
from jlgc_mailer.settings import FILE_NAME, PREFIX, read_settings
from jlgc_mailer.states import ReportForm, SuppressionReason, UncertainPolicy
from jlgc_mailer.web.server import serving
from jlgc_mailer.worker.processes import embedded

_LIST = "demo"
_MARK = "# Written by jlgc-mailer demo."
_ZONE = "Europe/London"
_PORT = 8025
_CHUNK = 1000


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    subscribers: int
    leave: bool
    as_json: bool
    home: Path
    database_url: str
    broker_url: str


def tell(wishes: Wishes) -> None:
    """Run the demo; leaves with status 1 unless everybody is accounted for."""
    began = time.monotonic()
    everybody = list(readers(wishes.subscribers))
    with ExitStack() as stack:
        fates = {each.address: each.fate for each in everybody}
        world = stack.enter_context(World(fates, wishes.home / "demo-mailboxes"))
        mailer = _installation(wishes, world.port)
        world.on_complaint = partial(_complain, mailer)
        pages = stack.enter_context(serving(mailer, "127.0.0.1", mailer.settings.web_port))
        send_id = _prepare(mailer, everybody)
        _some_leave(mailer, everybody, send_id)
        stack.enter_context(embedded(mailer))
        account = show.watch(mailer, send_id)
        result = show.Result(account, len(everybody), world.accepted, time.monotonic() - began)
        show.result(result, wishes.as_json)
        show.addresses(result, pages.url, send_id, wishes.home)
        if not wishes.leave:
            wait_for_end()
    sys.exit(0 if result.adds_up else 1)


def _installation(wishes: Wishes, smtp_port: int) -> Mailer:
    """A fresh installation of the demo's own in its home; other commands can look at it with --home."""
    _refuse_foreign(wishes.home)
    port = _free_port()
    values = {
        "database_url": wishes.database_url,
        "broker_url": wishes.broker_url,
        "secret_keys": secrets.token_urlsafe(32),
        "public_url": f"http://127.0.0.1:{port}",
        "organisation_en": "Japan Local Government Centre, London (demonstration)",
        "organisation_ja": "自治体国際化協会ロンドン事務所（デモ）",
        "postal_address": "15 Whitehall, London SW1A 2DD, United Kingdom",
        "contact": "newsletter@jlgc.example",
        "mail_domain": "jlgc.example",
        "bounce_domain": "bounce.jlgc.example",
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp_port,
        "smtp_security": "none",
        "smtp_user": "",
        "web_port": port,
        "batch_size": 50,
        "tick_seconds": 0.5,
        "retry_greylist_seconds": 3,
        "retry_first_seconds": 3,
    }
    lines = [_MARK, *(f"{PREFIX}{name.upper()}={value}" for name, value in values.items())]
    (wishes.home / FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (wishes.home / FILE_NAME).chmod(0o600)
    mailer = Mailer(read_settings(wishes.home, **values))
    _make_fresh(mailer.database)
    if not wishes.broker_url.startswith("memory:"):
        mailer.require_broker()
    return mailer


def _refuse_foreign(home: Path) -> None:
    file = home / FILE_NAME
    if file.exists() and not file.read_text(encoding="utf-8").startswith(_MARK):
        raise NotAllowedNow(
            kind="folder",
            name=str(home),
            action="used for the demo",
            problem="an installation lives there",
            remedy="Name another with: jlgc-mailer demo --home DIR",
        )


def _make_fresh(database: Database) -> None:
    """Empty tables; a database that holds anything but an earlier demo is refused."""
    with database.reading() as session:
        has_tables = inspect(session.connection()).has_table(MailingList.__tablename__)
        names = set(session.scalars(select(MailingList.name))) if has_tables else set()
    if names - {_LIST}:
        raise NotAllowedNow(
            kind="database",
            name=database.place,
            action="used for the demo",
            problem="it holds mailing lists",
            remedy="Name an empty one with: jlgc-mailer demo --database-url URL",
        )
    drop_everything(database)
    migrate(database)


def _prepare(mailer: Mailer, everybody: Sequence[Reader]) -> int:
    """The issue, the list, its readers, and a planned send of the one to the other."""
    now, database = mailer.clock(), mailer.database
    files = read_issue(examples_folder() / "summer-2024")
    with database.transaction() as session:
        imported = import_issue(session, files, mailer.press, now)
        mailing_list = create_list(session, _LIST, "JLGC London Office News", "クレアロンドン事務所ニュース", now)
        for each in everybody:
            if each.fate is Fate.SUPPRESSED:
                key = parse_address(each.address).key
                suppress(session, key, SuppressionReason.UNKNOWN_USER, "bounced before the demo", now)
    evidence = Evidence("demo", "a generated reader agreed to nothing, and is sent nothing outside this machine")
    for start in range(0, len(everybody), _CHUNK):
        people = [person(each.address, each.name, each.language) for each in everybody[start : start + _CHUNK]]
        with database.transaction() as session:
            confirm(session, people, mailing_list.id, evidence, now)
    with database.transaction() as session:
        artefacts = compiled_artefacts(session, imported.revision, mailer.press, now)
        order = Order(now, _ZONE, [mailing_list], UncertainPolicy.HOLD, mailer.settings.batch_size)
        send_id = schedule(session, artefacts, order, now).id
    with database.transaction() as session:
        plan(session, send_id, mailer.clock(), mailer.keyring.key_id)
    return send_id


def _some_leave(mailer: Mailer, everybody: Sequence[Reader], send_id: int) -> None:
    """A few readers unsubscribe after the planning, as a mail program does it for them: by one-click POST."""
    for each in everybody:
        if each.fate is Fate.LEFT:
            with mailer.database.reading() as session:
                subscriber_id = find_subscriber(session, each.address).id
            url = unsubscribe_url(mailer.identity, subscriber_id, send_id)
            with urllib.request.urlopen(url, data=b"List-Unsubscribe=One-Click", timeout=10) as answer:  # noqa: S310  (our own page)
                answer.read()


def _complain(mailer: Mailer, envelope_sender: str, report: bytes) -> None:
    inbound = Inbound("demo receiver", ReportForm.MESSAGE, report, envelope_to=envelope_sender)
    with mailer.database.transaction() as session:
        store(session, inbound, mailer.clock())
    mailer.nudge(READ_TASK)


def _free_port() -> int:
    """The usual port of the pages, or any other when that is taken."""
    for port in (_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0
