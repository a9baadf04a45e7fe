"""One letter, for a person who waits."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from jlgc_mailer.sending.outcomes import Outcome
from jlgc_mailer.sending.transports import Supply, Trouble
from jlgc_mailer.sending.transports.single import TransportTrouble, send_one
from jlgc_mailer.sending.transports.smtp import Relay, Security, SmtpTransport
from jlgc_mailer.states import DeliveryStatus, Stage
from tests.sending.transports.smtp.peers import Script, Site, following, listening
from tests.sending.transports.supplies import NOON, a_letter


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def site(script: Script) -> Iterator[Site]:
    with listening(following(script)) as site:
        yield site


@pytest.fixture
def transport(site: Site) -> Iterator[SmtpTransport]:
    transport = SmtpTransport(Relay("relay", "127.0.0.1", site.port, Security.NONE), lambda: NOON)
    yield transport
    transport.close()


def test_what_became_of_it_is_given_back(transport: SmtpTransport, script: Script) -> None:
    outcome = send_one(transport, a_letter(1))
    assert (outcome.status, outcome.stage) == (DeliveryStatus.ACCEPTED, Stage.CONTENT)
    assert [each.address for each in script.received] == ["r1@example.com"]


def test_one_after_the_other_goes_over_one_connection(transport: SmtpTransport, script: Script, site: Site) -> None:
    """STANDARDS S5."""
    script.rcpt = {"r2@example.com": ["550 5.1.1 No such user"]}
    statuses = [send_one(transport, a_letter(n)).status.value for n in (1, 2, 3)]
    assert statuses == ["accepted", "refused", "accepted"]
    assert site.connections == 1


def test_a_relay_that_does_not_take_it_is_told_in_a_sentence(transport: SmtpTransport, script: Script) -> None:
    script.mail = {"*": ["550 5.7.1 Not you"]}
    with pytest.raises(TransportTrouble, match=r"does not take mail \(mail\): 550 5.7.1 Not you. See to"):
        send_one(transport, a_letter(1))


@dataclass
class Reluctant:
    """A way out that gives letters back and says nothing."""

    name: str = "reluctant"

    def deliver(self, supply: Supply) -> Trouble | None:
        letter = supply.next()
        supply.put_back([letter] if letter else [])
        return None

    def close(self) -> None:
        pass


def test_a_letter_that_came_back_without_a_word_is_no_success() -> None:
    with pytest.raises(TransportTrouble, match="did not take the letter"):
        result: Outcome = send_one(Reluctant(), a_letter(1))
        assert result is None
