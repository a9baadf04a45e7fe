"""What real mail servers write about letters that fail comes back by LMTP, each to the right delivery."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.audience.suppression import in_force
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.feedback import FeedbackEvent, RawReport
from jlgc_mailer.db.sending import Delivery
from jlgc_mailer.feedback.judge import judge_waiting
from jlgc_mailer.feedback.reading import read_waiting
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.states import DeliveryStatus, FeedbackClass, MatchedBy, ReportStatus
from tests import factories
from tests.fakes import Receiver, listening
from tests.feedback.listeners import BOUNCE_DOMAIN, receiving_reports
from tests.relays import DOWN, FAR, FORWARDED, FORWARDED_TO, FULL, HERE, NOWHERE, Ports, exim, postfix
from tests.servers import free_port

PATIENCE = 30
RELAYS = {"postfix": postfix, "exim": exim}
HARD, SOFT, BLOCK = FeedbackClass.HARD, FeedbackClass.SOFT, FeedbackClass.BLOCK
Outcome = tuple[FeedbackClass, str | None]  # with the enhanced status

FINE, GONE, EAI, OVER_QUOTA, LATER, BARRED = (
    f"{name}@{FAR}" for name in ("fine", "gone", "名前", "overquota", "later", "barred")
)
UNKNOWN_HERE, HOMELESS, UNREACHABLE = f"nobody@{HERE}", f"reader@{NOWHERE}", f"reader@{DOWN}"

# What the receiver far away says to the relay.
SAID = {
    GONE: f"550 5.1.1 <{GONE}>: Recipient address rejected: User unknown in local recipient table",
    EAI: "550 5.1.1 No such user here",
    FORWARDED_TO: f"550 5.1.1 <{FORWARDED_TO}>: Recipient address rejected: User unknown in local recipient table",
    OVER_QUOTA: "552 5.2.2 The recipient's mailbox is over its quota",
    LATER: "452 4.2.2 The recipient's mailbox is over its quota",
    BARRED: "554 5.7.1 Message rejected due to local policy",
}
OF_RECEIVER: dict[str, Outcome] = {
    GONE: (HARD, "5.1.1"),
    EAI: (HARD, "5.1.1"),
    OVER_QUOTA: (SOFT, "5.2.2"),
    LATER: (SOFT, "4.2.2"),
    BARRED: (BLOCK, "5.7.1"),
}
# Exim writes 5.0.0 for all that it finds out by itself; class and status are in its words (F5). Of a letter that was
# forwarded Postfix names the address behind, which is not the reader's, and Exim the reader's.
OF_RELAY: dict[str, dict[str, Outcome]] = {
    "postfix": {
        UNKNOWN_HERE: (HARD, "5.1.1"),
        HOMELESS: (HARD, "5.1.2"),
        UNREACHABLE: (SOFT, "4.4.1"),
        FULL: (SOFT, "5.2.2"),
        FORWARDED: (SOFT, "5.1.1"),
    },
    "exim": {
        UNKNOWN_HERE: (HARD, "5.1.1"),
        HOMELESS: (HARD, "5.1.1"),
        UNREACHABLE: (SOFT, "4.4.7"),
        FULL: (SOFT, "5.2.2"),
        FORWARDED: (HARD, "5.1.1"),
    },
}


@contextmanager
def relaying(name: str, parent: Path) -> Iterator[Ports]:
    """A relay that runs, before a receiver that refuses; a test that needs one that is not here is skipped."""
    server = RELAYS[name]
    if reason := server.missing():
        pytest.skip(reason)
    folder = parent / f"relay-{name}"
    folder.mkdir(mode=0o755)
    with listening(Receiver({address: [reply] for address, reply in SAID.items()})) as receiver:
        ports = Ports(relay=free_port(), far=receiver.port, nobody=free_port(), bounces=free_port())
        with server.relay(folder, BOUNCE_DOMAIN, ports):
            yield ports


def send_to(mailer: Mailer, addresses: Collection[str]) -> None:
    """One letter to each, all of which the relay accepts."""
    with mailer.database.transaction() as session:
        news = factories.mailing_list(session)
        for address in addresses:
            factories.subscriber(session, news, address)
        factories.send(session, mailer, factories.issue(session, mailer), [news])
    while deliver_next(mailer.means):
        pass
    with mailer.database.reading() as session:
        statuses = session.scalars(select(Delivery.status)).all()
    assert statuses == [DeliveryStatus.ACCEPTED] * len(addresses)


def reports_of_failure(mailer: Mailer, number: int) -> list[bytes]:
    """The reports that say so, once there are so many, or when patience is over. Warnings of delay come before."""
    give_up = time.monotonic() + PATIENCE
    while True:
        with mailer.database.reading() as session:
            failures = [body for body in session.scalars(select(RawReport.body)) if b"\nAction: failed" in body]
        if len(failures) >= number or time.monotonic() > give_up:
            return failures
        time.sleep(0.1)


def read_and_judge(mailer: Mailer) -> None:
    """As a worker does."""
    with mailer.database.transaction() as session:
        read_waiting(session, mailer.readers, mailer.keyring, mailer.policy)
    with mailer.database.transaction() as session:
        judge_waiting(session, mailer.clock(), mailer.policy)


def outcomes(mailer: Mailer) -> dict[str, list[Outcome]]:
    """What came back of the letter to each address, in order of arrival; all of it by a token."""
    found: dict[str, list[Outcome]] = {}
    with mailer.database.reading() as session:
        assert set(session.scalars(select(RawReport.status))) == {ReportStatus.READ}
        events = select(FeedbackEvent, Delivery.address).join(Delivery, FeedbackEvent.delivery_id == Delivery.id)
        for event, address in session.execute(events.order_by(FeedbackEvent.id)):
            assert (event.matched_by, event.believed) == (MatchedBy.TOKEN, event.rule != "delayed")
            found.setdefault(address, []).append((event.feedback_class, event.status))
    return found


@pytest.mark.parametrize("pair", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", list(RELAYS))
def test_every_letter_that_fails_behind_a_real_relay_comes_back_to_its_delivery(
    make_mailer: Callable[..., Mailer], short_folder: Path, name: str
) -> None:
    """F1, F3, F4, F5, F6, F9, promise 6: and those whom nobody knows get no more letters, but nobody else."""
    expected = OF_RECEIVER | OF_RELAY[name]
    with relaying(name, short_folder) as ports:
        mailer = make_mailer(clock=utc_now, smtp_port=ports.relay)
        with receiving_reports(mailer, ports.bounces):
            send_to(mailer, [FINE, *expected])
            failures = reports_of_failure(mailer, len(expected))
    assert len(failures) == len(expected)
    assert any(b"message/global-delivery-status" in each for each in failures)
    read_and_judge(mailer)
    found = outcomes(mailer)
    assert {address: its[-1] for address, its in found.items()} == expected
    assert [each for each, _ in found[UNREACHABLE]] == [SOFT, SOFT], "the warning, and that it was given up"
    with mailer.database.reading() as session:
        suppressed = {each.address_key for each in in_force(session)}
    assert suppressed == {address for address, (feedback_class, _) in expected.items() if feedback_class is HARD}
