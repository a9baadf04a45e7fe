"""Header fields of a message, read leniently and within bounds (STANDARDS F8)."""

import base64
import binascii
import quopri
import re
from dataclasses import dataclass

from jlgc_mailer.mail.reports.charsets import decode

_HEADER_OCTETS = 128_000
_HEADER_FIELDS = 1_000
_FIELD_NAME = re.compile(r"([!-9;-~]{1,80})[ \t]{0,8}:")
_ENCODED_WORD = r"=\?([\w.:+*-]{1,40})\?([bBqQ])\?([^?]{0,2000})\?="
_ENCODED_WORDS = re.compile(rf"{_ENCODED_WORD}(?:\s{{1,9}}{_ENCODED_WORD}){{0,60}}")
_ONE_WORD = re.compile(_ENCODED_WORD)
_PARAMETER = re.compile(r";\s{0,20}([\w*-]{1,40})\s{0,9}=\s{0,9}(?:\"([^\"]{0,300})\"|([^\s;]{1,300}))")


@dataclass(frozen=True, slots=True)
class Headers:
    """Header fields in order, names in lower case, values unfolded but not decoded."""

    fields: tuple[tuple[str, str], ...] = ()

    def every(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for known, value in self.fields if known == name]

    def first(self, name: str) -> str:
        """The first value of a field, empty without one."""
        return next((value for known, value in self.fields if known == name), "")

    def text(self, name: str) -> str:
        """The first value of a field with its encoded-words decoded (RFC 2047)."""
        return decode_words(self.first(name))

    @property
    def media(self) -> str:
        """The media type, in lower case; text/plain when there is none (RFC 2045 5.2)."""
        media = self.first("content-type").partition(";")[0].strip().lower()
        return media if "/" in media else "text/plain"

    def parameter(self, name: str) -> str | None:
        """A parameter of Content-Type."""
        found = _PARAMETER.findall(";" + self.first("content-type").partition(";")[2])
        return next((quoted or bare for known, quoted, bare in found if known.lower().rstrip("*0") == name), None)


def read_fields(text: str) -> Headers:
    """The header fields at the beginning of `text`; lines that are none are passed over."""
    fields: list[tuple[str, str]] = []
    for line in text.split("\n", _HEADER_FIELDS)[:_HEADER_FIELDS]:
        if line[:1] in {" ", "\t"} and fields:
            name, value = fields[-1]
            if len(value) < _HEADER_OCTETS // 8:
                fields[-1] = (name, f"{value} {line.strip()}")
        elif found := _FIELD_NAME.match(line):
            fields.append((found[1].lower(), line[found.end() :].strip()))
    return Headers(tuple(fields))


def split_entity(data: bytes) -> tuple[Headers, bytes]:
    """The header fields and the body of an entity with line ends LF; without header fields it is all body."""
    data = data.lstrip(b"\n")
    if data.startswith((b"From ", b">From ")):
        data = data.partition(b"\n")[2]
    block, _, body = data.partition(b"\n\n")
    if not _FIELD_NAME.match(block[:90].decode("latin-1")):
        return Headers(), data
    return read_fields(decode(block[:_HEADER_OCTETS])), body  # raw 8-bit and ISO-2022-JP fields exist


def decode_words(value: str) -> str:
    """A field's value with its encoded-words decoded; characters split between words come together again."""
    if "=?" not in value:
        return value
    return _ENCODED_WORDS.sub(lambda run: _decode_run(run.group()), value)


def _decode_run(run: str) -> str:
    texts: list[tuple[str, bytes]] = []
    for charset, encoding, payload in _ONE_WORD.findall(run):
        octets = _octets(payload, encoding)
        if texts and texts[-1][0] == charset.lower():
            texts[-1] = (texts[-1][0], texts[-1][1] + octets)
        else:
            texts.append((charset.lower(), octets))
    return "".join(decode(octets, charset.partition("*")[0]) for charset, octets in texts)


def _octets(payload: str, encoding: str) -> bytes:
    raw = payload.encode("utf-8", "replace")
    return quopri.decodestring(raw, header=True) if encoding in "qQ" else decode_base64(raw)


def decode_base64(data: bytes) -> bytes:
    """Base64 with whatever is broken in it passed over."""
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return b""
