"""Names of IMAP folders on the wire."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.feedback.mailboxes.folder_names import quoted


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", '"INBOX"'),
        ("Sent & done", '"Sent &- done"'),
        ("~peter/mail/台北/日本語", '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("😀", '"&2D3eAA-"'),
    ],
)
def test_names_are_written_as_rfc_3501_has_it(name: str, written: str) -> None:
    """RFC 3501 5.1.3 and its example."""
    assert quoted(name) == written


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_every_name_is_ascii_and_can_be_read_back(name: str) -> None:
    written = quoted(name)
    assert written.isascii()
    unquoted = re.sub(r"\\(.)", r"\1", written[1:-1])
    assert re.sub("&([^-]*)-", lambda run: _read(run[1]), unquoted) == name


def _read(run: str) -> str:
    padded = run.encode() + b"=" * (-len(run) % 4)
    return base64.b64decode(padded, b"+,").decode("utf-16-be") if run else "&"
