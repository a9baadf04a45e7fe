"""Whole reports: what they name, and what a few odd ones come to."""

import pytest

from jlgc_mailer.mail.reports.read import HEARSAY, TOO_MANY, read_report
from jlgc_mailer.mail.reports.rules import default_rules
from jlgc_mailer.mail.reports.signal import Signal
from jlgc_mailer.states import FeedbackClass
from tests.mail.reports.corpus import FOLDER

_VERP = "b+aebagbafaydqqcikbmga2dqpca@bounce.example.org"


def _read(text: str | bytes) -> tuple[Signal, ...]:
    return read_report(text if isinstance(text, bytes) else text.encode(), default_rules())


def _dsn(*groups: str, words: str = "Your message could not be delivered.") -> str:
    return (
        "From: MAILER-DAEMON@mx.example.org\nSubject: Undelivered Mail Returned to Sender\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\n\n{words}\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        + "\n\n".join(groups)
        + "\n--b--\n"
    )


def test_envelope_senders_that_may_be_ours_are_named_once_each() -> None:
    """F1, F2, F3: from the report's own header, its fields and the returned message."""
    (signal,) = _read((FOLDER / "postfix-01.eml").read_bytes())
    assert signal.senders == (_VERP,)


def test_a_token_is_found_inside_an_encoded_part() -> None:
    """F3"""
    import base64

    inner = base64.b64encode(f"Return-Path: <{_VERP}>\nTo: a@example.com\n\nx".encode()).decode()
    text = (
        'From: postmaster@example.com\nSubject: Undeliverable\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\n'
        f"No such user\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}\n--b--\n"
    )
    (signal,) = _read(text)
    assert (signal.senders, signal.recipient) == ((_VERP,), "a@example.com")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postfix-01", ("abc@example.org",)),
        ("qmail-01", ("q1@example.org",)),
        ("exim-01", ("m1@example.org",)),
        ("arf-01", ("arf1@example.org",)),
        ("receipt-01", ()),
    ],
)
def test_the_returned_message_is_named_by_its_id(name: str, expected: tuple[str, ...]) -> None:
    """F2, F7"""
    assert _read((FOLDER / f"{name}.eml").read_bytes())[0].message_ids == expected


def test_an_answer_names_the_message_that_it_answers() -> None:
    (signal,) = _read("From: a@example.com\nSubject: Automatic reply: x\nIn-Reply-To: <m@example.org>\n\nAway")
    assert (signal.feedback_class, signal.message_ids) == (FeedbackClass.AUTO_REPLY, ("m@example.org",))


@pytest.mark.parametrize(
    ("status", "diagnosis", "expected"),
    [
        ("5.1.1", "550 5.1.1 Frobnicated", FeedbackClass.HARD),
        ("5.1.1", "552 Mailbox full", FeedbackClass.SOFT),
        ("5.1.1", "550 This is spam", FeedbackClass.BLOCK),
        ("5.7.1", "550 5.7.1 No such user", FeedbackClass.HARD),
        ("5.2.1", "550 5.2.1 Account disabled", FeedbackClass.HARD),
        ("5.2.1", "550 5.2.1 Account temporarily disabled", FeedbackClass.SOFT),
        ("5.4.4", "", FeedbackClass.HARD),
        ("5.0.0", "", FeedbackClass.UNKNOWN),
        ("5.3.0", "554 5.3.0 Nope", FeedbackClass.UNKNOWN),
        ("5.7.1", "", FeedbackClass.BLOCK),
        ("4.4.7", "", FeedbackClass.SOFT),
        ("5.1.8", "", FeedbackClass.BLOCK),
    ],
)
def test_words_decide_before_the_status(status: str, diagnosis: str, expected: FeedbackClass) -> None:
    """F5, F6, S12: and a status that says nothing, without words, suppresses nobody."""
    group = f"Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: {status}"
    (signal,) = _read(_dsn(group + (f"\nDiagnostic-Code: smtp; {diagnosis}" if diagnosis else "")))
    assert signal.feedback_class is expected


def test_words_make_surer_than_a_status() -> None:
    """F5"""
    group = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1"
    by_words, by_status = _read(_dsn(group + "\nDiagnostic-Code: smtp; 550 User unknown")), _read(_dsn(group))
    assert by_words[0].confidence > by_status[0].confidence


@pytest.mark.parametrize(
    ("action", "expected", "rule"),
    [
        ("delayed", FeedbackClass.SOFT, "delayed"),
        ("delivered", FeedbackClass.AUTO_REPLY, "success"),
        ("relayed", FeedbackClass.AUTO_REPLY, "success"),
        ("expanded (list)", FeedbackClass.AUTO_REPLY, "success"),
        ("Failed", FeedbackClass.HARD, "user-unknown"),
    ],
)
def test_only_failures_are_hard(action: str, expected: FeedbackClass, rule: str) -> None:
    """F6: RFC 3464 2.3.3; whatever the words say, delays and successes suppress nobody."""
    group = f"Final-Recipient: rfc822; a@example.com\nAction: {action}\nDiagnostic-Code: smtp; 550 user unknown"
    (signal,) = _read(_dsn(group))
    assert (signal.feedback_class, signal.rule) == (expected, rule)


def test_sentences_about_what_may_be_the_reason_decide_nothing() -> None:
    """F5, F6"""
    words = "The recipient's address may not exist, or the mailbox might have been closed."
    (signal,) = _read(_dsn("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.0.0", words=words))
    assert signal.feedback_class is FeedbackClass.UNKNOWN


def test_what_the_returned_message_says_is_no_reason() -> None:
    """F5: a newsletter may be about mailboxes that do not exist."""
    text = (
        "From: MAILER-DAEMON@mx.example.org\nSubject: failure notice\n\nCould not deliver.\n\n"
        "--- Below this line is a copy of the message.\n\nFrom: a@example.org\nTo: b@example.com\n\n550 No such user"
    )
    (signal,) = _read(text)
    assert (signal.feedback_class, signal.recipient) == (FeedbackClass.UNKNOWN, "b@example.com")


def test_what_is_said_of_one_recipient_is_not_said_of_another() -> None:
    """F6"""
    groups = (f"Final-Recipient: rfc822; {name}@example.com\nAction: failed\nStatus: 5.0.0" for name in "ab")
    words = "<a@example.com>: 550 User unknown\n\n<b@example.com>: something else"
    read = {each.recipient: each.feedback_class for each in _read(_dsn(*groups, words=words))}
    assert read == {"a@example.com": FeedbackClass.HARD, "b@example.com": FeedbackClass.UNKNOWN}


def test_recipients_that_a_list_of_them_names_are_told_though_only_one_is_in_the_returned_letter() -> None:
    """F4: as qmail writes it."""
    text = """From: MAILER-DAEMON@mx.example.pl
Subject: failure notice

Hi. This is the qmail-send program at mx.example.pl.
This is a permanent error; I've given up. Sorry it didn't work out.

<biuro@example.pl>:
This account has been disabled or discontinued [#102].

<kasa@example.pl>:
Recipient's mailbox is full, message returned to sender. (#5.2.2)

--- Below this line is a copy of the message.

Return-Path: <news@example.org>
To: biuro@example.pl
Subject: News
"""
    said = [(each.recipient, each.feedback_class) for each in _read(text)]
    assert said == [("biuro@example.pl", FeedbackClass.HARD), ("kasa@example.pl", FeedbackClass.SOFT)]


@pytest.mark.parametrize(
    "where",
    [
        "(in reply to MAIL FROM command)",
        "(in reply to EHLO command)",
        "SMTP error from remote mail server after MAIL FROM:<b@example.org> SIZE=2048:",
        ">>> MAIL From:<b@example.org>\n<<< 550 5.1.1 User unknown",
    ],
)
def test_a_refusal_before_the_recipient_was_named_is_about_us(where: str) -> None:
    """F6: whatever its words are, no reader is lost to it."""
    group = (
        "Final-Recipient: rfc822; r@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 User unknown"
    )
    words = f"<r@example.com>: host mx.example.com said: 550 5.1.1 User unknown\n{where}"
    (refused,) = _read(_dsn(group, words=words))
    assert (refused.feedback_class, refused.rule) == (FeedbackClass.BLOCK, "refused-before-rcpt")
    (unknown,) = _read(_dsn(group, words=words.replace(where, "(in reply to RCPT TO command)")))
    assert unknown.feedback_class is FeedbackClass.HARD


@pytest.mark.parametrize(
    "words", ["Ce compte a été fermé", "Ce compte a ete ferme", "schranka byla zrusena", "cont inchis"]
)
def test_accents_may_be_left_out(words: str) -> None:
    (signal,) = _read(f"From: MAILER-DAEMON@mx.example.fr\nSubject: failure notice\n\n<r@example.fr>:\n{words}.\n")
    assert (signal.recipient, signal.feedback_class) == ("r@example.fr", FeedbackClass.HARD)


def test_a_word_that_ends_like_a_guess_is_none() -> None:
    """F5: the Russian for impossible ends like that for perhaps."""
    text = "Невозможно доставить письмо для 'r@example.ru': ящик переполнен"
    (signal,) = _read(f"From: MAILER-DAEMON@mx.example.ru\nSubject: failure notice\n\n{text}\n".encode())
    assert (signal.recipient, signal.feedback_class) == ("r@example.ru", FeedbackClass.SOFT)


def test_a_person_who_writes_about_a_bounce_is_no_bounce() -> None:
    """F6"""
    (signal,) = _read("From: a@example.com\nSubject: Re: Undeliverable mail\n\nIt said: user unknown. Why?")
    assert signal.feedback_class is FeedbackClass.UNKNOWN


def test_text_behind_the_status_is_the_newsletters_own() -> None:
    """F5: some give back the text of the message as a part of its own, without its header fields."""
    dsn = _dsn("Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.0.0")
    (signal,) = _read(dsn.replace("--b--", "--b\nContent-Type: text/plain\n\n550 No such user a@example.com\n--b--"))
    assert signal.feedback_class is FeedbackClass.UNKNOWN


@pytest.mark.parametrize(
    "subject",
    [
        "Out of Office Re: News",
        "Automatische Antwort: News",
        "Réponse automatique : News",
        "Respuesta automática: News",
        "Risposta automatica: News",
        "Resposta automática: News",
        "Automatisch antwoord: News",
        "Automatyczna odpowiedź: News",
        "Автоматический ответ: News",
        "Autosvar: News",
        "Automatisk svar: News",
        "Automaattinen vastaus: News",
        "Automatická odpověď: News",
        "Automatikus válasz: News",
        "Otomatik yanıt: News",
        "自動応答: News",
        "自动回复: News",
        "자동 회신: News",
    ],
)
def test_auto_replies_are_known_by_their_subject(subject: str) -> None:
    """F6: RFC 3834; a person who is away is never suppressed, whatever the text says."""
    (signal,) = _read(f"From: a@example.com\nSubject: {subject}\n\nI have left; no such user, mailbox closed.")
    assert (signal.feedback_class, signal.recipient) == (FeedbackClass.AUTO_REPLY, "a@example.com")


@pytest.mark.parametrize("field", ["Auto-Submitted: auto-replied", "X-Autoreply: yes", "Precedence: auto_reply"])
def test_auto_replies_are_known_by_their_header(field: str) -> None:
    """F6: RFC 3834 5"""
    assert _read(f"From: a@example.com\nSubject: Hi\n{field}\n\nx")[0].feedback_class is FeedbackClass.AUTO_REPLY


def test_a_bounce_that_calls_itself_automatic_is_a_bounce() -> None:
    """F6: Postfix and Exim set Auto-Submitted as well."""
    fields = "From: MAILER-DAEMON@x.example\nAuto-Submitted: auto-replied\nSubject: Undelivered"
    assert _read(f"{fields}\n\n<a@example.com>: User unknown")[0].feedback_class is FeedbackClass.HARD


@pytest.mark.parametrize(
    "fields",
    [
        "Subject: unsubscribe",
        "Subject: Re: Unsubscribe me",
        "Subject: 退会希望",
        f"Subject: x\nTo: {_VERP.replace('b+', 'u+')}",
        "Subject: x\nTo: leave@example.org",
    ],
)
def test_readers_unsubscribe_by_subject_or_address(fields: str) -> None:
    (signal,) = _read(f"From: a@example.com\n{fields}\n\n")
    assert (signal.feedback_class, signal.recipient) == (FeedbackClass.UNSUBSCRIBE, "a@example.com")


@pytest.mark.parametrize("data", [b"", b"\0", b"\n\n\n", b"hello", b"From x\n", b"\xff\xfe", b":", b"Subject: hi\n\n"])
def test_what_is_no_report_is_unknown(data: bytes) -> None:
    """F8"""
    (signal,) = _read(data)
    assert (signal.feedback_class, signal.recipient) == (FeedbackClass.UNKNOWN, None)


def test_a_group_without_a_usable_recipient_takes_it_from_the_header() -> None:
    text = _dsn("Final-Recipient: LDAP; cn=bob\nAction: failed\nStatus: 5.1.1")
    (signal,) = _read("X-Failed-Recipients: bob@example.com\n" + text)
    assert signal.recipient == "bob@example.com"


@pytest.mark.parametrize("groups", [(0, 1), (1, 0)])
def test_a_member_of_a_list_that_failed_does_not_fail_the_list(groups: tuple[int, int]) -> None:
    """RFC 3464 2.3.3: expanded is a success for whoever was written to."""
    asked = "Original-Recipient: rfc822; office@example.com\nFinal-Recipient: rfc822; "
    told = (
        f"{asked}office@example.com\nAction: expanded\nStatus: 2.0.0",
        f"{asked}left@example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown",
    )
    (signal,) = _read(_dsn(*(told[each] for each in groups)))
    assert (signal.recipient, signal.feedback_class) == ("office@example.com", FeedbackClass.AUTO_REPLY)


@pytest.mark.parametrize(("number", "is_cut"), [(500, False), (501, True)])
def test_of_more_recipients_than_are_told_apart_it_is_said_that_there_are_more(number: int, is_cut: bool) -> None:
    """F8."""
    groups = (f"Final-Recipient: rfc822; r{each}@example.com\nAction: failed\nStatus: 5.1.1" for each in range(number))
    signals = _read(_dsn(*groups))
    assert [each.recipient for each in signals[:500]] == [f"r{each}@example.com" for each in range(500)]
    more = [(each.feedback_class, each.recipient, each.rule, each.diagnosis) for each in signals[500:]]
    said = "it names more than 500 recipients, of which these are read"
    assert more == [(FeedbackClass.UNKNOWN, None, TOO_MANY, said)] * is_cut


_QUOTED = "When I wrote to your office I got:\n550 5.1.1 <office@example.org>: User unknown\n\nWhat is right?\n\n"
_ORIGINAL = "-----Original Message-----\nFrom: News <news@example.org>\nTo: reader@example.com\nSubject: News\n\nDear"


@pytest.mark.parametrize("subject", ["RE: News of the summer", "FW: Undeliverable: my question", "A question"])
def test_what_a_person_tells_of_a_report_is_hearsay(subject: str) -> None:
    """F6: they are alive, and the report is about somebody else."""
    signals = _read(f"From: Reader <reader@example.com>\nSubject: {subject}\n\n{_QUOTED}{_ORIGINAL}")
    assert all(signal.confidence <= HEARSAY for signal in signals)


def test_a_report_that_a_person_attaches_is_hearsay() -> None:
    inner = _dsn("Final-Recipient: rfc822; office@example.org\nAction: failed\nStatus: 5.1.1")
    (signal,) = _read(
        "From: Reader <reader@example.com>\nSubject: Re: News\nContent-Type: multipart/mixed; boundary=x\n\n"
        f"--x\n\nI got this.\n--x\nContent-Type: message/rfc822\n\n{inner}\n--x--\n"
    )
    assert signal.confidence <= HEARSAY
    assert _read(inner)[0].confidence > HEARSAY
