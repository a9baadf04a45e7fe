"""Merging: a message encoded once, into which a recipient's values are spliced as bytes (promise 8).

A `Skeleton` is a row of chunks. Literal bytes stand ready for the wire; a slot encodes one value the way
its place demands: in a header (RFC 2047), in quoted-printable, or in base64, HTML-escaped where it stands in HTML.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Protocol

from jlgc_mailer.mail.message import base64_lines, crlf, plain_header, quoted_printable, safe, text_header
from jlgc_mailer.render.fields import Slot, split_at_marks
from jlgc_mailer.render.source import Compiled

Values = Mapping[str, str]
Piece = str | Slot


class Chunk(Protocol):
    """A part of a message that knows how to become bytes."""

    def encode(self, values: Values) -> bytes:
        """The bytes for one recipient."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are the same for everybody."""

    data: bytes

    def encode(self, values: Values) -> bytes:
        """Themselves."""
        return self.data


@dataclass(frozen=True, slots=True)
class Header:
    """A header field whose value depends on the recipient."""

    write: Callable[[Values], bytes]

    def encode(self, values: Values) -> bytes:
        """The whole field."""
        return self.write(values)


@dataclass(frozen=True, slots=True)
class QpSlot:
    """A value inside quoted-printable, on lines of its own between two soft breaks."""

    slot: Slot
    html: bool

    def encode(self, values: Values) -> bytes:
        """The value between soft breaks."""
        return b"=\r\n" + quoted_printable(value_of(self.slot, values, self.html), ends_line=False) + b"=\r\n"


@dataclass(frozen=True, slots=True)
class Base64Part:
    """A part in base64: every literal is encoded in advance for each of the three ways it can be aligned.

    Base64 works on groups of three octets. Between two values only the octets that share a group with a
    value are encoded per recipient; the rest of each literal was encoded once per alignment.
    """

    first: bytes
    rest: tuple[tuple[Slot, "AlignedLiteral"], ...]
    html: bool

    def encode(self, values: Values) -> bytes:
        """The whole part for one recipient."""
        ready = len(self.first) - len(self.first) % 3
        lines, carry = [base64_lines(self.first[:ready])], self.first[ready:]
        for slot, literal in self.rest:
            carry += value_of(slot, values, self.html)
            head, body, tail = literal.aligned[-len(carry) % 3]
            if len(literal.data) < len(head):
                carry += literal.data
                continue
            lines += (base64_lines(carry + head), body)
            carry = tail
        return b"".join(lines) + base64_lines(carry)


@dataclass(frozen=True, slots=True)
class AlignedLiteral:
    """A literal cut for each number of octets (0, 1, 2) that the group before it still needs."""

    data: bytes
    aligned: tuple[tuple[bytes, bytes, bytes], ...]

    @classmethod
    def of(cls, data: bytes) -> "AlignedLiteral":
        """Cut `data` three ways into: octets for the group before, encoded whole groups, octets left over."""
        return cls(data, tuple(_cut(data, needed) for needed in range(3)))


def _cut(data: bytes, needed: int) -> tuple[bytes, bytes, bytes]:
    if len(data) < needed:
        return b"\0" * needed, b"", b""
    end = needed + (len(data) - needed) // 3 * 3
    return data[:needed], base64_lines(data[needed:end]), data[end:]


@dataclass(frozen=True)
class Skeleton:
    """A message for one compiled edition, complete but for each recipient's values."""

    chunks: tuple[Chunk, ...]

    def merge(self, values: Values) -> bytes:
        """The message for one recipient; raises UnsafeValue for CR, LF or NUL in a value, KeyError if one lacks."""
        return b"".join([chunk.encode(values) for chunk in self.chunks])


def build_skeleton(compiled: Compiled, headers: tuple[bytes | Header, ...]) -> Skeleton:
    """Encode everything that does not depend on the recipient.

    `headers` are finished fields and per-recipient fields, without Subject and the MIME fields, which are added here.
    """
    boundary = f"={hashlib.sha256((compiled.html + compiled.text).encode()).hexdigest()[:24]}="
    subject = pieces_of(compiled.subject, compiled.slots)
    chunks: list[Chunk] = [
        *(Literal(header) if isinstance(header, bytes) else header for header in headers),
        Header(lambda values: text_header("Subject", fill(subject, values))),
        Literal(_opening(compiled, boundary)),
        *_part("plain", compiled.text, compiled, boundary),
        *_part("html", compiled.html, compiled, boundary),
        Literal(f"--{boundary}--\r\n".encode()),
    ]
    return Skeleton(tuple(_joined(chunks)))


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


def value_of(slot: Slot, values: Values, html: bool) -> bytes:
    """The bytes of a value in a body; refused when they could break a line (M1)."""
    value = safe(f"merge field {slot.field}", values[slot.field] or slot.fallback)
    return (escape(value) if html else value).encode()


def _opening(compiled: Compiled, boundary: str) -> bytes:
    return b"".join(
        (
            plain_header("Content-Language", compiled.language.value),
            plain_header("MIME-Version", "1.0"),
            plain_header("Content-Type", f'multipart/alternative; boundary="{boundary}"'),
            b"\r\n",
        )
    )


def _part(subtype: str, text: str, compiled: Compiled, boundary: str) -> list[Chunk]:
    """One alternative, in whichever transfer encoding is smaller for it (M6)."""
    pieces = pieces_of(text if text.endswith("\n") else text + "\n", compiled.slots)
    literals = b"".join(crlf(piece) for piece in pieces if isinstance(piece, str))
    is_html = subtype == "html"
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
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            chunks.append(Literal(quoted_printable(crlf(piece), ends_line=index == len(pieces) - 1)))
        else:
            chunks.append(QpSlot(piece, html))
    return chunks


def _base64_body(pieces: list[Piece], html: bool) -> list[Chunk]:
    slots = [piece for piece in pieces if isinstance(piece, Slot)]
    literals = [crlf(piece) for piece in pieces if isinstance(piece, str)]
    if not slots:
        return [Literal(base64_lines(literals[0]))]
    rest = tuple((slot, AlignedLiteral.of(data)) for slot, data in zip(slots, literals[1:], strict=True))
    return [Base64Part(literals[0], rest, html)]


def _joined(chunks: list[Chunk]) -> list[Chunk]:
    """Neighbouring literals as one, so that a recipient costs as few pieces as possible."""
    joined: list[Chunk] = []
    for chunk in chunks:
        last = joined[-1] if joined else None
        if isinstance(chunk, Literal) and isinstance(last, Literal):
            joined[-1] = Literal(last.data + chunk.data)
        else:
            joined.append(chunk)
    return joined
