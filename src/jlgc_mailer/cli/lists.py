"""`lists`: what people join."""

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table


@click.group(epilog=example("jlgc-mailer lists create news --title 'JLGC News' --title-ja 'クレアニュース'"))
def lists() -> None:
    """Mailing lists: what people join."""


@lists.command(epilog=example("jlgc-mailer lists create news --title 'JLGC News' --title-ja 'クレアニュース'"))
@click.argument("name")
@click.option("--title", required=True, help="Title in English.")
@click.option("--title-ja", help="Title in Japanese.  [default: the English one]")
@pass_shell
def create(shell: Shell, name: str, title: str, title_ja: str | None) -> None:
    """Create a list. NAME is part of its List-Id and stays for ever."""
    from jlgc_mailer.audience.lists import create_list

    with shell.database.transaction() as session:
        create_list(session, name, title, title_ja or title, shell.mailer.clock())
    click.echo(f"Created the mailing list {name}.")


@lists.command("list", epilog=example("jlgc-mailer lists list", "jlgc-mailer lists list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All lists, with their numbers of subscriptions."""
    from jlgc_mailer.audience.lists import summaries

    with shell.database.reading() as session:
        rows = [
            {
                "name": each.mailing_list.name,
                "title": each.mailing_list.title_en,
                "title_ja": each.mailing_list.title_ja,
                "confirmed": each.confirmed,
                "pending": each.pending,
                "unsubscribed": each.unsubscribed,
            }
            for each in summaries(session)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("name", "title", "title_ja", "confirmed", "pending", "unsubscribed")
        show_table(
            columns, [tuple(row.values()) for row in rows], "There are no lists. See: jlgc-mailer lists create -h"
        )


@lists.command(epilog=example("jlgc-mailer lists show news"))
@click.argument("name")
@as_json
@pass_shell
def show(shell: Shell, name: str, as_json: bool) -> None:
    """One list: its titles, its List-Id and its numbers."""
    from jlgc_mailer.audience.lists import find_list, summaries

    with shell.database.reading() as session:
        mailing_list = find_list(session, name)
        numbers = next(each for each in summaries(session) if each.mailing_list.id == mailing_list.id)
    facts = {
        "name": mailing_list.name,
        "title": mailing_list.title_en,
        "title_ja": mailing_list.title_ja,
        "list_id": f"{mailing_list.name}.{shell.mailer.settings.mail_domain}",
        "created_at": mailing_list.created_at.isoformat(),
        "confirmed": numbers.confirmed,
        "pending": numbers.pending,
        "unsubscribed": numbers.unsubscribed,
    }
    if as_json:
        show_json(facts)
    else:
        show_table(("", ""), list(facts.items()), "")
