"""`feedback replay`: stored reports read again by changed rules."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.feedback.since import since
from jlgc_mailer.cli.feedback.stops import telling_stops
from jlgc_mailer.cli.shell import Shell, example, pass_shell, with_progress

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from jlgc_mailer.feedback.changes import Change
    from jlgc_mailer.feedback.reading import Readers
    from jlgc_mailer.feedback.replay import Replay, Which

Progress = Callable[[int], None]


@click.command(
    epilog=example(
        "jlgc-mailer feedback replay --review",
        "jlgc-mailer feedback replay --since 2026-11-01 --rules new-rules.toml",
        "jlgc-mailer feedback replay 12 13 --apply",
    )
)
@click.argument("report_ids", metavar="[REPORT]...", nargs=-1, type=click.IntRange(1, 2**63 - 1))
@click.option("--review", "in_review", is_flag=True, help="Only what waits for a person.")
@since
@click.option(
    "--rules",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Rules before those of the program.  [default: feedback-rules.toml of the home folder]",
)
@click.option("--apply", "is_applied", is_flag=True, help="Do it, and judge it and whatever else waits.")
@pass_shell
def replay(
    shell: Shell,
    report_ids: tuple[int, ...],
    in_review: bool,
    since: "datetime | None",
    rules: Path | None,
    is_applied: bool,
) -> None:
    """Read stored reports again and tell what would be another thing, and what would follow. Only --apply does it.

    Whoever is barred for no reason any more is released. What a person resolved stays so. Judging may pause a send of
    which too much came back; that is told.
    """
    from jlgc_mailer.feedback.replay import Replay, Which, how_many
    from jlgc_mailer.feedback.review import find_report
    from jlgc_mailer.worker.tasks import judge

    which = Which(report_ids, since, in_review)
    with shell.database.reading() as session:
        for report_id in report_ids:
            find_report(session, report_id)
        total = how_many(session, which)
    again = Replay(_readers(shell, rules), shell.mailer.keyring, shell.mailer.policy)
    out = None if sys.stdout.isatty() else sys.stdout  # on a terminal the bar lets lines pass above it
    changes = Counter[str]()

    def work(progress: Progress) -> None:
        for change in _changes(shell, again, which, progress, is_applied=is_applied):
            click.echo(_line(change), file=out)
            changes[change.follows] += 1

    with telling_stops(shell) if is_applied else nullcontext():
        with_progress(total, "reading again", work)
        if is_applied:
            judge(shell.mailer)
        click.echo(_summary(changes, total, is_applied=is_applied))


def _readers(shell: Shell, rules: Path | None) -> "Readers":
    from jlgc_mailer.settings.feedback_rules import read_rules_with

    return shell.mailer.readers_by(read_rules_with(rules)) if rules else shell.mailer.readers


def _changes(
    shell: Shell, again: "Replay", which: "Which", progress: Progress, *, is_applied: bool
) -> "Iterator[Change]":
    """Stride by stride, each in a transaction of its own, so that nobody waits for long and memory is constant."""
    database, done, after = shell.database, 0, 0
    begin: Callable[[], AbstractContextManager[Session]] = database.transaction if is_applied else database.reading
    while True:
        with begin() as session:
            changes, report_ids = again.stride(session, which, after, shell.mailer.clock())
            if is_applied:
                again.apply(session, changes, shell.mailer.clock())
        if not report_ids:
            return
        yield from changes
        done, after = done + len(report_ids), report_ids[-1]
        progress(done)


def _line(change: "Change") -> str:
    before, whom = change.old_class or "nothing", change.address or "nobody known"
    return f"report {change.report_id}: {whom}: {before} -> {change.new_class}, {change.follows}"


def _summary(changes: Counter[str], total: int, *, is_applied: bool) -> str:
    follows = ", ".join(f"{count:,} {name}" for name, count in sorted(changes.items()))
    told = f"Reports read again: {total:,}. Changes: {f'{changes.total():,} ({follows})' if changes else 'none'}."
    if is_applied or not changes:
        return told
    return (
        f"{told} Whether a send pauses itself by it is not foreseen. Give the command again with --apply to make them."
    )
