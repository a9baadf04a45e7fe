"""`feedback show`: one report."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
    from jlgc_mailer.db.people import Suppression


@click.command(
    epilog=example(
        "jlgc-mailer feedback show 12",
        "jlgc-mailer feedback show 12 --json",
        "jlgc-mailer feedback show 12 --raw > report.eml",
    )
)
@click.argument("report_id", metavar="REPORT", type=click.IntRange(1, 2**63 - 1))
@click.option("--raw", is_flag=True, help="Write what came in, to the octet.")
@as_json
@pass_shell
def show(shell: Shell, report_id: int, raw: bool, as_json: bool) -> None:
    """All that is known of a report: how it came in, what was read out of it and why, and what followed."""
    from jlgc_mailer.feedback.review import find_report

    if raw and sys.stdout.isatty():
        remedy = f"Write it into a file: jlgc-mailer feedback show {report_id} --raw > report.eml"
        raise click.ClickException(f"What came in may hold codes that a terminal obeys. {remedy}")
    with shell.database.reading() as session:
        report = find_report(session, report_id, with_body=True)
        if raw:
            click.echo(report.body, nl=False)
            return
        facts = _facts(session, report, _sources(shell))
    if as_json:
        show_json(facts)
    else:
        _tell(facts)


def _sources(shell: Shell) -> Mapping[str, str]:
    """Where the words of each rule come from."""
    from jlgc_mailer.settings.feedback_rules import read_feedback_rules

    return {rule.id: rule.source for rule in reversed(read_feedback_rules(shell.home).rules)}


def _facts(session: "Session", report: "RawReport", sources: Mapping[str, str]) -> dict[str, Any]:
    from jlgc_mailer.feedback.review import events_of, suppressions_by

    bars = suppressions_by(session, report.id)
    return {
        "report": report.id,
        "received": report.received_at.isoformat(timespec="seconds"),
        "source": report.source,
        "form": report.form.value,
        "envelope from": report.envelope_from,
        "envelope to": report.envelope_to,
        "octets": len(report.body),
        "state": report.status.value,
        "why": report.why,
        "events": [_event(each, sources, bars.get(each.id)) for each in events_of(session, report.id)],
    }


def _event(event: "FeedbackEvent", sources: Mapping[str, str], bar: "Suppression | None") -> dict[str, Any]:
    return {
        "address": event.address_key,
        "class": event.feedback_class.value,
        "status": event.status,
        "remote mta": event.remote_mta,
        "diagnosis": event.diagnosis,
        "rule": event.rule,
        "source of the rule": sources.get(event.rule or ""),
        "confidence": event.confidence,
        "matched by": event.matched_by.value if event.matched_by else None,
        "delivery": event.delivery_id,
        "believed": event.believed,
        "verdict": event.verdict.value if event.verdict else None,
        "why": event.why,
        "suppression": bar.id if bar else None,
        "released": bar.release_reason if bar else None,
    }


def _tell(facts: Mapping[str, Any]) -> None:
    click.echo(f"Report {facts['report']}")
    _tell_lines({name: value for name, value in facts.items() if name not in {"report", "events"}})
    for event in facts["events"]:
        click.echo(f"\n{event['address'] or 'nobody knows whom it is about'}")
        _tell_lines({name: value for name, value in event.items() if name != "address"})
    click.echo(f"\nAs it came: jlgc-mailer feedback show {facts['report']} --raw > report.eml")
    if facts["state"] == "review":
        click.echo(f"To decide:  jlgc-mailer feedback resolve {facts['report']} --as hard --reason '...'")


def _tell_lines(facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if value not in {None, ""}:
            click.echo(f"  {name}: {_words(value)}")


def _words(value: object) -> object:
    from jlgc_mailer.mail.visible import visible

    if isinstance(value, str):  # whatever a stranger wrote, a terminal must not obey it
        return visible(value)
    return ("yes" if value else "no") if isinstance(value, bool) else value
