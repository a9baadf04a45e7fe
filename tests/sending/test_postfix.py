"""The whole product against Debian's postfix: everybody once, each under the envelope sender of that delivery."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.audience.subscriptions import Evidence, confirm, person
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Attempt, Delivery
from jlgc_mailer.mail.verp import delivery_of
from jlgc_mailer.sending.deliver import deliver_next
from tests import factories, mta
from tests.mta import Delivered, Postfix

pytestmark = pytest.mark.skipif(mta.missing() is not None, reason=mta.missing() or "")

_MANY, _FEW = 5000, 200
Verdict = tuple[str, str, int | None]  # the status of a delivery, and stage and code of its only attempt
ACCEPTED: Verdict = ("accepted", "content", 250)
# Who of forty fares otherwise: neighbours of each kind, so that one refusal meets the next in the pipeline.
_BARRED: dict[int, Verdict] = {
    5: ("refused", "rcpt", 550),
    7: ("deferred", "rcpt", 450),
    8: ("refused", "rcpt", 550),
    9: ("refused", "content", 550),
    10: ("refused", "rcpt", 550),
    20: ("refused", "content", 550),
}
_REPLIES = {450: "450 4.2.0 Come again", 550: "550 5.1.1 No such user"}


def _address(number: int) -> str:
    return f"r{number}@example.com"


def _name(number: int) -> str:
    return "Content Refused" if _verdict(number) == ("refused", "content", 550) else f"Reader {number}"


def _verdict(number: int) -> Verdict:
    return _BARRED.get(number % 40, ACCEPTED)


@pytest.fixture(scope="module")
def server(short_folder: Path) -> Iterator[Postfix]:
    at_rcpt = {
        _address(number): _REPLIES[code or 0]
        for number in range(_MANY)
        for _, stage, code in [_verdict(number)]
        if stage == "rcpt"
    }
    gone = {f"gone{number}@example.com": _REPLIES[550] for number in range(_FEW)}
    folder = short_folder / "postfix"
    folder.mkdir()
    with mta.postfix(folder, at_rcpt | gone, ["/^To: Content Refused/ REJECT Not with this name"]) as started:
        yield started


@dataclass(frozen=True)
class Ledger:
    """What the product says of one send, by address."""

    mailer: Mailer
    ids: dict[str, int]
    verdicts: dict[str, list[Verdict]]

    def assert_right_envelopes(self, delivered: Sequence[Delivered]) -> None:
        """The accepted were delivered once and whole, each under the sender that names the delivery to this reader."""
        accepted = [address for address, verdicts in self.verdicts.items() if ACCEPTED in verdicts]
        assert Counter(each.address for each in delivered) == Counter(accepted)
        for each in delivered:
            header, _, body = each.content.partition(b"\n\n")
            assert delivery_of(each.sender, self.mailer.keyring) == self.ids[each.address]
            assert f"<{each.address}>".encode() in header
            assert b"Welcome to the summer issue" in body


@pytest.fixture
def deliver(make_mailer: Callable[..., Mailer], server: Postfix, tmp_path: Path) -> Callable[..., Ledger]:
    """Send an issue to readers, given as address and name: STARTTLS, a password, and turns until none is due."""

    def run(readers: Sequence[tuple[str, str]], port: int, connections: int) -> Ledger:
        server.empty()
        _write_transport(tmp_path, server, port, connections)
        mailer = make_mailer(clock=utc_now)
        with mailer.database.transaction() as session:
            news = factories.mailing_list(session)
            people = [person(address, name, "en") for address, name in readers]
            confirm(session, people, news.id, Evidence("test", "I agreed in a test"), mailer.clock())
            factories.send(session, mailer, factories.issue(session, mailer), [news], batch_size=1000)
        while deliver_next(mailer.means):
            pass
        return _ledger(mailer)

    return run


def _write_transport(home: Path, server: Postfix, port: int, connections: int) -> None:
    (home / "transports.toml").write_text(
        f"""
        [transports.postfix]
        host = "127.0.0.1"
        port = {port}
        security = "starttls"
        ca_file = "{server.certificate}"
        user = "{mta.USER}"
        password = "{mta.PASSWORD}"
        connections = {connections}
        """
    )


def _ledger(mailer: Mailer) -> Ledger:
    with mailer.database.reading() as session:
        deliveries = session.execute(select(Delivery.id, Delivery.address, Delivery.status)).all()
        attempts = session.execute(select(Attempt.delivery_id, Attempt.stage, Attempt.code)).all()
    known = {delivery_id: (address, status.value) for delivery_id, address, status in deliveries}
    verdicts: dict[str, list[Verdict]] = {address: [] for address, _ in known.values()}
    for delivery_id, stage, code in attempts:
        address, status = known[delivery_id]
        verdicts[address].append((status, stage.value, code))
    return Ledger(mailer, {address: each for each, (address, _) in known.items()}, verdicts)


@pytest.mark.parametrize("pair", ["postgresql"], indirect=True)
def test_five_thousand_under_tls_with_a_password_everybody_once(
    deliver: Callable[..., Ledger], server: Postfix
) -> None:
    """S3, S6, S8, F1: no message leaves under the envelope of another, whoever is refused amid the pipeline."""
    ledger = deliver([(_address(number), _name(number)) for number in range(_MANY)], server.port, connections=4)
    assert ledger.verdicts == {_address(number): [_verdict(number)] for number in range(_MANY)}
    accepted = sum(_verdict(number) == ACCEPTED for number in range(_MANY))
    ledger.assert_right_envelopes(server.delivered(accepted))
    sessions = _sessions(server.log)
    assert all((each["starttls"], each["auth"]) == ("1", "1") for each in sessions)
    assert not any(_has_failed(each["mail"]) for each in sessions), "no MAIL was out of turn"


def test_a_relay_that_refuses_after_the_content_and_keeps_the_envelope(
    deliver: Callable[..., Ledger], server: Postfix
) -> None:
    """S6, F1: "503 nested MAIL", and the recipient behind it joins the old envelope: no content may follow."""
    readers = [(f"{'gone' if number % 20 == 9 else 'there'}{number}@example.com", "Reader") for number in range(_FEW)]
    ledger = deliver(readers, server.late_port, connections=1)
    assert ledger.verdicts == {
        address: [ACCEPTED if address.startswith("there") else ("refused", "content", 550)] for address, _ in readers
    }
    ledger.assert_right_envelopes(server.delivered(_FEW * 19 // 20))
    assert any(_has_failed(each["mail"]) for each in _sessions(server.log)), "this is what has to be survived"


def test_a_relay_that_hangs_up_on_too_many_errors_costs_nobody_their_letter(
    deliver: Callable[..., Ledger], server: Postfix
) -> None:
    """S3: the fifth refusal in a row is followed by 421, which is about us and not about the next in the pipeline."""
    readers = [(f"{'gone' if number % 50 < 25 else 'there'}{number}@example.com", "Reader") for number in range(_FEW)]
    ledger = deliver(readers, server.strict_port, connections=1)
    assert ledger.verdicts == {
        address: [ACCEPTED if address.startswith("there") else ("refused", "rcpt", 550)] for address, _ in readers
    }
    ledger.assert_right_envelopes(server.delivered(_FEW // 2))
    assert "too many errors after RCPT" in server.log


def _sessions(log: str) -> list[dict[str, str]]:
    """What Postfix counted in each connection: `mail=3` of so many, or `mail=3/4` when one failed."""
    found = re.findall(r"disconnect from \S+ (.*)", log)
    assert found
    return [dict(part.split("=", 1) for part in line.split()) for line in found]


def _has_failed(count: str) -> bool:
    return "/" in count
