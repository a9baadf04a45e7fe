"""`feedback classify`: what files with reports mean."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, example, json_of, pass_shell, show_table, with_progress

if TYPE_CHECKING:
    from jlgc_mailer.mail.reports.rules import Rules

_COLUMNS = ("file", "recipient", "class", "status", "diagnosis")
Row = dict[str, object]


@click.command(
    epilog=example(
        "jlgc-mailer feedback classify bounce.eml",
        "jlgc-mailer feedback classify --json reports/*.eml",
        "jlgc-mailer feedback classify - < bounce.eml",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per recipient and line.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@pass_shell
def classify(shell: Shell, as_json: bool, files: tuple[Path, ...]) -> None:
    """Say what each file with a report means, one line per recipient. Nothing is stored, and no database is needed.

    The rules are those of the program, after your own in feedback-rules.toml of the home folder.
    """
    from jlgc_mailer.settings.feedback_rules import read_feedback_rules

    table: list[Row] = []
    show = _print_lines if as_json else table.extend
    rules = read_feedback_rules(shell.home)
    if sys.stdout.isatty():
        failed = _read_all(files, rules, show, lambda _done: None)
    else:
        failed = with_progress(len(files), "reading", lambda progress: _read_all(files, rules, show, progress))
    if not as_json:
        show_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in table], "Nothing was read.")
    if failed:
        sys.exit(1)


def _read_all(
    files: Sequence[Path], rules: "Rules", show: Callable[[list[Row]], None], progress: Callable[[int], None]
) -> int:
    """Show what each says; gives the number of those that cannot be read."""
    from jlgc_mailer.mail.reports.read import as_dicts, read_report

    failed = 0
    for done, file in enumerate(files, start=1):
        try:
            show(as_dicts(str(file), read_report(_content(file), rules)))
        except OSError as error:
            click.echo(f"Error: {file}: {error.strerror}.", err=True)
            failed += 1
        progress(done)
    return failed


def _content(file: Path) -> bytes:
    from jlgc_mailer.feedback.message import LIMIT

    with click.open_file(str(file), "rb") as stream:
        content: bytes = stream.read(LIMIT)
        return content


def _print_lines(rows: Sequence[Row]) -> None:
    for row in rows:
        click.echo(json_of(row).encode())
