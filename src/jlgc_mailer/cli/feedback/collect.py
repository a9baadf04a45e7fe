"""`feedback collect`: look into the mailboxes now."""

from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jlgc_mailer.feedback.mailboxes import Mailbox


@click.command(epilog=example("jlgc-mailer feedback collect", "jlgc-mailer feedback collect office"))
@click.argument("name", required=False)
@pass_shell
def collect(shell: Shell, name: str | None) -> None:
    """Look into all mailboxes of feedback.toml now, or into the one named, and store what is there.

    Workers do the same by themselves, each mailbox at its interval.
    """
    chosen, troubles = _chosen(shell, name), []
    collector = shell.mailer.collector
    shell.mailer.checked_database()
    for mailbox in chosen:
        found = collector.collect(mailbox)
        if found.problem:
            troubles.append(f"{mailbox.name}: {found.problem}")
        left = f", {found.waiting} still wait there" if found.waiting else ""
        click.echo(f"{mailbox.name}: {found.taken} messages, {found.stored} of them new{left}.")
    if troubles:
        raise click.ClickException(" ".join(troubles))


def _chosen(shell: Shell, name: str | None) -> "Sequence[Mailbox]":
    from jlgc_mailer.errors import NotFound
    from jlgc_mailer.settings.feedback_file import FEEDBACK_FILE

    mailboxes = shell.mailer.mailboxes
    chosen = [each for each in mailboxes if name in {None, each.name}]
    if not chosen:
        known = ", ".join(each.name for each in mailboxes)
        remedy = f"There are: {known}." if known else f"Write [mailboxes.NAME] in {shell.home / FEEDBACK_FILE}."
        raise NotFound(kind="mailbox", name=name or "", remedy=remedy)
    return chosen
