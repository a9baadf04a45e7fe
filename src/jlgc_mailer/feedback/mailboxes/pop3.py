"""Mailboxes reached by POP3 (RFC 1939). Not with poplib: it gives up a mailbox for one line of 2,049 octets."""

import socket
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from jlgc_mailer.feedback.mailboxes import A_VISIT, Fetched, in_batches, least_stumbled, told_as_trouble
from jlgc_mailer.feedback.mailboxes.server import Server, words_of
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security

_LINE = 64 * 1024  # octets read at once; a longer line comes in pieces


class Refused(Exception):
    """The server said -ERR, or something that is no POP3."""


@dataclass(frozen=True)
class Pop3Mailbox:
    """A mailbox whose messages are deleted when they are stored. `stumbles`: how often one broke the connection."""

    name: str
    every: timedelta
    server: Server
    stumbles: Counter[str] = field(default_factory=Counter, compare=False)

    @contextmanager
    def visit(self) -> Iterator["_Visit"]:
        """Log in, and QUIT at the end: only that makes the server delete what it was told to (RFC 1939 section 6)."""
        with told_as_trouble(self.server, (OSError, EOFError, Refused), words_of):
            conversation = _Conversation(self.server.connect())
            try:
                _begin(conversation, self.server)
                yield _Visit(conversation, self.stumbles)
                conversation.ask("QUIT")
            finally:
                conversation.close()


def _begin(conversation: "_Conversation", server: Server) -> None:
    conversation.status()
    if server.security is Security.STARTTLS:
        conversation.ask("STLS")
        conversation.secure(server)
    if server.auth in {Auth.XOAUTH2, Auth.PLAIN}:
        conversation.ask(f"AUTH {server.auth.upper()}")
        if not conversation.ask(b64encode(server.sasl(server.auth)).decode()).startswith("+OK"):
            raise Refused("it refuses the login")
    else:
        conversation.ask(f"USER {server.user}")
        conversation.ask(f"PASS {server.password()}")


class _Visit:
    """Sizes are only a hint: what is kept of a message is counted as it comes."""

    def __init__(self, conversation: "_Conversation", stumbles: Counter[str]) -> None:
        conversation.ask("LIST")
        numbers = [line.split()[0].decode() for line in conversation.lines() if line[:1].isdigit()]
        self.waiting = len(numbers)
        self.problems: list[str] = []
        self._conversation = conversation
        self._stumbles = stumbles
        names = self._unique_names()
        self._numbers = {names.get(number, f"number {number}"): number for number in numbers}

    def batches(self) -> Iterator[Sequence[Fetched]]:
        """One message after the other, in the server's order."""
        return in_batches(self._messages())

    def settle(self, batch: Sequence[Fetched]) -> None:
        """Delete them, once the session ends well."""
        for message in batch:
            try:
                self._conversation.ask(f"DELE {message.key}")
            except Refused as error:
                self.problems.append(f"message {message.key} is not deleted: {words_of(error)}")

    def _messages(self) -> Iterator[Fetched]:
        for name in least_stumbled(list(self._numbers), self._stumbles)[:A_VISIT]:
            self._stumbles[name] += 1  # if the connection breaks now, others come first
            message = self._given(self._numbers[name])
            del self._stumbles[name]
            if message:
                yield message

    def _given(self, number: str) -> Fetched | None:
        try:
            self._conversation.ask(f"RETR {number}")
        except Refused as error:
            self.problems.append(f"message {number} is not given: {words_of(error)}")
            return None
        return Fetched(number, self._conversation.content())

    def _unique_names(self) -> dict[str, str]:
        """What a message is called in all sessions, by its number in this one; a server need not tell."""
        try:
            self._conversation.ask("UIDL")
        except Refused:
            return {}
        pairs = (line.decode("utf-8", "replace").split() for line in self._conversation.lines())
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


class _Conversation:
    """Commands and replies over one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file = connection.makefile("rb")

    def secure(self, server: Server) -> None:
        """Put TLS on it; what came in clear after the reply to STLS is forgotten (RFC 2595 section 4)."""
        self._file.close()
        self._socket = server.secured(self._socket)
        self._file = self._socket.makefile("rb")

    def ask(self, command: str) -> str:
        """Say it; gives the reply, which begins with "+", or raises Refused."""
        if any(mark in command for mark in "\r\n\0"):
            raise Refused("user name or password has a line break")
        self._socket.sendall(f"{command}\r\n".encode())
        return self.status()

    def status(self) -> str:
        """A reply of one line."""
        reply = self._line().decode("utf-8", "replace").strip()
        if not reply.startswith("+"):
            raise Refused(reply.removeprefix("-ERR").strip() or "it refuses")
        return reply

    def lines(self) -> Iterator[bytes]:
        """The lines of a long reply up to the lone dot, with that before other dots taken away; long ones in pieces."""
        is_begin = True
        while (line := self._line()) not in {b".\r\n", b".\n"} or not is_begin:
            yield line[1:] if is_begin and line.startswith(b".") else line
            is_begin = line.endswith(b"\n")

    def content(self) -> bytes:
        """A long reply; what is beyond the limit is read but not kept."""
        kept = bytearray()
        for line in self.lines():
            if len(kept) <= LIMIT:
                kept += line
        return bytes(kept[: LIMIT + 1])

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def _line(self) -> bytes:
        line = self._file.readline(_LINE)
        if not line:
            raise EOFError("it hung up")
        return line
