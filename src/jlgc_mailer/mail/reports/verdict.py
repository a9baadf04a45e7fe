"""What a report says about one recipient: words first, the enhanced status where they say nothing (STANDARDS F5)."""

import re
from dataclasses import dataclass, replace

from jlgc_mailer.mail.reports.freetext import replies_in, without_guesses
from jlgc_mailer.mail.reports.rules import Finding, Rule, Rules, Scope
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.mail.reports.status_groups import enhanced_status
from jlgc_mailer.states import FeedbackClass

# How sure each source makes us: a reply of the server in its field, one quoted in text, words about the recipient,
# the status alone, the subject.
_DIAGNOSTIC, _REPLY, _SECTION, _STATUS, _SUBJECT = 0.95, 0.9, 0.8, 0.6, 0.5
_SHOWN = 500
_CODE = re.compile(
    r"\W{0,9}(?:smtp\W{1,3})?([245])\d\d\b|.{0,80}?(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?!\d|\.\d)", re.DOTALL
)
_HOST = re.compile(
    r"(?:while talking to|remote host|connected to|host|server|at|by) ([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8})\.?"
    r"(?= ?(?:\[|\(|said|:|$))",
    re.IGNORECASE | re.MULTILINE,
)


# Postfix, Exim and Sendmail tell which command a reply answers. Before RCPT no server knows whom the mail is for.
_BEFORE_RCPT = re.compile(
    r"in reply to (?:MAIL FROM|[EH]+LO) command|after (?:pipelined )?(?:MAIL FROM|[EH]+LO|initial connection)\b"
    r"|>>> (?:MAIL FROM|[EH]+LO)[^\n]{0,400}\n<<< [45]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that may say why one recipient was not reached."""

    recipient: str | None = None
    diagnostic: str = ""
    status: str | None = None
    section: str = ""
    subject: str = ""
    remote_mta: str | None = None


def weigh(evidence: Evidence, rules: Rules) -> Signal:
    """The class, with the sentence and the rule that decided it."""
    status = _telling(enhanced_status(evidence.diagnostic), evidence.status)
    found, confidence = _found(evidence, status, rules)
    rule = found.rule if found else None
    if rule and rule.feedback_class is FeedbackClass.HARD and _BEFORE_RCPT.search(evidence.section):
        rule = _about_us(rule)
    return Signal(
        rule.feedback_class or FeedbackClass.UNKNOWN if rule else FeedbackClass.UNKNOWN,
        evidence.recipient,
        _telling(_telling(status, _status_in(found)), rule.status if rule else None),
        evidence.remote_mta or _host_in(evidence.section),
        _diagnosis(evidence, found),
        rule.id if rule else "nothing-said",
        confidence,
    )


def _about_us(rule: Rule) -> Rule:
    """What a rule means when the reply that it knows is no answer to a recipient."""
    return replace(rule, id="refused-before-rcpt", feedback_class=FeedbackClass.BLOCK, status="5.7.1")


def _found(evidence: Evidence, status: str | None, rules: Rules) -> tuple[Finding | None, float]:
    """The first finding, in order of what is said how plainly."""
    digit = (status or "")[:1]
    by_status = rules.classify(Scope.STATUS, status or "")
    found = rules.classify(Scope.DIAGNOSTIC, evidence.diagnostic, _digit(evidence.diagnostic) or digit)
    if found:
        is_ours = by_status and (status or "").startswith("5") and _is_policy(found.rule, by_status.rule)
        return (by_status, _STATUS) if is_ours else (found, _DIAGNOSTIC)
    for first, reply in replies_in(evidence.section):
        found = rules.classify(Scope.DIAGNOSTIC, reply, first)
        if found and not _is_outdone(found.rule, by_status):
            return found, _REPLY
    for scope, text, confidence in (
        (Scope.TEXT, without_guesses(evidence.section), _SECTION),
        (Scope.DIAGNOSTIC, evidence.subject, _SUBJECT),
    ):
        found = rules.classify(scope, text, digit)
        if found and not _is_outdone(found.rule, by_status):
            return found, confidence
    return by_status or _by_quoted_status(evidence.section, rules), _STATUS if by_status else _STATUS / 2


def _is_policy(words: Rule, status: Rule) -> bool:
    """Whether weak words of a passing trouble stand beside a status 5.7: it is about us, such as our certificate."""
    soft, block = FeedbackClass.SOFT, FeedbackClass.BLOCK
    return words.is_weak and words.feedback_class is soft and status.feedback_class is block


def _is_outdone(rule: Rule, by_status: Finding | None) -> bool:
    return rule.is_weak and by_status is not None


def _by_quoted_status(section: str, rules: Rules) -> Finding | None:
    """A status that stands somewhere in free text, where no words were understood."""
    quoted = next((status for _, reply in replies_in(section) if (status := enhanced_status(reply))), None)
    return rules.classify(Scope.STATUS, quoted or enhanced_status(section) or "")


def _digit(diagnostic: str) -> str:
    found = _CODE.match(diagnostic)
    return (found[1] or found[2]) if found else ""


def _telling(first: str | None, second: str | None) -> str | None:
    """The one of two statuses that says more than its class."""
    return next((each for each in (first, second) if each and not each.endswith(".0.0")), first or second)


def _status_in(found: Finding | None) -> str | None:
    return enhanced_status(found.sentence) if found and found.rule.feedback_class else None


def _host_in(section: str) -> str | None:
    found = _HOST.search(section[:4_000])
    return found[1][:255] if found else None


def _diagnosis(evidence: Evidence, found: Finding | None) -> str:
    """The reply in full where there is one, else the sentence that decided, else how the report begins."""
    said = evidence.diagnostic or (found.sentence if found else "")
    if not said or (found and found.sentence == evidence.status):
        said = evidence.diagnostic or next((reply for _, reply in replies_in(evidence.section)), "") or evidence.section
    printable = "".join(each if each.isprintable() else " " for each in (said or evidence.subject)[: 2 * _SHOWN])
    return " ".join(printable.split())[:_SHOWN]
