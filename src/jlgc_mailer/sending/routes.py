"""Routes: the transports of an installation, which of them a send may take now, and which are paused after trouble."""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from jlgc_mailer.db.sending import Attempt, TransportState
from jlgc_mailer.sending.pace.limits import Limits
from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.sending.transports.smtp.relay import Relay

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)
_LOOK_AGAIN = timedelta(hours=1)  # where no moment is known; until then `resume` is what ends the wait
_DOUBLINGS = 7  # 30 s times 2 to the 7 is more than an hour


@dataclass(frozen=True, slots=True)
class Route:
    """A transport as it is configured. It carries sends to its `lists`, or to any when it names none."""

    name: str
    relay: Relay
    weight: int
    lists: frozenset[str]
    limits: Limits
    fingerprint: str

    def carries(self, list_names: Collection[str]) -> bool:
        """Whether a send to these lists may take it."""
        return not self.lists or self.lists.issuperset(list_names)


@dataclass(frozen=True, slots=True)
class Pause:
    """Not now: until then, or until somebody sees to it when `until` is None."""

    until: datetime | None
    problem: str


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Why a send cannot go now, as one sentence, and when to look again."""

    why: str
    until: datetime


class Dice(Protocol):
    """What `random` and its Random offer."""

    def choices(self, population: Sequence[Route], weights: Sequence[float]) -> list[Route]:
        """One of the population, by weight."""
        ...


def choose(
    routes: Sequence[Route], list_names: Collection[str], paused: Mapping[str, Pause], now: datetime, dice: Dice
) -> Route | NoRoute:
    """A route for a send to these lists, by weight among those that are open now.

    Fail-over needs no rule of its own: a route that is paused is not chosen, so the others carry its share.
    """
    carrying = [route for route in routes if route.carries(list_names)]
    hindrances = {route.name: _hindrance(route, paused.get(route.name), now) for route in carrying}
    open_now = [route for route in carrying if hindrances[route.name] is None]
    if open_now:
        return dice.choices(open_now, [route.weight for route in open_now])[0]
    found = [each for each in hindrances.values() if each]
    if not found:
        names = ", ".join(sorted(list_names))
        return NoRoute(f"No transport carries the lists {names} together: see transports.toml", now + _LOOK_AGAIN)
    return NoRoute("; ".join(each.why for each in found), min(each.until for each in found))


def _hindrance(route: Route, pause: Pause | None, now: datetime) -> NoRoute | None:
    if pause and pause.until is None:
        return NoRoute(f"{route.name} is stopped until somebody sees to it: {pause.problem}", now + _LOOK_AGAIN)
    if pause and pause.until and pause.until > now:
        why = f"{route.name} is paused until {pause.until.astimezone(UTC):%H:%M:%S} UTC: {pause.problem}"
        return NoRoute(why, route.limits.opens(pause.until))
    opens = route.limits.opens(now)
    return NoRoute(route.limits.why_closed(route.name, opens), opens) if opens > now else None


def fingerprint(relay: Relay, password: str, key: bytes) -> str:
    """SHA-256 over all that decides whether connecting works, so that a change of it voids an old pause.

    A password is only in there as an HMAC: the fingerprint stands in the database.
    """
    facts = [relay.host, relay.port, relay.security, relay.user, relay.auth, relay.ehlo_name]
    facts += [str(file) for file in (relay.ca_file, relay.client_certificate, relay.client_key)]
    facts.append(hmac.digest(key, password.encode(), "sha256").hex())
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def paused(session: Session, routes: Sequence[Route], now: datetime) -> dict[str, Pause]:
    """The routes that are paused now, by name. Those that were configured anew since are not."""
    by_name = {route.name: route for route in routes}
    return {
        state.name: Pause(state.paused_until, state.problem)
        for state in session.scalars(select(TransportState).where(TransportState.name.in_(by_name)))
        if state.fingerprint == by_name[state.name].fingerprint and _is_in_force(state, now)
    }


def pause(session: Session, route: Route, trouble: Trouble, now: datetime) -> None:
    """Stop using a route: for 30 seconds, twice as long with each failure in a row, an hour at most.

    Trouble that only the operator can mend stops it until `resume` or a change of its configuration. Of workers that
    find the same trouble at the same time, the first counts.
    """
    state = _locked_state(session, route, now)
    if state.fingerprint != route.fingerprint:
        state.fingerprint, state.failures, state.paused_until = route.fingerprint, 0, now
    if trouble.for_operator:
        until = None
    elif _is_in_force(state, now):
        return
    else:
        until = now + min(_FIRST_PAUSE * 2 ** min(state.failures, _DOUBLINGS), _LONGEST_PAUSE)
    state.failures += 1
    state.paused_until, state.problem, state.changed_at = until, str(trouble), now
    session.flush()


def recovered(session: Session, name: str, now: datetime) -> None:
    """A route works: its failures are forgotten. A pause that another worker had to make meanwhile stays."""
    state = session.get(TransportState, name)
    if state is not None and not _is_in_force(state, now):
        session.execute(delete(TransportState).filter_by(name=name).where(TransportState.paused_until <= now))


def resume(session: Session, name: str) -> bool:
    """Use a route again at once; False when nothing kept it from being used."""
    return session.scalar(delete(TransportState).filter_by(name=name).returning(TransportState.name)) is not None


def sent_since(session: Session, name: str, since: datetime) -> int:
    """How many attempts the ledger has of a transport since a moment."""
    statement = select(func.count()).select_from(Attempt).where(Attempt.transport == name, Attempt.at >= since)
    return session.scalar(statement) or 0


def _locked_state(session: Session, route: Route, now: datetime) -> TransportState:
    """The route's row, made if need be, and nobody else's until the transaction ends."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"fingerprint": route.fingerprint, "failures": 0, "problem": "", "changed_at": now, "paused_until": now}
    session.execute(insert(TransportState).values(name=route.name, **row).on_conflict_do_nothing())
    return session.get_one(TransportState, route.name, with_for_update=True, populate_existing=True)


def _is_in_force(state: TransportState, now: datetime) -> bool:
    return state.paused_until is None or state.paused_until > now
