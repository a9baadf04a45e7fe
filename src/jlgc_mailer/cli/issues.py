"""`issues`: what is written."""

from pathlib import Path
from typing import Any

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table


@click.group(epilog=example("jlgc-mailer issues import examples/summer-2024"))
def issues() -> None:
    """Issues: what is written, one file per language."""


@issues.command("import", epilog=example("jlgc-mailer issues import examples/summer-2024"))
@click.argument("folder", type=click.Path(path_type=Path))
@pass_shell
def import_(shell: Shell, folder: Path) -> None:
    """Import an issue from a folder with en.md, ja.md or both; the folder's name becomes the issue's.

    The issue is checked and compiled at once: whatever is wrong is told with file and line, and nothing is stored.
    """
    from jlgc_mailer.content.importing import read_issue
    from jlgc_mailer.content.issues import import_issue

    files = read_issue(folder)
    with shell.database.transaction() as session:
        done = import_issue(session, files, shell.mailer.press, shell.mailer.clock())
        number, is_new = done.revision.number, done.is_new_revision
    languages = " and ".join(edition.language for edition in files.editions)
    if is_new:
        click.echo(f"Imported {files.slug}, revision {number}, in {languages}, with {_pictures(len(files.pictures))}.")
    else:
        click.echo(f"Nothing new: {files.slug} is the same as revision {number}.")
    for language, size in done.large.items():
        cut = "Gmail cuts messages off at about 100,000; shorten the articles or lead on with links"
        click.echo(f"Note: {files.slug} in {language} has {size:,} octets of HTML. {cut}.", err=True)


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number} pictures"


@issues.command("list", epilog=example("jlgc-mailer issues list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All issues, newest first."""
    from jlgc_mailer.content.issues import all_issues, latest_revision

    with shell.database.reading() as session:
        rows = [
            {
                "issue": issue.slug,
                "languages": " ".join(edition.language for edition in issue.editions),
                "subject": issue.editions[0].content["subject"],
                "revision": latest_revision(session, issue).number,
                "created_at": issue.created_at.isoformat(timespec="minutes"),
            }
            for issue in all_issues(session)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("issue", "languages", "subject", "revision", "created")
        rows_ = [tuple(row.values()) for row in rows]
        show_table(columns, rows_, "There are no issues. See: jlgc-mailer issues import -h")


@issues.command(epilog=example("jlgc-mailer issues show summer-2024"))
@click.argument("slug")
@as_json
@pass_shell
def show(shell: Shell, slug: str, as_json: bool) -> None:
    """One issue: its editions, revision and preview links for staff."""
    from jlgc_mailer.content.issues import compiled_artefacts, find_issue, latest_revision
    from jlgc_mailer.mail.tokens import Purpose

    mailer = shell.mailer
    with shell.database.transaction() as session:
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, mailer.clock())
    token = mailer.keyring.sign(Purpose.PREVIEW, revision.id)
    editions: list[dict[str, Any]] = [
        {
            "language": artefact.language.value,
            "subject": revision.content[artefact.language]["subject"],
            "from": artefact.sender,
            "html_octets": len(artefact.html.encode()),
            "preview": f"{mailer.settings.public_url}/preview/{token}/{artefact.language}",
        }
        for artefact in artefacts
    ]
    if as_json:
        show_json({"issue": slug, "revision": revision.number, "digest": revision.digest, "editions": editions})
        return
    click.echo(f"{slug}, revision {revision.number} ({revision.digest[:12]})\n")
    show_table(tuple(editions[0])[:-1], [tuple(row.values())[:-1] for row in editions], "")
    for edition in editions:
        click.echo(f"\nPreview ({edition['language']}): {edition['preview']}")


@issues.command(epilog=example("jlgc-mailer issues render summer-2024 --output preview/"))
@click.argument("slug")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write to.")
@click.option("--name", default="", help="Name to greet, as a subscriber's.")
@pass_shell
def render(shell: Shell, slug: str, output: Path, name: str) -> None:
    """Write each edition as mail: SLUG-en.html, SLUG-en.txt, and the whole message as SLUG-en.eml."""
    from jlgc_mailer.content.issues import compiled_artefacts, find_issue, latest_revision
    from jlgc_mailer.sending.samples import sample_of

    mailer = shell.mailer
    with shell.database.transaction() as session:
        revision = latest_revision(session, find_issue(session, slug))
        artefacts = compiled_artefacts(session, revision, mailer.press, mailer.clock())
    output.mkdir(parents=True, exist_ok=True)
    for artefact in artefacts:
        sample = sample_of(artefact, mailer.identity, mailer.settings.contact, name, mailer.clock())
        for ending, data in (("html", sample.html.encode()), ("txt", sample.text.encode()), ("eml", sample.content)):
            file = output / f"{slug}-{artefact.language}.{ending}"
            file.write_bytes(data)
            click.echo(str(file))
