"""The whole product against Debian's postfix: everybody once, each under the envelope sender that names the delivery."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from jlgc_mailer.audience.subscriptions import Evidence, confirm, person
from jlgc_mailer.bootstrap import Mailer, utc_now
from jlgc_mailer.db.sending import Attempt, Delivery, Send
from jlgc_mailer.mail.verp import delivery_of
from jlgc_mailer.sending.deliver import deliver_next
from jlgc_mailer.states import SendStatus
from tests import factories, mta
from tests.mta import Delivered, Postfix

pytestmark = pytest.mark.skipif(mta.missing() is not None, reason=mta.missing() or "")

_MANY = 5000
_CONNECTIONS = 4
_STRICT_READERS = 60
Verdict = tuple[str, str, int]  # status of the delivery, stage and code of its only attempt
_ACCEPTED = ("accepted", "content", 250)


def _reader(number: int) -> tuple[str, str]:
    """Address and name."""
    return f"r{number}@example.com", "Content Refused" if number % 40 == 9 else f"Reader {number}"


def _verdict(number: int) -> Verdict:
    """What Postfix is told to do: now and then the next, and the one after it, fares otherwise."""
    by_number: dict[int, Verdict] = {
        5: ("refused", "rcpt", 550),
        7: ("deferred", "rcpt", 450),
        8: ("refused", "rcpt", 550),
        9: ("refused", "content", 550),
        10: ("refused", "rcpt", 550),
        11: ("deferred", "content", 451),
    }
    return by_number.get(number % 40, _ACCEPTED)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, short_folder: Path) -> Iterator[Postfix]:
    replies = {450: "450 4.2.0 Come again", 550: "550 5.1.1 No such user", 451: "451 4.7.1 Later"}
    stages: dict[str, dict[str, str]] = {"rcpt": {}, "content": {}}
    for number in range(_MANY):
        _, stage, code = _verdict(number)
        if code != 250:
            stages[stage][_reader(number)[0]] = replies[code]
    stages["content"] = {address: reply for address, reply in stages["content"].items() if reply.startswith("451")}
    stages["rcpt"] |= {f"gone{number}@example.com": replies[550] for number in range(_STRICT_READERS)}
    folder = short_folder / "postfix"
    folder.mkdir()
    header_checks = ["/^To: Content Refused/ REJECT Not with this name"]
    with mta.postfix(folder, stages["rcpt"], stages["content"], header_checks) as started:
        yield started


@dataclass(frozen=True)
class Ledger:
    """What the product says of one send, by address."""

    mailer: Mailer
    status: SendStatus
    ids: dict[str, int]
    verdicts: dict[str, list[Verdict]]

    def assert_own_envelopes(self, delivered: Sequence[Delivered]) -> None:
        """The envelope sender of each message names the delivery to the reader who got it, as does its To field."""
        for each in delivered:
            assert delivery_of(each.sender, self.mailer.keyring) == self.ids[each.address]
            assert f"<{each.address}>".encode() in each.content.partition(b"\n\n")[0]


@pytest.fixture
def deliver(make_mailer: Callable[..., Mailer], server: Postfix, tmp_path: Path) -> Callable[..., Ledger]:
    """Send an issue to these readers through the server: STARTTLS, a password, and turns until none is due."""

    def run(readers: Sequence[tuple[str, str]], *, port: int, connections: int) -> Ledger:
        server.empty()
        _write_transport(tmp_path, server, port, connections)
        mailer = make_mailer(clock=utc_now)
        with mailer.database.transaction() as session:
            news = factories.mailing_list(session)
            people = [person(address, name, "en") for address, name in readers]
            confirm(session, people, news.id, Evidence("test", "I agreed in a test"), mailer.clock())
            send_id = factories.send(session, mailer, factories.issue(session, mailer), [news], batch_size=1000).id
        while deliver_next(mailer.means):
            pass
        return _ledger(mailer, send_id)

    return run


def _write_transport(home: Path, server: Postfix, port: int, connections: int) -> None:
    keys = {
        "host": "127.0.0.1",
        "port": port,
        "security": "starttls",
        "ca_file": str(server.certificate),
        "user": mta.USER,
        "password": mta.PASSWORD,
        "connections": connections,
    }
    lines = [f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"' for key, value in keys.items()]
    (home / "transports.toml").write_text("\n".join(["[transports.postfix]", *lines]))


def _ledger(mailer: Mailer, send_id: int) -> Ledger:
    deliveries = select(Delivery.id, Delivery.address, Delivery.status).where(Delivery.send_id == send_id)
    attempts = select(Attempt.delivery_id, Attempt.stage, Attempt.code).order_by(Attempt.id)
    with mailer.database.reading() as session:
        status = session.get_one(Send, send_id).status
        rows = session.execute(deliveries).all()
        tries = session.execute(attempts).all()
    addresses = {delivery_id: address for delivery_id, address, _ in rows}
    statuses = {address: each.value for _, address, each in rows}
    verdicts: dict[str, list[Verdict]] = {address: [] for address in statuses}
    for delivery_id, stage, code in tries:
        address = addresses[delivery_id]
        verdicts[address].append((statuses[address], stage.value, code))
    return Ledger(mailer, status, {address: each for each, address in addresses.items()}, verdicts)


def test_five_thousand_under_tls_with_a_password_everybody_once(
    deliver: Callable[..., Ledger], server: Postfix
) -> None:
    """S3, S6, S8, S10, F1: no message leaves under the envelope of another, whoever is refused amid the pipeline."""
    readers = [_reader(number) for number in range(_MANY)]
    expected = {_reader(number)[0]: [_verdict(number)] for number in range(_MANY)}
    ledger = deliver(readers, port=server.port, connections=_CONNECTIONS)
    assert ledger.verdicts == expected
    accepted = [address for address, verdicts in expected.items() if verdicts == [_ACCEPTED]]
    delivered = server.delivered(len(accepted))
    assert Counter(each.address for each in delivered) == Counter(accepted)
    ledger.assert_own_envelopes(delivered)
    _assert_orderly(server.log)


def test_a_relay_that_hangs_up_on_too_many_errors_costs_nobody_their_letter(
    deliver: Callable[..., Ledger], server: Postfix
) -> None:
    """S3: the fifth refusal in a row is followed by 421, which is about us and not about the next in the pipeline."""
    gone = [(f"gone{number}@example.com", "Reader") for number in range(_STRICT_READERS)]
    there = [(f"there{number}@example.com", "Reader") for number in range(_STRICT_READERS)]
    readers = [*there[:20], *gone[:20], *there[20:40], *gone[20:], *there[40:]]
    ledger = deliver(readers, port=server.strict_port, connections=1)
    assert ledger.status is SendStatus.FINISHED
    assert ledger.verdicts == {
        address: [_ACCEPTED if address.startswith("there") else ("refused", "rcpt", 550)] for address, _ in readers
    }
    delivered = server.delivered(_STRICT_READERS)
    assert Counter(each.address for each in delivered) == Counter(address for address, _ in there)
    ledger.assert_own_envelopes(delivered)
    assert "too many errors after RCPT" in server.log


def _assert_orderly(log: str) -> None:
    """Every connection was under TLS and logged in; no MAIL was out of turn (503 nested MAIL)."""
    sessions = re.findall(r"disconnect from \S+ (.*)", log)
    assert sessions
    for session in sessions:
        counts = dict(part.split("=") for part in session.split())
        assert (counts["starttls"], counts["auth"]) == ("1", "1")
        assert "/" not in counts["mail"]
    assert "improper command pipelining" not in log
