"""`feedback resolve`: a person says what reports mean."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import click

from jlgc_mailer.cli.feedback.stops import telling_stops
from jlgc_mailer.cli.reason import reason
from jlgc_mailer.cli.shell import Shell, example, pass_shell
from jlgc_mailer.errors import MailerError, Unreachable

if TYPE_CHECKING:
    from jlgc_mailer.db.feedback import FeedbackEvent

_IGNORE = "ignore"


class _Settled(NamedTuple):
    """The reports that a command settled, those that were so before, and why others cannot be."""

    new: list[int]
    before: list[int]
    troubles: list[MailerError]


@click.command(
    epilog=example(
        "jlgc-mailer feedback resolve 12 --as hard --reason 'their postmaster confirms: left in May'",
        "jlgc-mailer feedback resolve 13 --as soft --recipient aiko@example.org --reason 'on leave until June'",
        "jlgc-mailer feedback resolve 14 15 16 --as ignore --reason 'spam'",
    )
)
@click.argument("report_ids", metavar="REPORT...", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1))
@click.option("--as", "ruling", type=click.Choice(["hard", "soft", "block", "complaint", _IGNORE]), required=True)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    help="Whom one report is about; repeat for several.  [default: the one address that it names]",
)
@reason
@pass_shell
def resolve(shell: Shell, report_ids: tuple[int, ...], ruling: str, recipients: tuple[str, ...], reason: str) -> None:
    """Say what reports mean. That is judged like everything that comes in, and they leave the review.

    Each is settled by itself: one that cannot be is told, and holds up no other.
    """
    from jlgc_mailer.worker.tasks import judge

    chosen = list(dict.fromkeys(report_ids))
    if recipients and (len(chosen) > 1 or ruling == _IGNORE):
        raise click.UsageError("--recipient is for one report, and not to ignore it.")
    settled = _settle(shell, chosen, ruling, recipients, reason)
    if len(chosen) == len(settled.troubles) == 1:
        raise settled.troubles[0]
    with telling_stops(shell) if settled.new else nullcontext():
        if settled.new:
            judge(shell.mailer)
        tell = _tell_one if len(chosen) == 1 else _tell_many
        tell(settled, ruling, _decided(shell, settled.new))
    if settled.troubles:
        raise click.ClickException(" ".join(map(str, settled.troubles)))


def _settle(shell: Shell, report_ids: Sequence[int], ruling: str, recipients: Sequence[str], reason: str) -> _Settled:
    """Each in a transaction of its own."""
    from jlgc_mailer.feedback import resolving
    from jlgc_mailer.states import FeedbackClass

    meant = None if ruling == _IGNORE else FeedbackClass(ruling)
    database, settled = shell.database, _Settled([], [], [])
    for report_id in report_ids:
        try:
            with database.transaction() as session:
                is_new = resolving.resolve(session, report_id, meant, recipients, reason[:2000], shell.mailer.clock())
        except Unreachable:
            raise
        except MailerError as error:
            settled.troubles.append(error)
        else:
            (settled.new if is_new else settled.before).append(report_id)
    return settled


def _decided(shell: Shell, report_ids: Sequence[int]) -> "list[FeedbackEvent]":
    """What people said of these reports, with what followed."""
    from jlgc_mailer.feedback.resolving import BY_HAND
    from jlgc_mailer.feedback.review import events_of

    with shell.database.reading() as session:
        said = [event for report_id in report_ids for event in events_of(session, report_id)]
    return [event for event in said if event.rule == BY_HAND]


def _tell_one(settled: _Settled, ruling: str, decided: "Sequence[FeedbackEvent]") -> None:
    followed = [
        f"{event.feedback_class}, {event.address_key}: {event.verdict or 'to be judged'}"
        + (f" ({event.why})" if event.why else "")
        for event in decided
    ]
    for report_id in settled.new:
        click.echo(f"Report {report_id} is resolved: {'; '.join(followed) or ruling}.")
    for report_id in settled.before:
        click.echo(f"Report {report_id} was resolved like that before.")


def _tell_many(settled: _Settled, ruling: str, decided: "Sequence[FeedbackEvent]") -> None:
    verdicts = Counter(event.verdict or "to be judged" for event in decided)
    followed = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(verdicts.items()))
    total = len(settled.new) + len(settled.before) + len(settled.troubles)
    told = f"Reports resolved as {ruling}: {len(settled.new):,} of {total:,}"
    before = f" Resolved like that before: {len(settled.before):,}." if settled.before else ""
    click.echo(f"{told}{f' ({followed})' if followed else ''}.{before}")
