"""Who a report was sent to, when the envelope itself has to be read from its header; and which addresses are ours."""

import re
from collections.abc import Collection, Iterator

from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.verp import delivery_of, leaving_of

_HEADER_LIMIT = 64 * 1024  # octets; servers put these fields on top, and a real header is far shorter
_FIELD = re.compile(
    r"^(?:delivered-to|x-original-to|envelope-to|x-envelope-to|to)[ \t]*:((?:[^\n]|\n[ \t])*)",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@]{1,64}@[^\s<>()\[\],;:\"@]{1,255}")
_TOKEN = re.compile(r"[bu]\+[a-z2-7]{1,62}", re.IGNORECASE)


def envelope_recipient(data: bytes, bounce_domain: str) -> str:
    """The address of our bounce domain that the fields of the envelope's recipient tell of; empty without one.

    It is the first that has a token, or else the first: a mailbox for all of the domain stands above what it is for.
    """
    ours = [address for address in _addresses(data) if domain_of(address) == bounce_domain]
    return next(filter(_has_token, ours), ours[0] if ours else "")


def is_ours(address: str, bounce_domain: str, others: Collection[str], keyring: Keyring) -> bool:
    """Whether the address is one of ours: of our domain, with a token that we signed or a local part among `others`."""
    if domain_of(address) != bounce_domain:
        return False
    is_signed = delivery_of(address, keyring) is not None or leaving_of(address, keyring) is not None
    return is_signed or address.rpartition("@")[0].lower() in others


def domain_of(address: str) -> str:
    """The domain in lower case, as A-labels where it can be written so."""
    domain = address.rpartition("@")[2].rstrip(".").lower()
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain


def _has_token(address: str) -> bool:
    return _TOKEN.fullmatch(address.rpartition("@")[0]) is not None


def _addresses(data: bytes) -> Iterator[str]:
    for field in _FIELD.finditer(_header(data)):
        yield from (found[0].rstrip(".") for found in _ADDRESS.finditer(field[1]))


def _header(data: bytes) -> str:
    """The beginning, as far as the first empty line, whichever way lines end."""
    text = data[:_HEADER_LIMIT].decode("utf-8", "replace").replace("\0", "")
    return text.replace("\r\n", "\n").replace("\r", "\n").partition("\n\n")[0]
