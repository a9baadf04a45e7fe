"""Headers and body encodings, written here because the standard library's folding breaks them (STANDARDS M5).

Everything returns bytes that are ready for the wire: CRLF line ends, no line over 998 octets, none that begins with
a dot (S10), and 7-bit, but for an address that is not ASCII. Encoded bodies are their own relaxed canonical form
(RFC 6376 3.4.4): no white space at a line's end, nor two in a row.
"""

import binascii
import re
from datetime import datetime
from email.utils import format_datetime

from jlgc_mailer.errors import UnsafeValue

_LINE = 76
_WORD_BYTES = 45  # base64 of 45 octets is 60 characters; with =?utf-8?B? and ?= an encoded-word has 72 (M4: 75)
_LONGEST_WORD = 900  # a longer one could not be folded into lines of 998 octets (M1)
_LONGEST_QUOTED = 450  # each character of a quoted string may need a backslash
_UNSAFE = re.compile("[\r\n\0\ud800-\udfff]")
_UNSAFE_NAMES = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL"}
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_QP = [bytes([b]) if 32 <= b <= 126 and b != 0x3D else b"=%02X" % b for b in range(256)]


def safe(what: str, value: str) -> str:
    """`value` itself; raises UnsafeValue when it holds CR, LF, NUL or half a surrogate pair (STANDARDS S11, M1)."""
    found = None if value.isprintable() else _UNSAFE.search(value)  # none of them is printable
    if found:
        name = _UNSAFE_NAMES.get(found[0], "half a surrogate pair")
        raise UnsafeValue(what=what, character=name, value=value.encode("utf-8", "replace").decode())
    return value


def text_header(name: str, value: str) -> bytes:
    """An unstructured field such as Subject: folded at spaces, or as encoded-words when not plain ASCII."""
    safe(name, value)
    return _folded(name, value.split(" ") if _is_plain(value) else _encoded_words(value, name))


def address_header(name: str, display: str, spec: str) -> bytes:
    """An address field such as From. The address itself is never encoded (RFC 2047 5), and must be ASCII."""
    return _mailbox(name, display, _ascii(name, spec))


def to_header(display: str, spec: str) -> bytes:
    """To, whose address stands raw when it is not ASCII (RFC 6532 3.2): then it takes SMTPUTF8 to send it (S9)."""
    line = f"To: {display} <{spec}>"
    if len(line) <= _LINE and spec.isprintable() and _is_phrase(display):
        return line.encode() + b"\r\n"
    return _mailbox("To", display, safe("To", spec))


def plain_header(name: str, value: str) -> bytes:
    """A structured field whose value must stand literally, such as List-Unsubscribe (M5): the value is never folded.

    Only after the name is there a fold, when the value's first word is too long to stand beside it.
    """
    first_word = _ascii(name, value).partition(" ")[0]
    fold = "\r\n" if len(name) + len(first_word) > _LINE else ""
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
    if not value.isascii() or not value.isprintable() or "=?" in value:
        return False
    return not value or all(0 < len(word) < _LONGEST_WORD for word in value.split(" "))


def _is_phrase(display: str) -> bool:
    """Whether `display` can stand before an address as it is (RFC 5322 3.2.5)."""
    return _ATOMS.match(display) is not None and "=?" not in display


def _mailbox(name: str, display: str, spec: str) -> bytes:
    phrase = _phrase(safe(name, display), name)
    return _folded(name, [*phrase, f"<{spec}>"] if display else [spec])


def _phrase(display: str, name: str) -> list[str]:
    if not display:
        return []
    if _is_plain(display) and _is_phrase(display):
        return display.split(" ")
    if display.isascii() and display.isprintable() and "=?" not in display and len(display) < _LONGEST_QUOTED:
        return ['"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"']
    return _encoded_words(display, name)


def _encoded_words(value: str, name: str) -> list[str]:
    """Words of at most 75 characters that never split a character (M4); the first fits beside the field's name."""
    room = (_LINE - len(f"{name}: ") - len("=?utf-8?B??=")) // 4 * 3
    if len(whole := value.encode()) <= room:
        return [_encoded_word(whole)]
    words, chunk = [], b""
    for character in value:
        encoded = character.encode()
        if len(chunk) + len(encoded) > room:
            words.append(_encoded_word(chunk))
            chunk, room = b"", _WORD_BYTES
        chunk += encoded
    return [*words, _encoded_word(chunk)]


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?B?{binascii.b2a_base64(octets, newline=False).decode()}?="


def _folded(name: str, words: list[str]) -> bytes:
    """The field folded before words, so that lines stay below 78 characters where the words allow it."""
    lines, line = [], f"{name}: {words[0]}"
    for word in words[1:]:
        if len(line) + 1 + len(word) > _LINE and line.strip() and word.strip():
            lines.append(line)
            line = ""
        line += " " + word
    return "\r\n".join([*lines, line]).encode() + b"\r\n"


def quoted_printable(data: bytes) -> bytes:
    """`data`, whose lines end CRLF, as quoted-printable: lines of at most 76, none beginning with a dot.

    Tabs are encoded, and so is a space after a space or at the end of a line or of `data`: the encoded text is its
    own relaxed canonical form.
    """
    return b"\r\n".join(map(_qp_line, data.split(b"\r\n")))


def _qp_line(line: bytes) -> bytes:
    """One line, in as many as it takes."""
    encoded = b"".join([_QP[octet] for octet in line]).replace(b"  ", b" =20")
    if encoded.endswith(b" "):
        encoded = encoded[:-1] + b"=20"
    lines: list[bytes] = []
    while True:
        if encoded.startswith(b"."):
            encoded = b"=2E" + encoded[1:]
        if len(encoded) < _LINE:
            return b"=\r\n".join([*lines, encoded])
        at = _qp_break(encoded)
        lines.append(encoded[:at])
        encoded = encoded[at:]


def _qp_break(encoded: bytes) -> int:
    """Where a line ends that leaves room for the soft break: not within =XX and not behind a space."""
    escape = encoded.rfind(b"=", _LINE - 3, _LINE - 1)
    at = escape if escape >= 0 else _LINE - 1
    return at - 1 if encoded[at - 1] == 0x20 else at


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76, each ended by CRLF."""
    encoded = binascii.b2a_base64(data, newline=False)
    if len(encoded) <= _LINE:
        return encoded + b"\r\n" if encoded else b""
    return b"".join([encoded[at : at + _LINE] + b"\r\n" for at in range(0, len(encoded), _LINE)])


def crlf(text: str) -> bytes:
    """Text as UTF-8 with every line end, however written, as CRLF (STANDARDS S10)."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text).encode()
