"""Saying who we are: PLAIN (RFC 4616), LOGIN, XOAUTH2, as the steps of one AUTH command (RFC 4954)."""

from base64 import b64encode
from collections.abc import Iterator

from jlgc_mailer.sending.transports.smtp.relay import Auth

_COMMAND_LIMIT = 512  # octets with CRLF; a longer initial response must wait to be asked for (RFC 4954 section 4)


def choose_mechanism(auth: Auth, offered: frozenset[str]) -> Auth | None:
    """The mechanism to use; None when the relay offers none that we may use."""
    wanted = (Auth.PLAIN, Auth.LOGIN) if auth is Auth.AUTO else (auth,)
    return next((each for each in wanted if each.upper() in offered), None)


def auth_lines(mechanism: Auth, user: str, password: str) -> Iterator[bytes]:
    """The AUTH command, then what to say each time the relay answers 334.

    The last is an empty line: what XOAUTH2 asks for before it says 535.
    """
    responses = [b64encode(each) for each in _responses(mechanism, user, password)]
    command = f"AUTH {mechanism.upper()}".encode()
    if mechanism is not Auth.LOGIN and len(command) + len(responses[0]) + 3 <= _COMMAND_LIMIT:
        command += b" " + responses.pop(0)
    for line in (command, *responses):
        yield line + b"\r\n"
    if mechanism is Auth.XOAUTH2:
        yield b"\r\n"


def _responses(mechanism: Auth, user: str, password: str) -> list[bytes]:
    if mechanism is Auth.LOGIN:
        return [user.encode(), password.encode()]
    if mechanism is Auth.XOAUTH2:
        return [f"user={user}\x01auth=Bearer {password}\x01\x01".encode()]
    return [f"\0{user}\0{password}".encode()]
