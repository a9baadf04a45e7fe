"""One connection of the listener: what aiosmtpd does, but for the reading of content and the replies to it."""

import asyncio
from typing import TYPE_CHECKING, Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, syntax

from jlgc_mailer.feedback.message import LIMIT

if TYPE_CHECKING:
    from jlgc_mailer.feedback.listener import Listener

_SECONDS = 300  # of silence, as RFC 5321 4.5.3.2.7 has it


class Receiving(SMTP):
    """SMTP (RFC 5321). Lines may be as long as they like: aiosmtpd refuses those above 1,001 octets for ever."""

    line_length_limit = 64 * 1024  # how much is read ahead; of content, a longer line comes in pieces

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
        self._listener = listener
        self._is_receiving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; also when TLS has begun."""
        super().connection_made(transport)
        self._listener.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone, or we have hung up."""
        super().connection_lost(error)
        self._listener.connections.discard(self)

    def send_away(self, *, at_once: bool = False) -> None:
        """Say goodbye; while a message is on its way, only when that is `at_once`."""
        if self.transport is None or (self._is_receiving and not at_once):
            return
        self._writer.write(b"421 4.3.2 We are going to rest, please come again\r\n")
        self.transport.close()

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Content, and what became of it."""
        if not self.session or not self.session.host_name or not self.envelope or not self.envelope.rcpt_tos or arg:
            await self.push("503 5.5.1 DATA comes after RCPT, and alone")
            return
        recipients = list(self.envelope.rcpt_tos)
        self._is_receiving = True
        async with self._listener.room:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            content = await self._content()
            reply = await self._listener.receive(self.envelope.mail_from or "", recipients, content)
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        for _ in self._answered(recipients):
            await self.push(reply)
        self._is_receiving = False
        if self._listener.is_ending:
            self.send_away()

    def _answered(self, recipients: list[str]) -> list[str]:
        """The replies are as many as this."""
        return recipients[:1]

    async def _content(self) -> bytes | None:
        """All up to the lone dot, with the dots before other dots taken away (RFC 5321 4.5.2); None if too large."""
        content, size, is_begin = bytearray(), 0, True
        while True:
            try:
                piece = await self._reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as overrun:
                piece = await self._reader.read(overrun.consumed)
            if is_begin and piece == b".\r\n":
                return bytes(content) if size <= LIMIT else None
            if is_begin and piece.startswith(b"."):
                piece = piece[1:]
            is_begin = piece.endswith(b"\r\n")
            size += len(piece)
            if size <= LIMIT:
                content += piece


class LmtpReceiving(Receiving, LMTP):
    """LMTP (RFC 2033): a reply for each recipient."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._smtp_methods.pop("HELO")
        self._smtp_methods.pop("EHLO")

    def _answered(self, recipients: list[str]) -> list[str]:
        return recipients
