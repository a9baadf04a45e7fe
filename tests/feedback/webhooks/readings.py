"""What tests of reading share: posts read with the rules of the package, unless a test brings its own."""

from jlgc_mailer.feedback.webhooks import read_webhook
from jlgc_mailer.mail.reports.rules import Rules, default_rules, read_rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass, ReportForm
from tests.feedback.webhooks.providers import body_of

HARD, SOFT, BLOCK = FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK
COMPLAINT, UNSUBSCRIBE, UNKNOWN = FeedbackClass.COMPLAINT, FeedbackClass.UNSUBSCRIBE, FeedbackClass.UNKNOWN
OWN_RULES = read_rules(
    """
    [[rule]]
    id = "own-unknown"
    class = "hard"
    patterns = ["user unknown"]
    source = "this test"
    [[rule]]
    id = "own-holiday"
    class = "soft"
    patterns = ["the office is closed"]
    source = "this test"
    """,
    "rules of this test",
)


def read(form: ReportForm, body: bytes, rules: Rules | None = None) -> tuple[Signal, ...]:
    return tuple(read_webhook(form, body, rules or default_rules()))


def only(form: ReportForm, document: object) -> Signal:
    (signal,) = read(form, body_of(document))
    return signal
