"""`sends schedule`: when an issue goes to whom, and how its time is told."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, pass_shell, show_table

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from jlgc_mailer.sending.waves import Wave

AT = "'2026-12-01 09:00'"


def local_words(moment: "datetime", zone: "ZoneInfo") -> str:
    """A moment as the clocks of a zone show it."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def manner(*, urgent: bool, local_time: bool) -> str:
    """What is unusual about when a send goes out, to be added to its time."""
    return f"{', urgent' if urgent else ''}{', by local time' if local_time else ''}"


@click.command(
    epilog=example(
        f"jlgc-mailer sends schedule summer-2024 --list news --at {AT} --zone Europe/London",
        f"jlgc-mailer sends schedule summer-2024 --list news --at {AT} --local-time",
        "jlgc-mailer sends schedule summer-2024 --list news --now --urgent",
    )
)
@click.argument("slug")
@click.option("--list", "list_names", multiple=True, required=True, help="Mailing list; repeat for several.")
@click.option("--at", "local", help="Local date and time, such as '2026-12-01 09:00'.")
@click.option("--zone", default="Europe/London", show_default=True, help="Time zone of --at, and of the pages.")
@click.option("--local-time", is_flag=True, help="At that time on the clocks of each reader's own zone.")
@click.option("--now", "at_once", is_flag=True, help="Send now.")
@click.option("--urgent", is_flag=True, help="Never wait behind sends that are not urgent.")
@click.option(
    "--uncertain",
    type=click.Choice(["hold", "resend"]),
    default="hold",
    show_default=True,
    help="What to do about messages on the wire when a worker dies: nothing but list them, or send them again.",
)
@pass_shell
def schedule(
    shell: Shell,
    slug: str,
    list_names: tuple[str, ...],
    local: str | None,
    zone: str,
    local_time: bool,
    at_once: bool,
    urgent: bool,
    uncertain: str,
) -> None:
    """Schedule an issue for lists. A person on several of them gets one copy.

    A time that the clocks skip or repeat is refused with the two candidates; give one of them with its offset. With
    --local-time that holds for --zone only: elsewhere a skipped time is the moment after the gap, and a repeated one
    the first. Readers without a zone have that of --zone; a zone where the time has gone by gets it at once.
    """
    from jlgc_mailer.audience.zones import zone_named
    from jlgc_mailer.sending.schedule import local_moment

    if at_once == (local is not None):
        raise click.UsageError("Give either --at or --now.")
    if at_once and local_time:
        raise click.UsageError("--local-time needs --at.")
    where = zone_named(zone)
    due = local_moment(local, where) if local else shell.mailer.clock()
    _schedule(shell, slug, list_names, due, zone, uncertain, urgent=urgent, local_time=local_time)


def _schedule(
    shell: Shell,
    slug: str,
    list_names: Sequence[str],
    due: "datetime",
    zone: str,
    uncertain: str,
    *,
    urgent: bool,
    local_time: bool,
) -> None:
    from jlgc_mailer.audience.lists import find_list
    from jlgc_mailer.audience.zones import zone_named
    from jlgc_mailer.content.issues import compiled_artefacts, find_issue, latest_revision
    from jlgc_mailer.sending.schedule import Order
    from jlgc_mailer.sending.schedule import schedule as schedule_send
    from jlgc_mailer.sending.waves import WallClock, waves
    from jlgc_mailer.states import Priority, UncertainPolicy

    mailer, now = shell.mailer, shell.mailer.clock()
    priority = Priority.URGENT if urgent else Priority.NORMAL
    with shell.database.transaction() as session:
        lists = [find_list(session, name) for name in list_names]
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, now)
        policy, size = UncertainPolicy(uncertain), mailer.settings.batch_size
        order = Order(due, zone, lists, policy, size, priority, local_time)
        send = schedule_send(session, artefacts, order, now)
        in_turn = waves(session, [each.id for each in lists], WallClock(due, zone), now) if local_time else []
    due_words = local_words(send.due_at, zone_named(zone)) + manner(urgent=urgent, local_time=local_time)
    click.echo(f"Send {send.id}: {slug}, revision {revision.number}, due {due_words}.")
    if local_time:
        _show_waves(in_turn, zone_named(zone), now)


def _show_waves(in_turn: Iterable["Wave"], zone: "ZoneInfo", now: "datetime") -> None:
    rows = [
        (wave.zone, "at once" if wave.due_at <= now else local_words(wave.due_at, zone), f"{wave.readers:,}")
        for wave in in_turn
    ]
    click.echo()
    show_table(("readers in", "get it", "how many"), rows, "There are no readers on these lists yet.")
