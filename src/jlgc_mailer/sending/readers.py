"""What readers want at this moment, asked right before they are written to (promise 2, L4)."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from jlgc_mailer.db.among import among, listed
from jlgc_mailer.db.people import Subscription, Suppression
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.mail.address import key_of
from jlgc_mailer.states import SubscriptionStatus

# By key and not joined: without fresh statistics, as after planning, PostgreSQL walks whole tables for a join.
_TIES = select(Subscription.subscriber_id, Subscription.list_id).where(
    among(Subscription.subscriber_id), Subscription.status == SubscriptionStatus.CONFIRMED
)
_BARS = select(Suppression.address_key).where(among(Suppression.address_key), Suppression.released_at.is_(None))
_ADDRESSED = select(Delivery.id, Delivery.subscriber_id, Delivery.address, Delivery.list_id).where(among(Delivery.id))


class Addressed(Protocol):
    """Whatever names a reader of a delivery."""

    @property
    def subscriber_id(self) -> int | None:
        """Who it is; None when erased."""
        ...

    @property
    def address(self) -> str:
        """Where the letter would go."""
        ...

    @property
    def list_id(self) -> int:
        """The list that was planned for it."""
        ...


class _Delivery(NamedTuple):
    id: int
    subscriber_id: int | None
    address: str
    list_id: int


class Readers:
    """Which of a send's lists its readers are on now, and whose addresses are barred."""

    def __init__(self, session: Session, lists: Collection[int], deliveries: Sequence[Addressed]) -> None:
        connection = session.connection()
        subscribers = listed(each.subscriber_id for each in deliveries if each.subscriber_id is not None)
        keys = listed(key_of(each.address) for each in deliveries)
        self._lists = lists
        self._ties = set(map(tuple, connection.execute(_TIES, {"among": subscribers}).all()))
        self._barred = set(connection.scalars(_BARS, {"among": keys}))

    def list_of(self, delivery: Addressed) -> int | None:
        """The list that the letter names: the planned one, or another of the send's that the reader is still on."""
        if (delivery.subscriber_id, delivery.list_id) in self._ties:
            return delivery.list_id
        return min((each for each in self._lists if (delivery.subscriber_id, each) in self._ties), default=None)

    def is_suppressed(self, delivery: Addressed) -> bool:
        """Whether nothing may go to the address."""
        return bool(self._barred) and key_of(delivery.address) in self._barred


def departed(session: Session, lists: Collection[int], delivery_ids: Collection[int]) -> Collection[int]:
    """Those of these deliveries whose readers left or were suppressed a moment ago."""
    found = session.connection().execute(_ADDRESSED, {"among": listed(delivery_ids)}).all()
    deliveries = [_Delivery(*row) for row in found]
    readers = Readers(session, lists, deliveries)
    return [each.id for each in deliveries if readers.list_of(each) is None or readers.is_suppressed(each)]
