"""The parts of a message, taken apart without recursion and within bounds (RFC 2046, STANDARDS F8)."""

import html
import quopri
import re
from dataclasses import dataclass

from jlgc_mailer.mail.reports.charsets import decode
from jlgc_mailer.mail.reports.headers import Headers, decode_base64, split_entity

_LOOKED_AT = 2_000_000  # octets of a message: what reports say stands before the message that they return
_PARTS = 100
_NESTED = 30
_TEXT = 64_000  # octets of one part that are read as text

_RETURNED = frozenset({"message/rfc822", "message/global", "message/news"})
_RETURNED_HEADERS = frozenset({"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"})
_INVISIBLE = (("<style", "</style>"), ("<script", "</script>"), ("<title", "</title>"), ("<!--", "-->"))
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?table|/?li|/?h\d|hr|/?blockquote|/?pre)\b[^<>]{0,2000}>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z!][^<>@]{0,2000}>", re.IGNORECASE)  # <bob@example.com> is an address
_LINKED = re.compile(r"<a\s[^<>]{0,2000}>|</a\s{0,9}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of the tree of parts. `level` counts the messages that it is inside of: 1 is a message returned."""

    headers: Headers
    body: bytes
    level: int

    @property
    def media(self) -> str:
        """The media type in lower case."""
        return self.headers.media

    def octets(self) -> bytes:
        """The beginning of the body with its transfer encoding undone (RFC 2045 6)."""
        encoding = self.headers.first("content-transfer-encoding").partition(";")[0].strip().lower()
        body = self.body[: _TEXT * 2]
        if encoding == "base64":
            return decode_base64(body)[:_TEXT]
        return (quopri.decodestring(body) if encoding == "quoted-printable" else body)[:_TEXT]

    def text(self) -> str:
        """The beginning of the body as text, HTML without its tags."""
        text = decode(self.octets(), self.headers.parameter("charset"))
        return strip_html(text) if self.media == "text/html" or _is_bare_html(text) else text


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart: `parts` are its leaves, `returned` the header fields of messages within, with levels."""

    headers: Headers
    parts: tuple[Part, ...]
    returned: tuple[tuple[int, Headers], ...]


@dataclass(frozen=True, slots=True)
class _Entity:
    data: bytes
    depth: int
    level: int


def open_message(data: bytes) -> Message:
    """Take a message apart, its line ends CRLF, LF or CR."""
    data = data[:_LOOKED_AT].replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"")
    parts: list[Part] = []
    returned: list[tuple[int, Headers]] = []
    waiting = [_Entity(data, 0, 0)]
    outer = split_entity(data)[0]
    while waiting and len(parts) < _PARTS:
        entity = waiting.pop()
        headers, body = split_entity(entity.data) if entity.depth or outer.fields else (Headers(), entity.data)
        inner = _inside(headers, body, entity) if entity.depth < _NESTED else []
        if headers.media in _RETURNED:
            returned += [(entity.level + 1, split_entity(each.data)[0]) for each in inner]
        elif headers.media in _RETURNED_HEADERS:
            returned.append((entity.level + 1, split_entity(Part(headers, body, 0).octets())[0]))
        if inner:
            waiting += reversed(inner)
        else:
            parts.append(Part(headers, body, entity.level))
    return Message(outer, tuple(parts), tuple(returned))


def _inside(headers: Headers, body: bytes, entity: _Entity) -> list[_Entity]:
    media = headers.media
    if media in _RETURNED:
        encoded = headers.first("content-transfer-encoding").strip().lower() in {"base64", "quoted-printable"}
        data = Part(headers, body, 0).octets() if encoded else body
        return [_Entity(data, entity.depth + 1, entity.level + 1)]
    if media.startswith("multipart/"):
        pieces = _between_boundaries(body, headers.parameter("boundary"))
        return [_Entity(_with_blank_line(piece), entity.depth + 1, entity.level) for piece in pieces]
    return []


def _with_blank_line(piece: bytes) -> bytes:
    """A part that begins with a blank line has no header fields (RFC 2046 5.1)."""
    return b"Content-Type: text/plain\n" + piece if piece.startswith(b"\n") else piece


def _between_boundaries(body: bytes, boundary: str | None) -> list[bytes]:
    """The pieces of a multipart body; one that lost its boundary is cut at the first line that looks like one."""
    if not boundary or ("--" + boundary).encode("utf-8", "replace") not in body:
        found = re.search(rb"^--(\S.{0,200}?)[ \t]{0,20}\n(?:Content-|\n)", body, re.MULTILINE | re.IGNORECASE)
        if not found:
            return []
        boundary = found[1].decode("latin-1")
    line = re.compile(rb"^--" + re.escape(boundary.encode("utf-8", "replace")) + rb"(--)?[ \t]{0,99}$\n?", re.MULTILINE)
    pieces: list[bytes] = []
    start = None
    for found in line.finditer(body):
        if start is not None:
            pieces.append(body[start : found.start()])
        start = None if found[1] else found.end()
        if len(pieces) >= _PARTS:
            return pieces
    return pieces if start is None else [*pieces, body[start:]]


def strip_html(text: str) -> str:
    """What a reader of this HTML sees, roughly."""
    for opening, closing in _INVISIBLE:
        text = _without(text, opening, closing)
    text = _BREAK.sub("\n", _LINKED.sub("", " ".join(text.split())))
    return html.unescape(_TAG.sub(" ", text)).replace("\xa0", " ")


def _without(text: str, opening: str, closing: str) -> str:
    """The text without what stands between; in one go, where a pattern would take the square of its length."""
    folded, kept, end = text.lower(), [], 0
    if len(folded) != len(text):  # a few capitals have longer small letters
        return text
    while (start := folded.find(opening, end)) >= 0 and (stop := folded.find(closing, start + 4)) >= 0:
        kept.append(text[end:start])
        end = stop + len(closing)
    return "".join([*kept, text[end:]])


def _is_bare_html(text: str) -> bool:
    return text[:200].lstrip().lower().startswith(("<html", "<!doctype html"))
