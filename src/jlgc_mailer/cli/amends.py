"""`sends retry` and `sends settle`: what staff do afterwards about the refused and the uncertain."""

from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell
from jlgc_mailer.states import ReplyClass

if TYPE_CHECKING:
    from jlgc_mailer.sending.amends import Amended

_ASK_ABOVE = 100
_REASONS = [reason.value for reason in ReplyClass if reason is not ReplyClass.ACCEPTED]
_yes = click.option("--yes", is_flag=True, help=f"Do not ask, however many they are (asks above {_ASK_ABOVE}).")
send_id_argument = click.argument("send_id", type=click.IntRange(1, 2**63 - 1))


@click.command(
    epilog=example("jlgc-mailer sends retry 3", "jlgc-mailer sends retry 3 --reason 'mailbox full' --reason greylisted")
)
@send_id_argument
@click.option("--reason", "reasons", multiple=True, type=click.Choice(_REASONS), help="Only these; repeat for several.")
@_yes
@pass_shell
def retry(shell: Shell, send_id: int, reasons: tuple[str, ...], yes: bool) -> None:
    """Try the refused again, now. Who left or is suppressed meanwhile is skipped; a finished send goes on."""
    from jlgc_mailer.sending import amends
    from jlgc_mailer.sending.schedule import find_send

    chosen = [ReplyClass(reason) for reason in reasons]
    with shell.database.reading() as session:
        find_send(session, send_id)
        count = amends.refused(session, send_id, chosen)
    _ask(f"{count:,} refused recipients are tried again. Go on?", count, yes)
    with shell.database.transaction() as session:
        amended = amends.retry(session, send_id, chosen, shell.mailer.clock())
    _tell_amended(send_id, amended, "due again")


@click.command(
    epilog=example(
        "jlgc-mailer sends settle 3 --resend", "jlgc-mailer sends settle 3 --accepted --address aiko@example.org"
    )
)
@send_id_argument
@click.option("--resend", "how", flag_value="resend", help="Send it to them again; some may get it twice.")
@click.option("--accepted", "how", flag_value="accepted", help="They have it: the mail server's log says so.")
@click.option("--address", "addresses", multiple=True, help="Only this recipient; repeat for several.")
@_yes
@pass_shell
def settle(shell: Shell, send_id: int, how: str | None, addresses: tuple[str, ...], yes: bool) -> None:
    """Settle the uncertain, of whom nobody knows whether they got it: send it again, or count them as accepted."""
    from jlgc_mailer.mail.address import parse_address
    from jlgc_mailer.sending import amends
    from jlgc_mailer.sending.schedule import find_send

    if how is None:
        raise click.UsageError("Give either --resend or --accepted.")
    chosen = [parse_address(address).spec for address in addresses]
    with shell.database.reading() as session:
        find_send(session, send_id)
        count = len(amends.uncertain_of(session, send_id, chosen))
    become = "are sent it again" if how == "resend" else "count as accepted"
    _ask(f"{count:,} uncertain recipients {become}. Go on?", count, yes)
    with shell.database.transaction() as session:
        amended = amends.settle(session, send_id, amends.Settlement(how), chosen, shell.mailer.clock())
    _tell_amended(send_id, amended, "due again" if how == "resend" else "counted as accepted")


def _ask(question: str, count: int, yes: bool) -> None:
    if count > _ASK_ABOVE and not yes:
        click.confirm(question, abort=True)


def _tell_amended(send_id: int, amended: "Amended", became: str) -> None:
    click.echo(f"Send {send_id}: {amended.changed:,} {became}.")
    if amended.busy:
        click.echo(f"{amended.busy:,} are in batches that are being sent now. Give the command again in a few minutes.")
