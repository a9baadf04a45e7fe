"""The envelope sender: one address per delivery, so that whatever comes back names it (STANDARDS F1)."""

from jlgc_mailer.mail.tokens import Keyring, Purpose

_PREFIX = "b+"


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
