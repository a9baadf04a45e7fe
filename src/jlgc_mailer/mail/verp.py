"""Our addresses for what comes back: an envelope sender per delivery (STANDARDS F1), and one to leave by (M9)."""

from jlgc_mailer.mail.tokens import Keyring, Purpose

_PREFIX = "b+"
_LEAVING = "u+"


def envelope_sender(delivery_id: int, keyring: Keyring, bounce_domain: str) -> str:
    """`b+<token>@bounce_domain`: at most 64 octets before the @, case-insensitive, no address inside."""
    return bounce_address(bounce_token(delivery_id, keyring), bounce_domain)


def bounce_token(delivery_id: int, keyring: Keyring) -> str:
    """What names the delivery in its envelope sender: letters and digits, at most 32."""
    return keyring.sign(Purpose.BOUNCE, delivery_id)


def bounce_address(token: str, bounce_domain: str) -> str:
    """The envelope sender with this token."""
    return f"{_PREFIX}{token}@{bounce_domain}"


def delivery_of(address: str, keyring: Keyring) -> int | None:
    """The delivery id that an envelope sender of ours carries; None for any other or forged address."""
    local = address.rpartition("@")[0].lower()
    if not local.startswith(_PREFIX):
        return None
    numbers = keyring.read(Purpose.BOUNCE, local.removeprefix(_PREFIX))
    return numbers[0] if numbers and len(numbers) == 1 else None


def is_envelope_sender(address: str) -> bool:
    """Whether it looks like an envelope sender of ours; only `delivery_of` tells whether it is one."""
    return address.lower().startswith(_PREFIX)


def leaving_address(token: str, bounce_domain: str) -> str:
    """Where to write to leave: `u+<token>@bounce_domain`, with the token of the unsubscribe link."""
    return f"{_LEAVING}{token}@{bounce_domain}"


def leaving_of(address: str, keyring: Keyring) -> tuple[int, int] | None:
    """The subscriber and the send that an address to leave by carries; None for any other or forged one."""
    local = address.rpartition("@")[0].lower()
    if not local.startswith(_LEAVING):
        return None
    numbers = keyring.read(Purpose.UNSUBSCRIBE, local.removeprefix(_LEAVING))
    return (numbers[0], numbers[1]) if numbers and len(numbers) == 2 else None
