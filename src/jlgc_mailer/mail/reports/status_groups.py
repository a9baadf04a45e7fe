"""Delivery status notifications: groups of fields, one per recipient (RFC 3464; RFC 6533 for other than ASCII).

The standard library reads message/global-delivery-status as one block (STANDARDS F4); here both are read from text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jlgc_mailer.mail.reports.addresses import read_address, undo_xtext
from jlgc_mailer.mail.reports.headers import Headers, decode_words, read_fields

MEDIA = frozenset({"message/delivery-status", "message/global-delivery-status"})
_DIAGNOSIS = 1_000
_NAMES = ("original-recipient", "final-recipient")
_OF_GROUP = frozenset({*_NAMES, "action", "status", "diagnostic-code", "x-actual-recipient"})
_STARTS = re.compile(r"^(?:Final|Original)-Recipient\s{0,5}:", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"(?<![\d.])([245])\s{0,2}\.\s{0,2}(\d{1,3})\s{0,2}\.\s{0,2}(\d{1,3})(?!\d|\.\d)")
_TYPE = re.compile(r"\s{0,9}(?:smtp|x-[\w.-]{1,40}|[a-z][a-z0-9 -]{0,20})\s{0,5};\s{0,9}", re.IGNORECASE)
_MORE_REASONS = ("x-supplementary-info", "x-notes", "x-error", "x-powermta-bouncecategory")


@dataclass(frozen=True, slots=True)
class Group:
    """What a notification says about one recipient; `action` and texts are empty where it says nothing."""

    recipient: str | None
    action: str
    status: str | None
    diagnosis: str
    remote_mta: str | None
    behind: str | None


def looks_like_groups(text: str) -> bool:
    """Whether a text holds such fields, as when the parts of a report fell out of their structure."""
    return _STARTS.search(text) is not None


def read_groups(text: str) -> Iterator[Group]:
    """The groups in the text of a message/delivery-status part, each read when it is asked for."""
    blocks = [read_fields(block) for block in _blocks(text)]
    return map(_group, _joined(blocks))


def _blocks(text: str) -> list[str]:
    """Blocks between blank lines; a second Final-Recipient begins a block too, where the blank line is missing."""
    blocks: list[list[str]] = [[]]
    named: set[str] = set()
    for line in text.split("\n"):
        name = line.partition(":")[0].strip().lower() if line[:1] not in {" ", "\t"} else ""
        is_next = name in named or (name == "original-recipient" and {"final-recipient", "action"} <= named)
        if not line.strip() or (name in _NAMES and is_next):
            blocks.append([])
            named = set()
        if name in _OF_GROUP:
            named.add(name)
        blocks[-1].append(line)
    return ["\n".join(block) for block in blocks if any(block)]


def _joined(blocks: list[Headers]) -> list[Headers]:
    """Blocks that describe recipients; one that lost its first fields to a stray blank line is put back."""
    groups: list[Headers] = []
    for block in blocks:
        names = {name for name, _ in block.fields}
        if not names & _OF_GROUP:
            continue
        known = {name for name, _ in groups[-1].fields} if groups else set()
        if groups and not names & {*_NAMES, "x-actual-recipient"} and not names & known:
            groups[-1] = Headers(groups[-1].fields + block.fields)
        else:
            groups.append(block)
    return groups


def _group(block: Headers) -> Group:
    diagnosis = decode_words(" ".join(block.every("diagnostic-code")))[: 2 * _DIAGNOSIS]
    more = " ".join(decode_words(block.first(name)) for name in _MORE_REASONS if block.first(name))
    status = block.first("status")
    return Group(
        _recipient(block),
        block.first("action").partition("(")[0].strip().lower(),
        enhanced_status(status),
        " ".join(f"{_TYPE.sub('', diagnosis, count=1)} {_comment(status)} {more}".split())[:_DIAGNOSIS],
        _mta(block.first("remote-mta")),
        _behind(block),
    )


def _recipient(block: Headers) -> str | None:
    """The address that was written to: the original one where the report still has it."""
    original = read_address(block.first("original-recipient"))
    others = (read_address(decode_words(block.first(name))) for name in ("final-recipient", "x-actual-recipient"))
    return (undo_xtext(original) if original else None) or next(filter(None, others), None)


def _behind(block: Headers) -> str | None:
    """The address that failed in the end, after aliases and forwards: that of sendmail's own field if there is one."""
    named = (read_address(decode_words(block.first(name))) for name in ("x-actual-recipient", "final-recipient"))
    return next(filter(None, named), None)


def _comment(status: str) -> str:
    """Some write their reason behind the status: `5.1.1 (bad destination mailbox address)`."""
    return status.partition("(")[2].partition(")")[0]


def _mta(field: str) -> str | None:
    name = field.partition(";")[2].strip() or field.strip()
    return name.split()[0][:255] if name else None


def enhanced_status(text: str) -> str | None:
    """The first enhanced status in a text (RFC 3463)."""
    found = _STATUS.search(text[:_DIAGNOSIS])
    return f"{found[1]}.{int(found[2])}.{int(found[3])}" if found else None
