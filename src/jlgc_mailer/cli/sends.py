"""`sends`: distributions, from a test to the last recipient."""

from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table
from jlgc_mailer.errors import InvalidInput, MailerError

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from jlgc_mailer.sending.progress import Account

_AT = "'2026-12-01 09:00'"
_send_id = click.argument("send_id", type=click.IntRange(1, 2**63 - 1))


@click.group(epilog=example(f"jlgc-mailer sends schedule summer-2024 --list news --at {_AT} --zone Europe/London"))
def sends() -> None:
    """Sends: one issue to one audience at one time."""


@sends.command(epilog=example("jlgc-mailer sends test summer-2024 me@example.org --language ja"))
@click.argument("slug")
@click.argument("address")
@click.option("--language", type=click.Choice(["en", "ja"]), help="Only this edition.  [default: every edition]")
@click.option("--name", default="", help="Name to greet, as a subscriber's.")
@pass_shell
def test(shell: Shell, slug: str, address: str, language: str | None, name: str) -> None:
    """Send an issue to one address now, exactly as subscribers will get it."""
    from contextlib import closing

    from jlgc_mailer.content.issues import compiled_artefacts, find_issue, latest_revision
    from jlgc_mailer.mail.address import parse_address
    from jlgc_mailer.sending.samples import sample_of
    from jlgc_mailer.states import DeliveryStatus

    mailer, to = shell.mailer, parse_address(address)
    with shell.database.transaction() as session:
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, mailer.clock())
    chosen = [each for each in artefacts if language in (None, each.language.value)]
    if not chosen:
        raise InvalidInput(what="Language", value=language, problem=f"{slug} has no edition in it.")
    with closing(mailer.open_transport()) as transport:
        for artefact in chosen:
            letter = sample_of(artefact, mailer.identity, to.spec, name, mailer.clock()).letter
            outcome = transport.send(letter)
            if outcome.status is not DeliveryStatus.ACCEPTED:
                raise TestRefused(
                    language=artefact.language, address=to.spec, status=outcome.status, reply=outcome.reply
                )
            click.echo(f"{artefact.language}: accepted for {to.spec} ({outcome.reply}).")


class TestRefused(MailerError):
    """The relay did not take a test."""

    sentence = (
        "The test ({language}) to {address} was {status}: {reply}. Correct the address or ask the relay's operator."
    )


@sends.command(
    epilog=example(
        f"jlgc-mailer sends schedule summer-2024 --list news --at {_AT} --zone Europe/London",
        "jlgc-mailer sends schedule summer-2024 --list news --now",
    )
)
@click.argument("slug")
@click.option("--list", "list_names", multiple=True, required=True, help="Mailing list; repeat for several.")
@click.option("--at", "local", help="Local date and time, such as '2026-12-01 09:00'.")
@click.option("--zone", default="Europe/London", show_default=True, help="Time zone of --at, and of the pages.")
@click.option("--now", "at_once", is_flag=True, help="Send now.")
@click.option(
    "--uncertain",
    type=click.Choice(["hold", "resend"]),
    default="hold",
    show_default=True,
    help="What to do about messages on the wire when a worker dies: nothing but list them, or send them again.",
)
@pass_shell
def schedule(
    shell: Shell, slug: str, list_names: tuple[str, ...], local: str | None, zone: str, at_once: bool, uncertain: str
) -> None:
    """Schedule an issue for lists. A person on several of them gets one copy.

    A time that the clocks skip or repeat is refused with the two candidates; give one of them with its offset.
    """
    from jlgc_mailer.audience.lists import find_list
    from jlgc_mailer.content.issues import compiled_artefacts, find_issue, latest_revision
    from jlgc_mailer.sending.schedule import Order, local_moment, zone_named
    from jlgc_mailer.sending.schedule import schedule as schedule_send
    from jlgc_mailer.states import UncertainPolicy

    if at_once == (local is not None):
        raise click.UsageError("Give either --at or --now.")
    mailer, where = shell.mailer, zone_named(zone)
    now = mailer.clock()
    due = local_moment(local, where) if local else now
    with shell.database.transaction() as session:
        lists = [find_list(session, name) for name in list_names]
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, now)
        order = Order(due, zone, lists, UncertainPolicy(uncertain), mailer.settings.batch_size)
        send_id = schedule_send(session, artefacts, order, now).id
    click.echo(f"Send {send_id}: {slug}, revision {revision.number}, due {_local(due, where)}.")


@sends.command("list", epilog=example("jlgc-mailer sends list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All sends, newest first."""
    from jlgc_mailer.sending.progress import account
    from jlgc_mailer.sending.schedule import all_sends, zone_named

    with shell.database.reading() as session:
        rows = [
            {
                "send": each.id,
                "issue": each.revision.issue.slug,
                "lists": " ".join(mailing_list.name for mailing_list in each.lists),
                "status": each.status.value,
                "due": _local(each.due_at, zone_named(each.zone)),
                "zone": each.zone,
                "recipients": (numbers := account(session, each)).total,
                "settled": numbers.settled,
            }
            for each in all_sends(session)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("send", "issue", "lists", "status", "due", "zone", "recipients", "settled")
        show_table(
            columns, [tuple(row.values()) for row in rows], "There are no sends. See: jlgc-mailer sends schedule -h"
        )


@sends.command(epilog=example("jlgc-mailer sends show 3", "jlgc-mailer sends show 3 --json"))
@_send_id
@as_json
@pass_shell
def show(shell: Shell, send_id: int, as_json: bool) -> None:
    """One send: counts that add up to its recipients, what holds it up, and who is uncertain, by address."""
    from jlgc_mailer.sending.progress import account, uncertain
    from jlgc_mailer.sending.schedule import find_send, zone_named

    with shell.database.reading() as session:
        send = find_send(session, send_id)
        numbers, unknown = account(session, send), uncertain(session, send_id)
        facts = {"send": send_id, "issue": send.revision.issue.slug, "status": send.status.value} | {
            "due": _local(send.due_at, zone_named(send.zone)),
            **as_facts(numbers),
            "holds": list(numbers.holds),
            "uncertain_addresses": unknown,
        }
    if as_json:
        show_json(facts)
        return
    click.echo(f"Send {send_id}: {facts['issue']}, {facts['status']}, due {facts['due']}\n")
    if numbers.planned_at:
        show_table(("became", "why", "recipients"), account_rows(numbers), "")
    else:
        click.echo("Its audience is resolved when it is due.")
    for hold in numbers.holds:
        click.echo(f"\nHeld: {hold}")
    for address in unknown:
        click.echo(f"uncertain: {address}")


def _move(shell: Shell, send_id: int, action: str) -> None:
    from jlgc_mailer.sending import schedule as moves

    with shell.database.transaction() as session:
        if action == "cancelled":
            moves.cancel(session, send_id, shell.mailer.clock())
        else:
            {"paused": moves.pause, "resumed": moves.resume}[action](session, send_id)
    click.echo(f"Send {send_id} is {action}.")


@sends.command(epilog=example("jlgc-mailer sends pause 3"))
@_send_id
@pass_shell
def pause(shell: Shell, send_id: int) -> None:
    """Stop a send within a second; nothing is lost, and `resume` goes on."""
    _move(shell, send_id, "paused")


@sends.command(epilog=example("jlgc-mailer sends resume 3"))
@_send_id
@pass_shell
def resume(shell: Shell, send_id: int) -> None:
    """Go on with a paused send where it was."""
    _move(shell, send_id, "resumed")


@sends.command(epilog=example("jlgc-mailer sends cancel 3"))
@_send_id
@click.confirmation_option(prompt="Nobody who has not got it yet will. Cancel the send?")
@pass_shell
def cancel(shell: Shell, send_id: int) -> None:
    """End a send for good; those not reached yet are recorded as skipped."""
    _move(shell, send_id, "cancelled")


def _local(moment: "datetime", zone: "ZoneInfo") -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def as_facts(numbers: "Account") -> dict[str, Any]:
    """The account as JSON has it: total, a number per status, and the reasons of refused and skipped."""
    from jlgc_mailer.states import DeliveryStatus

    facts: dict[str, Any] = {"total": numbers.total}
    for status in DeliveryStatus:
        facts[status.value] = numbers.count(status)
    for status in (DeliveryStatus.REFUSED, DeliveryStatus.SKIPPED):
        facts[f"{status}_why"] = {line.reason: line.count for line in numbers.lines if line.status is status}
    return facts | {"complaints": numbers.complaints}


def account_rows(numbers: "Account") -> list[tuple[str, str, str]]:
    """The account as a table: status, reason, number; the last line is the sum."""
    rows = [(line.status.value, line.reason or "", f"{line.count:,}") for line in numbers.lines]
    return [*rows, ("total", "", f"{numbers.total:,}")]
