"""Routes: which transport a send takes, and pauses after trouble, on both databases."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.base import Database
from jlgc_mailer.db.sending import Attempt, Delivery, TransportState
from jlgc_mailer.sending import routes
from jlgc_mailer.sending.pace.limits import Limits
from jlgc_mailer.sending.pace.windows import parse_window
from jlgc_mailer.sending.routes import NoRoute, Pause, Route, choose, fingerprint
from jlgc_mailer.sending.transports import Trouble
from jlgc_mailer.sending.transports.smtp.relay import Auth, Relay, Security
from jlgc_mailer.states import DeliveryStatus, Stage
from tests import factories

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)  # a Monday
REFUSED = Trouble("relay.example:25", Stage.CONNECT, "connection refused")
WRONG_PASSWORD = Trouble("relay.example:25", Stage.AUTH, "535 5.7.8 wrong password", for_operator=True)
AT_NIGHT = Limits(windows=(parse_window("Mon-Sun 22:00-06:00"),))


def route(name: str, **fields: Any) -> Route:
    usual = {"weight": 1, "lists": frozenset(), "limits": Limits(), "fingerprint": "f" * 64}
    return Route(**{"name": name, "relay": Relay(name, "relay.example", 25), **usual, **fields})


def later(**duration: float) -> datetime:
    return NOW + timedelta(**duration)


# --- choosing -----------------------------------------------------------------------------------------------------


def test_routes_are_chosen_by_weight() -> None:
    both, dice = [route("one", weight=3), route("two")], Random(1)
    chosen = Counter(choose(both, {"news"}, {}, NOW, dice) for _ in range(4_000))
    assert chosen[both[0]] == pytest.approx(3_000, abs=150)


def test_the_others_carry_the_share_of_one_that_is_paused() -> None:
    both = [route("one", weight=100), route("two")]
    assert choose(both, {"news"}, {"one": Pause(later(seconds=1), "down")}, NOW, Random()) == both[1]
    assert choose(both, {"news"}, {"one": Pause(None, "535")}, NOW, Random()) == both[1]
    assert choose(both[:1], {"news"}, {"one": Pause(NOW, "down")}, NOW, Random()) == both[0]


def test_a_closed_window_is_passed_over() -> None:
    both = [route("one", weight=100, limits=AT_NIGHT), route("two")]
    assert choose(both, {"news"}, {}, NOW, Random()) == both[1]
    assert choose(both[:1], {"news"}, {}, later(hours=14), Random()) == both[0]


def test_a_route_carries_a_send_whose_lists_are_all_its_own() -> None:
    jobs, everything = route("one", lists=frozenset({"jobs", "news"}), weight=10**9), route("two")
    assert choose([jobs, everything], {"jobs", "news"}, {}, NOW, Random(1)) == jobs
    assert choose([jobs, everything], {"jobs", "events"}, {}, NOW, Random(1)) == everything
    assert choose([jobs], {"jobs", "events"}, {}, NOW, Random()) == NoRoute(
        "No transport carries the lists events, jobs together: see transports.toml", later(hours=1)
    )


def test_why_there_is_none_names_all_and_the_earliest_moment() -> None:
    three = [route("one"), route("two"), route("three", limits=AT_NIGHT)]
    paused = {"one": Pause(None, "535 wrong password"), "two": Pause(later(seconds=30), "connection refused")}
    assert choose(three, {"news"}, paused, NOW, Random()) == NoRoute(
        "one is stopped until somebody sees to it: 535 wrong password; "
        "two is paused until 09:00:30 UTC: connection refused; "
        "three sends Mon-Sun 22:00-06:00 (UTC) only, next from 2026-06-01 22:00",
        later(seconds=30),
    )
    assert choose(three[:1], {"news"}, paused, NOW, Random()) == NoRoute(
        "one is stopped until somebody sees to it: 535 wrong password", later(hours=1)
    )


def test_a_pause_that_ends_while_the_window_is_closed_lasts_until_it_opens() -> None:
    none = choose([route("one", limits=AT_NIGHT)], {"news"}, {"one": Pause(later(hours=1), "down")}, NOW, Random())
    assert isinstance(none, NoRoute)
    assert none.until == later(hours=13)


_PAUSES = st.builds(Pause, st.none() | st.integers(-60, 60).map(lambda n: later(seconds=n)), st.just("down"))
_ROUTES = st.lists(
    st.builds(
        route,
        st.sampled_from(["one", "two", "three", "four"]),
        weight=st.integers(1, 100),
        lists=st.frozensets(st.sampled_from(["news", "jobs"])),
        limits=st.sampled_from([Limits(), AT_NIGHT]),
    ),
    unique_by=lambda each: each.name,
)


@given(_ROUTES, st.sets(st.sampled_from(["news", "jobs"]), min_size=1), st.dictionaries(st.text(max_size=5), _PAUSES))
def test_what_is_chosen_is_allowed_and_open_and_what_is_not_has_a_later_moment(
    configured: list[Route], lists: set[str], others: dict[str, Pause]
) -> None:
    paused = others | {each.name: Pause(later(seconds=9), "down") for each in configured[1:]}
    chosen = choose(configured, lists, paused, NOW, Random(1))
    if isinstance(chosen, NoRoute):
        assert chosen.until > NOW
        assert chosen.why
        assert not any(each.carries(lists) and each.limits == Limits() for each in configured[:1])
    else:
        assert chosen.carries(lists)
        assert chosen.name not in paused
        assert chosen.limits == Limits()


# --- fingerprints -------------------------------------------------------------------------------------------------

RELAY = Relay("one", "relay.example", 25)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "other.example"},
        {"port": 587},
        {"security": Security.TLS},
        {"user": "office"},
        {"auth": Auth.PLAIN},
        {"ca_file": Path("ca.pem")},
        {"client_certificate": Path("client.pem")},
        {"client_key": Path("client.key")},
        {"ehlo_name": "mail.example.org"},
    ],
)
def test_a_fingerprint_changes_with_what_matters_for_connecting(change: dict[str, Any]) -> None:
    assert fingerprint(replace(RELAY, **change), "geheim", b"key") != fingerprint(RELAY, "geheim", b"key")


def test_a_fingerprint_changes_with_the_password_but_not_with_how_much_goes() -> None:
    mark = fingerprint(RELAY, "geheim", b"key")
    assert fingerprint(RELAY, "geheim2", b"key") != mark
    assert fingerprint(RELAY, "geheim", b"another key") != mark
    assert fingerprint(replace(RELAY, connections=99, messages_per_connection=1), "geheim", b"key") == mark
    assert len(mark) == 64


# --- pauses -------------------------------------------------------------------------------------------------------

ONE, TWO = route("one"), route("two")


@pytest.fixture
def database(mailer: Mailer) -> Database:
    return mailer.database


def pause(database: Database, now: datetime, trouble: Trouble = REFUSED, way: Route = ONE) -> None:
    with database.transaction() as session:
        routes.pause(session, way, trouble, now)


def paused(database: Database, now: datetime, *ways: Route) -> dict[str, Pause]:
    with database.reading() as session:
        return routes.paused(session, ways or [ONE, TWO], now)


def failures(database: Database) -> int:
    with database.reading() as session:
        return session.get_one(TransportState, "one").failures


def test_trouble_pauses_the_transport_for_half_a_minute(database: Database) -> None:
    """S3"""
    assert paused(database, NOW) == {}
    pause(database, NOW)
    problem = "The relay relay.example:25 does not take mail (connect): connection refused."
    assert paused(database, later(seconds=29)) == {"one": Pause(later(seconds=30), problem)}
    assert paused(database, later(seconds=30)) == {}


def test_failures_in_a_row_double_the_pause_up_to_an_hour(database: Database) -> None:
    """S3"""
    now, lengths = NOW, []
    for _ in range(10):
        pause(database, now)
        until = paused(database, now)["one"].until
        assert until is not None
        lengths.append((until - now).total_seconds())
        now = until
    assert lengths == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_trouble_during_a_pause_counts_once(database: Database) -> None:
    pause(database, NOW)
    pause(database, later(seconds=1))
    pause(database, later(seconds=29))
    assert failures(database) == 1
    assert paused(database, NOW)["one"].until == later(seconds=30)


def test_two_workers_with_the_same_trouble_count_once(database: Database) -> None:
    together = threading.Barrier(2, timeout=20)

    def fail() -> None:
        together.wait()
        pause(database, NOW)

    workers = [threading.Thread(target=fail) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert failures(database) == 1
    assert paused(database, NOW)["one"].until == later(seconds=30)


def test_a_wrong_password_stops_the_transport_until_somebody_resumes_it(database: Database) -> None:
    """S3: 535: stop and alert, no retry loop."""
    pause(database, NOW)
    pause(database, later(seconds=1), WRONG_PASSWORD)
    pause(database, later(days=1))
    with database.transaction() as session:
        routes.recovered(session, "one", later(days=2))
    assert paused(database, later(days=9))["one"].until is None
    assert "535" in paused(database, later(days=9))["one"].problem
    with database.transaction() as session:
        assert routes.resume(session, "one")
        assert not routes.resume(session, "one")
    assert paused(database, NOW) == {}


def test_a_changed_configuration_voids_a_pause(database: Database) -> None:
    changed = replace(ONE, fingerprint="0" * 64)
    pause(database, NOW, WRONG_PASSWORD)
    assert paused(database, NOW, ONE) != {}
    assert paused(database, NOW, changed) == {}
    pause(database, later(seconds=1), REFUSED, changed)
    assert paused(database, NOW, changed)["one"].until == later(seconds=31)
    assert failures(database) == 1


def test_a_success_ends_the_row_of_failures(database: Database) -> None:
    pause(database, NOW)
    pause(database, later(seconds=30))
    with database.transaction() as session:
        routes.recovered(session, "one", later(seconds=90))
        routes.recovered(session, "two", later(seconds=90))
    pause(database, later(seconds=90))
    assert failures(database) == 1


def test_a_success_begun_earlier_does_not_end_a_pause_in_force(database: Database) -> None:
    pause(database, NOW)
    with database.transaction() as session:
        routes.recovered(session, "one", later(seconds=10))
    assert paused(database, later(seconds=10))["one"].until == later(seconds=30)


# --- what was sent ------------------------------------------------------------------------------------------------


def test_attempts_are_counted_by_transport_and_from_a_moment_on(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        factories.subscriber(session, news)
        factories.send(session, mailer, factories.issue(session, mailer), [news])
        delivery_id = session.scalars(select(Delivery.id)).one()
        for number, (name, at) in enumerate([("one", NOW), ("one", later(hours=1)), ("two", later(hours=1))]):
            attempt = {"delivery_id": delivery_id, "number": number, "at": at, "transport": name}
            session.add(Attempt(**attempt, outcome=DeliveryStatus.DEFERRED, stage=Stage.RCPT))
    with mailer.database.reading() as session:
        assert routes.sent_since(session, "one", NOW) == 2
        assert routes.sent_since(session, "one", later(minutes=1)) == 1
        assert routes.sent_since(session, "three", NOW) == 0
