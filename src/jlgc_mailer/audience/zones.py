"""The time zones that people live in."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jlgc_mailer.errors import InvalidInput


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that IANA name; raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = "it is no time zone. Write it like Europe/London or Asia/Tokyo."
        raise InvalidInput(what="Zone", value=name, problem=problem) from None
