"""Which domains are one receiver: their mailboxes stand behind the same servers and share one patience."""

import re

# A provider's many country domains: hotmail.co.uk, live.nl, yahoo.com.br.
_COUNTRIES = re.compile(r"(?P<name>hotmail|live|outlook|yahoo|gmx)\.(com|net|[a-z]{2}|com?\.[a-z]{2})")
_OWNERS = {"hotmail": "outlook.com", "live": "outlook.com", "outlook": "outlook.com", "yahoo": "yahoo.com"}

_DOMAINS = {
    "gmail.com": ("googlemail.com",),
    "outlook.com": ("msn.com", "passport.com", "windowslive.com"),
    "yahoo.com": ("ymail.com", "rocketmail.com", "aol.com", "aol.co.uk", "aim.com"),
    # Yahoo! JAPAN is another company with servers of its own, and yahoo.ne.jp is a telephone company's.
    "yahoo.co.jp": ("yahoo.co.jp", "ymail.ne.jp"),
    "icloud.com": ("me.com", "mac.com"),
    "proton.me": ("protonmail.com", "protonmail.ch", "pm.me"),
    "gmx.net": ("web.de",),
    "btinternet.com": ("btopenworld.com", "talk21.com"),
    "virginmedia.com": ("virgin.net", "ntlworld.com", "blueyonder.co.uk"),
    "docomo.ne.jp": ("docomo.co.jp",),
    "au.com": ("ezweb.ne.jp", "uqmobile.jp"),
    "softbank.ne.jp": (
        "i.softbank.jp",
        "disney.ne.jp",
        *(f"{region}.vodafone.ne.jp" for region in "dhtckrnsq"),
    ),
    "ymobile.ne.jp": ("ymobile1.ne.jp", "yahoo.ne.jp", "emnet.ne.jp", "pdx.ne.jp", "willcom.com", "wcm.ne.jp"),
    "nifty.com": ("nifty.ne.jp",),
}
_GROUPS = {domain: group for group, domains in _DOMAINS.items() for domain in domains}


def group_of(domain: str) -> str:
    """The receiver that a domain belongs to, named after its main domain; any other domain is its own."""
    domain = domain.lower()
    if domain in _GROUPS:
        return _GROUPS[domain]
    country = _COUNTRIES.fullmatch(domain)
    if country is None:
        return domain
    return _OWNERS.get(country["name"], "gmx.net")
