"""The option `--since`, which several commands have."""

from datetime import UTC, datetime

import click


def _aware(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


since = click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M"]),
    callback=_aware,
    metavar="DATE",
    help="Only what came in since then (UTC), such as 2026-11-01.",
)
