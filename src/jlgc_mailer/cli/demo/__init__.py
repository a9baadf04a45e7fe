"""`demo`: the whole pipeline on one machine, with a thousand generated subscribers and a receiver of its own."""

from pathlib import Path

import click

from jlgc_mailer.cli.shell import example


@click.command(
    epilog=example(
        "jlgc-mailer demo",
        "jlgc-mailer demo --exit --json",
        "jlgc-mailer demo --database-url postgresql+psycopg://user:password@localhost/demo "
        "--broker-url redis://localhost:6379/0",
    )
)
@click.option("--subscribers", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many.")
@click.option("--exit", "leave", is_flag=True, help="Leave after the table instead of serving the pages.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-home"),
    show_default=True,
    help="Folder for database and mailboxes.",
)
@click.option("--database-url", help="A PostgreSQL database instead of a SQLite file; empty, or an earlier demo's.")
@click.option("--broker-url", help="A Redis broker instead of memory.")
def demo(
    subscribers: int, leave: bool, as_json: bool, home: Path, database_url: str | None, broker_url: str | None
) -> None:
    """Send the sample issue to generated subscribers, through the real pipeline, to a receiver on this machine.

    Nothing leaves the machine. The receiver accepts most, greylists some, refuses a few; the table at the end adds
    up to all subscribers. Then the pages are served until Ctrl-C. Exit status 0 only when everybody is accounted for.
    """
    from jlgc_mailer.cli.demo.story import Wishes, tell

    tell(Wishes(subscribers, leave, as_json, home.absolute(), database_url or "", broker_url or "memory://"))
