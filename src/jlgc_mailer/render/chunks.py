"""Chunks: the parts of a message that is encoded once, each knowing how to become bytes for one recipient."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Protocol

from jlgc_mailer.mail.message import base64_lines, quoted_printable, safe
from jlgc_mailer.render.fields import Slot

_QP_LINE = 75
# What reads the same in text, in HTML and in quoted-printable on a line of its own, between two soft breaks.
_AS_IT_IS = re.compile(r"(?!\.)[!#-%(-;?-~]+(?: [!#-%(-;?-~]+)*\Z").match


class Chunk(Protocol):
    """A part of a message that knows how to become bytes."""

    def write(self, values: Mapping[str, str], out: list[bytes]) -> None:
        """Append the bytes for one recipient."""
        ...


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are the same for everybody."""

    data: bytes

    def write(self, values: Mapping[str, str], out: list[bytes]) -> None:
        """Append them."""
        out.append(self.data)


@dataclass(frozen=True, slots=True)
class Header:
    """A header field whose value depends on the recipient."""

    field: Callable[[Mapping[str, str]], bytes]

    def write(self, values: Mapping[str, str], out: list[bytes]) -> None:
        """Append the whole field."""
        out.append(self.field(values))


@dataclass(frozen=True, slots=True)
class QpSlot:
    """A value inside quoted-printable; the literals around it end and begin with soft breaks."""

    slot: Slot
    html: bool

    def write(self, values: Mapping[str, str], out: list[bytes]) -> None:
        """Append the value on lines of its own."""
        value = values[self.slot.field] or self.slot.fallback
        if len(value) <= _QP_LINE and _AS_IT_IS(value):
            out.append(value.encode())
        else:
            out.append(_quoted(self.slot.field, value, self.html))


@lru_cache(maxsize=64)
def _quoted(field: str, value: str, html: bool) -> bytes:
    """Kept for a while, because fallbacks return in every message."""
    return quoted_printable(octets(field, value, html))


def octets(field: str, value: str, html: bool) -> bytes:
    """The bytes of a value in a body; refused when they could break a line (M1)."""
    safe(f"merge field {field}", value)
    return (escape(value) if html else value).encode()


@dataclass(frozen=True, slots=True)
class Base64Part:
    """A part in base64: every literal is encoded in advance for each of the three ways it can be aligned.

    Base64 works on groups of three octets. Between two values only the octets that share a group with a
    value are encoded per recipient; the rest of each literal was encoded once per alignment.
    """

    first: bytes
    carry: bytes
    rest: tuple[tuple[Slot, "AlignedLiteral"], ...]
    html: bool

    def write(self, values: Mapping[str, str], out: list[bytes]) -> None:
        """Append the whole part for one recipient."""
        out.append(self.first)
        carry = self.carry
        for slot, literal in self.rest:
            value = values[slot.field] or slot.fallback
            carry += value.encode() if _AS_IT_IS(value) else octets(slot.field, value, self.html)
            head, body, tail = literal.aligned[-len(carry) % 3]
            if len(literal.data) < len(head):
                carry += literal.data
                continue
            out += (base64_lines(carry + head), body)
            carry = tail
        out.append(base64_lines(carry))


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
