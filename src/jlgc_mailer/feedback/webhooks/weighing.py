"""What a provider says of a bounce, held against the words of the server that refused (STANDARDS F5, F6).

Providers call hard whatever was refused with 5xx. Suppressing a reader who can be reached is the worst error, so the
class is theirs only as long as the reply, read by the rules for reports, does not speak of something else.
"""

from typing import NamedTuple

from jlgc_mailer.mail.replies import Reply, classify
from jlgc_mailer.mail.reports.rules import Rules, Scope
from jlgc_mailer.states import FeedbackClass, ReplyClass

_BOUNCES = {FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK}
_BY_STATUS = {
    ReplyClass.UNKNOWN_USER: FeedbackClass.HARD,
    ReplyClass.UNKNOWN_HOST: FeedbackClass.HARD,
    ReplyClass.MAILBOX_FULL: FeedbackClass.SOFT,
    ReplyClass.NETWORK: FeedbackClass.SOFT,
    ReplyClass.POLICY: FeedbackClass.BLOCK,
    ReplyClass.CONTENT: FeedbackClass.BLOCK,
}


class Heard(NamedTuple):
    """A class and what decided it."""

    feedback_class: FeedbackClass
    rule: str


def weigh(stated: Heard, status: str | None, diagnosis: str, rules: Rules) -> Heard:
    """What is to be believed of a bounce that a provider calls `stated`: a reply can deny that it is hard, not more."""
    heard = heard_in(status, diagnosis, rules)
    if heard is None or heard.feedback_class in {stated.feedback_class, FeedbackClass.HARD}:
        return stated
    return heard


def heard_in(status: str | None, diagnosis: str, rules: Rules) -> Heard | None:
    """What the reply itself says: its words first, then its status; None when it says nothing of use."""
    found = rules.classify(Scope.DIAGNOSTIC, diagnosis, (status or "")[:1])
    if found and found.rule.feedback_class in _BOUNCES:
        return Heard(found.rule.feedback_class, found.rule.id)
    said = _BY_STATUS.get(classify(Reply(550, "", status)))
    return Heard(said, f"status.{status}") if said else None
