"""What came back as its page tells it: the ways in, what waits for a person, what is held against us. No addresses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup
from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import WayIn
from jlgc_mailer.feedback.health import ways_in
from jlgc_mailer.feedback.matching import BY_A_PERSON, FORGED, NOT_OURS, NOT_THE_READER, ONLY_ADDRESS
from jlgc_mailer.feedback.reading import UNCLEAR
from jlgc_mailer.feedback.review import Blocked, InReview, blocked, count_by_class, count_in_review, reports_in_review
from jlgc_mailer.states import FeedbackClass
from jlgc_mailer.web.languages import Wording
from jlgc_mailer.web.reports import masked

DAYS = 30
CLASS_NAMES = {
    FeedbackClass.HARD: "There is no such mailbox",
    FeedbackClass.SOFT: "Not delivered for now",
    FeedbackClass.BLOCK: "Blocked because of us",
    FeedbackClass.COMPLAINT: "Complaint",
    FeedbackClass.UNSUBSCRIBE: "Unsubscribed by mail",
    FeedbackClass.AUTO_REPLY: "Automatic reply",
    FeedbackClass.CHALLENGE: "Request to confirm the sender",
    FeedbackClass.UNKNOWN: "Not clear",
}
CLASS_NOTES = {
    FeedbackClass.HARD: "The address gets nothing from now on.",
    FeedbackClass.SOFT: "Only an address that fails for weeks gets nothing from then on.",
    FeedbackClass.BLOCK: "It says nothing about the reader, who goes on getting mail. Your operator looks into it.",
    FeedbackClass.COMPLAINT: "The reader called it spam, and gets nothing from now on.",
    FeedbackClass.UNSUBSCRIBE: "The reader has left.",
    FeedbackClass.AUTO_REPLY: "Nothing follows.",
    FeedbackClass.CHALLENGE: "Nothing follows.",
    FeedbackClass.UNKNOWN: "Nothing follows until somebody has looked.",
}
REASON_NAMES = {
    NOT_OURS: "Nothing in it names a message of ours.",
    FORGED: "Its token is not ours.",
    BY_A_PERSON: "A person may have written it.",
    ONLY_ADDRESS: "Only an address names the message, which proves too little.",
    NOT_THE_READER: "Somebody else than the reader asks to leave.",
    UNCLEAR: "What it says is not clear.",
}
AT_ONCE = 50


@dataclass(frozen=True)
class Returns:
    """Everything that the page shows."""

    ways: Sequence[WayIn]
    blocks: Sequence[Blocked]
    in_review: Sequence[InReview]
    waiting: int
    counts: Mapping[FeedbackClass, int]

    @property
    def troubled(self) -> list[str]:
        """The names of the ways in whose last try failed."""
        return [way.name for way in self.ways if way.problem]

    @property
    def classes(self) -> list[tuple[FeedbackClass, int]]:
        """All classes with their numbers, also those of which there are none."""
        return [(kind, self.counts.get(kind, 0)) for kind in CLASS_NAMES]


def returns(session: Session, now: datetime) -> Returns:
    """What the page shows at this time."""
    since = now - timedelta(days=DAYS)
    return Returns(
        ways=ways_in(session),
        blocks=blocked(session, since),
        in_review=reports_in_review(session, None, AT_ONCE),
        waiting=count_in_review(session),
        counts=count_by_class(session, since),
    )


def reasons(report: InReview, t: Wording) -> list[Markup]:
    """Why it waits, each reason in words of the page's language; what a program said is quoted as it is."""
    told = (report.why or "").split("; ")
    return [t(REASON_NAMES[each]) if each in REASON_NAMES else quoted(each) for each in dict.fromkeys(told) if each]


def quoted(text: str) -> Markup:
    """English of a program or server, without the addresses in it."""
    return Markup('<span lang="en">{}</span>').format(masked(text))
