"""`feedback`: what comes back, and the ways by which it comes in."""

import click

from jlgc_mailer.cli.shell import LazyGroup, example

_COMMANDS = {
    "listen": ("feedback.listen:listen", "An LMTP or SMTP server for the bounce domain."),
    "collect": ("feedback.collect:collect", "Look into the mailboxes now."),
    "ingest": ("feedback.ingest:ingest", "Store one message from standard input, for a mail server's pipe."),
    "health": ("feedback.health:health", "How the ways in are doing."),
    "list": ("feedback.list:list_", "What came back: what waits for a person, then what was said about whom."),
    "show": ("feedback.show:show", "One report: all that is known of it, or its octets."),
    "resolve": ("feedback.resolve:resolve", "Say what a report in review means."),
    "replay": ("feedback.replay:replay", "Read stored reports again by changed rules; tells first what would follow."),
    "classify": ("feedback.classify:classify", "Say what files with reports mean; stores nothing."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS, epilog=example("jlgc-mailer feedback health"))
def feedback() -> None:
    """Feedback: bounces, complaints and unsubscribes that come back, and the ways by which they come in."""
