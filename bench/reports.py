"""Delivery reports for benchmarks: as a relay writes them, with as much of the returned letter as makes the size."""

from base64 import encodebytes
from typing import NamedTuple


class About(NamedTuple):
    """Which letter a report is about."""

    envelope_sender: str
    address: str
    message_id: str


class Reason(NamedTuple):
    """Why a letter comes back: an enhanced status, what the remote server said, and whether nobody has the address."""

    status: str
    said: str
    is_hard: bool


REASONS = (
    Reason("5.1.1", "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table", True),
    Reason("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist", True),
    Reason("5.2.2", "552 5.2.2 The recipient's mailbox is over its quota", False),
    Reason("5.7.1", "554 5.7.1 Service unavailable; client host [192.0.2.7] blocked using a list of senders", False),
)
_HTML = (
    '<p style="margin:0 0 16px;line-height:1.5">We went with colleagues from the borough to see what has become of the '
    "park since the games. 同僚とともに公園を訪れました。</p>\n"
)

_REPORT = """\
Received: by relay.example (Postfix) id 4F0B21A2B3; Mon, 1 Jun 2026 09:00:05 +0000 (UTC)
Date: Mon, 1 Jun 2026 09:00:05 +0000 (UTC)
From: MAILER-DAEMON@relay.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {envelope_sender}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="4F0B21A2B3.1780304405/relay.example"
Message-Id: <20260601090005.{serial:010d}@relay.example>

This is a MIME-encapsulated message.

--4F0B21A2B3.1780304405/relay.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host relay.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

<{address}>: host mx.example.com[192.0.2.1] said: {said} (in reply to RCPT TO command)

--4F0B21A2B3.1780304405/relay.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
X-Postfix-Queue-ID: 4F0B21A2B3
X-Postfix-Sender: rfc822; {envelope_sender}
Arrival-Date: Mon,  1 Jun 2026 09:00:03 +0000 (UTC)

Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: failed
Status: {status}
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; {said}

--4F0B21A2B3.1780304405/relay.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <{envelope_sender}>
Received: from news.example.org (news.example.org [192.0.2.7])
\tby relay.example (Postfix) with ESMTPS id 4F0B21A2B3
\tfor <{address}>; Mon,  1 Jun 2026 09:00:03 +0000 (UTC)
Message-ID: <{message_id}>
Date: Mon, 01 Jun 2026 09:00:00 +0000
From: JLGC London <newsletter@news.example.org>
To: Aiko Tanaka <{address}>
Subject: News of the summer
MIME-Version: 1.0
List-Id: News <news.news.example.org>
Precedence: bulk
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

{returned}
--4F0B21A2B3.1780304405/relay.example--
"""


def report(serial: int, about: About, size: int) -> bytes:
    """The report with this number, of nearly that many octets; the reasons take turns."""
    reason = REASONS[serial % len(REASONS)]
    said = reason.said.format(address=about.address)
    values = about._asdict() | {"serial": serial, "status": reason.status, "said": said}
    room = size - len(_REPORT.format(**values, returned=""))
    return _REPORT.format(**values, returned=_returned(room)).replace("\n", "\r\n").encode()


def _returned(room: int) -> str:
    """As much of the letter, in base64, as goes into so many octets."""
    octets = max(room * 57 // 78, 0)
    html = (_HTML * (octets // len(_HTML) + 1)).encode()
    return encodebytes(html[:octets]).decode()
