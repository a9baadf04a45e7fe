"""Sends that stop because of what a command has judged."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from jlgc_mailer.cli.shell import Shell


@contextmanager
def telling_stops(shell: Shell) -> Iterator[None]:
    """Tell afterwards which sends paused themselves meanwhile: judging takes in whatever waits."""
    from jlgc_mailer.feedback.breaker import standing

    with shell.database.reading() as session:
        before = standing(session)
    yield
    with shell.database.reading() as session:
        stopped = [send_id for send_id in standing(session) if send_id not in before]
    for send_id in stopped:
        click.echo(f"Send {send_id} paused itself, as too much of it came back. See: jlgc-mailer sends show {send_id}")
