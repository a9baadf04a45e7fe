"""The connections to one relay: opening, waiting for, timing out and closing them."""

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from jlgc_mailer.sending.transports.smtp.connection import Address, Connection
from jlgc_mailer.sending.transports.smtp.conversation import Conversation
from jlgc_mailer.sending.transports.smtp.ending import Ending, Mode, Weight
from jlgc_mailer.sending.transports.smtp.relay import Relay, Security
from jlgc_mailer.states import Stage

_TICK = 0.25  # seconds: how late a timeout may be noticed; pause has to be felt within one (promise 7)
_FULL_FOR_LONG = 3600  # and when trying again cannot help, such as a password that has changed (535)
_FULL_FOR = 60  # seconds until one more connection is tried after a relay refused one while others work
_ADDRESSES_FOR = 60  # seconds; asking for them blocks, so each connection cannot


class Connections:
    """All connections of this process to one relay. `now` and `at` are the time of the last `wait`."""

    def __init__(self, relay: Relay, clock: Callable[[], datetime]) -> None:
        self.idle: dict[Connection, Conversation] = {}
        self.at = clock()
        self.now = time.monotonic()
        self.is_called = False
        self._relay = relay
        self._clock = clock
        self._all: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._context: ssl.SSLContext | None = None
        self._addresses: list[Address] = []
        self._asked_at = float("-inf")
        self._full_until = float("-inf")
        self._look_at = 0.0

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._all))

    @property
    def opening(self) -> int:
        """How many are not open yet."""
        return sum(each.conversation is None for each in self._all)

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way on any."""
        return any(each.conversation and each.conversation.is_busy for each in self._all)

    @property
    def may_open(self) -> bool:
        """Whether there is room for one more; there always is for the only one."""
        if not self._all:
            return True
        return len(self._all) < self._relay.connections and self.now >= self._full_until

    def lower(self, ending: Ending) -> bool:
        """No more than there are, for a while, as one more failed; False when none is left that could do the work."""
        self._full_until = self.now + (_FULL_FOR_LONG if ending.for_operator else _FULL_FOR)
        return bool(self._all)

    def listen_to(self, descriptor: int) -> None:
        """Let `wait` return, and `is_called` be true, when this becomes readable."""
        self._selector.register(descriptor, selectors.EVENT_READ, None)

    def ignore(self, descriptor: int) -> None:
        """Listen no more."""
        self._selector.unregister(descriptor)

    def open(self, mode: Mode) -> Ending | None:
        """Begin to open one more; why it failed, if that is known at once."""
        try:
            context = self._certified()
        except (OSError, ValueError) as error:
            return Ending(Weight.FAILED, Stage.TLS, f"the certificates cannot be read: {error}", for_operator=True)
        try:
            addresses = self._known_addresses()
        except (OSError, UnicodeError) as error:
            return Ending(Weight.FAILED, Stage.CONNECT, f"its name cannot be resolved: {error}")
        connection = Connection(self._relay, addresses, context, mode, self._watch)
        self._all.add(connection)
        connection.connect(self.at, self.now)
        if connection.ending:
            self.drop(connection)
        return connection.ending

    def drop(self, connection: Connection) -> None:
        """Close it and forget it."""
        connection.close()
        self._all.discard(connection)
        self.idle.pop(connection, None)

    def abandon(self) -> None:
        """Close all, whatever they are at."""
        for connection in self:
            self.drop(connection)

    def leave(self, connection: Connection) -> None:
        """Say QUIT; it is closed when that is answered or patience ends."""
        self.idle.pop(connection, None)
        if connection.conversation:
            connection.conversation.quit()
            connection.flush(self.at, self.now)

    def wait(self, timeout: float) -> set[Connection]:
        """Those on which something happened, within so many seconds."""
        events = self._selector.select(min(timeout, _TICK))
        self.now, self.at = time.monotonic(), self._clock()
        touched = set()
        for key, mask in events:
            if key.data is None:
                self.is_called = True
            else:
                key.data.handle(mask, self.at, self.now)
                touched.add(key.data)
        if self.now >= self._look_at:
            self._look_at = self.now + _TICK
            touched |= self._expire()
        return touched

    def close(self) -> None:
        """QUIT on all that are open, and close all."""
        for connection in self:
            if connection in self.idle:
                self.leave(connection)
            else:
                self.drop(connection)
        while self._all:
            self.wait(_TICK)
            for connection in self:
                if connection.ending:
                    self.drop(connection)
        self._selector.close()

    def is_worn(self, connection: Connection) -> bool:
        """Whether it has carried enough, or for long enough (STANDARDS S5)."""
        carried = connection.conversation.begun if connection.conversation else 0
        is_old = self.now - connection.opened_at >= self._relay.connection_age
        return carried >= self._relay.messages_per_connection or is_old

    def _expire(self) -> set[Connection]:
        late = {each for each in self._all if each.deadline < self.now}
        for connection in late:
            connection.expire(self.at, self.now)
        return late

    def _watch(self, connection: Connection, before: int, events: int) -> None:
        if not events:
            self._selector.unregister(connection.fileno())
        elif before:
            self._selector.modify(connection.fileno(), events, connection)
        else:
            self._selector.register(connection.fileno(), events, connection)

    def _known_addresses(self) -> list[Address]:
        if self.now - self._asked_at >= _ADDRESSES_FOR:
            found = socket.getaddrinfo(self._relay.host, self._relay.port, type=socket.SOCK_STREAM)
            self._addresses = [(family, address) for family, _, _, _, address in found]
            self._asked_at = self.now
        return self._addresses

    def _certified(self) -> ssl.SSLContext:
        """What TLS needs, read once: whom to trust, and how we prove who we are (STANDARDS S8)."""
        relay = self._relay
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it verifies the certificate and the host name
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if relay.ca_file:
                context.load_verify_locations(relay.ca_file)
            elif relay.security is not Security.NONE:
                context.load_default_certs()
            if relay.client_certificate:
                context.load_cert_chain(relay.client_certificate, relay.client_key)
            self._context = context
        return self._context
