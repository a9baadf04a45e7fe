"""What the commands share: the installation they work on, late imports, and how results are shown."""

import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from jlgc_mailer.bootstrap import Mailer
    from jlgc_mailer.db.base import Database

_UNFOLDED = 100_000  # columns for programs that read a table: no cell is broken into lines
# What json.dumps leaves as it is though a terminal obeys it: DEL, the controls of C1, and marks that turn the direction
# of writing; and halves of pairs, as file names may have them, for which UTF-8 has no octets.
_ESCAPED = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line helps, and imports a command when it is called."""

    def __init__(self, *args: Any, commands_at: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in self._commands_at:
            return None
        module, _, name = self._commands_at[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"jlgc_mailer.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._commands_at.items()])


class Shell:
    """The installation that a command works on, opened when first asked for."""

    def __init__(self, home: Path | None) -> None:
        self._home = home

    @cached_property
    def home(self) -> Path:
        """The folder of settings and database."""
        from jlgc_mailer.settings import default_home

        return (self._home or default_home()).expanduser().absolute()

    @cached_property
    def mailer(self) -> "Mailer":
        """The installation; raises SettingError."""
        from jlgc_mailer.bootstrap import Mailer
        from jlgc_mailer.settings import read_settings

        return Mailer(read_settings(self.home))

    @property
    def database(self) -> "Database":
        """The store, checked; raises NotInitialised or Unreachable."""
        return self.mailer.checked_database()

    def close(self) -> None:
        """Give the connections back, if any were opened."""
        mailer = vars(self).get("mailer")
        if mailer is not None and "database" in vars(mailer):
            mailer.database.close()


pass_shell = click.make_pass_decorator(Shell)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def example(*lines: str) -> str:
    """The epilog of a command's help: each example on a line of its own."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def show_json(value: object) -> None:
    """Print a value as JSON, with times in ISO 8601."""
    click.echo(json_of(value, indent=2))


def json_of(value: object, indent: int | None = None) -> str:
    """A value as JSON that people can read and no terminal obeys."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows as a table, or the sentence `empty`; of what a stranger wrote, a terminal obeys nothing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from jlgc_mailer.mail.visible import visible

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else visible(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNFOLDED)
    if table.row_count:
        console.print(table)
    else:
        click.echo(empty)


def with_progress(total: int, label: str, work: Callable[[Callable[[int], None]], Any]) -> Any:
    """Run `work`, which reports how far of `total` it is; a bar shows it on a terminal, nothing elsewhere."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(label, total=total)
        return work(lambda done: progress.update(task, completed=done))
