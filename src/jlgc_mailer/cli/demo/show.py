"""What the demo shows: one live line while it sends, a table that adds up, and where to look."""

import email
import email.policy
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.cli.sends import account_rows, as_facts
from jlgc_mailer.cli.shell import show_json
from jlgc_mailer.sending.progress import Account, account
from jlgc_mailer.sending.schedule import find_send
from jlgc_mailer.states import DeliveryStatus, SendStatus

_LOOK_EVERY = 0.2
_STUCK_SECONDS = 90


@dataclass(frozen=True)
class Result:
    """How the demo ended: what the ledger says, and what the receiver holds."""

    account: Account
    subscribers: int
    received: Mapping[str, Path]
    seconds: float

    @property
    def adds_up(self) -> bool:
        """Everybody is settled, nobody uncertain, and the receiver holds exactly what the ledger calls accepted."""
        ledger = self.account
        return (
            ledger.status is SendStatus.FINISHED
            and ledger.total == ledger.settled == self.subscribers
            and ledger.count(DeliveryStatus.UNCERTAIN) == 0
            and ledger.count(DeliveryStatus.ACCEPTED) == len(self.received)
        )


def watch(mailer: Mailer, send_id: int) -> Account:
    """Show one live line until the send is finished, or until nothing has changed for a long while."""
    columns = (
        TextColumn("Sending"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[numbers]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("sending", total=None, numbers="")
        began = changed = time.monotonic()
        settled = -1
        while True:
            now = time.monotonic()
            numbers = _look(mailer, send_id)
            if numbers.settled != settled:
                settled, changed = numbers.settled, now
            _update(progress, task, numbers, now - began)
            if numbers.status is SendStatus.FINISHED or now - changed > _STUCK_SECONDS:
                return _after_judging(mailer, send_id)
            time.sleep(_LOOK_EVERY)


def _look(mailer: Mailer, send_id: int) -> Account:
    with mailer.database.reading() as session:
        return account(session, find_send(session, send_id))


def _update(progress: Progress, task: TaskID, numbers: Account, seconds: float) -> None:
    accepted, deferred = numbers.count(DeliveryStatus.ACCEPTED), numbers.count(DeliveryStatus.DEFERRED)
    refused = numbers.count(DeliveryStatus.REFUSED)
    rate = (accepted + refused) / seconds if seconds else 0
    line = f"{accepted:,} sent  {deferred:,} deferred  {refused:,} refused  {rate:,.0f}/s"
    progress.update(task, total=numbers.total, completed=numbers.settled, numbers=line)


def _after_judging(mailer: Mailer, send_id: int) -> Account:
    """The account; a complaint that came with the last message is in it."""
    time.sleep(_LOOK_EVERY)
    return _look(mailer, send_id)


def result(result: Result, as_json: bool) -> None:
    """The table that adds up, or the same as JSON."""
    if as_json:
        facts = as_facts(result.account)
        held = {"receiver_holds": len(result.received), "seconds": round(result.seconds, 1)}
        show_json(facts | held | {"accounted_for": result.adds_up})
        return
    table = Table("became", "why", "subscribers", title="What became of everybody", title_justify="left")
    table.columns[2].justify = "right"
    rows = account_rows(result.account)
    for row in rows:
        if row is rows[-1]:
            table.add_section()
        table.add_row(*row)
    Console().print(table)
    verdict = "Everybody is accounted for" if result.adds_up else "NOT everybody is accounted for"
    click.echo(
        f"{verdict}: the receiver holds {len(result.received):,} messages; "
        f"{result.account.complaints} of the readers complained and will get nothing more. {result.seconds:.1f} s."
    )


def addresses(result: Result, address: str, send_id: int, home: Path) -> None:
    """Where to look; on stderr, so that standard output holds only the table."""
    lines = [
        "",
        f"This send          {address}/sends/{send_id}",
        f"The issue          {address}/issues/summer-2024/en  and  /ja",
    ]
    example = next(iter(sorted(result.received)), None)
    if example:
        file = result.received[example]
        lines += [f"A reader's message {file}", f"  in the browser   {_as_page(file).as_uri()}"]
    lines += [f"In a terminal      jlgc-mailer --home {home} sends show {send_id}", ""]
    click.echo("\n".join(lines), err=True)
    sys.stdout.flush()


def _as_page(file: Path) -> Path:
    """The HTML part of a message as a file that a browser opens."""
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    html = message.get_body(("html",))
    page = file.with_suffix(".html")
    page.write_text(html.get_content() if html else "", encoding="utf-8")
    return page
