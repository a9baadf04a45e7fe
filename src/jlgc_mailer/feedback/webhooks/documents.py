"""What a provider posts, looked into without trusting any of it: whatever is missing or of another kind is empty."""

import json
import re
from collections.abc import Sequence

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_OWN_SENDER = re.compile(r"(?<![a-z0-9.+_-])b\+[a-z0-9]{8,58}@[a-z0-9.-]{1,253}", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<?([!-;=?A-~]{1,250}@[!-;=?A-~]{1,250})>?")  # what is not ASCII is none of ours


def parse(body: bytes) -> object:
    """The JSON in `body`; None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def inside(document: object, *path: str) -> object:
    """What stands at the end of a path of keys; None when the path breaks off."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def text(document: object, *path: str, limit: int = 1000) -> str:
    """A text or number on one line, without what no database takes: NUL, halves of surrogate pairs."""
    found = inside(document, *path)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    shown = "".join(character if character.isprintable() else " " for character in str(found)[: 4 * limit])
    return " ".join(shown.split())[:limit]


def listed(document: object, *path: str) -> Sequence[object]:
    """The members of a list; a single object is a list of one."""
    found = inside(document, *path)
    if isinstance(found, dict):
        return (found,)
    return found if isinstance(found, list) else ()


def address(document: object, *path: str) -> str | None:
    """An address without the name that may stand before it, None when there is none."""
    found = text(document, *path, limit=640)
    return (found[:-1].rpartition("<")[2].strip() if found.endswith(">") else found)[:320] or None


def status_in(*texts: str) -> str | None:
    """The first enhanced status (RFC 3463) in texts."""
    return next((found.group() for each in texts if (found := _STATUS.search(each))), None)


def senders_in(*texts: str) -> tuple[str, ...]:
    """What looks like an envelope sender of ours; whether it is one, its token says (STANDARDS F1)."""
    return tuple(dict.fromkeys(found for each in texts for found in _OWN_SENDER.findall(each)))


def message_ids_in(*texts: str) -> tuple[str, ...]:
    """Message-IDs, without brackets."""
    return tuple(dict.fromkeys(found for each in texts for found in _MESSAGE_ID.findall(each)))
