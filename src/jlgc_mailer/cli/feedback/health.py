"""`feedback health`: how the ways in are doing."""

import sys
from datetime import datetime

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table


@click.command(epilog=example("jlgc-mailer feedback health", "jlgc-mailer feedback health --json"))
@as_json
@pass_shell
def health(shell: Shell, as_json: bool) -> None:
    """A line for each way in: when it was tried, what it brought, what waits. Exit status 1 if one has a problem."""
    from jlgc_mailer.feedback.health import ways_in
    from jlgc_mailer.feedback.mailboxes.collect import way_in

    with shell.database.reading() as session:
        rows = [
            {
                "name": each.name,
                "tried": _time(each.tried_at),
                "last stored": _time(each.stored_at),
                "stored": each.stored,
                "waiting": each.backlog,
                "problem": each.problem,
            }
            for each in ways_in(session)
        ]
    tried = {row["name"] for row in rows}
    untried = [name for mailbox in shell.mailer.mailboxes if (name := way_in(mailbox)) not in tried]
    rows += [{"name": name, "stored": 0} for name in untried]
    columns = ("name", "tried", "last stored", "stored", "waiting", "problem")
    if as_json:
        show_json([{column: row.get(column) for column in columns} for row in rows])
    else:
        show_table(columns, [[row.get(column) for column in columns] for row in rows], "Nothing has come in yet.")
    if any(row.get("problem") for row in rows):
        sys.exit(1)


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
