"""The rules by which a report is classified: data that a postmaster reads and extends (STANDARDS F5, F6)."""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.mail.reports.addresses import mask
from jlgc_mailer.states import FeedbackClass

_LOOKED_AT = 6_000  # characters of a text that rules are tried on
_NEAR = 80  # characters before and after what was found, in which the words of `unless` count
_REMEMBERED = 2_000  # texts: what large hosts say differs in the address only
_UNBOUNDED = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\})")
_CAPITAL = re.compile(r"(?<!\\)[A-ZА-ЯÀ-Þ]")
_TOLD_BY = "a table [[rule]] has id, class, scope, patterns, source and examples; see rules.toml of the package"
_QUOTES = str.maketrans("’‘`´“”„«»", '\'\'\'\'"""""')
_ACCENTS = {
    number: first
    for number in (*range(0xC0, 0x530), *range(0x1E00, 0x1F00))
    if (first := unicodedata.normalize("NFD", chr(number))[0]) != chr(number)
} | dict(zip(map(ord, "łøđı"), "lodi", strict=True))
_CJK = r"[\u3001-\u30ff\u3400-\u9fff\uff01-\uff60]"
_WRAPPED = re.compile(rf"(?<={_CJK}) (?={_CJK})")
_SENTENCE_END = re.compile(r"[.!?。！] |。")


class Scope(StrEnum):
    """Where a rule looks: those for diagnostics (replies of servers) look into free text too, in order with its own."""

    DIAGNOSTIC = "diagnostic"
    TEXT = "text"
    SUBJECT = "subject"
    HEADER = "header"
    STATUS = "status"


_LOOKING = {scope: frozenset({scope}) for scope in Scope} | {Scope.TEXT: frozenset({Scope.TEXT, Scope.DIAGNOSTIC})}


class Lasting(StrEnum):
    """Which replies a rule is for, where the report gives one (RFC 5321 4.2.1)."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule: whichever of its patterns is found, the class is `feedback_class`, or a report is at hand (None)."""

    id: str
    feedback_class: FeedbackClass | None
    scope: Scope
    patterns: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...]
    status: str | None
    only: Lasting | None
    is_weak: bool
    source: str
    examples: tuple[str, ...]

    def is_for(self, digit: str) -> bool:
        """Whether the rule may judge a reply that begins with this digit; an unknown one is any."""
        return self.only is None or not digit or (digit == "5") is (self.only is Lasting.PERMANENT)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: the rule, and the sentence that it found it in."""

    rule: Rule
    sentence: str


@dataclass(frozen=True, eq=False)
class Rules:
    """Rules in order: the first that matches decides."""

    rules: tuple[Rule, ...] = field(default=())

    def before(self, other: "Rules") -> "Rules":
        """These, then the others: as an operator's own before those of the package."""
        return Rules(self.rules + other.rules)

    @cached_property
    def _by_scope(self) -> Mapping[Scope, tuple[Rule, ...]]:
        classes = [rule for rule in self.rules if rule.feedback_class]
        return {scope: tuple(rule for rule in classes if rule.scope in _LOOKING[scope]) for scope in Scope}

    @cached_property
    def _signs(self) -> Mapping[Scope, tuple[Rule, ...]]:
        signs = [rule for rule in self.rules if not rule.feedback_class]
        return {scope: tuple(rule for rule in signs if rule.scope is scope) for scope in Scope}

    def classify(self, scope: Scope, text: str, digit: str = "") -> Finding | None:
        """What the first matching rule says; `digit` begins the reply code or status, where one is known."""
        return self._first(self._by_scope[scope], scope, text, digit)

    def is_report(self, scope: Scope, text: str) -> bool:
        """Whether a text is one that only reports have."""
        return self._first(self._signs[scope], scope, text, "") is not None

    def _first(self, rules: tuple[Rule, ...], scope: Scope, text: str, digit: str) -> Finding | None:
        is_header = scope is Scope.HEADER  # whose lines begin with names of fields, and whose addresses tell
        masked, addresses = (text[:_LOOKED_AT], [""]) if is_header else mask(normalised(text[:_LOOKED_AT]))
        found = _search(rules, masked, digit) if masked else None
        if found is None:
            return None
        rule, start, end = found
        return Finding(rule, _unmasked(masked, start, end, addresses))


@lru_cache(maxsize=_REMEMBERED)
def _search(rules: tuple[Rule, ...], masked: str, digit: str) -> tuple[Rule, int, int] | None:
    small = _plain(masked.lower())
    for rule in rules:
        if rule.is_for(digit):
            for pattern in rule.patterns:
                if (found := pattern.search(small)) and not _is_excused(rule, small, found):
                    return rule, found.start(), found.end()
    return None


def _is_excused(rule: Rule, small: str, found: re.Match[str]) -> bool:
    near = small[max(0, found.start() - _NEAR) : found.end() + _NEAR]
    return any(pattern.search(near) for pattern in rule.unless)


def normalised(text: str) -> str:
    """Text as rules see it: on one line, half-width and full-width letters alike, Japanese lines joined."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        return _WRAPPED.sub("", " ".join(text.split()))
    return " ".join(text.split())


def _unmasked(masked: str, start: int, end: int, addresses: Sequence[str]) -> str:
    """The sentence around what was found, with its addresses."""
    begin = max((found.end() for found in _SENTENCE_END.finditer(masked, max(0, start - 300), start)), default=0)
    begin = max(begin, start - 200)
    stop = _SENTENCE_END.search(masked, end, end + 200)
    sentence = masked[begin : stop.end() if stop else end + 200]
    rest = iter(addresses[masked.count("@", 0, begin) :])
    return re.sub("@", lambda _: next(rest, "@"), sentence).strip()


@cache
def default_rules() -> Rules:
    """The rules of this package."""
    place = files("jlgc_mailer.mail.reports") / "rules.toml"
    return read_rules(place.read_text("utf-8"), "rules.toml")


def read_rules(text: str, place: str) -> Rules:
    """Rules from the text of a TOML file; InvalidFile names `place` and the rule that is wrong."""
    try:
        tables = tomllib.loads(text).get("rule", [])
    except tomllib.TOMLDecodeError as error:
        raise InvalidFile(place=place, problem=str(error), remedy=f"Correct it: {_TOLD_BY}") from None
    if not isinstance(tables, list):
        raise InvalidFile(place=place, problem="rule is no list of tables", remedy=f"Correct it: {_TOLD_BY}")
    return Rules(tuple(_rule(table, f"{place}, rule {number}") for number, table in enumerate(tables, 1)))


def _rule(table: Mapping[str, Any], place: str) -> Rule:
    try:
        return Rule(
            id=str(table["id"]),
            feedback_class=None if table["class"] == "report" else FeedbackClass(table["class"]),
            scope=Scope(table.get("scope", Scope.DIAGNOSTIC)),
            patterns=tuple(map(_compiled, table["patterns"])),
            unless=tuple(map(_compiled, table.get("unless", ()))),
            status=table.get("status"),
            only=Lasting(table["only"]) if "only" in table else None,
            is_weak=bool(table.get("weak")),
            source=str(table["source"]),
            examples=tuple(table.get("examples", ())),
        )
    except (KeyError, ValueError, TypeError, re.error) as error:
        problem = (
            f"{table.get('id', 'no id')}: {type(error).__name__} {error}" if isinstance(table, dict) else "no table"
        )
        raise InvalidFile(place=place, problem=problem, remedy=f"Correct the rule: {_TOLD_BY}") from None


def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern whose repetitions are all bounded, so that no report takes long to read.

    It is searched in small letters: that takes a third of the time of a search that ignores case (3.11).
    """
    unbounded = _UNBOUNDED.search(re.sub(r"\[[^\]]*\]", "x", pattern))
    if unbounded:
        raise ValueError(f"{pattern}: write {unbounded.group()} as a bounded repetition such as {{0,40}}")
    return re.compile(_plain(_CAPITAL.sub(lambda found: found.group().lower(), pattern)), re.MULTILINE)


def _plain(text: str) -> str:
    """Without accents: many mail systems cannot write them. As many characters as before, so that places stay."""
    return text if text.isascii() else text.translate(_ACCENTS)
