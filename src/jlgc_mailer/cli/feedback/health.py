"""`feedback health`: how the ways in are doing."""

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table

if TYPE_CHECKING:
    from jlgc_mailer.db.feedback import WayIn

_BY_HTTPS = "webhook "
_LISTENER = timedelta(seconds=60)  # it tells every ten that it is there


@click.command(
    epilog=example(
        "jlgc-mailer feedback health",
        "jlgc-mailer feedback health --json",
        "jlgc-mailer feedback health --forget 'mailbox old-office'",
    )
)
@click.option("--forget", metavar="NAME", help="Take one that is not used any more off the list, and do no more.")
@as_json
@pass_shell
def health(shell: Shell, forget: str | None, as_json: bool) -> None:
    """A line for each way in: when it was tried, what it brought, what waits, what it refused.

    Exit status 1 if one has a problem. What was refused is none: strangers can bring it about.
    """
    if forget is None:
        _show(shell, as_json)
    else:
        _forget(shell, forget)


def _forget(shell: Shell, name: str) -> None:
    from jlgc_mailer.feedback import health

    with shell.database.transaction() as session:
        health.forget(session, name)
    click.echo(f"Forgot the way in {name!r}. It comes back when it is used again.")


def _show(shell: Shell, as_json: bool) -> None:
    from jlgc_mailer.feedback.health import ways_in
    from jlgc_mailer.feedback.mailboxes.collect import way_in

    longest = _longest_silences(shell)
    with shell.database.reading() as session:
        tried = {each.name: each for each in ways_in(session)}
    configured = {*map(way_in, shell.mailer.mailboxes), *(each.source for each in shell.mailer.webhooks.values())}
    names = [*tried, *sorted(configured.difference(tried))]
    rows = [_row(name, tried.get(name), longest.get(name), shell.mailer.clock()) for name in names]
    columns = ("name", "tried", "last stored", "stored", "waiting", "problem", "last refused", "refusal")
    if as_json:
        show_json(rows)
    else:
        show_table(columns, [[row[column] for column in columns] for row in rows], "Nothing has come in yet.")
        if names and all(name.startswith(_BY_HTTPS) for name in names):
            domain = shell.mailer.settings.bounce_domain
            click.echo(f"Nothing takes mail for {domain}, to which readers unsubscribe by mail: see docs/feedback.md.")
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
        "last refused": _time(tried.refused_at) if tried else None,
        "refusal": tried.refusal if tried else None,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
