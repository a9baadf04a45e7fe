"""The option `--since`, which several commands have."""

from datetime import UTC, datetime
from typing import Any

import click


class _Date(click.DateTime):
    """A date, told to people by examples and not by the codes of a format."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no date such as 2026-11-01, or '2026-11-01 09:30'.", param, ctx)


def _aware(_context: click.Context, _parameter: click.Parameter, value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


since = click.option(
    "--since",
    type=_Date(["%Y-%m-%d", "%Y-%m-%d %H:%M"]),
    callback=_aware,
    metavar="DATE",
    help="Only what came in since then (UTC), such as 2026-11-01.",
)
