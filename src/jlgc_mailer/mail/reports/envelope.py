"""Who a report was sent to, when the envelope itself has to be read from its header; and which addresses are ours."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class OurAddresses:
    """The addresses of the bounce domain: with a token that we signed, or with one of `others` as local part."""

    bounce_domain: str
    keyring: Keyring
    others: Collection[str] = ()

    def __contains__(self, address: str) -> bool:
        """Whether the address is one of ours."""
        if domain_of(address) != self.bounce_domain:
            return False
        return self.is_signed(address) or address.rpartition("@")[0].lower() in self.others

    def is_signed(self, address: str) -> bool:
        """Whether it has a token that we signed: only those whom we wrote to know such an address."""
        return delivery_of(address, self.keyring) is not None or leaving_of(address, self.keyring) is not None


def folded(address: str) -> str:
    """The one way to write an address of ours, in which case means nothing: in lower case, its domain in A-labels."""
    local, at, _ = address.rpartition("@")
    return f"{local.lower()}{at}{domain_of(address)}"


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
