"""One connection: a non-blocking socket, TLS on it, and the dialogue that decides what is said."""

import contextlib
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from jlgc_mailer.sending.transports.smtp.conversation import Conversation
from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode
from jlgc_mailer.sending.transports.smtp.opening import Opening
from jlgc_mailer.sending.transports.smtp.relay import Relay, is_ehlo_name

Address = tuple[int, Any]  # a family and a socket address of that family

_SEND_BUFFER = 512 * 1024  # a letter fits, so that one write sends it
_READ = 16384
_TLS_RECORD = 16384  # RFC 8446 5.1; a record that was not sent whole cannot be read by the other end
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """A connection that opens, then talks. `watch` is told whenever the events of interest change.

    `deadline` is when patience ends. Once open it has a `conversation`; once over it has an `ending`.
    """

    def __init__(
        self,
        relay: Relay,
        addresses: Sequence[Address],
        context: ssl.SSLContext,
        mode: Mode,
        watch: Callable[["Connection", int, int], None],
    ) -> None:
        self.conversation: Conversation | None = None
        self.deadline = float("inf")
        self.opened_at = 0.0
        self._relay = relay
        self._addresses = list(addresses)
        self._context = context
        self._mode = mode
        self._watch = watch
        self._interest = 0
        self._fd = -1
        self._opening = Opening(relay)
        self._dialogue: Opening | Conversation = self._opening
        self._step: Callable[[int, datetime, float], None] = self._connecting
        self._socket: socket.socket
        self._secured: ssl.SSLSocket | None = None

    def fileno(self) -> int:
        """The descriptor, also once TLS is on it."""
        return self._fd

    @property
    def ending(self) -> Ending | None:
        """Why it is over, if it is."""
        return self._dialogue.ending

    def connect(self, at: datetime, now: float) -> None:
        """Begin to connect to the first address; those that do not answer are passed over."""
        self.opened_at, self.deadline = now, now + self._relay.timeouts.connect
        family, address = self._addresses.pop(0)
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._fd = self._socket.fileno()
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            with contextlib.suppress(BlockingIOError):
                self._socket.connect(address)
            self._want(EVENT_WRITE)
        except OSError as error:
            self._unconnected(error, at, now)

    def handle(self, events: int, at: datetime, now: float) -> None:
        """Read and write what can be; a fault of the network ends the connection."""
        try:
            self._step(events, at, now)
        except (OSError, ValueError) as error:  # ValueError: a host name that TLS cannot check
            self._dialogue.lost(_sentence(error), at)

    def flush(self, at: datetime, now: float) -> None:
        """Send what is outgoing, as far as it goes now."""
        dialogue = self._dialogue
        outgoing = dialogue.outgoing
        try:
            sent = self._send(outgoing)
        except OSError as error:
            dialogue.lost(_sentence(error), at)
            return
        unsent = sum(map(len, outgoing)) - sent
        if isinstance(dialogue, Conversation):
            dialogue.handed_over(unsent)
        if not unsent:
            outgoing.clear()
            self._want(EVENT_READ)
            self.deadline = now + dialogue.patience(self._relay.timeouts)
            return
        outgoing[:] = _rest(outgoing, sent)
        self.deadline = now + self._relay.timeouts.block
        self._want(EVENT_READ | EVENT_WRITE)

    def expire(self, at: datetime, now: float) -> None:
        """Patience has ended."""
        if self._step == self._connecting:
            self._unconnected(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)), at, now)
        else:
            self._dialogue.lost("it did not answer in time", at)

    def close(self) -> None:
        """Close without a word; what the other end has not sent is not waited for."""
        self._want(0)
        if self._fd >= 0:
            self._socket.close()

    def _connecting(self, _events: int, at: datetime, now: float) -> None:
        if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._unconnected(OSError(code, os.strerror(code)), at, now)
            return
        name = self._relay.ehlo_name or _own_name(self._socket)
        is_private = ipaddress.ip_address(self._socket.getpeername()[0].partition("%")[0]).is_loopback
        self._opening.connected(name, is_private=is_private)
        self._want(EVENT_READ)
        self._step = self._talking
        self._go_on(at, now)

    def _unconnected(self, error: OSError, at: datetime, now: float) -> None:
        self.close()
        if self._addresses:
            self.connect(at, now)
        else:
            self._dialogue.lost(_sentence(error), at)

    def _talking(self, events: int, at: datetime, now: float) -> None:
        if events & EVENT_READ:
            try:
                data = self._socket.recv(_READ)
            except _NOT_NOW:
                return
            if not data:
                self._dialogue.lost("it hung up", at)
            elif self._dialogue.receive(data, at):
                self._go_on(at, now)
        if events & EVENT_WRITE and not self._dialogue.ending:
            self.flush(at, now)

    def _go_on(self, at: datetime, now: float) -> None:
        dialogue = self._dialogue
        self.deadline = now + dialogue.patience(self._relay.timeouts)
        if isinstance(dialogue, Opening):
            if dialogue.wants_tls:
                self._start_tls(at, now)
            elif dialogue.offers:
                self._dialogue = self.conversation = Conversation(dialogue.offers, self._mode)
                self.deadline = float("inf")
        if dialogue.outgoing:
            self.flush(at, now)

    def _start_tls(self, at: datetime, now: float) -> None:
        secured = self._context.wrap_socket(
            self._socket, server_hostname=self._relay.host, do_handshake_on_connect=False
        )
        self._socket = self._secured = secured
        self._step = partial(self._shaking_hands, secured)
        self._step(0, at, now)

    def _shaking_hands(self, secured: ssl.SSLSocket, _events: int, at: datetime, now: float) -> None:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            self._want(EVENT_READ)
        except ssl.SSLWantWriteError:
            self._want(EVENT_WRITE)
        else:
            self._want(EVENT_READ)
            self._step = self._talking
            self._opening.secured()
            self._go_on(at, now)

    def _send(self, buffers: list[bytes]) -> int:
        if not self._secured:
            try:
                return self._socket.sendmsg(buffers)
            except _NOT_NOW:
                return 0
        sent = 0
        for buffer in buffers:
            view = memoryview(buffer)
            for start in range(0, len(view), _TLS_RECORD):
                try:
                    sent += self._secured.send(view[start : start + _TLS_RECORD])
                except _NOT_NOW:
                    return sent
        return sent

    def _want(self, events: int) -> None:
        if events != self._interest:
            self._watch(self, self._interest, events)
            self._interest = events


def _rest(buffers: list[bytes], sent: int) -> list[Any]:
    """What remains after so many octets; views, not copies."""
    remaining = []
    for buffer in buffers:
        if sent < len(buffer):
            remaining.append(memoryview(buffer)[sent:])
        sent = max(0, sent - len(buffer))
    return remaining


def _own_name(connected: socket.socket) -> str:
    """What to call ourselves: our full name, or else our address (RFC 5321 4.1.4)."""
    name = socket.gethostname()
    if "." in name and is_ehlo_name(name):
        return name
    address = connected.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _sentence(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message.rstrip('.')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
