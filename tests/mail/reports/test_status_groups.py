"""Groups of fields, one per recipient, as standards and as life write them."""

import pytest

from jlgc_mailer.mail.reports.status_groups import enhanced_status, read_groups

_FIRST = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1"
_SECOND = (
    "Original-Recipient: rfc822; b@example.com\nFinal-Recipient: rfc822; c@example.com\nAction: delayed\nStatus: 4.0.0"
)


@pytest.mark.parametrize(
    "text",
    [
        f"Reporting-MTA: dns; x\n\n{_FIRST}\n\n{_SECOND}\n",
        f"{_FIRST}\n{_SECOND}",
        f"Reporting-MTA: dns; x\n{_FIRST}\n \n{_SECOND}",
        f"{_FIRST}\n\n\n\n{_SECOND}\n\nX-Other: y\n",
        _FIRST.replace("\nStatus", "\n\nStatus") + "\n\n" + _SECOND,
    ],
)
def test_groups_are_told_apart_with_and_without_blank_lines(text: str) -> None:
    """F4: RFC 3464 2.3; the original recipient is the one who was written to."""
    groups = read_groups(text)
    assert [(each.recipient, each.action, each.status) for each in groups] == [
        ("a@example.com", "failed", "5.1.1"),
        ("b@example.com", "delayed", "4.0.0"),
    ]


@pytest.mark.parametrize(
    ("fields", "behind"),
    [
        ("Final-Recipient: rfc822; a@example.com", "a@example.com"),
        ("Original-Recipient: rfc822; a@example.com\nFinal-Recipient: rfc822; b@example.com", "b@example.com"),
        ("Final-Recipient: rfc822; a@example.com\nX-Actual-Recipient: rfc822; b@example.com", "b@example.com"),
        ("Final-Recipient: rfc822; a@example.com\nX-Actual-Recipient: X-Unix; |/bin/filter", "a@example.com"),
        ("Original-Recipient: rfc822; a@example.com", None),
    ],
)
def test_a_group_tells_the_address_that_failed_in_the_end(fields: str, behind: str | None) -> None:
    """F3: RFC 3464 2.3.2; sendmail writes it into a field of its own after aliases."""
    (group,) = read_groups(f"{fields}\nAction: failed\nStatus: 5.1.1")
    assert (group.recipient, group.behind) == ("a@example.com", behind)


def test_a_group_tells_its_reason_and_who_gave_it() -> None:
    (group,) = read_groups(
        "Final-Recipient: rfc822; a@example.com\nRemote-MTA: dns; mx.example.com (192.0.2.1)\n"
        "Diagnostic-Code: smtp; 550 5.1.1\n  No such\n  user\nStatus: 5.0.0 (bad mailbox)"
    )
    assert (group.diagnosis, group.remote_mta) == ("550 5.1.1 No such user bad mailbox", "mx.example.com")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.1.1", "5.1.1"),
        ("550 5.01.001 x", "5.1.1"),
        ("5. 1. 1", "5.1.1"),
        ("(#5.7.1)", "5.7.1"),
        ("192.5.1.1 said", None),
        ("5.1.1.7", None),
        ("5.10.20.30", None),
        ("15.1.1", None),
        ("3.1.1", None),
        ("", None),
    ],
)
def test_an_enhanced_status_is_no_address_and_no_version(text: str, expected: str | None) -> None:
    """S12"""
    assert enhanced_status(text) == expected
