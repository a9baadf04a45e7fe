"""A report as it is looked at: its header fields, its words, its parts, and the message that it returns."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, takewhile

from jlgc_mailer.mail.reports.addresses import addresses_in
from jlgc_mailer.mail.reports.headers import Headers
from jlgc_mailer.mail.reports.parts import Message, Part
from jlgc_mailer.mail.reports.returned import cut, recipients_of

_TEXTS = 4  # parts of text of one report that are read
_PLAIN = frozenset({"text/plain", "message/plain", "text/x-notification"})
_HTML = frozenset({"text/html"})
_FIRST_LINES = 2_000
_OWN_FIELDS = 60
_TOLD = frozenset({
    "from", "sender", "to", "return-path", "delivered-to", "x-original-to", "envelope-to", "subject", "precedence",
    "preference", "auto-submitted", "content-type", "message-type",
})  # fmt: skip


@dataclass(frozen=True)
class View:
    """A message within a message, or the outermost, at `level`; everything in it is computed when first asked for."""

    message: Message
    level: int
    headers: Headers

    def parts(self, media: Collection[str]) -> list[Part]:
        """The parts of this message with one of these media types."""
        return [part for part in self.message.parts if part.level == self.level and part.media in media]

    @cached_property
    def subject(self) -> str:
        """The subject, decoded."""
        return self.headers.text("subject")

    @cached_property
    def words(self) -> str:
        """All text of this message: the plain parts, or those in HTML where there is next to nothing plain."""
        plain = self._joined(_PLAIN)
        return plain if len(plain.strip()) > 20 else plain + self._joined(_HTML)

    def _joined(self, media: Collection[str]) -> str:
        return "\n\n".join(part.text() for part in self._said if part.media in media)

    @cached_property
    def _said(self) -> list[Part]:
        """The first parts of text; what stands behind anything else may be the text of the returned message."""
        rest = dropwhile(lambda part: not self._is_said(part), self.message.parts)
        return list(takewhile(self._is_said, rest))[:_TEXTS]

    def _is_said(self, part: Part) -> bool:
        return part.level == self.level and part.media in _PLAIN | _HTML

    @cached_property
    def _cut(self) -> tuple[str, Headers]:
        return cut(self.words)

    @property
    def text(self) -> str:
        """The words that are the report's own, without the message that it returns."""
        return self._cut[0]

    @cached_property
    def returned(self) -> list[Headers]:
        """The header fields of the messages that it returns."""
        within = [headers for level, headers in self.message.returned if level == self.level + 1 and headers.fields]
        return within + ([self._cut[1]] if self._cut[1].fields else [])

    @cached_property
    def returned_to(self) -> list[str]:
        """Whom the returned message was for."""
        return recipients_of(self.returned[0]) if self.returned else []

    @cached_property
    def ours(self) -> frozenset[str]:
        """Addresses of senders, and where this report was sent to: nobody whom it is about."""
        fields = [self.headers.text(name) for name in ("from", "sender", "to", "return-path", "delivered-to")]
        fields += [each.text(name) for each in self.returned for name in ("from", "sender", "return-path", "reply-to")]
        return frozenset(each.lower() for each in addresses_in(" ".join(fields)[:20_000]))

    @cached_property
    def header_text(self) -> str:
        """The header fields that tell what kind of message this is, a line each, and the first lines of text."""
        names = dict.fromkeys(name for name, _ in self.headers.fields)
        told = [self._line(name) for name in names if name in _TOLD]
        own = [self._line(name) for name in names if name.startswith("x-")][:_OWN_FIELDS]
        return "\n".join([*told, f"first-lines: {' '.join(self.words[:_FIRST_LINES].split())}", *own])

    def _line(self, name: str) -> str:
        return f"{name}: {' '.join(self.headers.text(name)[:300].split())}"


def views(message: Message) -> list[View]:
    """The message itself, and the first that it carries: a report may come wrapped by a list, or forwarded."""
    within = [View(message, level, headers) for level, headers in message.returned[:1] if headers.fields]
    return [View(message, 0, message.headers), *within]
