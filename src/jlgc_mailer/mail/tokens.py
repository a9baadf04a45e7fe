"""Unguessable tokens that carry numbers: who a link or an envelope belongs to.

A token is case-insensitive base32 of: key id (1 byte), the numbers as varints, and the first 80 bits of an
HMAC-SHA256 over purpose and payload (STANDARDS F1, M10). Tokens do not expire (M11); a key that signed once
stays in the keyring for reading when a new one is put before it.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum

_MAC_BYTES = 10


class Purpose(StrEnum):
    """What a token may be used for; one signed for a purpose is worthless for the others."""

    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    MESSAGE_ID = "message-id"
    PREVIEW = "preview"


@dataclass(frozen=True)
class Keyring:
    """Secret keys: the first signs, all read."""

    keys: tuple[bytes, ...]

    def sign(self, purpose: Purpose, *numbers: int) -> str:
        """A token for `numbers` (none negative), in lower case: 20 characters for a small one, 47 for two long ones."""
        key = self.keys[0]
        payload = bytes([_key_id(key)]) + b"".join(map(_varint, numbers))
        return _text(payload + _mac(key, purpose, payload))

    def read(self, purpose: Purpose, token: str) -> tuple[int, ...] | None:
        """The numbers of a token that one of our keys signed for `purpose`; None for anything else."""
        raw = _raw(token)
        if raw is None or len(raw) <= _MAC_BYTES:
            return None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        candidates = [key for key in self.keys if _key_id(key) == payload[0]]  # two keys may share an id
        if not any(hmac.compare_digest(mac, _mac(key, purpose, payload)) for key in candidates):
            return None
        return _numbers(payload[1:])


def _key_id(key: bytes) -> int:
    return hashlib.sha256(b"key id" + key).digest()[0]


def _mac(key: bytes, purpose: Purpose, payload: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + payload, "sha256")[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _raw(token: str) -> bytes | None:
    try:
        raw = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == token.lower() else None


def _varint(number: int) -> bytes:
    if number < 0:
        raise ValueError(number)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(payload: bytes) -> tuple[int, ...]:
    numbers, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value, shift = 0, 0
    return tuple(numbers)
