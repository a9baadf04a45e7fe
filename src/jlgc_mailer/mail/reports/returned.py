"""The message that a report gives back: where it begins in free text, and what in it may name a delivery of ours."""

import re
from collections.abc import Iterable

from jlgc_mailer.mail.reports.addresses import addresses_in
from jlgc_mailer.mail.reports.headers import Headers, read_fields

_ANNOUNCED = re.compile(
    r"^[ \t>*|=_.+-]{0,80}(?:"
    r"(?:below(?: this line)?|this|here|(?:the )?following|enclosed|included(?: below)?|attached)(?: below)? is"
    r" (?:a copy of|the) [^\n]{0,30}(?:message|mail|headers?)\b[^\n]{0,60}"
    r"|(?:(?:a |the )?(?:copy of (?:the )?)?(?:unsent|undelivered|returned|original|rejected|failed|bounced)"
    r" (?:message|mail|e-mail|text)|message (?:header|text|body|content))s?"
    r"(?: (?:text|headers?|body))?(?: (?:follows?|begins here|as follows|is attached|is included below|below))?"
    r"|the headers? of the (?:original )?message (?:is|are) following"
    r"|the first \S{1,20} lines of (?:the |your )?(?:original )?message"
    r"|ursprüngliche nachricht|originalnachricht|message d'origine|mensaje original|messaggio originale"
    r"|исходное сообщение|оригинал сообщения|元のメッセージ|原メッセージ|オリジナルメッセージ|原始邮件|原始郵件|原文"
    r")[ \t:.=*|<>_+-]{0,80}$",
    re.IGNORECASE | re.MULTILINE,
)
_BLOCK = re.compile(
    r"(?:^[ \t|>]{0,3}(?:[A-Za-z][\w-]{1,40}:[^\n]{0,2000}|[ \t]{1,8}[^\n]{1,2000})\n){3,60}", re.MULTILINE
)
_FIELD = re.compile(r"^[ \t|>]{0,3}[A-Z][\w-]{1,40}:", re.MULTILINE)
_OF_A_MESSAGE = re.compile(
    r"^[ \t|>]{0,3}(?:Received|Return-Path|MIME-Version|DKIM-Signature|X-Mailer):", re.IGNORECASE | re.MULTILINE
)
# The letters that are searched for come first: looking behind at every octet takes as long as all the rest of reading.
_VERP = re.compile(r"b\+(?<![\w.+-]b\+)[a-z2-7]{16,62}@[a-z0-9.-]{1,253}[a-z0-9]")
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,250}@[^<>\s]{1,250})>")
_AT_MOST = 10


def cut(text: str) -> tuple[str, Headers]:
    """Free text before the message that it returns, and the header fields of that message."""
    start = min((found for found in (_announced(text), _begun(text)) if found is not None), default=len(text))
    rest = re.sub(r"^[ \t]{0,3}[|>] ?", "", text[start:], flags=re.MULTILINE)
    first = _FIELD.search(rest)
    return text[:start], read_fields(rest[first.start() :].partition("\n\n")[0]) if first else Headers()


def _announced(text: str) -> int | None:
    """Where a line says that the message follows; it may not be the first thing said."""
    for found in _ANNOUNCED.finditer(text):
        rest = text[found.end() : found.end() + 3_000]
        if text[: found.start()].strip() and _FIELD.search(rest):
            return found.start()
    return None


def _begun(text: str) -> int | None:
    """Where a block of header fields begins that only a message in transit has."""
    for found in _BLOCK.finditer(text):
        if _OF_A_MESSAGE.search(found.group()):
            return found.start()
    return None


def candidates(texts: Iterable[str]) -> tuple[str, ...]:
    """Envelope senders that may be ours, wherever they stand; whether they are, their tokens tell (F2)."""
    small = (text.lower() for text in texts)
    found = (each for text in small if "b+" in text for each in _VERP.findall(text))
    return tuple(dict.fromkeys(found))[:_AT_MOST]


def message_ids(report: Headers, returned: Iterable[Headers]) -> tuple[str, ...]:
    """The ids of the returned messages, then those that the report answers to."""
    fields = [value for headers in returned for value in headers.every("message-id")]
    fields += [report.first(name) for name in ("original-message-id", "in-reply-to", "references")]
    found = (each for value in fields for each in _MESSAGE_ID.findall(value[:4_000]))
    return tuple(dict.fromkeys(found))[:_AT_MOST]


def recipients_of(returned: Headers) -> list[str]:
    """Whom the returned message was for."""
    return addresses_in(" ".join(returned.text(name)[:4_000] for name in ("x-original-to", "to", "cc", "bcc")))
