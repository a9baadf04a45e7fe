"""Addresses as reports write them: bare, in brackets, with a type before them, or encoded in one of five ways."""

import re
from urllib.parse import unquote

_CONTROLS = r"\x00-\x08\x0e-\x1f\x7f-\x9f"  # those that are no space; a terminal would obey them
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,10}[A-Za-z][A-Za-z0-9-]{1,62}"
# A run of characters begins only where none precedes it, so that no character is tried twice.
ADDRESS = re.compile(
    rf"<\"?([^\s{_CONTROLS}<>@\"]{{1,128}}\"?@[^\s{_CONTROLS}<>@\"]{{1,255}})>"
    rf"|(?<!{_LOCAL})'?({_LOCAL}{{1,128}}@{_DOMAIN})(?![\w-])",
    re.ASCII,
)
_MASKED = re.compile(rf"[<\[(\"'`‘“]{{0,2}}(?:{ADDRESS.pattern})[>\])\"'`’”]{{0,2}}|@", re.ASCII)
_TYPED = re.compile(r"\s{0,20}([\w.-]{1,30})\s{0,9};\s{0,20}(.*)", re.DOTALL)
_XTEXT = re.compile(r"\+(2B|3D|[01][0-9A-F]|7F|[89A-F][0-9A-F])")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_IMCEA = re.compile(r"IMCEA(?!EX|X400|X500|NOTES)\w{1,20}-(.{1,900})@[^@]{1,255}\Z", re.IGNORECASE | re.DOTALL)
_IMCEA_OCTET = re.compile(r"\+([0-9A-Fa-f]{2})")
_FOREIGN_TYPES = frozenset(
    {"x400", "x.400", "x500", "ldap", "fax", "unknown", "system", "x-local", "local", "mts", "dns"}
)
_CONTROL = re.compile(rf"[{_CONTROLS}]")
_COMPLETE = re.compile(rf"[^\s{_CONTROLS}@<>]{{1,128}}@[^\s{_CONTROLS}@<>]{{1,255}}\Z")


def read_address(text: str) -> str | None:
    """One address out of a field such as Final-Recipient; None when it holds none of the Internet's."""
    typed = _TYPED.match(text[:2_000])
    kind, value = (typed[1].lower(), typed[2]) if typed else ("rfc822", text[:2_000])
    if kind in _FOREIGN_TYPES and "@" not in value:
        return None
    if kind == "utf-8":
        value = _UNICODE.sub(lambda found: _character(int(found[1], 16)), value)
    if _CONTROL.search(value):
        return None
    found = ADDRESS.search(value)
    bare = (found[1] or found[2]) if found else value.strip().strip("<>").strip("\"' ")
    address = undo_imcea(bare.replace('"', "")).rstrip(".,;:")
    return address if _COMPLETE.match(address) else None


def undo_xtext(address: str) -> str:
    """An ORCPT that nobody decoded: `+2B` for a plus sign, `+3D` for an equals sign (RFC 3461 4)."""
    decoded = _XTEXT.sub(lambda found: chr(int(found[1], 16)), address)
    return decoded if _COMPLETE.match(decoded) else address


def undo_imcea(address: str) -> str:
    """The address inside an Exchange one: `IMCEASMTP-bob+40example+2Ecom@host`."""
    inside = _IMCEA.match(address[:1_300])
    if not inside:
        return address
    local = _IMCEA_OCTET.sub(r"%\1", inside[1].replace("%", "%25"))
    address_inside = unquote(local, errors="replace").replace("_", "/") if "+40" not in inside[1] else unquote(local)
    return address_inside if _COMPLETE.match(address_inside) else address


def addresses_in(text: str) -> list[str]:
    """All addresses in a text, in order, each once."""
    found = (first or second for first, second in ADDRESS.findall(text))
    return list(dict.fromkeys(undo_imcea(each.replace('"', "").rstrip(".")) for each in found))


def mask(text: str) -> tuple[str, list[str]]:
    """The text with each address as a lone @, so that no word in one is taken for a reason; and what was there."""
    return _MASKED.sub("@", text), [found.group() for found in _MASKED.finditer(text)]


def _character(number: int) -> str:
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
