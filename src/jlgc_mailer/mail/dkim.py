"""DKIM signatures (RFC 6376, 8301, 8463): a letter is provably ours, and no change to it goes unnoticed.

Relaxed canonicalisation of header and body, and no l=: the whole body counts (STANDARDS M16, M17).
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from pathlib import Path

from jlgc_mailer.errors import InvalidInput
from jlgc_mailer.mail.dkim_keys import Algorithm, DkimKey, read_keys

# Named in h= once more than they occur, so that nobody can add one: readers' programs differ in which they show.
_OVERSIGNED = (
    b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Reply-To", b"MIME-Version", b"Content-Type",
    b"List-Unsubscribe", b"List-Unsubscribe-Post",
)  # fmt: skip
_NAMES = (*_OVERSIGNED, b"Content-Transfer-Encoding", b"Content-Language", b"List-Id", b"Feedback-ID")
_RANKS = {name.lower(): rank for rank, name in enumerate(_NAMES)}
_UNSIGNED = len(_NAMES), b""

_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_WHITE_SPACE = re.compile(rb"[ \t]+")
_LINE = 78
_SIGNATURE_LINE = 72


class Signer:
    """Signs letters with one RSA key or more, and with the Ed25519 keys beside them (STANDARDS M16)."""

    def __init__(self, keys: Sequence[DkimKey]) -> None:
        """Raises InvalidInput when there is no RSA key: many receivers take a mere Ed25519 signature for none."""
        if not any(key.algorithm is Algorithm.RSA for key in keys):
            names = ", ".join(key.selector for key in keys)
            problem = "no RSA key is beside it (RFC 8463). Run: jlgc-mailer dkim keygen"
            raise InvalidInput(what="DKIM key", value=names, problem=problem)
        self._keys = [(key, _key_tags(key)) for key in keys]

    def fields(
        self, headers: Sequence[bytes] | bytes, body: bytes, at: datetime, *, body_is_canonical: bool = False
    ) -> bytes:
        """The DKIM-Signature fields to put before `headers`, one for each key; the same bytes for the same letter.

        `headers` is the whole header or its raw fields, `at` the time of signing. `body_is_canonical` promises that
        `body` is what `relaxed_body` would make of it.
        """
        ranks, signed = _selected(_FIELD_END.split(headers) if isinstance(headers, bytes) else headers)
        digest = _base64(sha256(body if body_is_canonical else relaxed_body(body)).digest())
        tail = b" t=%d; bh=%b;" % (at.timestamp(), digest)
        return b"".join([_signature(key, _head(tags, ranks), tail, signed) for key, tags in self._keys])


def read_signer(folder: Path, domain: str) -> Signer | None:
    """The signer with all keys in `folder`; None when there are none. Raises InvalidInput or InvalidFile."""
    keys = read_keys(folder, domain)
    return Signer(keys) if keys else None


def relaxed_field(field: bytes) -> bytes:
    """A raw field in relaxed canonical form, ended by CRLF (RFC 6376 3.4.2)."""
    name, _, value = field.partition(b":")
    value = _WHITE_SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")
    return name.rstrip(b" \t").lower() + b":" + value + b"\r\n"


def relaxed_body(body: bytes) -> bytes:
    """A body in relaxed canonical form (RFC 6376 3.4.4), read as SMTP carries it: its last line ends CRLF too."""
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    body = _WHITE_SPACE.sub(b" ", body).replace(b" \r\n", b"\r\n")
    end = len(body)
    while body.endswith(b"\r\n", 0, end):  # a pattern would take quadratic time on many empty lines
        end -= 2
    return body[: end + 2] if end else b""


def _selected(fields: Sequence[bytes]) -> tuple[tuple[int, ...], bytes]:
    """Which fields are signed, as ranks in the order of h=, and their text; of equal names the last comes first."""
    chosen = sorted(map(_ranked, reversed(fields)), key=itemgetter(0))
    return tuple([rank for rank, _ in chosen]), b"".join([text for _, text in chosen])


@lru_cache(maxsize=1024)
def _ranked(field: bytes) -> tuple[int, bytes]:
    """A field's place in h= and its canonical form. Most fields of a send are the same bytes for all recipients."""
    canonical = relaxed_field(field)
    rank = _RANKS.get(canonical.partition(b":")[0])
    return _UNSIGNED if rank is None else (rank, canonical)


@lru_cache(maxsize=256)
def _head(key_tags: tuple[bytes, ...], ranks: tuple[int, ...]) -> tuple[bytes, bytes]:
    """The signature's tags up to h=, which all letters with the same fields share: folded, and in canonical form."""
    names = [name for rank, name in enumerate(_NAMES) for _ in range(ranks.count(rank) + (rank < len(_OVERSIGNED)))]
    h = [b" h=" + names[0], *[b":" + name for name in names[1:]], b";"]
    raw = _folded([b"DKIM-Signature: v=1;", *key_tags, *h])
    return raw, relaxed_field(raw).removesuffix(b"\r\n")


def _key_tags(key: DkimKey) -> tuple[bytes, ...]:
    tags = f" a={key.algorithm}-sha256;", " c=relaxed/relaxed;", f" d={key.domain};", f" s={key.selector};"
    return tuple(tag.encode() for tag in tags)


def _folded(words: Iterable[bytes]) -> bytes:
    lines = [b""]
    for word in words:
        if len(lines[-1]) + len(word) > _LINE:
            lines.append(word if word.startswith(b" ") else b" " + word)
        else:
            lines[-1] += word
    return b"\r\n".join(lines)


def _signature(key: DkimKey, head: tuple[bytes, bytes], tail: bytes, signed: bytes) -> bytes:
    """The field; what is signed is the selected fields and the field itself with nothing after b= (RFC 6376 3.7)."""
    raw, canonical = head
    value = _base64(key.sign(b"%b%b%b b=" % (signed, canonical, tail)))
    lines = [value[at : at + _SIGNATURE_LINE] for at in range(0, len(value), _SIGNATURE_LINE)]
    return b"%b\r\n%b\r\n b=%b\r\n" % (raw, tail, b"\r\n ".join(lines))


def _base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)
