"""Merging: a message encoded once, into which a recipient's values are spliced as bytes (promise 8).

A `Skeleton` is a row of chunks. Literal bytes stand ready for the wire; a slot encodes one value the way
its place demands: in a header (RFC 2047), in quoted-printable, or in base64, HTML-escaped where it stands in HTML.
The body is its own relaxed canonical form, so that signing it needs no further pass (RFC 6376 3.4.4).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from jlgc_mailer.mail.message import base64_lines, crlf, plain_header, quoted_printable, text_header
from jlgc_mailer.render.chunks import AlignedLiteral, Base64Part, Chunk, Header, Literal, QpSlot, octets
from jlgc_mailer.render.fields import Slot, split_at_marks
from jlgc_mailer.render.source import Compiled
from jlgc_mailer.states import Language

Values = Mapping[str, str]
Piece = str | Slot

_SOFT_BREAK = Literal(b"=\r\n")


class Merged(NamedTuple):
    """One recipient's message: its header fields, and its body in pieces, which are copied only once."""

    headers: bytes
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        """What stands after the empty line."""
        return b"".join(self.pieces)

    @property
    def message(self) -> bytes:
        """The whole."""
        return b"".join((self.headers, b"\r\n", *self.pieces))


@dataclass(frozen=True)
class Skeleton:
    """A message for one compiled edition, complete but for each recipient's values."""

    headers: tuple[Chunk, ...]
    body: tuple[Chunk, ...]

    def merge(self, values: Values) -> Merged:
        """The message for one recipient; raises UnsafeValue for CR, LF or NUL in a value, KeyError if one lacks."""
        headers: list[bytes] = []
        pieces: list[bytes] = []
        for chunk in self.headers:
            chunk.write(values, headers)
        for chunk in self.body:
            chunk.write(values, pieces)
        return Merged(b"".join(headers), pieces)


def build_skeleton(compiled: Compiled, headers: tuple[bytes | Header, ...], shared: Values) -> Skeleton:
    """Encode everything that does not depend on the recipient; `shared` are the values that are the same for all.

    `headers` are finished fields and per-recipient fields, without Subject and the MIME fields, which are added here.
    """
    boundary = f"={hashlib.sha256((compiled.html + compiled.text).encode()).hexdigest()[:24]}="
    fields: list[Chunk] = [
        *(Literal(header) if isinstance(header, bytes) else header for header in headers),
        _subject(_bound(compiled.subject, compiled.slots, shared, html=False)),
        Literal(_mime_fields(compiled.language, boundary)),
    ]
    body = [
        *_part("plain", compiled.text, compiled, shared, boundary),
        *_part("html", compiled.html, compiled, shared, boundary),
        Literal(f"--{boundary}--\r\n".encode()),
    ]
    return Skeleton(_joined(fields), _joined(body))


def pieces_of(text: str, slots: tuple[Slot, ...]) -> list[Piece]:
    """Literals and slots, alternately, beginning and ending with a literal."""
    return [slots[piece] if isinstance(piece, int) else piece for piece in split_at_marks(text)]


def fill(pieces: list[Piece], values: Values) -> str:
    """The text with values in their places, as a header or a plain page shows it."""
    return "".join(piece if isinstance(piece, str) else values[piece.field] or piece.fallback for piece in pieces)


def fill_html(html: str, slots: tuple[Slot, ...], values: Values) -> str:
    """The HTML as one recipient sees it."""
    return "".join(
        piece if isinstance(piece, str) else escape(values[piece.field] or piece.fallback)
        for piece in pieces_of(html, slots)
    )


def _bound(text: str, slots: tuple[Slot, ...], shared: Values, html: bool) -> list[Piece]:
    """Literals and slots, alternately, in which slots of `shared` values have become literal."""
    pieces: list[Piece] = [""]
    for piece in pieces_of(text, slots):
        same: Piece = piece
        if isinstance(piece, Slot) and piece.field in shared:
            same = octets(piece.field, shared[piece.field] or piece.fallback, html).decode()
        if isinstance(same, str) and isinstance(pieces[-1], str):
            pieces[-1] += same
        else:
            pieces.append(same)
    return pieces


def _subject(pieces: list[Piece]) -> Chunk:
    if len(pieces) == 1:
        return Literal(text_header("Subject", fill(pieces, {})))
    return Header(lambda values: text_header("Subject", fill(pieces, values)))


def _mime_fields(language: Language, boundary: str) -> bytes:
    return b"".join(
        (
            plain_header("Content-Language", language.value),
            plain_header("MIME-Version", "1.0"),
            plain_header("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
        )
    )


def _part(subtype: str, text: str, compiled: Compiled, shared: Values, boundary: str) -> list[Chunk]:
    """One alternative, in whichever transfer encoding is smaller for it (M6)."""
    is_html = subtype == "html"
    pieces = _bound(text if text.endswith("\n") else text + "\n", compiled.slots, shared, is_html)
    literals = b"".join(crlf(piece) for piece in pieces if isinstance(piece, str))
    smaller_in_base64 = len(base64_lines(literals)) < len(quoted_printable(literals))
    opening = "".join(
        (
            f"--{boundary}\r\n",
            f"Content-Type: text/{subtype}; charset=utf-8\r\n",
            f"Content-Transfer-Encoding: {'base64' if smaller_in_base64 else 'quoted-printable'}\r\n",
            f"Content-Language: {compiled.language}\r\n\r\n",
        )
    )
    body = _base64_body(pieces, is_html) if smaller_in_base64 else _qp_body(pieces, is_html)
    return [Literal(opening.encode()), *body]


def _qp_body(pieces: list[Piece], html: bool) -> list[Chunk]:
    chunks: list[Chunk] = []
    for piece in pieces:
        if isinstance(piece, str):
            chunks.append(Literal(quoted_printable(crlf(piece))))
        else:
            chunks += (_SOFT_BREAK, QpSlot(piece, html), _SOFT_BREAK)
    return chunks


def _base64_body(pieces: list[Piece], html: bool) -> list[Chunk]:
    slots = [piece for piece in pieces if isinstance(piece, Slot)]
    first, *literals = [crlf(piece) for piece in pieces if isinstance(piece, str)]
    if not slots:
        return [Literal(base64_lines(first))]
    ready = len(first) - len(first) % 3
    rest = tuple((slot, AlignedLiteral.of(data)) for slot, data in zip(slots, literals, strict=True))
    return [Base64Part(base64_lines(first[:ready]), first[ready:], rest, html)]


def _joined(chunks: list[Chunk]) -> tuple[Chunk, ...]:
    """Neighbouring literals as one, so that a recipient costs as few pieces as possible."""
    joined: list[Chunk] = []
    for chunk in chunks:
        last = joined[-1] if joined else None
        if isinstance(chunk, Literal) and isinstance(last, Literal):
            joined[-1] = Literal(last.data + chunk.data)
        else:
            joined.append(chunk)
    return tuple(joined)
