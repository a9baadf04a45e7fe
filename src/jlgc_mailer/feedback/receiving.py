"""One connection of the listener: what aiosmtpd does, but for the reading of content and the replies to it."""

import asyncio
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, syntax

from jlgc_mailer.feedback.content import Content

if TYPE_CHECKING:
    from jlgc_mailer.feedback.listener import Listener

_SECONDS = 300  # of silence, as RFC 5321 4.5.3.2.7 has it
_LONGEST = 900  # seconds for a whole message


class Receiving(SMTP):
    """SMTP (RFC 5321). Lines may be as long as they like: aiosmtpd refuses those above 1,001 octets for ever."""

    line_length_limit = 64 * 1024  # how much is read ahead; of content, a longer line comes in pieces
    most_of_one = 20  # connections that one client may have at once

    def __init__(self, listener: "Listener") -> None:
        super().__init__(
            listener,
            data_size_limit=None,  # ours to check, for the sake of the right reply
            enable_SMTPUTF8=True,
            hostname=listener.bounce_domain,
            ident="ready for reports",
            tls_context=listener.tls,
            timeout=_SECONDS,
            loop=asyncio.get_running_loop(),
        )
        self.client = ""  # who the other end is; at a socket file nobody can tell
        self._listener = listener
        self._is_receiving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many already; also when TLS has begun."""
        self.client = client_at(str((transport.get_extra_info("peername") or ("",))[0]))
        if not self._listener.admits(self):
            away = cast("asyncio.WriteTransport", transport)
            away.write(b"421 4.7.0 Too many connections, please come again\r\n")
            away.close()
            return
        super().connection_made(transport)
        self._listener.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone, or we have hung up."""
        if self.session is None:  # it was not admitted
            return
        super().connection_lost(error)
        self._listener.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """While content comes it is not silent; aiosmtpd counts commands only."""
        super().data_received(data)
        if self._is_receiving:
            self._reset_timeout()

    def send_away(self, *, at_once: bool = False) -> None:
        """Say goodbye; while a message is on its way, only when that is `at_once`."""
        if self.transport is None or (self._is_receiving and not at_once):
            return
        self._hang_up(b"421 4.3.2 We are going to rest, please come again")

    def _hang_up(self, words: bytes) -> None:
        if self.transport is not None:
            self._writer.write(words + b"\r\n")
            self.transport.close()

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Content, and what became of it."""
        if not self.session or not self.session.host_name or not self.envelope or not self.envelope.rcpt_tos or arg:
            await self.push("503 5.5.1 DATA comes after RCPT, and alone")
            return
        recipients, sender = list(self.envelope.rcpt_tos), self.envelope.mail_from or ""
        self._is_receiving = True
        try:
            reply = await self._received(sender, recipients)
            self._set_post_data_state()  # type: ignore[no-untyped-call]
            for _ in self._answered(recipients):
                await self.push(reply)
        except TimeoutError:
            self._hang_up(b"421 4.4.2 This takes too long, please come again")
            return
        finally:
            self._is_receiving = False
        if self._listener.is_ending:
            self.send_away()

    async def _received(self, sender: str, recipients: list[str]) -> str:
        """Take the content, and give the reply to it."""
        content = Content(self._listener.room, self._listener.limit(recipients))
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            async with asyncio.timeout(_LONGEST):
                await self._read(content)
            return content.refusal or await self._listener.receive(sender, recipients, content.octets())
        finally:
            content.release()

    def _answered(self, recipients: list[str]) -> list[str]:
        """The replies are as many as this."""
        return recipients[:1]

    async def _read(self, content: Content) -> None:
        """All up to the lone dot, with the dots before other dots taken away (RFC 5321 4.5.2)."""
        is_begin = True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.read(overrun.consumed)
            if is_begin and piece == b".\r\n":
                return
            if is_begin and piece.startswith(b"."):
                piece = piece[1:]
            is_begin = piece.endswith(b"\r\n")
            content.add(piece)


class LmtpReceiving(Receiving, LMTP):
    """LMTP (RFC 2033): a reply for each recipient. It is a mail server of ours that speaks it, with all its mail."""

    most_of_one = 200

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._smtp_methods.pop("HELO")
        self._smtp_methods.pop("EHLO")

    def _answered(self, recipients: list[str]) -> list[str]:
        return recipients


def client_at(host: str) -> str:
    """Whom connections from this address count for.

    Of IPv6 it is the network of 64 bits: in there a client has as many addresses as it likes (RFC 4291 2.5.4).
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    return str(address.ipv4_mapped or IPv6Network((int(address), 64), strict=False))
