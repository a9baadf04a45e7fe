"""Health: a row for each way in, which adds up and forgets a problem that is over."""

from datetime import timedelta

import pytest

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.errors import NotFound
from jlgc_mailer.feedback.health import claim, forget, refused, seen, silence, ways_in
from tests.conftest import Clock


def test_tries_add_up(mailer: Mailer, clock: Clock) -> None:
    first = clock.now
    for stored, backlog in ((2, 7), (0, None), (3, 0)):
        with mailer.database.transaction() as session:
            seen(session, "listener", clock(), stored=stored, backlog=backlog)
        clock.forward(minutes=1)
    with mailer.database.reading() as session:
        (way,) = ways_in(session)
    assert (way.name, way.stored, way.backlog) == ("listener", 5, 0)
    assert (way.tried_at, way.stored_at) == (first + timedelta(minutes=2), first + timedelta(minutes=2))


def test_a_try_that_brings_nothing_is_no_news_of_storing(mailer: Mailer, clock: Clock) -> None:
    first = clock.now
    with mailer.database.transaction() as session:
        seen(session, "listener", clock(), stored=1, backlog=4)
    clock.forward(minutes=1)
    with mailer.database.transaction() as session:
        seen(session, "listener", clock())
    with mailer.database.reading() as session:
        (way,) = ways_in(session)
    assert (way.tried_at, way.stored_at, way.backlog) == (clock.now, first, 4)


def test_a_problem_lasts_until_the_next_try_without_one(mailer: Mailer, clock: Clock) -> None:
    for problem in ("it does not answer", None):
        with mailer.database.transaction() as session:
            seen(session, "webhook ses", clock(), problem=problem)
        with mailer.database.reading() as session:
            (way,) = ways_in(session)
        assert (way.problem, way.problem_at) == (problem, clock.now if problem else None)


def test_a_problem_is_one_line_that_any_database_and_terminal_takes(mailer: Mailer, clock: Clock) -> None:
    """F8: a mailbox may have a name that is no text, and a server may say anything."""
    with mailer.database.transaction() as session:
        seen(session, "mailbox office", clock(), problem="a\udcff\0\r\n b\x1b[31m 満杯" + "x" * 5000)
    with mailer.database.reading() as session:
        (way,) = ways_in(session)
    assert way.problem
    assert way.problem.startswith("a b [31m 満杯x")
    assert len(way.problem) == 1000


def test_silence_is_told_after_its_time_only(clock: Clock) -> None:
    longest = timedelta(minutes=10)
    assert silence(clock.now, longest, clock.now + longest) is None
    assert "since 20" in str(silence(clock.now, longest, clock.now + longest + timedelta(seconds=1)))
    assert "yet" in str(silence(None, longest, clock.now))


def test_ways_in_are_listed_by_name(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        for name in ("pipe", "listener", "mailbox office"):
            seen(session, name, clock())
    with mailer.database.reading() as session:
        assert [way.name for way in ways_in(session)] == ["listener", "mailbox office", "pipe"]


def test_a_way_in_is_claimed_once_in_its_interval(mailer: Mailer, clock: Clock) -> None:
    every = timedelta(minutes=1)
    claims = []
    for _ in range(4):
        with mailer.database.transaction() as session:
            claims.append(claim(session, "mailbox office", clock(), every))
        clock.forward(seconds=30)
    assert claims == [True, False, True, False]


def test_a_claim_does_not_hide_a_problem(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        seen(session, "mailbox office", clock(), problem="it does not answer")
    clock.forward(minutes=5)
    with mailer.database.transaction() as session:
        assert claim(session, "mailbox office", clock(), timedelta(minutes=1))
    with mailer.database.reading() as session:
        assert [way.problem for way in ways_in(session)] == ["it does not answer"]


def test_a_refusal_is_noted_and_changes_nothing_else(mailer: Mailer, clock: Clock) -> None:
    """F10: strangers can bring it about, and must neither hide a problem nor make one."""
    first = clock.now
    with mailer.database.transaction() as session:
        seen(session, "webhook ses", clock(), stored=2, backlog=1, problem="Amazon is silent")
    clock.forward(minutes=1)
    for why in ("its topic is another", "its signature\x1b[31m does not fit" + "x" * 2000):
        with mailer.database.transaction() as session:
            refused(session, "webhook ses", clock(), why)
            refused(session, "webhook new", clock(), why)
    with mailer.database.reading() as session:
        new, ses = ways_in(session)
    assert (ses.tried_at, ses.stored, ses.backlog, ses.problem) == (first, 2, 1, "Amazon is silent")
    assert (new.tried_at, new.stored, new.problem, new.refused_at) == (None, 0, None, clock.now)
    assert (ses.refused_at, new.refusal) == (clock.now, ses.refusal)
    assert str(ses.refusal).startswith("its signature [31m does not fit")
    assert len(str(ses.refusal)) == 1000


def test_what_is_not_used_any_more_is_forgotten(mailer: Mailer, clock: Clock) -> None:
    with mailer.database.transaction() as session:
        for name in ("listener", "mailbox old"):
            seen(session, name, clock(), problem="it does not answer")
        forget(session, "mailbox old")
    with mailer.database.reading() as session:
        assert [way.name for way in ways_in(session)] == ["listener"]


def test_what_was_never_there_cannot_be_forgotten(mailer: Mailer) -> None:
    with mailer.database.transaction() as session, pytest.raises(NotFound, match="There is no way in 'mailbox old'"):
        forget(session, "mailbox old")
