"""`feedback ingest`: one message by a pipe."""

import os
import sys

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell

_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the mail server keeps the message. After any other it would bounce
_PIECE = 1024 * 1024


@click.command(
    epilog=example(
        "jlgc-mailer feedback ingest < message",
        "jlgc-mailer feedback ingest --to b+aekq2hv6nb@bounce.example.org < message",
    )
)
@click.option(
    "--to", "recipient", help="The envelope's recipient.  [default: $ORIGINAL_RECIPIENT, or the header tells]"
)
@pass_shell
def ingest(shell: Shell, recipient: str | None) -> None:
    """Store one message from standard input; ends with 0 once it is in the database, else with 75: try again."""
    try:
        is_new = _store(shell, recipient or os.environ.get("ORIGINAL_RECIPIENT", ""))
    except Exception as error:  # noqa: BLE001  (whatever it is, the mail server must not bounce a bounce for it)
        click.echo(f"Error: {' '.join(str(error).split())}", err=True)
        sys.exit(_TRY_AGAIN)
    click.echo("Stored." if is_new else "It was stored before.")


def _store(shell: Shell, recipient: str) -> bool:
    from jlgc_mailer.feedback import health
    from jlgc_mailer.feedback.message import LIMIT, inbound
    from jlgc_mailer.feedback.store import store, storing

    stream = sys.stdin.buffer
    body = stream.read(LIMIT + 1)
    while stream.read(_PIECE):
        pass  # a reader that leaves early is a failure to the mail server
    report = inbound("pipe", body, shell.mailer.settings.bounce_domain, recipient)
    with storing(shell.database) as session:
        is_new = store(session, report, shell.mailer.clock())
        health.seen(session, report.source.partition(",")[0], shell.mailer.clock(), stored=int(is_new))
    return is_new
