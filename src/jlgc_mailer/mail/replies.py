"""SMTP replies: what they say about a recipient (RFC 5321 4.2, RFC 3463, RFC 7372, RFC 7505)."""

import re
from dataclasses import dataclass

from jlgc_mailer.mail.reports.rules import Rule, Rules, Scope
from jlgc_mailer.states import FeedbackClass, ReplyClass

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?![\d.])")

# Subject and detail of an enhanced status, whatever its class digit (IANA SMTP Enhanced Status Codes).
_BY_STATUS = {
    "1.1": ReplyClass.UNKNOWN_USER,
    "1.2": ReplyClass.UNKNOWN_HOST,
    "1.3": ReplyClass.ADDRESS,
    "1.6": ReplyClass.UNKNOWN_USER,
    "1.10": ReplyClass.UNKNOWN_HOST,
    "2.1": ReplyClass.UNKNOWN_USER,
    "2.2": ReplyClass.MAILBOX_FULL,
    "3.4": ReplyClass.CONTENT,
    "6.0": ReplyClass.CONTENT,
    "6.7": ReplyClass.ADDRESS,
    "7.0": ReplyClass.POLICY,
    "7.1": ReplyClass.POLICY,
}
_BY_SUBJECT = {"4": ReplyClass.NETWORK, "6": ReplyClass.CONTENT, "7": ReplyClass.POLICY}
_FEEDBACK = {
    ReplyClass.UNKNOWN_USER: FeedbackClass.HARD,
    ReplyClass.UNKNOWN_HOST: FeedbackClass.HARD,  # with null MX (RFC 7505)
    ReplyClass.MAILBOX_FULL: FeedbackClass.SOFT,
    ReplyClass.NETWORK: FeedbackClass.SOFT,
    ReplyClass.POLICY: FeedbackClass.BLOCK,
    ReplyClass.CONTENT: FeedbackClass.BLOCK,
}
_DENIALS = {FeedbackClass.SOFT, FeedbackClass.BLOCK}  # of a status, which weak words do not outdo
_TOLD = {FeedbackClass.HARD: ReplyClass.UNKNOWN_USER, FeedbackClass.BLOCK: ReplyClass.POLICY}  # where words say no more
_TEXT_LIMIT = 2000  # characters of a reply that are kept; a server may send anything
_GREYLIST_WORDS = re.compile(r"grey-?list|gray-?list|try again later", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply; `text` is without codes, on one line."""

    code: int
    text: str
    status: str | None = None

    @property
    def is_positive(self) -> bool:
        """2xx: done."""
        return 200 <= self.code < 300

    @property
    def is_transient(self) -> bool:
        """4xx: worth another try."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.status, self.text)))


def read_reply(code: int, text: str) -> Reply:
    """A reply from its code and the text after it, the enhanced status taken out when it begins the text."""
    shown = "".join(character if character.isprintable() else " " for character in text[:_TEXT_LIMIT])
    line = " ".join(shown.split())
    found = _ENHANCED.match(line)
    if not found:
        return Reply(code, line)
    again = re.compile(rf"(?<!\S){re.escape(found.group())}(?!\S) ?")  # it begins each line of a long reply
    return Reply(code, again.sub("", line).strip(), found.group())


def classify(reply: Reply) -> ReplyClass:
    """What the reply says about its recipient. A bare 5xx without enhanced status is no proof of anything."""
    if reply.is_positive:
        return ReplyClass.ACCEPTED
    if reply.is_transient and _GREYLIST_WORDS.search(reply.text):
        return ReplyClass.GREYLISTED
    if reply.status is None:
        return ReplyClass.OTHER
    _, subject, detail = reply.status.split(".")
    return _BY_STATUS.get(f"{subject}.{detail}") or _BY_SUBJECT.get(subject, ReplyClass.OTHER)


def feedback_class_of(reply: Reply | None, rules: Rules) -> FeedbackClass:
    """What a refusal means for its recipient (STANDARDS F5, F6, S3, S12): only the final word on the address is hard.

    Its words count first, read by the rules for reports, then its status: servers say 5.1.1 and 5.2.1 of blocked
    senders and busy mailboxes too. A 4xx that we gave up on is no final word, whatever it says of the address.
    """
    if reply is None:
        return FeedbackClass.UNKNOWN
    rule = _rule_of(reply, rules)
    meant = rule.feedback_class if rule and rule.feedback_class else _by_status(reply)
    return FeedbackClass.SOFT if reply.is_transient and meant is not FeedbackClass.BLOCK else meant


def reason_of(reply: Reply | None, rules: Rules) -> ReplyClass:
    """What people are told of a refusal: its status, unless the words, which count, speak of something else."""
    if reply is None:
        return ReplyClass.OTHER
    meant = feedback_class_of(reply, rules)
    if reply.is_transient or meant is _by_status(reply):
        return classify(reply)
    rule = _rule_of(reply, rules)
    by_words = classify(Reply(reply.code, "", rule.status if rule else None))
    return by_words if meant is _FEEDBACK.get(by_words) else _TOLD.get(meant, ReplyClass.OTHER)


def _by_status(reply: Reply) -> FeedbackClass:
    return _FEEDBACK.get(classify(reply), FeedbackClass.UNKNOWN)


def _rule_of(reply: Reply, rules: Rules) -> Rule | None:
    """The rule that knows the words. Of content none is asked: a letter that we cannot make quotes anything."""
    if classify(reply) is ReplyClass.CONTENT:
        return None
    found = rules.classify(Scope.DIAGNOSTIC, str(reply), str(reply.code)[0])
    if not found or (found.rule.is_weak and _by_status(reply) in _DENIALS):
        return None
    return found.rule
