"""Letters to nobody on a list: tests and previews, from the same compiled artefacts as the real ones (promise 3)."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from jlgc_mailer.content.artefacts import compiled_value
from jlgc_mailer.db.issues import CompiledArtefact
from jlgc_mailer.render.merge import fill, fill_html, pieces_of
from jlgc_mailer.sending.letters import Identity, Letter, ListFace, Recipient, Signer, Stationery, unsubscribe_url
from jlgc_mailer.states import Language

_TITLES = {Language.ENGLISH: "a test of this newsletter", Language.JAPANESE: "このニュースレターの試し送り"}
_TEST_SEND = 0
_NOBODY = 0


@dataclass(frozen=True)
class Sample:
    """One edition as one reader would get it: as HTML, as text, and as the letter with both."""

    html: str
    text: str
    letter: Letter

    @property
    def content(self) -> bytes:
        """The message as it goes on the wire."""
        return self.letter.content


def sample_of(
    artefact: CompiledArtefact,
    identity: Identity,
    address: str,
    name: str,
    now: datetime,
    signer: Signer | None = None,
) -> Sample:
    """A letter to `address`, signed like any other. Its unsubscribe link works, too, but ends nobody's subscription."""
    compiled = compiled_value(artefact)
    titles = ListFace("test", _TITLES)
    stationery = Stationery(identity, _TEST_SEND, now, {artefact.id: compiled}, {_TEST_SEND: titles}, signer)
    recipient = Recipient(
        delivery_id=secrets.randbits(62),  # no delivery has it; it only makes the Message-ID unique
        attempts=1,
        first_attempt_at=None,
        subscriber_id=_NOBODY,
        address=address,
        name=name,
        list_id=_TEST_SEND,
        compiled_id=artefact.id,
    )
    values = {
        "name": name,
        "address": address,
        "list_title": _TITLES[compiled.language],
        "unsubscribe_url": unsubscribe_url(identity, _NOBODY, _TEST_SEND),
    }
    return Sample(
        fill_html(compiled.html, compiled.slots, values),
        fill(pieces_of(compiled.text, compiled.slots), values),
        stationery.letter(recipient),
    )
