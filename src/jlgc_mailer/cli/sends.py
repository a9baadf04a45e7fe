"""`sends`: distributions, from a test to the last recipient."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.amends import retry, send_id_argument, settle
from jlgc_mailer.cli.scheduling import AT, local_words, manner, schedule
from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table
from jlgc_mailer.errors import InvalidInput, MailerError

if TYPE_CHECKING:
    from jlgc_mailer.sending.progress import Account

_WHAT_TO_DO = """
Uncertain: {uncertain:,}. Search the mail server's log for them, then give one of these:
  jlgc-mailer sends settle {send} --accepted
  jlgc-mailer sends settle {send} --resend"""


@click.group(epilog=example(f"jlgc-mailer sends schedule summer-2024 --list news --at {AT} --zone Europe/London"))
def sends() -> None:
    """Sends: one issue to one audience at one time."""


for command in (schedule, retry, settle):
    sends.add_command(command)


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
    from jlgc_mailer.sending.transports.single import send_one
    from jlgc_mailer.states import DeliveryStatus

    mailer, to = shell.mailer, parse_address(address)
    with shell.database.transaction() as session:
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, mailer.clock())
    chosen = [each for each in artefacts if language in (None, each.language.value)]
    if not chosen:
        raise InvalidInput(what="Language", value=language, problem=f"{slug} has no edition in it.")
    with closing(mailer.open_transport(mailer.routes[0], connections=1)) as transport:
        for artefact in chosen:
            letter = sample_of(artefact, mailer.identity, to.spec, name, mailer.clock(), mailer.signer).letter
            outcome = send_one(transport, letter)
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


@sends.command("list", epilog=example("jlgc-mailer sends list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All sends, newest first."""
    from jlgc_mailer.audience.zones import zone_named
    from jlgc_mailer.sending.progress import account
    from jlgc_mailer.sending.schedule import all_sends

    with shell.database.reading() as session:
        rows = [
            {
                "send": each.id,
                "issue": each.revision.issue.slug,
                "lists": " ".join(mailing_list.name for mailing_list in each.lists),
                "status": each.status.value,
                "due": local_words(each.due_at, zone_named(each.zone)),
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
@send_id_argument
@as_json
@pass_shell
def show(shell: Shell, send_id: int, as_json: bool) -> None:
    """One send: counts that add up to its recipients, what holds it up, and who is uncertain, by address."""
    from jlgc_mailer.audience.zones import zone_named
    from jlgc_mailer.sending.progress import account, next_wave, uncertain
    from jlgc_mailer.sending.schedule import find_send

    with shell.database.reading() as session:
        send = find_send(session, send_id)
        numbers, unknown = account(session, send), uncertain(session, send_id)
        wave = next_wave(session, send, shell.mailer.clock())
        facts = {"send": send_id, "issue": send.revision.issue.slug, "status": send.status.value} | {
            "due": local_words(send.due_at, zone_named(send.zone)),
            "priority": send.priority.value,
            "local_time": send.is_by_local_time,
            "next_zone": local_words(wave, zone_named(send.zone)) if wave else None,
            **as_facts(numbers),
            "stops": [str(stop) for stop in numbers.stops],
            "holds": list(numbers.holds),
            "uncertain_addresses": unknown,
        }
    if as_json:
        show_json(facts)
    else:
        _tell(facts, numbers)


def _tell(facts: Mapping[str, Any], numbers: "Account") -> None:
    how = manner(urgent=facts["priority"] == "urgent", local_time=facts["local_time"])
    click.echo(f"Send {facts['send']}: {facts['issue']}, {facts['status']}, due {facts['due']}{how}\n")
    if numbers.planned_at:
        show_table(("became", "why", "recipients"), account_rows(numbers), "")
    else:
        click.echo("Its audience is resolved when it is due.")
    if facts["next_zone"]:
        click.echo(f"\nNext zone: {facts['next_zone']}")
    if numbers.feedback:
        came_back = ", ".join(f"{count:,} {kind}" for kind, count in numbers.feedback.items())
        click.echo(f"\nCame back later: {came_back}")
    for stop in numbers.stops:
        click.echo(f"\nIt has {stop}. To go on all the same: jlgc-mailer sends resume {facts['send']}")
    for hold in numbers.holds:
        click.echo(f"\nHeld: {hold}")
    for address in facts["uncertain_addresses"]:
        click.echo(f"uncertain: {address}")
    if facts["uncertain"] and facts["status"] == "finished":
        click.echo(_WHAT_TO_DO.format(**facts))


def _move(shell: Shell, send_id: int, action: str) -> None:
    from jlgc_mailer.sending import schedule as moves

    with shell.database.transaction() as session:
        if action == "cancelled":
            moves.cancel(session, send_id, shell.mailer.clock())
        else:
            {"paused": moves.pause, "resumed": moves.resume}[action](session, send_id)
    click.echo(f"Send {send_id} is {action}.")


@sends.command(epilog=example("jlgc-mailer sends pause 3"))
@send_id_argument
@pass_shell
def pause(shell: Shell, send_id: int) -> None:
    """Stop a send within a second; nothing is lost, and `resume` goes on."""
    _move(shell, send_id, "paused")


@sends.command(epilog=example("jlgc-mailer sends resume 3"))
@send_id_argument
@pass_shell
def resume(shell: Shell, send_id: int) -> None:
    """Go on with a paused send where it was."""
    _move(shell, send_id, "resumed")


@sends.command(epilog=example("jlgc-mailer sends cancel 3"))
@send_id_argument
@click.confirmation_option(prompt="Nobody who has not got it yet will. Cancel the send?")
@pass_shell
def cancel(shell: Shell, send_id: int) -> None:
    """End a send for good; those not reached yet are recorded as skipped."""
    _move(shell, send_id, "cancelled")


def as_facts(numbers: "Account") -> dict[str, Any]:
    """The account as JSON has it: total, a number per status, and the reasons of refused and skipped."""
    from jlgc_mailer.states import DeliveryStatus

    facts: dict[str, Any] = {"total": numbers.total}
    for status in DeliveryStatus:
        facts[status.value] = numbers.count(status)
    for status in (DeliveryStatus.REFUSED, DeliveryStatus.SKIPPED):
        facts[f"{status}_why"] = {line.reason: line.count for line in numbers.lines if line.status is status}
    facts["came_back"] = {kind.value: count for kind, count in numbers.feedback.items()}
    return facts | {"complaints": numbers.complaints}


def account_rows(numbers: "Account") -> list[tuple[str, str, str]]:
    """The account as a table: status, reason, number; the last line is the sum."""
    rows = [(line.status.value, line.reason or "", f"{line.count:,}") for line in numbers.lines]
    return [*rows, ("total", "", f"{numbers.total:,}")]
