"""The short version of `make chaos`, and proof that its verdict would notice."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from jlgc_mailer.states import DeliveryStatus, UncertainPolicy
from tests.chaos import verdict
from tests.chaos.receiver import Copy, Kept
from tests.chaos.trial import PAIRS, Plan, run
from tests.chaos.verdict import Entry, Story

_ACCEPTED = Entry(DeliveryStatus.ACCEPTED, 1, {DeliveryStatus.ACCEPTED: 1})
_REFUSED = Entry(DeliveryStatus.REFUSED, 1, {DeliveryStatus.REFUSED: 1})
_HELD = Entry(DeliveryStatus.UNCERTAIN, 1, {DeliveryStatus.UNCERTAIN: 1})
_RESENT = Entry(DeliveryStatus.ACCEPTED, 2, {DeliveryStatus.UNCERTAIN: 1, DeliveryStatus.ACCEPTED: 1})
_LETTER = Copy("1@example.com", b"octets")
_READER = "r0@example.com"


@pytest.mark.parametrize("pair", PAIRS)
def test_whatever_is_killed_every_recipient_is_accounted_for(pair: str, short_folder: Path) -> None:
    """Promise 1, M12, S4: nobody is lost, nobody held gets two, and both sides tell the same."""
    plan = Plan(pair, readers=750, kills=6, connections=3, seconds=100, seed=random.randrange(10_000))
    folder = short_folder / f"chaos-{pair}"
    folder.mkdir(mode=0o755)
    report = run(plan, folder)
    assert report.broken == [], f"seed {plan.seed}, {dict(report.strikes)}"
    assert sum(report.strikes.values()) == plan.kills


def _story(
    entry: Entry | None, copies: list[Copy], policy: UncertainPolicy = UncertainPolicy.HOLD, silences: int = 0
) -> Story:
    kept = Kept()
    if copies:
        kept.copies[_READER] = copies
    kept.silences[_READER] = silences
    return Story(policy, [_READER], {_READER: entry} if entry else {}, kept)


@pytest.mark.parametrize(
    "story",
    [
        _story(_ACCEPTED, [_LETTER]),
        _story(_REFUSED, []),
        _story(_HELD, []),
        _story(_HELD, [_LETTER]),
        _story(_RESENT, [_LETTER], UncertainPolicy.RESEND),
        _story(_RESENT, [_LETTER, _LETTER], UncertainPolicy.RESEND),
    ],
)
def test_two_accounts_that_agree_break_no_promise(story: Story) -> None:
    assert verdict.broken([story], connections=1, kills=1) == []


@pytest.mark.parametrize(
    ("promise", "story"),
    [
        (verdict.lost, _story(None, [])),
        (verdict.lost, _story(Entry(DeliveryStatus.PENDING, 0, {}), [])),
        (verdict.lost, _story(_ACCEPTED, [])),
        (verdict.doubled, _story(_ACCEPTED, [_LETTER, _LETTER])),
        (verdict.doubled, _story(_RESENT, [_LETTER, _LETTER])),
        (verdict.doubled, _story(_RESENT, [_LETTER] * 3, UncertainPolicy.RESEND)),
        (verdict.disagreeing, _story(_REFUSED, [_LETTER])),
        (verdict.disagreeing, _story(_ACCEPTED, [])),
        (verdict.disagreeing, _story(Entry(DeliveryStatus.ACCEPTED, 2, {DeliveryStatus.ACCEPTED: 1}), [_LETTER])),
        (verdict.changed, _story(_RESENT, [_LETTER, Copy("2@example.com", b"octets")], UncertainPolicy.RESEND)),
        (verdict.changed, _story(_RESENT, [_LETTER, Copy("1@example.com", b"others")], UncertainPolicy.RESEND)),
    ],
)
def test_a_broken_promise_is_noticed(promise: Callable[[Story], list[str]], story: Story) -> None:
    assert list(promise(story))
    assert verdict.broken([story], connections=10, kills=10)


def test_two_recipients_of_one_message_id_are_noticed() -> None:
    story = _story(_ACCEPTED, [_LETTER])
    story.kept.copies["r1@example.com"] = [_LETTER]
    both = Story(
        story.policy, [_READER, "r1@example.com"], {_READER: _ACCEPTED, "r1@example.com": _ACCEPTED}, story.kept
    )
    assert list(verdict.changed(both))


def test_somebody_who_got_a_letter_without_being_in_the_ledger_is_noticed() -> None:
    story = _story(_ACCEPTED, [_LETTER])
    story.kept.copies["stranger@example.com"] = [_LETTER]
    assert verdict.broken([story], connections=1, kills=1)


def test_more_uncertain_than_connections_that_were_killed_are_noticed() -> None:
    """Two per connection and kill, and one for each connection that the receiver closed without a reply (S4)."""
    held = _story(_HELD, [])
    assert verdict.broken([held] * 3, connections=1, kills=1)
    assert verdict.broken([held], connections=1, kills=0)
    assert not verdict.broken([_story(_HELD, [], silences=1)], connections=1, kills=0)
