"""Scripted relays: a pure one that behaves like Postfix unless told otherwise, and sockets on loopback for it."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

HANG_UP = ""
OFFERS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")


@dataclass
class Received:
    """One message as it was accepted."""

    sender: str
    address: str
    content: bytes


@dataclass
class Script:
    """What a relay says, to everybody. Replies by address are used up one by one, the last one stays."""

    offers: Sequence[str] = OFFERS
    greeting: str = "220 relay.example ESMTP"
    ehlo: str = ""
    mail: dict[str, list[str]] = field(default_factory=dict)
    rcpt: dict[str, list[str]] = field(default_factory=dict)
    data: dict[str, list[str]] = field(default_factory=dict)
    final: dict[str, list[str]] = field(default_factory=dict)
    auth: list[str] = field(default_factory=lambda: ["235 2.7.0 Authentication successful"])
    starttls: str = "220 2.0.0 Ready to start TLS"
    data_without_recipient: str = "554 5.5.1 Error: no valid recipients"
    closes_after: int | None = None
    dislikes_pipelining: Callable[[bytes], bool] = lambda _: False
    says_so: bool = True
    received: list[Received] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    on_write: Callable[[bytes], None] = lambda _: None


def _say(replies: dict[str, list[str]], address: str, usual: str) -> str:
    script = replies.get(address) or replies.get("*")
    if not script:
        return usual
    return script.pop(0) if len(script) > 1 else script[0]


class Peer:
    """One connection to such a relay, without a socket: octets in, octets out. `is_over`: it has hung up."""

    def __init__(self, script: Script, *, is_secured: bool = False) -> None:
        self.is_over = False
        self.wants_tls = False
        self._script = script
        self._is_secured = is_secured
        self._buffer = b""
        self._content: list[bytes] | None = None
        self._sender: str | None = None
        self._address: str | None = None
        self._taken = 0
        self._auth_left = 0

    def greet(self) -> bytes:
        return self._line(self._script.greeting)

    def feed(self, data: bytes) -> bytes:
        """What it answers to what came in one piece."""
        self._script.writes.append(data)
        self._script.on_write(data)
        if self._script.dislikes_pipelining(data):
            self._buffer = b""
            self.is_over = True
            return b"554 5.5.0 Error: improper command pipelining\r\n" if self._script.says_so else b""
        self._buffer += data
        answer = b""
        while b"\n" in self._buffer and not self.is_over and not self.wants_tls:
            line, _, self._buffer = self._buffer.partition(b"\n")
            answer += self._content_line(line) if self._content is not None else self._command(line.decode().strip())
        return answer

    def secured(self) -> None:
        self.wants_tls, self._is_secured, self._buffer = False, True, b""

    def _line(self, text: str) -> bytes:
        if text == HANG_UP:
            self.is_over = True
            return b""
        if text.startswith("421"):
            self.is_over = True
        return text.encode() + b"\r\n"

    def _command(self, line: str) -> bytes:
        self._script.commands.append(line)
        verb, _, rest = line.partition(" ")
        answer = getattr(self, f"_{verb.lower()}", None)
        return self._line(answer(rest) if answer else self._answer_to_challenge(line))

    def _ehlo(self, _name: str) -> str:
        if self._script.ehlo:
            return self._script.ehlo
        offers = [each for each in self._script.offers if each != "STARTTLS" or not self._is_secured]
        return "\r\n".join(f"250-{each}" for each in ("relay.example", *offers)) + "\r\n250 SIZE 0"

    def _starttls(self, _rest: str) -> str:
        self.wants_tls = self._script.starttls.startswith("220")
        return self._script.starttls

    def _auth(self, _rest: str) -> str:
        return self._script.auth.pop(0)

    def _answer_to_challenge(self, _line: str) -> str:
        return self._script.auth.pop(0) if self._script.auth else "500 5.5.2 Error: command not recognized"

    def _mail(self, rest: str) -> str:
        if self._script.closes_after is not None and self._taken >= self._script.closes_after:
            return "421 4.7.0 relay.example Error: too many messages on this connection"
        if self._sender is not None:
            return "503 5.5.1 Error: nested MAIL command"
        sender = rest[rest.index("<") + 1 : rest.index(">")]
        reply = _say(self._script.mail, sender, "250 2.1.0 Ok")
        if reply.startswith("250"):
            self._sender = sender
        return reply

    def _rcpt(self, rest: str) -> str:
        if self._sender is None:
            return "503 5.5.1 Error: need MAIL command"
        address = rest[rest.index("<") + 1 : rest.index(">")]
        reply = _say(self._script.rcpt, address, "250 2.1.5 Ok")
        if reply.startswith("250"):
            self._address = address
        return reply

    def _data(self, _rest: str) -> str:
        if self._address is None:
            reply = self._script.data_without_recipient
        else:
            reply = _say(self._script.data, self._address, "354 End data with <CR><LF>.<CR><LF>")
        if reply.startswith("354"):
            self._content = []
        return reply

    def _content_line(self, line: bytes) -> bytes:
        assert self._content is not None
        if line != b".\r":
            self._content.append(line + b"\n")
            return b""
        content, self._content = b"".join(self._content), None
        sender, address = self._sender or "", self._address
        self._sender = self._address = None
        if address is None:
            self._sender = sender  # as Postfix does: a refused transaction is not over
            return self._line("554 5.5.1 Error: no valid recipients")
        self._taken += 1
        reply = _say(self._script.final, address, f"250 2.0.0 Ok: queued as {self._taken:X}")
        if reply.startswith("250"):
            self._script.received.append(Received(sender, address, content))
        return self._line(reply)

    def _rset(self, _rest: str) -> str:
        self._sender = self._address = None
        return "250 2.0.0 Ok"

    def _quit(self, _rest: str) -> str:
        return "221 2.0.0 Bye"


class Talk:
    """The relay's end of one connection, for scripts that are too odd for `Script`."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\r\n")

    def line(self) -> str:
        """The next line; empty at the end."""
        return self._until(b"\r\n").decode().strip()

    def content(self) -> bytes:
        return self._until(b"\r\n.\r\n")

    def open(self, *offers: str) -> None:
        """The greeting, and EHLO."""
        self.say("220 relay.example")
        self.line()
        self.say("\r\n".join(f"250-{each}" for each in ("relay.example", *offers)) + "\r\n250 OK")

    def envelope(self) -> str:
        """MAIL, RCPT and DATA are taken; gives the address."""
        self.line()
        self.say("250 2.1.0 Ok")
        rcpt = self.line()
        self.say("250 2.1.5 Ok")
        self.line()
        self.say("354 Go ahead")
        return rcpt[rcpt.index("<") + 1 : rcpt.index(">")]

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            if not (data := self.socket.recv(65536)):
                return b""
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(end)
        return found + end


@dataclass
class Site:
    """Where a scripted relay listens, and how many connections it has had."""

    port: int
    connections: int = 0
    open: int = 0


Handler = Callable[[socket.socket], None]


@contextmanager
def listening(*handlers: Handler, receive_buffer: int | None = None) -> Iterator[Site]:
    """A server on loopback: the first connection gets the first handler, the last handler gets all others."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        if receive_buffer:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        site = Site(server.getsockname()[1])
        ended = threading.Event()

        def serve(connection: socket.socket, handler: Handler) -> None:
            with contextlib.suppress(OSError), connection:
                connection.settimeout(20)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                handler(connection)
            site.open -= 1

        def accept() -> None:
            while not ended.is_set():
                connection, _ = server.accept()
                if ended.is_set():
                    connection.close()
                    return
                handler = handlers[min(site.connections, len(handlers) - 1)]
                site.connections += 1
                site.open += 1
                threading.Thread(target=serve, args=(connection, handler), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            ended.set()
            socket.create_connection(("127.0.0.1", site.port)).close()
            thread.join(10)


def wait_until(happened: Callable[[], bool]) -> None:
    """For what another thread is about to do."""
    give_up = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def following(
    script: Script,
    *,
    delay: float = 0,
    octets_at_once: int | None = None,
    read_at_once: int = 65536,
    context: ssl.SSLContext | None = None,
    is_implicit: bool = False,
) -> Handler:
    """A handler that follows a script; `delay` before each answer, which may be cut into small pieces."""

    def say(connection: socket.socket, answer: bytes) -> None:
        if delay:
            time.sleep(delay)
        size = octets_at_once or len(answer) or 1
        for start in range(0, len(answer), size):
            connection.sendall(answer[start : start + size])

    def handle(connection: socket.socket) -> None:
        peer = Peer(script, is_secured=is_implicit)
        with contextlib.ExitStack() as secured:
            if context and is_implicit:
                connection = secured.enter_context(context.wrap_socket(connection, server_side=True))
            say(connection, peer.greet())
            while not peer.is_over and (data := connection.recv(read_at_once)):
                say(connection, peer.feed(data))
                if peer.wants_tls and context:
                    connection = secured.enter_context(context.wrap_socket(connection, server_side=True))
                    peer.secured()

    return handle


def talking(conduct: Callable[[Talk], None]) -> Handler:
    """A handler that does what a function says."""

    def handle(connection: socket.socket) -> None:
        conduct(Talk(connection))

    return handle
