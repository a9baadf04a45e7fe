"""What docs/feedback.md tells owners of mail servers to write, in servers that run with exactly these lines."""

import smtplib
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.feedback import RawReport
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.verp import envelope_sender
from tests import mta
from tests.conftest import SECRET
from tests.feedback.listeners import BOUNCE_DOMAIN, receiving_reports
from tests.relays import exim
from tests.servers import free_port

PAPER = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text(encoding="utf-8")
OURS = envelope_sender(7, Keyring((SECRET.encode(),)), BOUNCE_DOMAIN)
FORGED = envelope_sender(7, Keyring((b"a key of somebody else",)), BOUNCE_DOMAIN)
REPORT = b"Subject: Undelivered\r\n\r\nno such user\r\n"
PATIENCE = 30


def recipe(*marks: str) -> str:
    """The block of the paper that comes next after all these words, one after the other."""
    text = PAPER
    for mark in marks:
        assert mark in text
        text = text.partition(mark)[2]
    return text.partition("```\n")[2].partition("```")[0]


@contextmanager
def postfix(folder: Path, main: str, services: str) -> Iterator[int]:
    """Postfix with these lines, on a port of loopback. Whoever asks is a stranger to it."""
    if reason := mta.missing():
        pytest.skip(reason)
    own, port = folder / "recipe-postfix", free_port()
    own.mkdir(mode=0o755)
    smtpd = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    more = "{recipe}mynetworks =\nsmtpd_error_sleep_time = 0\n"
    mta.write_configuration(own, more, smtpd + "{services}", {"recipe": main, "services": services})
    try:
        with mta.running(own, port):
            yield port
    finally:
        own.rename(folder / f"done-{port}")


@contextmanager
def asking_postfix(folder: Path, listener: int) -> Iterator[int]:
    main = recipe("LMTP", "**Postfix.**").replace(":8024", f":{listener}").replace(" = 1m", " = 2s")
    with postfix(folder, main, "lmtp unix - - n - - lmtp\nverify unix - - n - 1 verify\n") as port:
        yield port


@contextmanager
def asking_exim(folder: Path, listener: int) -> Iterator[int]:
    if reason := exim.missing():
        pytest.skip(reason)
    routers, _, transport = recipe("**Exim.**").partition("to_listener:\n")
    acl = f"acl_smtp_rcpt = recipients\nbegin acl\nrecipients:\n{recipe('**Exim.**', 'In the ACL')}accept\n"
    text = f"{acl}begin routers\n{routers}begin transports\nto_listener:\n{transport}begin retry\n* * F,4s,1s\n"
    own, port = folder / "recipe-exim", free_port()
    own.mkdir(mode=0o755)
    with exim.running(own, port, text.replace("8024", str(listener))):
        yield port


def answers(port: int, *addresses: str) -> list[int]:
    """What a server says to somebody who wants to write to these addresses."""
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
        client.ehlo()
        client.mail("")
        return [client.rcpt(address)[0] for address in addresses]


def wait_for(found: Callable[[], object]) -> None:
    """Until something is there, or patience is over."""
    give_up = time.monotonic() + PATIENCE
    while not found() and time.monotonic() < give_up:
        time.sleep(0.1)


def recipients(mailer: Mailer) -> list[str]:
    with mailer.database.reading() as session:
        return list(session.scalars(select(RawReport.envelope_to)))


@pytest.mark.parametrize("pair", ["sqlite"], indirect=True)
@pytest.mark.parametrize("asking", [asking_postfix, asking_exim])
def test_a_server_that_asks_the_listener_takes_nothing_that_it_would_have_to_return(
    mailer: Mailer, short_folder: Path, asking: Callable[[Path, int], AbstractContextManager[int]]
) -> None:
    """F2: no bounces to forged senders. While the listener is away reports wait where they are (promise 6)."""
    listener = free_port()
    with asking(short_folder, listener) as port:
        assert answers(port, OURS)[0] // 100 == 4
        with receiving_reports(mailer, listener):
            wait_for(lambda: answers(port, OURS) == [250])
            asked = [OURS, FORGED, f"guess@{BOUNCE_DOMAIN}", f"postmaster@{BOUNCE_DOMAIN}"]
            assert answers(port, *asked) == [250, 550, 550, 250]
            with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
                assert client.sendmail("", [OURS], REPORT) == {}
            wait_for(lambda: recipients(mailer))
    assert recipients(mailer) == [OURS]


_COMMAND = """#!/bin/sh
{ id -un; echo "$@"; cat; } > "$0.part" && mv "$0.part" "$0.out"
"""


def test_postfix_pipes_what_looks_like_ours_as_the_user_of_the_program(short_folder: Path) -> None:
    """F2, F3: with the address that it was for."""
    inbox = short_folder / "piped"
    inbox.mkdir()
    inbox.chmod(0o777)
    command, table = inbox / "command", inbox / "recipients"
    command.write_text(_COMMAND)
    command.chmod(stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    table.write_text(recipe("## By a pipe", "newsletter-recipients`:"))
    service = recipe("## By a pipe", "**Postfix.**").replace("user=newsletter", "user=nobody")
    main = recipe("## By a pipe", "In `main.cf`").replace("/etc/postfix/newsletter-recipients", str(table))
    with postfix(short_folder, main, service.replace("/usr/local/bin/jlgc-mailer", str(command))) as port:
        asked = [OURS, OURS.upper(), f"abuse@{BOUNCE_DOMAIN}", f"guess@{BOUNCE_DOMAIN}", "b+a@example.com"]
        assert answers(port, *asked) == [250, 250, 250, 550, 454]
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.sendmail("", [OURS], REPORT)
        out = inbox / "command.out"
        wait_for(out.exists)
    user, said, *content = out.read_text().splitlines()
    assert (user, said) == ("nobody", f"--home /srv/newsletter feedback ingest --to {OURS}")
    assert "Subject: Undelivered" in content
    assert content[-2:] == ["", "no such user"]
