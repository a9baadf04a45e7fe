"""One door for bad news from outside: every signal becomes a FeedbackEvent before anybody acts on it."""

from datetime import datetime

from sqlalchemy.orm import Session

from jlgc_mailer.db.feedback import FeedbackEvent
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.mail.address import key_of
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.mail.verp import delivery_of
from jlgc_mailer.states import FeedbackClass, FeedbackKind, ReplyClass


def receive_complaint(
    session: Session, envelope_sender: str, source: str, diagnosis: str, keyring: Keyring, now: datetime
) -> bool:
    """Store a complaint about the message that had this envelope sender; False when the token is not ours (F2)."""
    delivery_id = delivery_of(envelope_sender, keyring)
    delivery = session.get(Delivery, delivery_id) if delivery_id is not None else None
    if delivery is None:
        return False
    session.add(
        FeedbackEvent(
            received_at=now,
            source=source,
            kind=FeedbackKind.REPORT,
            feedback_class=FeedbackClass.COMPLAINT,
            delivery_id=delivery.id,
            address_key=key_of(delivery.address),
            reply_class=ReplyClass.OTHER,
            diagnosis=diagnosis,
        )
    )
    return True
