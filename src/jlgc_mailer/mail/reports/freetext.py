"""Reports in words: whom they are about, and what they say of each."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from jlgc_mailer.mail.reports.addresses import ADDRESS, undo_imcea

_RECIPIENTS = 100  # of one text; nobody writes to more and lets it be told in words
_SECTION = 6_000
_REPLY = re.compile(
    r"(?<![\d.:/@-])(?:#|smtp;\s?|said:\s?|error\s?)?([245])[0-7]\d(?:[ -]|\s?#|: )\s{0,3}"
    r"(?:\(?#?([245]\.\d{1,3}\.\d{1,3})\)?)?[^\n]{3,500}(?:\n(?![ \t]*\n|[<>]|\S{0,20}:\s)[^\n]{1,300}){0,3}"
)
_NAMED = re.compile(
    r"(?:^|\n)[ \t>*|-]{0,12}<?[^\s<>@]{1,128}@[^\s<>@]{1,255}?>?[:;,]?(?:\s|\.\.\.|\Z)"
    r"|(?:rcpt to|recipients?|recipient address|failed|to|for|address|addressee|user|orig_to|宛先|收件人|an)"
    r"[ :=]{1,4}(?:smtp:)?[<\"'(\[]{0,2}[^\s<>@]{1,128}@",
    re.IGNORECASE,
)
_TITLE = re.compile(r"^<([^\s<>@]{1,128}@[^\s<>@]{1,255})>:", re.MULTILINE)  # over what qmail and Postfix say of each
_PIECE = re.compile(r"(?<=[.!?。])\s+|(?<=。)|\n[ \t]*\n")
_GUESS = re.compile(
    r"\b(?:may (?:be|not|have|no|also)|might|perhaps|possibly|probably|typically|usually|sometimes)\b"
    r"|可能性|場合が(?:あ|ござ)|かもしれ|かも知れ|可能(?:是|已|不)|수 있습니다"
    r"|\b(?:möglicherweise|vielleicht|könnte|peut-être|pourrait|puede que|quizás|podría|es posible|potrebbe|forse"
    r"|talvez|possível que|возможно|может быть)\b",
    re.IGNORECASE,
)
_GONE_EITHER_WAY = re.compile(r"存在しないか、?[^。]{0,12}(?:変更|廃止|削除|間違)")  # whichever it may be
_CODE = re.compile(r"(?<![\d.])[245](?:[0-7]\d(?!\d)|\.\d{1,3}\.\d)")
_NEVER = re.compile(
    r"(?:mailer-?daemon|postmaster|abuse|hostmaster|no-?reply|do-?not-?reply|helpdesk|webmaster)@", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Section:
    """What a text says about one recipient, None when it names nobody."""

    recipient: str | None
    text: str


def read_sections(text: str, known: Sequence[str], returned_to: Sequence[str], ours: Collection[str]) -> list[Section]:
    """A section for each recipient, at least one.

    `known` are recipients that header fields name, `returned_to` those of the returned message, `ours` addresses that
    are no reader's: of senders and of the report itself.
    """
    places = _places(text, {address.lower() for address in ours})
    names = list(known) or _recipients(text, places, returned_to)
    if len(names) <= 1:
        return [Section(names[0] if names else None, text[:_SECTION])]
    cuts = sorted(start for name in names for start in places.get(name.lower(), ()))
    return [Section(name, _about(text, places.get(name.lower(), []), cuts)) for name in names[:_RECIPIENTS]]


def _places(text: str, ours: Collection[str]) -> dict[str, list[int]]:
    """Where each address stands that may be a recipient's."""
    places: dict[str, list[int]] = {}
    for found in ADDRESS.finditer(text):
        address = undo_imcea((found[1] or found[2]).replace('"', "").rstrip("."))
        if address.lower() not in ours and not _NEVER.match(address):
            places.setdefault(address.lower(), []).append(found.start())
    return places


def _recipients(text: str, places: dict[str, list[int]], returned_to: Sequence[str]) -> list[str]:
    """Those whom both the text and the returned message name; else those whom the text names in a recipient's place."""
    both = [address for address in returned_to if address.lower() in places]
    if both:
        titles = [found[1] for found in _TITLE.finditer(text)]
        others = [address for address in titles if address.lower() in places] if both[0] in titles else []
        return [*both, *(address for address in dict.fromkeys(others) if address not in both)]
    named = [address for address, starts in places.items() if any(_is_named(text, start) for start in starts)]
    return _as_written(text, places, named or list(returned_to[:1] or places)[:1])


def _is_named(text: str, start: int) -> bool:
    found = _NAMED.search(text, max(0, start - 40), start + 400)
    return found is not None and found.start() <= start


def _as_written(text: str, places: dict[str, list[int]], names: Sequence[str]) -> list[str]:
    written = []
    for name in names:
        start = places.get(name.lower(), [-1])[0]
        found = ADDRESS.match(text, start) if start >= 0 else None
        written.append(undo_imcea((found[1] or found[2]).replace('"', "").rstrip(".")) if found else name)
    return written


def _about(text: str, starts: Sequence[int], cuts: Sequence[int]) -> str:
    """From the lines where a recipient is named to those where another one is."""
    pieces = []
    for start in starts:
        begin = text.rfind("\n", 0, start) + 1
        end = next((cut for cut in cuts if cut > start and cut not in starts), len(text))
        pieces.append(text[begin:end])
    return "\n".join(pieces)[:_SECTION]


def without_guesses(text: str) -> str:
    """The text without its sentences about what may be the reason.

    Those with a code are no guess, nor those of which each alternative says that the address is gone.
    """
    pieces = _PIECE.split(text[:_SECTION])
    return "\n\n".join(
        piece for piece in pieces if not _GUESS.search(piece) or _CODE.search(piece) or _GONE_EITHER_WAY.search(piece)
    )


def replies_in(text: str) -> list[tuple[str, str]]:
    """The replies of servers that a text quotes, each with the digit that it begins with; failures only."""
    return [(found[1], found.group()) for found in _REPLY.finditer(text[:_SECTION]) if found[1] != "2"][:10]
