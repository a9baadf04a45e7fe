"""Whose letter a report is about: ours, or that of somebody else who writes to the same people (F1-F3, F10)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.feedback.changes import Follows
from jlgc_mailer.feedback.replay import Replay, Which
from jlgc_mailer.feedback.store import Inbound, store
from jlgc_mailer.mail.tokens import Purpose
from jlgc_mailer.states import FeedbackClass, MatchedBy, ReportForm, ReportStatus, Verdict
from jlgc_mailer.worker.tasks import read
from tests.conftest import Clock
from tests.feedback.past import Past, past
from tests.feedback.webhooks.providers import (
    body_of,
    brevo_event,
    mailgun,
    mailgun_failure,
    postmark_bounce,
    sendgrid_event,
    ses_bounce,
)

READER = "r0@example.com"
FOREIGN_ID = "<welcome-4711@shop.example>"
ANOTHERS = "it is about a letter of somebody else"
ONLY_ADDRESS = "only the address names it, which proves too little"
READ, REVIEW = ReportStatus.READ, ReportStatus.REVIEW


@dataclass
class Desk:
    """An installation with a send of an hour ago, and what its workers make of what comes in."""

    mailer: Mailer
    past: Past

    def hears(self, form: ReportForm, body: bytes, to: str = "") -> FeedbackEvent:
        """The event that a report becomes, judged."""
        with self.mailer.database.transaction() as session:
            assert store(session, Inbound("test", form, body, envelope_to=to), self.mailer.clock())
        read(self.mailer)
        return self.past.events[-1]

    @property
    def report(self) -> tuple[ReportStatus, str | None]:
        """How far the last report has come, and why it waits for a person."""
        with self.mailer.database.reading() as session:
            last = session.scalars(select(RawReport).order_by(RawReport.id.desc()).limit(1)).one()
            return last.status, last.why


@pytest.fixture
def desk(mailer: Mailer, clock: Clock) -> Desk:
    return Desk(mailer, past(mailer, [clock() - timedelta(hours=1)], readers=5))


def generic(**values: str) -> bytes:
    return body_of({"class": "hard", "recipient": READER, "event_id": "7"} | values)


def ses(subtype: str = "NoEmail", **mail: Any) -> bytes:
    return body_of(ses_bounce("Permanent", subtype, emailAddress=READER) | {"mail": {"messageId": "amazon-1", **mail}})


def postmark_leaving() -> dict[str, Any]:
    return {
        "RecordType": "SubscriptionChange",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": READER,
        "ChangedAt": "2026-06-01T08:00:00Z",
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        "MessageStream": "receipts",
    }


# --- webhooks: the letters of others ----------------------------------------------------------------------------------

OF_OTHERS = [
    (ReportForm.GENERIC, generic(message_id="<foreign@other.example>", envelope_sender="bounce@other.example")),
    (ReportForm.GENERIC, generic(message_id="<foreign@other.example>")),
    (ReportForm.GENERIC, generic(envelope_sender="bounce@other.example")),
    (ReportForm.GENERIC, generic(envelope_sender="<>")),
    (ReportForm.GENERIC, generic(envelope_sender="b+abcdefghijklmnop234567@bounce.example.org")),
    (ReportForm.GENERIC, generic(**{"class": "unsubscribe", "message_id": FOREIGN_ID})),
    (ReportForm.GENERIC, generic(**{"class": "complaint", "message_id": FOREIGN_ID})),
    (ReportForm.SENDGRID, body_of([sendgrid_event(email=READER, **{"smtp-id": FOREIGN_ID})])),
    (
        ReportForm.SENDGRID,
        body_of([sendgrid_event(event="group_unsubscribe", email=READER, **{"smtp-id": FOREIGN_ID})]),
    ),
    (
        ReportForm.MAILGUN,
        mailgun(mailgun_failure(recipient=READER, message={"headers": {"message-id": FOREIGN_ID[1:-1]}}, envelope={})),
    ),
]


@pytest.mark.parametrize(("form", "body"), OF_OTHERS)
def test_what_is_about_a_letter_of_somebody_else_has_no_consequences_and_troubles_nobody(
    desk: Desk, form: ReportForm, body: bytes
) -> None:
    """F2, F10: an account that sends other mail, too, must neither bar our readers nor bury what waits in review."""
    event = desk.hears(form, body)
    assert (event.delivery_id, event.matched_by, event.believed, event.why) == (None, None, False, ANOTHERS)
    assert (event.verdict, desk.past.suppressed, desk.report) == (Verdict.NOTE, {}, (READ, None))


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (ReportForm.BREVO, body_of(brevo_event(email="customer@shop.example", **{"message-id": FOREIGN_ID}))),
        (ReportForm.POSTMARK, body_of(postmark_bounce(Email="customer@shop.example"))),
        (
            ReportForm.SES,
            body_of(ses_bounce(emailAddress="customer@shop.example")),
        ),
    ],
)
def test_an_id_that_may_be_the_providers_own_tells_somebody_elses_letter_with_the_address_only(
    desk: Desk, form: ReportForm, body: bytes
) -> None:
    """F10: we wrote nothing to that address."""
    event = desk.hears(form, body)
    assert (event.delivery_id, event.believed, event.why) == (None, False, ANOTHERS)
    assert desk.report == (READ, None)


def test_without_any_id_an_address_of_nobody_waits_for_a_person(desk: Desk) -> None:
    """F2: it may be a reader who was erased meanwhile."""
    event = desk.hears(ReportForm.BREVO, body_of(brevo_event(email="gone@example.com", **{"message-id": ""})))
    assert (event.believed, desk.report) == (False, (REVIEW, "nothing in it names a delivery of ours"))


# --- webhooks: an address alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hard", "soft", "block", "complaint", "unsubscribe"])
def test_an_address_alone_in_a_post_of_our_own_waits_for_a_person(desk: Desk, kind: str) -> None:
    """F2: whoever posts it knows what anybody may have told them."""
    event = desk.hears(ReportForm.GENERIC, generic(**{"class": kind}))
    assert (event.matched_by, event.believed, event.why) == (MatchedBy.ADDRESS, False, ONLY_ADDRESS)
    assert (desk.past.suppressed, desk.report) == ({}, (REVIEW, ONLY_ADDRESS))


BY_ADDRESS = [
    (ReportForm.SES, ses(), FeedbackClass.HARD),
    (ReportForm.SES, ses(headers=[{"name": "Message-ID", "value": FOREIGN_ID}]), FeedbackClass.HARD),
    (ReportForm.POSTMARK, body_of(postmark_bounce(Email=READER, Content="")), FeedbackClass.HARD),
    (
        ReportForm.POSTMARK,
        body_of({"RecordType": "SpamComplaint", "ID": 1, "Email": READER}),
        FeedbackClass.COMPLAINT,
    ),
    (ReportForm.BREVO, body_of(brevo_event(email=READER, **{"message-id": FOREIGN_ID})), FeedbackClass.HARD),
    (ReportForm.BREVO, body_of(brevo_event(email=READER, event="soft_bounce")), FeedbackClass.SOFT),
    (ReportForm.SENDGRID, body_of([sendgrid_event(email=READER, **{"smtp-id": ""})]), FeedbackClass.HARD),
    (
        ReportForm.SENDGRID,
        body_of([sendgrid_event(event="spamreport", email=READER, **{"smtp-id": ""})]),
        FeedbackClass.COMPLAINT,
    ),
    (ReportForm.MAILGUN, mailgun(mailgun_failure(recipient=READER, envelope={}, message={})), FeedbackClass.HARD),
]


@pytest.mark.parametrize(("form", "body", "kind"), BY_ADDRESS)
def test_what_a_provider_signed_about_an_address_is_believed(
    desk: Desk, form: ReportForm, body: bytes, kind: FeedbackClass
) -> None:
    """F10: that there is no such mailbox is true whoever wrote to it."""
    event = desk.hears(form, body)
    assert (event.matched_by, event.believed, event.feedback_class) == (MatchedBy.ADDRESS, True, kind)
    assert desk.report == (READ, None)


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (ReportForm.SES, ses("UnsubscribedRecipient")),
        (ReportForm.POSTMARK, body_of(postmark_leaving())),
        (ReportForm.BREVO, body_of(brevo_event(email=READER, event="unsubscribed"))),
        (ReportForm.SENDGRID, body_of([sendgrid_event(event="unsubscribe", email=READER, **{"smtp-id": ""})])),
        (ReportForm.MAILGUN, mailgun(mailgun_failure(event="unsubscribed", recipient=READER, message={}, envelope={}))),
    ],
)
def test_who_leaves_at_a_provider_by_address_alone_may_have_left_something_else(
    desk: Desk, form: ReportForm, body: bytes
) -> None:
    """F10, L4: a person decides, as the receipts of a shop may be of the same account."""
    event = desk.hears(form, body)
    assert (event.feedback_class, event.believed, event.why) == (FeedbackClass.UNSUBSCRIBE, False, ONLY_ADDRESS)
    assert (event.verdict, desk.report) == (Verdict.NOTE, (REVIEW, ONLY_ADDRESS))


def test_who_leaves_one_of_our_letters_at_a_provider_leaves(desk: Desk) -> None:
    """F1, L4: named by our Message-ID or by our envelope sender."""
    message_id = desk.mailer.keyring.sign(Purpose.MESSAGE_ID, desk.past.deliveries[1][0]) + "@news.example.org"
    left = brevo_event(email=READER, event="unsubscribed", **{"message-id": f"<{message_id}>"})
    assert desk.hears(ReportForm.BREVO, body_of(left)).verdict is Verdict.WITHDRAW
    own = generic(**{"class": "unsubscribe", "envelope_sender": f"<{desk.past.token(reader=1)}>"})
    assert desk.hears(ReportForm.GENERIC, own).verdict is Verdict.WITHDRAW


def test_of_several_names_ours_counts(desk: Desk) -> None:
    """F1: a relay may give a letter an id of its own, and keep our envelope sender."""
    event = desk.hears(ReportForm.GENERIC, generic(message_id=FOREIGN_ID, envelope_sender=desk.past.token()))
    assert (event.matched_by, event.believed, event.verdict) == (MatchedBy.TOKEN, True, Verdict.SUPPRESS)


@pytest.mark.parametrize("written", ["Bob <R0@example.com>", '"Bob" <R0@example.com>', "<R0@example.com>"])
def test_a_provider_may_write_a_name_before_the_address(desk: Desk, written: str) -> None:
    """F10: as SES does when the letter was sent so."""
    post = ses_bounce(emailAddress=written) | {"mail": {"messageId": "amazon-1"}}
    event = desk.hears(ReportForm.SES, body_of(post))
    assert (event.delivery_id, event.address_key) == (desk.past.deliveries[1][0], READER)
    assert list(desk.past.suppressed) == [READER]


# --- mail: somebody behind the address --------------------------------------------------------------------------------


def notification(recipient: str | None, original: str | None = None) -> bytes:
    named = f"Original-Recipient: rfc822; {original}\n" if original else ""
    named += f"Final-Recipient: rfc822; {recipient}\n" if recipient else ""
    return f"""\
From: MAILER-DAEMON@mx.example.com
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

{named}Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--b--
""".encode()


BEHIND = "it names somebody behind the address"


@pytest.mark.parametrize("original", [None, "r4@example.com"])
def test_when_one_of_those_behind_an_address_is_gone_the_address_is_not(desk: Desk, original: str | None) -> None:
    """F3, F9: info@ that goes on to several people still has readers; one that fails for weeks has none.

    Postfix keeps the original recipient (RFC 3461) when it goes on to others.
    """
    report = notification("gone-member@other.example", original)
    event = desk.hears(ReportForm.MESSAGE, report, desk.past.token(reader=4))
    assert (event.feedback_class, event.believed, event.why) == (FeedbackClass.SOFT, True, BEHIND)
    assert (event.delivery_id, event.address_key) == (desk.past.deliveries[1][4], "r4@example.com")
    assert (event.verdict, desk.past.suppressed, desk.report) == (Verdict.NOTE, {}, (READ, None))


@pytest.mark.parametrize(
    "recipient", ["R4@example.com", "r4@mailbox3.internal.example", "R4+news@example.com", "r4", None]
)
def test_the_same_mailbox_by_another_name_is_gone(desk: Desk, recipient: str | None) -> None:
    """F3: servers write host names of their own, and leave out or add tags."""
    event = desk.hears(ReportForm.MESSAGE, notification(recipient), desk.past.token(reader=4))
    assert (event.feedback_class, event.why) == (FeedbackClass.HARD, "there is no such mailbox")
    assert list(desk.past.suppressed) == ["r4@example.com"]


def test_a_post_that_names_our_letter_is_about_its_reader_whoever_else_it_names(desk: Desk) -> None:
    """F10: a provider writes the address that it was given."""
    event = desk.hears(ReportForm.GENERIC, generic(recipient="who@ever.example", envelope_sender=desk.past.token()))
    assert (event.feedback_class, event.verdict) == (FeedbackClass.HARD, Verdict.SUPPRESS)


def test_replay_releases_whom_somebody_behind_the_address_has_barred(desk: Desk) -> None:
    """F9: what an earlier version took for the reader's own mailbox; replaying once more changes nothing."""
    event = desk.hears(ReportForm.MESSAGE, notification("gone-member@other.example"), desk.past.token(reader=4))
    mailer = desk.mailer
    with mailer.database.transaction() as session:
        old = session.get_one(FeedbackEvent, event.id)
        old.feedback_class, old.why, old.judged_at, old.verdict = FeedbackClass.HARD, None, None, None
    desk.past.judge()
    assert list(desk.past.suppressed) == ["r4@example.com"]
    told = []
    for _ in range(2):
        with mailer.database.transaction() as session:
            again = Replay(mailer.readers, mailer.keyring, mailer.policy)
            changes = again.stride(session, Which(), 0, mailer.clock()).changes
            again.apply(session, changes, mailer.clock())
        told += [(each.old_class, each.new_class, each.follows, each.why_review) for each in changes]
        desk.past.judge()
    assert told == [(FeedbackClass.HARD, FeedbackClass.SOFT, Follows.RELEASED, None)]
    assert desk.past.suppressed == {}
