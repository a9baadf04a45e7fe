"""The reason that those who come after a decision will read."""

import click


def not_blank(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A callback of options: the text without spaces around it; one of nothing else tells nobody anything."""
    if not value.strip():
        raise click.BadParameter("it is blank. Say why, for those who come after you.")
    return value.strip()


reason = click.option("--reason", required=True, callback=not_blank, help="For those who come after you.")
