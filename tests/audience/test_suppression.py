"""Suppressions: an address is barred once, with its reason and source."""

from jlgc_mailer.audience.suppression import in_force, suppress, suppression_of
from jlgc_mailer.bootstrap import Mailer
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
        bar = suppression_of(session, KEY)
        assert bar is not None
        clock.forward(days=1)
        bar.released_at = clock()
        session.flush()
        assert suppression_of(session, KEY) is None
        assert in_force(session) == []
        assert suppress(session, KEY, SuppressionReason.MANUAL, "second", clock())
        assert [each.source for each in in_force(session)] == ["second"]


def test_the_bars_are_listed_oldest_first(mailer: Mailer) -> None:
    with mailer.database.transaction() as session:
        for name in ("c", "a", "b"):
            suppress(session, f"{name}@example.org", SuppressionReason.MANUAL, "asked", mailer.clock())
    with mailer.database.reading() as session:
        assert [bar.address_key[0] for bar in in_force(session)] == ["c", "a", "b"]
