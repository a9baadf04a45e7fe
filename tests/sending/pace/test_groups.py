"""Receivers: domains behind the same servers are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.sending.pace.groups import group_of


@pytest.mark.parametrize(
    ("domain", "group"),
    [
        ("gmail.com", "gmail.com"),
        ("GoogleMail.com", "gmail.com"),
        ("hotmail.co.uk", "outlook.com"),
        ("outlook.jp", "outlook.com"),
        ("live.nl", "outlook.com"),
        ("msn.com", "outlook.com"),
        ("yahoo.com.br", "yahoo.com"),
        ("yahoo.de", "yahoo.com"),
        ("aol.com", "yahoo.com"),
        ("yahoo.co.jp", "yahoo.co.jp"),
        ("yahoo.ne.jp", "ymobile.ne.jp"),
        ("me.com", "icloud.com"),
        ("gmx.de", "gmx.net"),
        ("docomo.ne.jp", "docomo.ne.jp"),
        ("ezweb.ne.jp", "au.com"),
        ("t.vodafone.ne.jp", "softbank.ne.jp"),
        ("live.example.org", "live.example.org"),
        ("notgmail.com", "notgmail.com"),
        ("hotmail.example", "hotmail.example"),
        ("example.org", "example.org"),
    ],
)
def test_a_domain_belongs_to_its_receiver(domain: str, group: str) -> None:
    assert group_of(domain) == group


_LABEL = st.sampled_from(["gmail", "hotmail", "yahoo", "live", "co", "com", "ne", "jp", "uk", "me", "web", "x"])


@given(st.lists(_LABEL, min_size=2, max_size=4).map(".".join))
def test_a_group_is_named_after_a_domain_of_its_own(domain: str) -> None:
    assert group_of(group_of(domain)) == group_of(domain)
    assert group_of(domain.upper()) == group_of(domain)
