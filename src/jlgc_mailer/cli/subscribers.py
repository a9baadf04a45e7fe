"""`subscribers`: the people."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table, with_progress

if TYPE_CHECKING:
    from jlgc_mailer.audience.importing import BadRow, ImportResult

_LANGUAGES = click.Choice(["en", "ja"])


@click.group(epilog=example("jlgc-mailer subscribers import people.csv --list news --errors bad.csv"))
def subscribers() -> None:
    """Subscribers: the people who read."""


@subscribers.command(
    epilog=example(
        "jlgc-mailer subscribers add aiko@example.org --list news --name 'Aiko Tanaka' --language ja "
        "--evidence 'paper form, 3 June 2026'"
    )
)
@click.argument("address")
@click.option("--list", "list_name", required=True, help="The mailing list.")
@click.option("--name", default="", help="Name, as it is written to the person.")
@click.option("--language", type=_LANGUAGES, default="en", show_default=True, help="Language the person reads.")
@click.option("--zone", default="", help="Time zone the person lives in, such as Asia/Tokyo.  [default: the send's]")
@click.option("--evidence", required=True, help="How the person agreed; kept in the consent record.")
@pass_shell
def add(shell: Shell, address: str, list_name: str, name: str, language: str, zone: str, evidence: str) -> None:
    """Add one person who has agreed to a list. Who unsubscribed from it stays so."""
    from jlgc_mailer.audience.lists import find_list
    from jlgc_mailer.audience.subscriptions import Evidence, confirm, person

    someone = person(address, name, language, zone)
    with shell.database.transaction() as session:
        mailing_list = find_list(session, list_name)
        proof = Evidence("added by staff", evidence)
        is_new = confirm(session, [someone], mailing_list.id, proof, shell.mailer.clock())
    known = f"{someone.address.spec} is on {list_name} already, or has left it; nothing was changed."
    click.echo(f"Added {someone.address.spec}." if is_new else known)


@subscribers.command("import", epilog=example("jlgc-mailer subscribers import people.csv --list news --errors bad.csv"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--list", "list_name", required=True, help="The mailing list.")
@click.option("--errors", type=click.Path(path_type=Path, dir_okay=False), help="CSV file for rows left out.")
@click.option("--language", type=_LANGUAGES, default="en", show_default=True, help="For rows that name none.")
@pass_shell
def import_(shell: Shell, file: Path, list_name: str, errors: Path | None, language: str) -> None:
    """Import people from a CSV file with a column email, and maybe name, language and zone.

    Good rows are stored; each bad row is reported with its line and reason, in the file given with --errors, else
    on stderr. Importing the same file again changes nothing.
    """
    from jlgc_mailer.audience.lists import find_list

    with shell.database.reading() as session:
        list_id = find_list(session, list_name).id
    with _bad_rows(file, errors) as on_bad_row:
        result = _import(shell, file, list_id, language, on_bad_row)
    where = f" (see {errors})" if errors and result.bad else ""
    click.echo(f"{result.added:,} added, {result.unchanged:,} known before, {result.bad:,} bad{where}.")


def _import(
    shell: Shell, file: Path, list_id: int, language: str, on_bad_row: Callable[["BadRow"], None]
) -> "ImportResult":
    from jlgc_mailer.audience.importing import import_csv
    from jlgc_mailer.states import Language

    def work(report: Any) -> "ImportResult":
        return import_csv(
            shell.mailer.database,
            file,
            list_id,
            default_language=Language(language),
            now=shell.mailer.clock(),
            on_bad_row=on_bad_row,
            on_progress=report,
        )

    size = file.stat().st_size if file.is_file() else 0
    result: ImportResult = with_progress(size, f"Importing {file.name}", work)
    return result


@contextmanager
def _bad_rows(file: Path, errors: Path | None) -> Iterator[Callable[["BadRow"], None]]:
    """Where bad rows go, each as soon as it is found: to the CSV file `errors`, or to stderr."""
    if errors is None:
        yield lambda row: click.echo(f"{file}:{row.line}: {row.reason}", err=True)
        return
    if errors.exists() and file.exists() and errors.samefile(file):
        raise click.UsageError("The file for bad rows would overwrite the file to import; name another with --errors.")
    with errors.open("w", encoding="utf-8-sig", errors="replace", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["line", "reason", "row"])
        yield lambda row: writer.writerow([row.line, row.reason, *row.row])


@subscribers.command("list", epilog=example("jlgc-mailer subscribers list --list news --json"))
@click.option("--list", "list_name", help="Only this mailing list.")
@as_json
@pass_shell
def list_(shell: Shell, list_name: str | None, as_json: bool) -> None:
    """Subscribers with their lists and statuses."""
    from jlgc_mailer.audience.subscriptions import subscriptions

    with shell.database.reading() as session:
        rows = [
            {
                "address": subscriber.address,
                "name": subscriber.name,
                "language": subscriber.language.value,
                "list": mailing_list.name,
                "status": subscription.status.value,
            }
            for subscriber, subscription, mailing_list in subscriptions(session, list_name)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("address", "name", "language", "list", "status")
        show_table(columns, [tuple(row.values()) for row in rows], "There are no subscribers here.")


@subscribers.command(epilog=example("jlgc-mailer subscribers show aiko@example.org"))
@click.argument("address")
@as_json
@pass_shell
def show(shell: Shell, address: str, as_json: bool) -> None:
    """One person: subscriptions, consent records, suppression, deliveries."""
    from jlgc_mailer.audience.subscriptions import find_subscriber, history

    with shell.database.reading() as session:
        facts = history(session, find_subscriber(session, address))
    if as_json:
        show_json(facts)
        return
    show_table(("", ""), [(name, value) for name, value in facts.items() if not isinstance(value, list)], "")
    for name in ("subscriptions", "consent_records", "deliveries"):
        click.echo(f"\n{name.replace('_', ' ')}:")
        show_table(
            tuple(facts[name][0]) if facts[name] else ("",), [tuple(row.values()) for row in facts[name]], "none"
        )
