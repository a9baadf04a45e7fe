"""Letters: what goes on the wire for one recipient, and everything that is the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jlgc_mailer.mail.message import address_header, date_header, plain_header
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import envelope_sender
from jlgc_mailer.render.merge import Header, Skeleton, Values, build_skeleton
from jlgc_mailer.render.source import Compiled
from jlgc_mailer.states import Language


@dataclass(frozen=True)
class Identity:
    """Who we are on the wire."""

    public_url: str
    mail_domain: str
    bounce_domain: str
    sender_id: str
    keyring: Keyring


@dataclass(frozen=True, slots=True)
class Recipient:
    """One delivery to attempt, as the ledger hands it out."""

    delivery_id: int
    attempts: int
    first_attempt_at: datetime
    subscriber_id: int
    address: str
    name: str
    list_id: int
    compiled_id: int


@dataclass(frozen=True, slots=True)
class Letter:
    """An envelope and the message in it; `content` has CRLF line ends and no dot-stuffing yet."""

    recipient: Recipient
    envelope_sender: str
    address: str
    content: bytes


@dataclass(frozen=True)
class ListFace:
    """How a mailing list shows itself in a message."""

    name: str
    titles: Mapping[Language, str]


@dataclass
class Stationery:
    """Everything that the letters of one send share; skeletons are built when first needed and kept."""

    identity: Identity
    send_id: int
    date: datetime
    artefacts: Mapping[int, Compiled]
    lists: Mapping[int, ListFace]
    _skeletons: dict[tuple[int, int], Skeleton] = field(default_factory=dict)

    def letter(self, recipient: Recipient) -> Letter:
        """The letter for one recipient: the same bytes however often it is made (STANDARDS M12)."""
        key = recipient.compiled_id, recipient.list_id
        if key not in self._skeletons:
            self._skeletons[key] = self._skeleton(*key)
        sender = envelope_sender(recipient.delivery_id, self.identity.keyring, self.identity.bounce_domain)
        content = self._skeletons[key].merge(self._values(recipient))
        return Letter(recipient, sender, recipient.address, content)

    def _values(self, recipient: Recipient) -> Values:
        language = self.artefacts[recipient.compiled_id].language
        keyring = self.identity.keyring
        return {
            "name": recipient.name,
            "address": recipient.address,
            "list_title": self.lists[recipient.list_id].titles[language],
            "unsubscribe_url": unsubscribe_url(self.identity, recipient.subscriber_id, self.send_id),
            "message_id": f"<{keyring.sign(Purpose.MESSAGE_ID, recipient.delivery_id)}@{self.identity.mail_domain}>",
        }

    def _skeleton(self, compiled_id: int, list_id: int) -> Skeleton:
        compiled, face = self.artefacts[compiled_id], self.lists[list_id]
        headers = newsletter_headers(self.identity, compiled, face, self.send_id, self.date)
        return build_skeleton(compiled, headers)


def unsubscribe_url(identity: Identity, subscriber_id: int, send_id: int) -> str:
    """The address that alone identifies recipient and send, with a part nobody can forge (STANDARDS M10)."""
    return f"{identity.public_url}/u/{identity.keyring.sign(Purpose.UNSUBSCRIBE, subscriber_id, send_id)}"


def newsletter_headers(
    identity: Identity, compiled: Compiled, face: ListFace, send_id: int, date: datetime
) -> tuple[bytes | Header, ...]:
    """All fields of a newsletter but Subject and MIME, in their order (STANDARDS M2, M9, M10, M13, M14)."""
    display, _, spec = compiled.sender.rpartition(" ")
    title = face.titles[compiled.language]
    return (
        date_header(date),
        address_header("From", display, spec.strip("<>")),
        Header(lambda values: address_header("To", values["name"], values["address"])),
        Header(lambda values: plain_header("Message-ID", values["message_id"])),
        address_header("List-Id", title, f"{face.name}.{identity.mail_domain}"),
        Header(lambda values: plain_header("List-Unsubscribe", f"<{values['unsubscribe_url']}>")),
        plain_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        plain_header("List-Post", "NO"),
        plain_header("Precedence", "bulk"),
        plain_header("X-Auto-Response-Suppress", "All"),
        plain_header("Feedback-ID", f"{send_id}:{face.name}:{compiled.language}:{identity.sender_id}"),
    )
