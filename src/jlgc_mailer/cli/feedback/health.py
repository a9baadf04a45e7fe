"""`feedback health`: how the ways in are doing."""

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table

if TYPE_CHECKING:
    from jlgc_mailer.db.feedback import WayIn

_LISTENER = timedelta(seconds=60)  # it tells every ten that it is there


@click.command(epilog=example("jlgc-mailer feedback health", "jlgc-mailer feedback health --json"))
@as_json
@pass_shell
def health(shell: Shell, as_json: bool) -> None:
    """A line for each way in: when it was tried, what it brought, what waits. Exit status 1 if one has a problem."""
    from jlgc_mailer.feedback.health import ways_in
    from jlgc_mailer.feedback.mailboxes.collect import way_in

    longest = _longest_silences(shell)
    with shell.database.reading() as session:
        tried = {each.name: each for each in ways_in(session)}
    configured = {*map(way_in, shell.mailer.mailboxes), *(each.source for each in shell.mailer.webhooks.values())}
    names = [*tried, *sorted(configured.difference(tried))]
    rows = [_row(name, tried.get(name), longest.get(name), shell.mailer.clock()) for name in names]
    columns = ("name", "tried", "last stored", "stored", "waiting", "problem")
    if as_json:
        show_json(rows)
    else:
        show_table(columns, [[row[column] for column in columns] for row in rows], "Nothing has come in yet.")
    if any(row["problem"] for row in rows):
        sys.exit(1)


def _longest_silences(shell: Shell) -> dict[str, timedelta]:
    """After which time those ways in are dead that are tried by themselves; a webhook or a pipe may rest for months."""
    from jlgc_mailer.feedback.listener import WAY_IN
    from jlgc_mailer.feedback.mailboxes.collect import way_in

    mailboxes = {way_in(mailbox): 10 * mailbox.every for mailbox in shell.mailer.mailboxes}
    return mailboxes | {WAY_IN: _LISTENER}


def _row(name: str, tried: "WayIn | None", longest: timedelta | None, now: datetime) -> dict[str, Any]:
    from jlgc_mailer.feedback.health import silence

    tried_at = tried.tried_at if tried else None
    return {
        "name": name,
        "tried": _time(tried_at),
        "last stored": _time(tried.stored_at) if tried else None,
        "stored": tried.stored if tried else 0,
        "waiting": tried.backlog if tried else None,
        "problem": (longest and silence(tried_at, longest, now)) or (tried and tried.problem),
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
