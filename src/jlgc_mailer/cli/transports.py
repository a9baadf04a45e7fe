"""`transports`: the ways out, how they are, and what to do when one has stopped."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from jlgc_mailer.cli.shell import Shell, as_json, example, pass_shell, show_json, show_table

if TYPE_CHECKING:
    from jlgc_mailer.sending.routes import Pause, Route
    from jlgc_mailer.sending.transports.smtp.offers import Offers

_PATIENCE = 20  # seconds for each reply; a person is waiting


@click.group(epilog=example("jlgc-mailer transports list"))
def transports() -> None:
    """Transports: the relays that take our mail, their limits, and whether they do."""


@transports.command("list", epilog=example("jlgc-mailer transports list", "jlgc-mailer transports list --json"))
@as_json
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All transports: limits, state, and the messages of today."""
    from jlgc_mailer.sending import routes as ways
    from jlgc_mailer.settings import read_routes

    now, rows = shell.mailer.clock(), []
    routes = read_routes(shell.mailer.settings)
    with shell.database.reading() as session:
        paused = ways.paused(session, routes, now)
        for route in routes:
            since = route.limits.midnight(route.limits.today(now))
            state, until, problem = _state(route, paused.get(route.name), now)
            rows.append(
                {
                    "name": route.name,
                    "relay": str(route.relay),
                    "weight": route.weight,
                    "lists": ", ".join(sorted(route.lists)) or "all",
                    "limits": str(route.limits),
                    "today": ways.sent_since(session, route.name, since),
                    "state": state,
                    "until": until and until.isoformat(timespec="seconds"),
                    "problem": problem,
                }
            )
    if as_json:
        show_json(rows)
    else:
        show_table(tuple(rows[0]), [tuple(row.values()) for row in rows], "")


@transports.command(epilog=example("jlgc-mailer transports resume relay"))
@click.argument("name")
@pass_shell
def resume(shell: Shell, name: str) -> None:
    """Use a transport again at once, after you have seen to what was wrong."""
    from jlgc_mailer.sending import routes as ways
    from jlgc_mailer.sending.claim import end_holds

    _chosen(shell, name)
    with shell.database.transaction() as session:
        was_paused = ways.resume(session, name)
        end_holds(session)
    click.echo(f"{name} is used again." if was_paused else f"{name} was not paused.")


@transports.command(epilog=example("jlgc-mailer transports check", "jlgc-mailer transports check relay"))
@click.argument("name", required=False)
@pass_shell
def check(shell: Shell, name: str | None) -> None:
    """Connect to all transports, or to the one named, and log in; no mail is sent."""
    from jlgc_mailer.sending.transports import Trouble
    from jlgc_mailer.sending.transports.smtp.probe import probe
    from jlgc_mailer.sending.transports.smtp.relay import Timeouts
    from jlgc_mailer.settings import read_routes

    troubles = []
    for route in [_chosen(shell, name)] if name else read_routes(shell.mailer.settings):
        timeouts = Timeouts(connect=_PATIENCE, command=_PATIENCE)
        found = probe(replace(route.relay, timeouts=timeouts), shell.mailer.clock)
        if isinstance(found, Trouble):
            troubles.append(found)
        else:
            click.echo(f"{route.name}: {route.relay} takes us. It offers {_words(found)}.")
    if troubles:
        raise click.ClickException(" ".join(map(str, troubles)))


def _words(offers: "Offers") -> str:
    words = [word for word in ("PIPELINING", "DSN", "SMTPUTF8", "STARTTLS") if getattr(offers, word.lower())]
    words += [f"AUTH {' '.join(sorted(offers.auth))}"] if offers.auth else []
    return ", ".join(words) or "no extension that matters to us"


def _chosen(shell: Shell, name: str) -> "Route":
    from jlgc_mailer.errors import NotFound
    from jlgc_mailer.settings import read_routes

    for route in read_routes(shell.mailer.settings):
        if route.name == name:
            return route
    raise NotFound(kind="transport", name=name, remedy="See: jlgc-mailer transports list")


def _state(route: "Route", pause: "Pause | None", now: datetime) -> tuple[str, datetime | None, str | None]:
    if pause:
        return "paused" if pause.until else "stopped", pause.until, pause.problem
    opens = route.limits.opens(now)
    return ("closed", opens, route.limits.why_closed(route.name, opens)) if opens > now else ("ready", None, None)
