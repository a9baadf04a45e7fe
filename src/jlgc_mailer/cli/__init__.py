"""The command line. Everything heavy is imported by the command that needs it, so that `--help` answers at once."""

import sys
import traceback
from pathlib import Path

import click

from jlgc_mailer.cli.shell import LazyGroup, Shell
from jlgc_mailer.errors import AmbiguousLocalTime, InvalidInput, MailerError, NoSuchLocalTime

_MISUSE = (InvalidInput, NoSuchLocalTime, AmbiguousLocalTime)

_COMMANDS = {
    "init": ("setup:init", "Prepare an installation: settings, keys, database."),
    "demo": ("demo:demo", "Send the sample issue to generated subscribers, on this machine."),
    "serve": ("processes:serve", "Web pages, worker and beat in one process."),
    "web": ("processes:web", "The web pages."),
    "worker": ("processes:worker", "A worker that delivers batches."),
    "beat": ("processes:beat", "The clock that starts due sends and retries."),
    "lists": ("lists:lists", "Mailing lists: create, list, show."),
    "subscribers": ("subscribers:subscribers", "Subscribers: add, import, list, show."),
    "issues": ("issues:issues", "Issues: import, list, show, render."),
    "sends": ("sends:sends", "Sends: test, schedule, list, show, pause, resume, cancel."),
    "suppressions": ("suppressions:suppressions", "Addresses that get nothing: add, list."),
}


@click.group(
    cls=LazyGroup,
    commands_at=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example:  jlgc-mailer demo",
)
@click.version_option(package_name="jlgc-mailer", prog_name="jlgc-mailer")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of settings and database.  [default: $JLGC_MAILER_HOME or ~/.jlgc-mailer]",
)
@click.pass_context
def group(context: click.Context, home: Path | None) -> None:
    """A self-hosted newsletter system: issues, lists, and sends that account for every recipient."""
    context.obj = Shell(home)


def main() -> None:
    """Run the command line: exit status 2 for misuse, 1 for failure, with one clear sentence on stderr."""
    try:
        group(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except MailerError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, _MISUSE) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  (the outermost: whatever was not foreseen still reads as a sentence)
        _tell_unexpected(error)
        sys.exit(1)


def _tell_unexpected(error: Exception) -> None:
    report = Path.cwd() / "jlgc-mailer-error.txt"
    report.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    click.echo(
        f"Error: something unforeseen happened ({type(error).__name__}: {error}). Please report {report}", err=True
    )
