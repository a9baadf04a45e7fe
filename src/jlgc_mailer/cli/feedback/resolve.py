"""`feedback resolve`: a person says what a report means."""

from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.feedback.stops import telling_stops
from jlgc_mailer.cli.reason import reason
from jlgc_mailer.cli.shell import Shell, example, pass_shell

if TYPE_CHECKING:
    from jlgc_mailer.states import FeedbackClass

_IGNORE = "ignore"


@click.command(
    epilog=example(
        "jlgc-mailer feedback resolve 12 --as hard --reason 'their postmaster confirms: left in May'",
        "jlgc-mailer feedback resolve 13 --as soft --recipient aiko@example.org --reason 'on leave until June'",
        "jlgc-mailer feedback resolve 14 --as ignore --reason 'spam'",
    )
)
@click.argument("report_id", metavar="REPORT", type=click.IntRange(1, 2**63 - 1))
@click.option("--as", "ruling", type=click.Choice(["hard", "soft", "block", "complaint", _IGNORE]), required=True)
@click.option("--recipient", help="Whom it is about.  [default: the one address that it names]")
@reason
@pass_shell
def resolve(shell: Shell, report_id: int, ruling: str, recipient: str | None, reason: str) -> None:
    """Say what a report means. That is judged like everything that comes in, and the report leaves the review."""
    from jlgc_mailer.feedback import resolving
    from jlgc_mailer.states import FeedbackClass
    from jlgc_mailer.worker.tasks import judge

    meant = None if ruling == _IGNORE else FeedbackClass(ruling)
    with shell.database.transaction() as session:
        is_new = resolving.resolve(session, report_id, meant, recipient, reason[:2000], shell.mailer.clock())
    if not is_new:
        click.echo(f"Report {report_id} was resolved like that before.")
        return
    with telling_stops(shell):
        judge(shell.mailer)
        click.echo(f"Report {report_id} is resolved: {_followed(shell, report_id, meant)}.")


def _followed(shell: Shell, report_id: int, meant: "FeedbackClass | None") -> str:
    from jlgc_mailer.feedback.review import events_of

    if meant is None:
        return _IGNORE
    with shell.database.reading() as session:
        event = events_of(session, report_id)[-1]
    return f"{meant}, {event.address_key}: {event.verdict or 'to be judged'}{f' ({event.why})' if event.why else ''}"
