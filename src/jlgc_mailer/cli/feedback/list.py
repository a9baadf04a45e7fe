"""`feedback list`: what came back."""

from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.feedback.since import since
from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from jlgc_mailer.feedback.review import Blocked, InReview
    from jlgc_mailer.states import FeedbackClass

_CLASSES = ("hard", "soft", "block", "auto-reply", "challenge", "complaint", "unsubscribe", "unknown")
_AT_ONCE = 50
_ALERTS = ("send", "rule", "recipients", "since", "diagnosis")
_REVIEW = ("report", "received", "source", "why", "recipients")
_EVENTS = ("report", "received", "class", "verdict", "address", "send", "diagnosis")
Row = dict[str, Any]


@click.command(
    "list",
    epilog=example(
        "jlgc-mailer feedback list",
        "jlgc-mailer feedback list --review --json",
        "jlgc-mailer feedback list --all --class hard --since 2026-11-01",
    ),
)
@click.option("--review", "only_review", is_flag=True, help="Only what waits for a person.")
@click.option("--all", "is_all", is_flag=True, help=f"All of it.  [default: {_AT_ONCE} of each]")
@click.option("--class", "only", type=click.Choice(_CLASSES), help="Of what was said, only this class.")
@since
@as_json
@pass_shell
def list_(
    shell: Shell, only_review: bool, is_all: bool, only: str | None, since: "datetime | None", as_json: bool
) -> None:
    """What receivers hold against us, what waits for a person, and what was said (newest first).

    Of what waits, that which names somebody comes first, and then the oldest.
    """
    from jlgc_mailer.feedback import review
    from jlgc_mailer.states import FeedbackClass

    at_most = None if is_all else _AT_ONCE
    with shell.database.reading() as session:
        unread = review.count_unread(session)
        facts: dict[str, Any] = {
            "alerts": [_alert(each) for each in review.blocked(session, since)],
            "review": [_in_review(each) for each in review.reports_in_review(session, since, at_most)],
        }
        left = review.count_in_review(session, since) - len(facts["review"])
        if not only_review:
            facts["events"] = _events(session, since, FeedbackClass(only) if only else None, at_most)
    if as_json:
        show_json(facts | {"unread": unread})
    else:
        _tell(facts, left)
        if unread:
            click.echo(f"\nNot read yet: {unread:,}. Workers read what comes in; is one running?")


def _tell(facts: dict[str, list[Row]], left: int) -> None:
    if facts["alerts"]:
        _show("Held against us", _ALERTS, facts["alerts"], "")
    _show("In review", _REVIEW, facts["review"], "Nothing waits for a person.")
    if left:
        click.echo(f"{left:,} more. To see them, too: jlgc-mailer feedback list --review --all")
    if facts["review"]:
        click.echo("To look at one: jlgc-mailer feedback show REPORT")
    if "events" in facts:
        click.echo()
        rows = [row | {"report": _report(row)} for row in facts["events"]]
        _show("Said", _EVENTS, rows, "Nothing has come back.")


def _report(event: Row) -> object:
    """What was refused while we were sending never had one."""
    return "deleted" if event["kind"] == "report" and event["report"] is None else event["report"]


def _show(title: str, columns: tuple[str, ...], rows: list[Row], empty: str) -> None:
    if rows:
        click.echo(f"{title}:")
    show_table(columns, [[_cell(row[column]) for column in columns] for row in rows], empty)


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value


def _alert(alert: "Blocked") -> Row:
    return {
        "send": alert.send_id,
        "rule": alert.rule,
        "recipients": alert.recipients,
        "since": alert.since.isoformat(timespec="seconds"),
        "diagnosis": alert.diagnosis,
    }


def _in_review(report: "InReview") -> Row:
    return {
        "report": report.id,
        "received": report.received_at.isoformat(timespec="seconds"),
        "source": report.source,
        "why": report.why,
        "recipients": list(report.recipients),
    }


def _events(
    session: "Session", since: "datetime | None", only: "FeedbackClass | None", at_most: int | None
) -> list[Row]:
    from jlgc_mailer.feedback.review import events

    return [
        {
            "report": event.report_id,
            "received": event.received_at.isoformat(timespec="seconds"),
            "class": event.feedback_class.value,
            "verdict": event.verdict.value if event.verdict else None,
            "address": event.address_key,
            "send": send_id,
            "diagnosis": event.diagnosis,
            "status": event.status,
            "kind": event.kind.value,
            "why": event.why,
        }
        for event, send_id in events(session, since, only, at_most)
    ]
