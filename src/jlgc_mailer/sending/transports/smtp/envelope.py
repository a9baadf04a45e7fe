"""The envelope of a letter as commands, with the parameters that the relay offers."""

import re
from typing import NamedTuple

from jlgc_mailer.mail.replies import Reply
from jlgc_mailer.sending.letters import Letter
from jlgc_mailer.sending.transports.smtp.offers import Offers

# CR, LF, NUL, spaces and angle brackets would end the address and begin something else (STANDARDS S11).
_SENDER = re.compile(r"[!-;=?-~]*")
_ADDRESS = re.compile(r"[^\x00-\x20<>\x7f-\xa0\u2028\u2029\ud800-\udfff]+")
_ENVELOPE_ID = re.compile(r"[!-~]{0,100}")
_NOT_UTF8_XTEXT = re.compile(r"[^!-*,-<>-\[\]-~]")

UNSAFE = Reply(554, "The envelope holds a character that is not allowed in SMTP; correct the address", "5.6.0")
NO_SMTPUTF8 = Reply(553, "The relay does not offer SMTPUTF8, which this address needs", "5.6.7")


class Envelope(NamedTuple):
    """Two commands, with their line ends."""

    mail: bytes
    rcpt: bytes


def write_envelope(letter: Letter, offers: Offers) -> Envelope | Reply:
    """The commands for a letter, or why this letter alone cannot be sent there (S9, S11)."""
    sender, address = letter.envelope_sender, letter.address
    if not (_SENDER.fullmatch(sender) and _ADDRESS.fullmatch(address) and _ENVELOPE_ID.fullmatch(letter.envelope_id)):
        return UNSAFE
    needs_smtputf8 = not address.isascii()
    if needs_smtputf8 and not offers.smtputf8:
        return NO_SMTPUTF8
    mail, rcpt = f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>"
    if offers.dsn:
        mail += f" RET=HDRS ENVID={xtext(letter.envelope_id)}" if letter.envelope_id else " RET=HDRS"
        rcpt += f" NOTIFY=FAILURE,DELAY ORCPT={original_recipient(address)}"
    if needs_smtputf8:
        mail += " SMTPUTF8"
    return Envelope(f"{mail}\r\n".encode(), f"{rcpt}\r\n".encode())


def xtext(text: str) -> str:
    """Printable ASCII in the encoding of RFC 3461 section 4."""
    return text.replace("+", "+2B").replace("=", "+3D")


def original_recipient(address: str) -> str:
    """The value of ORCPT: for international addresses as utf-8-addr-xtext, which is ASCII too (RFC 6533 section 3)."""
    if address.isascii():
        return f"rfc822;{xtext(address)}"
    return "utf-8;" + _NOT_UTF8_XTEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)
