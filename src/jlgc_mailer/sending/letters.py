"""Letters: what goes on the wire for one recipient, and everything that is the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from jlgc_mailer.mail.message import address_header, date_header, plain_header, to_header
from jlgc_mailer.mail.tokens import Keyring, Purpose
from jlgc_mailer.mail.verp import bounce_address, bounce_token, leaving_address
from jlgc_mailer.render.chunks import Header
from jlgc_mailer.render.merge import Merged, Skeleton, Values, build_skeleton
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


class Recipient(NamedTuple):
    """One delivery to attempt, as the ledger hands it out; `name` is as it was when the send was planned (M12).

    `attempts` counts the one to come, `first_attempt_at` is None before the first. Nobody has the `subscriber_id` 0.
    """

    delivery_id: int
    attempts: int
    first_attempt_at: datetime | None
    subscriber_id: int
    address: str
    name: str
    list_id: int
    compiled_id: int


class Letter(NamedTuple):
    """An envelope and the message in it.

    `content` has CRLF line ends, and no line of it begins with a dot, so that nothing needs stuffing (S10).
    `envelope_id` is the ENVID of delivery reports (M15); like `envelope_sender` it holds no address.
    """

    recipient: Recipient
    envelope_sender: str
    address: str
    content: bytes
    envelope_id: str

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a relay that offers SMTPUTF8 can take it (RFC 6531, S9): the local part is not ASCII."""
        return not self.address.isascii()


class Signer(Protocol):
    """Whoever vouches for our letters."""

    def fields(self, headers: bytes, body: bytes, at: datetime, *, body_is_canonical: bool = False) -> bytes:
        """The signature fields that go before `headers`: the same bytes for the same arguments (M12)."""
        ...


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
    signer: Signer | None = None
    _skeletons: dict[tuple[int, int], Skeleton] = field(default_factory=dict)

    def letter(self, recipient: Recipient) -> Letter:
        """The letter for one recipient: the same bytes however often it is made (STANDARDS M12)."""
        key = recipient.compiled_id, recipient.list_id
        if key not in self._skeletons:
            self._skeletons[key] = self._skeleton(*key)
        token = bounce_token(recipient.delivery_id, self.identity.keyring)
        sender = bounce_address(token, self.identity.bounce_domain)
        content = self._content(self._skeletons[key].merge(self._values(recipient)))
        return Letter(recipient, sender, recipient.address, content, token)

    def _content(self, merged: Merged) -> bytes:
        if self.signer is None:
            return merged.message
        body = merged.body
        signature = self.signer.fields(merged.headers, body, self.date, body_is_canonical=True)
        return b"".join((signature, merged.headers, b"\r\n", body))

    def _values(self, recipient: Recipient) -> Values:
        keyring = self.identity.keyring
        token = keyring.sign(Purpose.UNSUBSCRIBE, recipient.subscriber_id, self.send_id)
        return {
            "name": recipient.name,
            "address": recipient.address,
            "unsubscribe_url": f"{self.identity.public_url}/u/{token}",
            "unsubscribe_address": leaving_address(token, self.identity.bounce_domain),
            "message_id": f"<{keyring.sign(Purpose.MESSAGE_ID, recipient.delivery_id)}@{self.identity.mail_domain}>",
        }

    def _skeleton(self, compiled_id: int, list_id: int) -> Skeleton:
        compiled, face = self.artefacts[compiled_id], self.lists[list_id]
        headers = newsletter_headers(self.identity, compiled, face, self.send_id, self.date)
        return build_skeleton(compiled, headers, {"list_title": face.titles[compiled.language]})


def unsubscribe_url(identity: Identity, subscriber_id: int, send_id: int) -> str:
    """The address that alone identifies recipient and send, with a part nobody can forge (STANDARDS M10)."""
    return f"{identity.public_url}/u/{identity.keyring.sign(Purpose.UNSUBSCRIBE, subscriber_id, send_id)}"


def _ways_to_leave(values: Values) -> str:
    """By https first, the one that mail programs use (M9, M10); by mail for those that know no other."""
    return f"<{values['unsubscribe_url']}>, <mailto:{values['unsubscribe_address']}?subject=unsubscribe>"


def newsletter_headers(
    identity: Identity, compiled: Compiled, face: ListFace, send_id: int, date: datetime
) -> tuple[bytes | Header, ...]:
    """All fields of a newsletter but Subject and MIME, in their order (STANDARDS M2, M9, M10, M13, M14)."""
    display, _, spec = compiled.sender.rpartition(" ")
    title = face.titles[compiled.language]
    return (
        date_header(date),
        address_header("From", display, spec.strip("<>")),
        Header(lambda values: to_header(values["name"], values["address"])),
        Header(lambda values: plain_header("Message-ID", values["message_id"])),
        address_header("List-Id", title, f"{face.name}.{identity.mail_domain}"),
        Header(lambda values: plain_header("List-Unsubscribe", _ways_to_leave(values))),
        plain_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        plain_header("List-Post", "NO"),
        plain_header("Precedence", "bulk"),
        plain_header("X-Auto-Response-Suppress", "All"),
        plain_header("Feedback-ID", f"{send_id}:{face.name}:{compiled.language}:{identity.sender_id}"),
    )
