"""Email addresses: what is accepted, and which two are the same person's."""

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from jlgc_mailer.errors import InvalidInput

# docomo and au once let readers choose local parts such as `a..b` or `a.`, against RFC 5321 4.1.2;
# these are in use, and their own servers accept them.
_LENIENT_DOMAINS = frozenset({"docomo.ne.jp", "ezweb.ne.jp", "au.com"})
_SHOWN = 254  # the longest address; of a longer text the beginning is shown
_DOTTED_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """An address that can be written to.

    `spec` is what goes on the wire: local part as given, domain in lower case as A-labels (RFC 5891).
    `key` is equal for every spelling of the same mailbox, as mailbox providers treat it: case is ignored.
    """

    spec: str
    key: str

    @property
    def domain(self) -> str:
        """The domain in A-label form."""
        return self.spec.rpartition("@")[2]


def parse_address(text: str) -> Address:
    """Read one bare address (no display name); raise InvalidInput with the reason otherwise."""
    text = unicodedata.normalize("NFKC", text).strip()
    lenient = _lenient(text)
    if lenient:
        return lenient
    try:
        parsed = validate_email(text, check_deliverability=False, globally_deliverable=False, strict=True)
    except EmailNotValidError as error:
        raise InvalidInput(what="Address", value=text[:_SHOWN], problem=str(error)) from None
    if "." not in parsed.ascii_domain:
        raise InvalidInput(what="Address", value=text, problem="its domain has no dot.")
    return _address(parsed.local_part, parsed.ascii_domain)


def key_of(spec: str) -> str:
    """The key of an address that was read before: mailbox providers ignore case in the local part too.

    Ignoring case is all: casefold() would also make one person of straße@ and strasse@.
    """
    local, _, domain = spec.rpartition("@")
    return f"{local.lower()}@{domain}"


def _lenient(text: str) -> Address | None:
    local, _, domain = text.rpartition("@")
    if domain.lower() in _LENIENT_DOMAINS and _DOTTED_LOCAL.match(local) and not local.startswith("."):
        return _address(local, domain)
    return None


def _address(local: str, domain: str) -> Address:
    domain = domain.lower()
    spec = f"{local}@{domain}"
    return Address(spec, key_of(spec))
