"""`suppressions`: addresses that get nothing."""

import click

from jlgc_mailer.cli.reason import not_blank, reason
from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table


@click.group(epilog=example("jlgc-mailer suppressions list"))
def suppressions() -> None:
    """Suppressions: addresses that get nothing, whatever list they are on."""


@suppressions.command(epilog=example("jlgc-mailer suppressions add someone@example.org --why 'asked by telephone'"))
@click.argument("address")
@click.option("--why", required=True, callback=not_blank, help="The reason, for those who come after you.")
@pass_shell
def add(shell: Shell, address: str, why: str) -> None:
    """Bar an address, from the next message on."""
    from jlgc_mailer.audience.suppression import suppress
    from jlgc_mailer.mail.address import parse_address
    from jlgc_mailer.states import SuppressionReason

    parsed = parse_address(address)
    with shell.database.transaction() as session:
        added = suppress(session, parsed.key, SuppressionReason.MANUAL, why[:255], shell.mailer.clock())
    click.echo(f"Suppressed {parsed.key}." if added else f"{parsed.key} was suppressed before.")


@suppressions.command(
    epilog=example("jlgc-mailer suppressions release someone@example.org --reason 'has a new mailbox, by telephone'")
)
@click.argument("address")
@reason
@pass_shell
def release(shell: Shell, address: str, reason: str) -> None:
    """Let an address have mail again, from the next send on; what came back before does not bar it again."""
    from jlgc_mailer.audience.suppression import release
    from jlgc_mailer.mail.address import parse_address

    parsed = parse_address(address)
    with shell.database.transaction() as session:
        release(session, parsed.key, reason[:255], shell.mailer.clock())
    click.echo(f"Released {parsed.key}.")


@suppressions.command("list", epilog=example("jlgc-mailer suppressions list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All suppressions in force, with reason and source; a report is shown by `feedback show REPORT`.

    Of an old one it says `deleted`: JLGC_MAILER_FEEDBACK_KEEP_DAYS are over.
    """
    from jlgc_mailer.audience.suppression import in_force
    from jlgc_mailer.feedback.review import reports_behind

    gone = None if as_json else "deleted"
    with shell.database.reading() as session:
        reports = reports_behind(session)
        rows = [
            {
                "address": each.address_key,
                "reason": each.reason.value,
                "source": each.source,
                "since": each.created_at.isoformat(),
                "report": (reports[each.id] or gone) if each.id in reports else None,
            }
            for each in in_force(session)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("address", "reason", "source", "since", "report")
        show_table(columns, [tuple(row.values()) for row in rows], "Nobody is suppressed.")
