"""Suppressions: an address is barred once, with its reason and source."""

import pytest

from jlgc_mailer.audience.suppression import (
    RULES_CHANGED,
    Bar,
    in_force,
    release,
    released,
    suppress,
    suppress_all,
    suppression_of,
    suppressions_of,
)
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.errors import NotFound
from jlgc_mailer.states import SuppressionReason
from tests.conftest import Clock

KEY = "aiko@example.org"


def test_a_barred_address_is_found_with_reason_and_source(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        assert suppress(session, KEY, SuppressionReason.COMPLAINT, "feedback 7", mailer.clock())
    with mailer.database.reading() as session:
        bar = suppression_of(session, KEY)
        assert suppression_of(session, "ken@example.org") is None
    assert bar is not None
    assert (bar.reason, bar.source, bar.created_at) == (SuppressionReason.COMPLAINT, "feedback 7", mailer.clock())


def test_barring_again_keeps_the_first_reason(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        assert suppress(session, KEY, SuppressionReason.COMPLAINT, "feedback 7", mailer.clock())
        assert not suppress(session, KEY, SuppressionReason.MANUAL, "telephone", mailer.clock())
    with mailer.database.reading() as session:
        assert [(bar.reason, bar.source) for bar in in_force(session)] == [(SuppressionReason.COMPLAINT, "feedback 7")]


def test_a_released_address_may_be_barred_again(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        suppress(session, KEY, SuppressionReason.MANUAL, "first", clock())
        clock.forward(days=1)
        release(session, KEY, "asked by telephone", clock())
        assert suppression_of(session, KEY) is None
        assert in_force(session) == []
        assert suppress(session, KEY, SuppressionReason.MANUAL, "second", clock())
        assert [each.source for each in in_force(session)] == ["second"]
        first, second = suppressions_of(session, KEY)
    assert (first.released_at, first.release_reason) == (clock(), "asked by telephone")
    assert (second.released_at, second.release_reason) == (None, None)


def test_the_last_release_of_each_address_is_known(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        for _ in range(2):
            suppress(session, KEY, SuppressionReason.MANUAL, "asked", clock())
            clock.forward(days=1)
            release(session, KEY, "asked again", clock())
        suppress(session, KEY, SuppressionReason.MANUAL, "asked", clock())
        suppress(session, "ken@example.org", SuppressionReason.MANUAL, "asked", clock())
        assert released(session, [KEY, "ken@example.org", "nobody@example.org"]) == {KEY: clock()}
        assert released(session, []) == {}


def test_a_release_by_changed_rules_is_none_by_people(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        suppress(session, KEY, SuppressionReason.UNKNOWN_USER, "feedback 7", clock())
        release(session, KEY, RULES_CHANGED, clock())
        assert in_force(session) == []
        assert released(session, [KEY]) == {}


def test_only_who_is_barred_can_be_released(mailer: Mailer) -> None:
    with (
        mailer.database.transaction() as session,
        pytest.raises(NotFound, match="no suppression of 'aiko@example.org'"),
    ):
        release(session, KEY, "asked", mailer.clock())


def test_many_are_barred_at_once_each_for_the_first_reason(mailer: Mailer) -> None:
    now = mailer.clock()
    with mailer.database.transaction() as session:
        suppress(session, "b@example.org", SuppressionReason.MANUAL, "before", now)
        reasons = (SuppressionReason.COMPLAINT, SuppressionReason.UNKNOWN_USER)
        bars = [Bar(f"{name}@example.org", reason, "now", now) for reason in reasons for name in "cba"]
        assert suppress_all(session, bars) == 2
        assert suppress_all(session, []) == 0
        assert {each.address_key[0]: (each.reason.value, each.source) for each in in_force(session)} == {
            "a": ("complaint", "now"),
            "b": ("manual", "before"),
            "c": ("complaint", "now"),
        }


def test_the_bars_are_listed_oldest_first(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        for name in ("c", "a", "b"):
            suppress(session, f"{name}@example.org", SuppressionReason.MANUAL, "asked", mailer.clock())
    with mailer.database.reading() as session:
        assert [bar.address_key[0] for bar in in_force(session)] == ["c", "a", "b"]
