"""SMTP replies: what they say about a recipient, and what they do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.replies import Reply, classify, feedback_class_of, read_reply, reason_of
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.states import FeedbackClass, ReplyClass


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (250, "2.0.0 Ok: queued as 4XyZ", ReplyClass.ACCEPTED),
        (250, "5.1.1 a server that contradicts itself", ReplyClass.ACCEPTED),
        (550, "5.1.1 <a@example.org>: Recipient address rejected: User unknown", ReplyClass.UNKNOWN_USER),
        (550, "5.1.6 The mailbox has moved", ReplyClass.UNKNOWN_USER),
        (550, "5.1.2 Host or domain name not found", ReplyClass.UNKNOWN_HOST),
        (556, "5.1.10 Recipient address has null MX", ReplyClass.UNKNOWN_HOST),
        (452, "4.2.2 The email account is over quota", ReplyClass.MAILBOX_FULL),
        (552, "5.2.2 Mailbox full", ReplyClass.MAILBOX_FULL),
        (451, "4.7.1 Greylisting in action, please come back later", ReplyClass.GREYLISTED),
        (450, "4.2.0 <a@example.org>: Recipient address rejected: Greylisted", ReplyClass.GREYLISTED),
        (451, "Grey-listed", ReplyClass.GREYLISTED),
        (550, "5.7.26 Unauthenticated email is not accepted due to DMARC policy", ReplyClass.POLICY),
        (550, "5.7.1 Service unavailable; client host blocked", ReplyClass.POLICY),
        (550, "5.7.20 No passing DKIM signature found", ReplyClass.POLICY),
        (552, "5.3.4 Message too big for system", ReplyClass.CONTENT),
        (554, "5.6.0 Content refused", ReplyClass.CONTENT),
        (553, "5.6.7 Address needs SMTPUTF8", ReplyClass.ADDRESS),
        (501, "5.1.3 Bad recipient address syntax", ReplyClass.ADDRESS),
        (451, "4.4.1 No answer from host", ReplyClass.NETWORK),
        (550, "5.1.8 Bad sender's system address", ReplyClass.OTHER),
        (554, "5.0.0 Something happened", ReplyClass.OTHER),
        (550, "User unknown", ReplyClass.OTHER),
        (451, "5.1.1.7 is not our host", ReplyClass.OTHER),
    ],
)
def test_a_reply_is_read_by_its_enhanced_status(code: int, text: str, expected: ReplyClass) -> None:
    """S12, F5: per RFC 3463, 7372 and 7505; a bare 5xx proves nothing about the recipient."""
    assert classify(read_reply(code, text)) is expected


def test_greylisting_is_only_a_matter_of_4xx() -> None:
    """S12"""
    assert classify(read_reply(550, "5.7.1 Greylisted")) is ReplyClass.POLICY


@pytest.mark.parametrize(
    ("text", "status", "rest"),
    [
        ("5.1.1 No such user", "5.1.1", "No such user"),
        ("5.1.1 No such user\n5.1.1 here", "5.1.1", "No such user here"),
        ("  5.1.1\tNo   such user ", "5.1.1", "No such user"),
        ("5.1.1", "5.1.1", ""),
        ("No such user", None, "No such user"),
        ("3.1.1 is no status of a class that exists", None, "3.1.1 is no status of a class that exists"),
        ("5.1.1 Refused by version 15.1.1 here", "5.1.1", "Refused by version 15.1.1 here"),
        ("5.10.20.30 is blocked", None, "5.10.20.30 is blocked"),
        ("", None, ""),
    ],
)
def test_the_enhanced_status_is_taken_from_the_text(text: str, status: str | None, rest: str) -> None:
    """S12"""
    assert read_reply(550, text) == Reply(550, rest, status)


@pytest.mark.parametrize(
    ("code", "positive", "transient"),
    [(250, True, False), (354, False, False), (421, False, True), (550, False, False)],
)
def test_the_first_digit_tells_whether_to_try_again(code: int, positive: bool, transient: bool) -> None:
    """S2"""
    reply = read_reply(code, "")
    assert (reply.is_positive, reply.is_transient) == (positive, transient)


def test_a_reply_reads_as_one_line() -> None:
    assert str(read_reply(550, "5.1.1 No such\r\n5.1.1 user")) == "550 5.1.1 No such user"
    assert str(read_reply(421, "")) == "421"


@given(st.integers(200, 599), st.text() | st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}.*"))
def test_any_reply_has_a_class_and_fits_on_a_line(code: int, text: str) -> None:
    """S12"""
    reply = read_reply(code, text)
    assert classify(reply) in ReplyClass
    assert len(reply.text.splitlines()) <= 1
    assert (classify(reply) is ReplyClass.ACCEPTED) == reply.is_positive


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(550, "No such user", "5.1.1"), FeedbackClass.HARD),
        (Reply(550, "Disabled", "5.2.1"), FeedbackClass.HARD),
        (Reply(551, "Moved", "5.1.6"), FeedbackClass.HARD),
        (Reply(550, "No such host", "5.1.2"), FeedbackClass.HARD),
        (Reply(556, "Null MX", "5.1.10"), FeedbackClass.HARD),
        (Reply(552, "Mailbox full", "5.2.2"), FeedbackClass.SOFT),
        (Reply(550, "Routing loop", "5.4.6"), FeedbackClass.SOFT),
        (Reply(550, "Listed", "5.7.1"), FeedbackClass.BLOCK),
        (Reply(550, "SPF fails", "5.7.23"), FeedbackClass.BLOCK),
        (Reply(554, "Content refused", "5.6.0"), FeedbackClass.BLOCK),
        (Reply(553, "No SMTPUTF8 here", "5.6.7"), FeedbackClass.UNKNOWN),
        (Reply(550, "No such user"), FeedbackClass.HARD),
        (Reply(550, "No"), FeedbackClass.UNKNOWN),
        (Reply(554, "Transaction failed", "5.0.0"), FeedbackClass.UNKNOWN),
        (Reply(450, "No such user for now", "4.1.1"), FeedbackClass.SOFT),
        (Reply(451, "Try again later", "4.7.1"), FeedbackClass.SOFT),
        (Reply(451, "Too many messages from you", "4.7.28"), FeedbackClass.BLOCK),
        (Reply(421, "Not now"), FeedbackClass.SOFT),
        (None, FeedbackClass.UNKNOWN),
    ],
)
def test_a_refusal_says_what_it_says_about_the_reader(reply: Reply | None, expected: FeedbackClass) -> None:
    """F5, F6, S3, S12: only a final word on the address is hard; a bare number is nothing."""
    assert feedback_class_of(reply, default_rules()) is expected


@pytest.mark.parametrize(
    ("code", "text", "meant", "reason"),
    [
        (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
         FeedbackClass.SOFT, ReplyClass.OTHER),
        (550, "5.2.1 <a@example.org>: mailbox is temporarily disabled, try again later",
         FeedbackClass.SOFT, ReplyClass.OTHER),
        (550, "5.2.1 Mailbox quota exceeded", FeedbackClass.SOFT, ReplyClass.MAILBOX_FULL),
        (550, "5.1.1 <a@example.org>: Recipient address rejected: mailbox full",
         FeedbackClass.SOFT, ReplyClass.MAILBOX_FULL),
        (550, "5.1.1 Your IP 192.0.2.1 is listed on the Spamhaus blocklist", FeedbackClass.BLOCK, ReplyClass.POLICY),
        (554, "5.1.1 message refused: sender domain has a bad reputation", FeedbackClass.BLOCK, ReplyClass.POLICY),
        (550, "5.1.2 Sender domain does not exist", FeedbackClass.BLOCK, ReplyClass.POLICY),
        (552, "Mailbox full", FeedbackClass.SOFT, ReplyClass.MAILBOX_FULL),
        (550, "No such user here", FeedbackClass.HARD, ReplyClass.UNKNOWN_USER),
        (550, "5.4.1 Recipient address rejected: Access denied.", FeedbackClass.HARD, ReplyClass.UNKNOWN_USER),
        (550, "5.1.2 User unknown", FeedbackClass.HARD, ReplyClass.UNKNOWN_HOST),
        (550, "5.7.1 Requested action not taken: mailbox unavailable", FeedbackClass.BLOCK, ReplyClass.POLICY),
        (554, "5.6.0 The merge value 'user unknown' cannot be used", FeedbackClass.BLOCK, ReplyClass.CONTENT),
        (450, "4.1.1 No such user here", FeedbackClass.SOFT, ReplyClass.UNKNOWN_USER),
        (450, "No such user here", FeedbackClass.SOFT, ReplyClass.OTHER),
        (550, "", FeedbackClass.UNKNOWN, ReplyClass.OTHER),
    ],
)  # fmt: skip
def test_the_words_of_a_refusal_count_more_than_its_status(
    code: int, text: str, meant: FeedbackClass, reason: ReplyClass
) -> None:
    """F5, F6: no reader is lost to a 5.1.1 or 5.2.1 whose words are about us, or about a passing trouble."""
    reply = read_reply(code, text)
    assert (feedback_class_of(reply, default_rules()), reason_of(reply, default_rules())) == (meant, reason)


def test_without_a_reply_nothing_is_said() -> None:
    assert reason_of(None, default_rules()) is ReplyClass.OTHER


@given(st.integers(400, 599), st.text() | st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}.*"))
def test_any_refusal_has_a_meaning_and_a_transient_one_is_never_hard(code: int, text: str) -> None:
    """S3"""
    reply = read_reply(code, text)
    meant = feedback_class_of(reply, default_rules())
    assert reason_of(reply, default_rules()) is not ReplyClass.ACCEPTED
    assert not (reply.is_transient and meant is FeedbackClass.HARD)
