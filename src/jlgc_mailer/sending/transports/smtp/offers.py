"""What a relay offers in its reply to EHLO (RFC 5321 4.1.1.1)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Offers:
    """The extensions that matter to us."""

    pipelining: bool = False
    dsn: bool = False
    smtputf8: bool = False
    starttls: bool = False
    auth: frozenset[str] = frozenset()


def read_offers(text: bytes) -> Offers:
    """The offers in the text of a reply to EHLO; its first line greets."""
    keywords: dict[str, list[str]] = {}
    for line in text.decode("ascii", "replace").upper().split("\n")[1:]:
        keyword, *parameters = line.split() or [""]
        keywords.setdefault(keyword, []).extend(parameters)
    return Offers(
        pipelining="PIPELINING" in keywords,
        dsn="DSN" in keywords,
        smtputf8="SMTPUTF8" in keywords,
        starttls="STARTTLS" in keywords,
        auth=frozenset(keywords.get("AUTH", ())),
    )
