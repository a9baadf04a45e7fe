"""Headers and body encodings, written here because the standard library's folding breaks them (STANDARDS M5).

Everything returns bytes that are ready for the wire: CRLF line ends, no line over 998 octets, 7-bit.
"""

import base64
import re
from datetime import datetime
from email.utils import format_datetime

from jlgc_mailer.errors import UnsafeValue

_LINE = 76
_WORD_BYTES = 45  # base64 of 45 octets is 60 characters; with =?utf-8?B? and ?= an encoded-word has 72 (M4: 75)
_LONGEST_WORD = 900  # a longer one could not be folded into lines of 998 octets (M1)
_LONGEST_QUOTED = 450  # each character of a quoted string may need a backslash
_UNSAFE = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL"}
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
_QP = [bytes([b]) if (33 <= b <= 126 and b != 0x3D) or b in b" \t" else b"=%02X" % b for b in range(256)]


def safe(what: str, value: str) -> str:
    """`value` itself; raises UnsafeValue when it holds CR, LF, NUL or half a surrogate pair (STANDARDS S11, M1)."""
    for character, name in _UNSAFE.items():
        if character in value:
            raise UnsafeValue(what=what, character=name, value=value)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UnsafeValue(what=what, character="half a surrogate pair", value=value.encode("utf-8", "replace").decode())
    return value


def text_header(name: str, value: str) -> bytes:
    """An unstructured field such as Subject: folded at spaces, or as encoded-words when not plain ASCII."""
    safe(name, value)
    return _folded(name, value.split(" ") if _is_plain(value) else _encoded_words(value, name))


def address_header(name: str, display: str, spec: str) -> bytes:
    """An address field such as From or To. The address itself is never encoded (RFC 2047 5)."""
    phrase = _phrase(safe(name, display), name)
    return _folded(name, [*phrase, f"<{_ascii(name, spec)}>" if display else _ascii(name, spec)])


def plain_header(name: str, value: str) -> bytes:
    """A structured field whose value must stand literally, such as List-Unsubscribe (M5): one line, never folded."""
    first_word = _ascii(name, value).partition(" ")[0]
    fold = "\r\n" if len(f"{name}: {first_word}") > 78 else ""
    return f"{name}:{fold} {value}\r\n".encode("ascii")


def date_header(at: datetime) -> bytes:
    """Date of an aware datetime (RFC 5322 3.3)."""
    return plain_header("Date", format_datetime(at))


def _ascii(what: str, value: str) -> str:
    """`value` itself; raises UnsafeValue for what cannot stand literally in a header."""
    if not safe(what, value).isascii():
        raise UnsafeValue(what=what, character="a character outside ASCII", value=value)
    return value


def _is_plain(value: str) -> bool:
    """Whether folding at spaces keeps `value` as it is: ASCII, single spaces between words, none too long."""
    fits = all(0 < len(word) < _LONGEST_WORD for word in value.split(" "))
    return not value or (fits and value.isascii() and value.isprintable() and "=?" not in value)


def _phrase(display: str, name: str) -> list[str]:
    if not display:
        return []
    if _is_plain(display) and _ATOM.match(display):
        return display.split(" ")
    if display.isascii() and display.isprintable() and "=?" not in display and len(display) < _LONGEST_QUOTED:
        return ['"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"']
    return _encoded_words(display, name)


def _encoded_words(value: str, name: str) -> list[str]:
    """Words of at most 75 characters that never split a character (M4); the first fits beside the field's name."""
    words, chunk = [], b""
    room = (_LINE - len(f"{name}: ") - len("=?utf-8?B??=")) // 4 * 3
    for character in value:
        encoded = character.encode()
        if len(chunk) + len(encoded) > room:
            words.append(chunk)
            chunk, room = b"", _WORD_BYTES
        chunk += encoded
    return [f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in (*words, chunk)]


def _folded(name: str, words: list[str]) -> bytes:
    """The field folded before words, so that lines stay below 78 characters where the words allow it."""
    lines, line = [], f"{name}: {words[0]}"
    for word in words[1:]:
        if len(line) + 1 + len(word) > _LINE and line.strip() and word.strip():
            lines.append(line)
            line = ""
        line += " " + word
    return "\r\n".join([*lines, line]).encode("ascii") + b"\r\n"


def quoted_printable(data: bytes, *, ends_line: bool = True) -> bytes:
    """`data`, whose lines end CRLF, as quoted-printable: lines of at most 76, none beginning with a dot.

    With `ends_line` false the end of `data` is no end of a line: a soft break follows it in the message.
    """
    lines = data.split(b"\r\n")
    return b"\r\n".join(_qp_line(line, ends_line or index < len(lines) - 1) for index, line in enumerate(lines))


def _qp_line(line: bytes, ends_line: bool) -> bytes:
    pieces: list[bytes] = []
    width, last = 0, len(line) - 1
    for index, byte in enumerate(line):
        piece = _QP[byte]
        if (width == 0 and byte == 0x2E) or (index == last and ends_line and byte in b" \t"):
            piece = b"=%02X" % byte
        if width + len(piece) > _LINE - 1:
            pieces.append(b"=\r\n")
            width = 0
            piece = b"=2E" if byte == 0x2E else piece
        pieces.append(piece)
        width += len(piece)
    return b"".join(pieces)


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76, each ended by CRLF."""
    encoded = base64.b64encode(data)
    return b"".join(encoded[at : at + _LINE] + b"\r\n" for at in range(0, len(encoded), _LINE))


def crlf(text: str) -> bytes:
    """Text as UTF-8 with every line end, however written, as CRLF (STANDARDS S10)."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text).encode()
