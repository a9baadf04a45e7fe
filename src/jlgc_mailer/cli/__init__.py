"""The command line. Everything heavy is imported by the command that needs it, so that `--help` answers at once."""

import sys
import tempfile
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
    "worker": ("processes:worker", "Worker processes that deliver batches."),
    "beat": ("processes:beat", "The clock that asks for what is due."),
    "lists": ("lists:lists", "Mailing lists: create, list, show."),
    "subscribers": ("subscribers:subscribers", "Subscribers: add, import, list, show."),
    "issues": ("issues:issues", "Issues: import, list, show, render."),
    "sends": ("sends:sends", "Sends: test, schedule, list, show, pause, resume, cancel, retry, settle."),
    "dkim": ("dkim:dkim", "DKIM keys: keygen, show."),
    "transports": ("transports:transports", "Relays that take our mail: list, check, resume."),
    "suppressions": ("suppressions:suppressions", "Addresses that get nothing: add, release, list."),
    "feedback": (
        "feedback:feedback",
        "What comes back: listen, collect, ingest, health, list, show, resolve, replay, classify.",
    ),
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
    type=click.Path(path_type=Path, file_okay=False, readable=False),  # each command tells of it by its own exit status
    help="Folder of settings and database.  [default: $JLGC_MAILER_HOME or ~/.jlgc-mailer]",
)
@click.pass_context
def group(context: click.Context, home: Path | None) -> None:
    """A self-hosted newsletter system: issues, lists, and sends that account for every recipient."""
    context.obj = Shell(home)
    context.call_on_close(context.obj.close)


def main() -> None:
    """Run the command line: exit status 2 for misuse, 1 for failure, with one clear sentence on stderr."""
    try:
        group(prog_name="jlgc-mailer", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _tell(" ".join(error.format_message().split()), _help_of(error))
        sys.exit(error.exit_code)
    except click.Abort as error:
        _tell("stopped.")
        sys.exit(130 if isinstance(error.__cause__, KeyboardInterrupt) else 1)
    except MailerError as error:
        _tell(str(error))
        sys.exit(2 if isinstance(error, _MISUSE) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _tell(f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or error}.")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  (the outermost: whatever was not foreseen still reads as a sentence)
        _tell_unexpected(error)
        sys.exit(1)


def _tell(*sentences: str) -> None:
    click.echo(" ".join(("Error:", *filter(None, sentences))), err=True)


def _help_of(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"See: {context.command_path} --help" if context else ""


def _tell_unexpected(error: Exception) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="replace", prefix="jlgc-mailer-error-", suffix=".txt", delete=False
    ) as report:
        report.writelines(traceback.format_exception(error))
    first_line = next(iter(str(error).splitlines()), "")
    _tell(f"something unforeseen happened ({type(error).__name__}: {first_line}). Please report {report.name}")
