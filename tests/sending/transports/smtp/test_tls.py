"""TLS on the wire (STANDARDS S8), against real handshakes on loopback."""

import contextlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jlgc_mailer.sending.transports.smtp import Security, SmtpTransport, Timeouts
from jlgc_mailer.states import Stage
from tests.sending.transports.smtp.peers import Script, Talk, following, listening, talking
from tests.sending.transports.supplies import Stock, a_letter, letters

Make = Callable[..., SmtpTransport]
MakeStock = Callable[..., Stock]
BOTH = pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])


@dataclass(frozen=True)
class Papers:
    """A certificate with its key, and who vouches for it, as files."""

    certificate: Path
    key: Path
    authority: Path

    def server(self, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if asks_for_certificate:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _papers(folder: Path, *names: x509.GeneralName) -> Papers:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a relay for tests")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    return Papers(folder / "certificate.pem", folder / "key.pem", folder / "certificate.pem")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return _papers(tmp_path_factory.mktemp("tls") / "right", x509.IPAddress(IPv4Address("127.0.0.1")))


@pytest.fixture(scope="module")
def other_papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return _papers(tmp_path_factory.mktemp("tls") / "other", x509.DNSName("other.example"))


@BOTH
def test_letters_arrive_and_the_password_goes_under_tls(
    make_transport: Make, make_stock: MakeStock, papers: Papers, security: Security
) -> None:
    script = Script(offers=["PIPELINING", "STARTTLS", "AUTH PLAIN"], auth=["235 Ok"] * 3)
    serve = following(script, context=papers.server(), is_implicit=security is Security.TLS)
    with listening(serve) as site:
        stock = make_stock(letters(20))
        transport = make_transport(
            site.port, security=security, ca_file=papers.authority, user="me", password=lambda: "secret", connections=3
        )
        assert transport.deliver(stock) is None
    assert set(stock.statuses.values()) == {"accepted"}
    assert len(script.received) == 20
    ehlos = [line for line in script.commands if line.startswith("EHLO")]
    assert len(ehlos) == script.commands.count("STARTTLS") + len([c for c in script.commands if c.startswith("AUTH")])


@BOTH
def test_large_letters_arrive_whole_at_a_relay_that_reads_slowly(
    make_transport: Make, make_stock: MakeStock, papers: Papers, security: Security
) -> None:
    script = Script(offers=["PIPELINING", "STARTTLS"])
    serve = following(
        script, context=papers.server(), is_implicit=security is Security.TLS, read_at_once=30_000, octets_at_once=5
    )
    given = [a_letter(n, size=1_200_000) for n in range(4)]
    with listening(serve, receive_buffer=4096) as site:
        stock = make_stock(given)
        assert make_transport(site.port, security=security, ca_file=papers.authority).deliver(stock) is None
    assert [each.content for each in script.received] == [each.content for each in given]


@BOTH
def test_a_connection_lost_amid_content_under_tls_is_not_uncertain(
    make_transport: Make, make_stock: MakeStock, papers: Papers, security: Security
) -> None:
    """STANDARDS S4: a record that was not sent whole cannot be read."""
    script = Script(offers=["STARTTLS"])
    serve = following(script, context=papers.server(), is_implicit=security is Security.TLS, read_at_once=20_000)
    dying = Script(offers=["STARTTLS"], dislikes_pipelining=lambda data: b"fox" in data, says_so=False)
    die = following(dying, context=papers.server(), is_implicit=security is Security.TLS, read_at_once=20_000)
    with listening(die, serve, receive_buffer=4096) as site:
        stock = make_stock([a_letter(0, size=8_000_000)])
        assert make_transport(site.port, security=security, ca_file=papers.authority).deliver(stock) is None
        assert site.connections == 2
    assert stock.statuses == {"r0@example.com": "accepted"}


@BOTH
def test_a_certificate_that_nobody_vouches_for_is_not_believed(
    make_transport: Make, make_stock: MakeStock, papers: Papers, other_papers: Papers, security: Security
) -> None:
    script = Script(offers=["STARTTLS"])
    with listening(following(script, context=papers.server(), is_implicit=security is Security.TLS)) as site:
        stock = make_stock(letters(2))
        trouble = make_transport(site.port, security=security, ca_file=other_papers.authority).deliver(stock)
    assert trouble
    assert trouble.stage is Stage.TLS
    assert "certificate is not to be trusted" in trouble.problem
    assert stock.outcomes == {}
    assert not any(line.startswith("MAIL") for line in script.commands)


@BOTH
def test_a_certificate_for_another_host_is_not_believed(
    make_transport: Make, make_stock: MakeStock, other_papers: Papers, security: Security
) -> None:
    serve = following(Script(offers=["STARTTLS"]), context=other_papers.server(), is_implicit=security is Security.TLS)
    with listening(serve) as site:
        stock = make_stock(letters(2))
        trouble = make_transport(site.port, security=security, ca_file=other_papers.authority).deliver(stock)
    assert trouble
    assert trouble.stage is Stage.TLS
    assert "127.0.0.1" in trouble.problem
    assert stock.outcomes == {}


def test_an_old_version_of_tls_is_not_spoken(make_transport: Make, make_stock: MakeStock, papers: Papers) -> None:
    context = papers.server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(following(Script(), context=context, is_implicit=True)) as site:
        stock = make_stock(letters(1))
        trouble = make_transport(site.port, security=Security.TLS, ca_file=papers.authority).deliver(stock)
    assert trouble
    assert trouble.stage is Stage.TLS


def test_a_client_certificate_is_shown(make_transport: Make, make_stock: MakeStock, papers: Papers) -> None:
    serve = following(Script(), context=papers.server(asks_for_certificate=True), is_implicit=True)
    with listening(serve) as site:
        stock = make_stock(letters(2))
        shown = {"client_certificate": papers.certificate, "client_key": papers.key}
        transport = make_transport(site.port, security=Security.TLS, ca_file=papers.authority, **shown)
        assert transport.deliver(stock) is None
    assert set(stock.statuses.values()) == {"accepted"}


def test_without_the_client_certificate_that_a_relay_wants_there_is_trouble(
    make_transport: Make, make_stock: MakeStock, papers: Papers
) -> None:
    serve = following(Script(), context=papers.server(asks_for_certificate=True), is_implicit=True)
    with listening(serve) as site:
        stock = make_stock(letters(2))
        trouble = make_transport(site.port, security=Security.TLS, ca_file=papers.authority).deliver(stock)
    assert trouble
    assert stock.outcomes == {}


@pytest.mark.parametrize("file", ["ca_file", "client_certificate"])
def test_certificates_that_cannot_be_read_are_for_the_operator(
    make_transport: Make, make_stock: MakeStock, tmp_path: Path, file: str
) -> None:
    for path in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        if path.name == "empty.pem":
            path.write_text("")
        stock = make_stock(letters(1))
        trouble = make_transport(25, security=Security.TLS, **{file: path}).deliver(stock)
        assert trouble
        assert (trouble.stage, trouble.for_operator) == (Stage.TLS, True)
        assert stock.outcomes == {}


def until_starttls(talk: Talk) -> None:
    talk.open("STARTTLS")
    talk.line()
    talk.say("220 Go ahead")


def garbage(talk: Talk) -> None:
    until_starttls(talk)
    talk.socket.sendall(b"250 this is not TLS\r\n" * 10)
    talk.socket.recv(1000)


def half_a_handshake(talk: Talk) -> None:
    until_starttls(talk)
    talk.socket.recv(1000)
    talk.socket.sendall(b"\x16\x03\x03\x00\x7a\x02")


def silence(talk: Talk) -> None:
    until_starttls(talk)
    with contextlib.suppress(OSError):
        time.sleep(1)


@pytest.mark.parametrize("conduct", [garbage, half_a_handshake, silence])
def test_a_handshake_that_fails_half_way_is_trouble_and_nothing_goes_in_clear(
    make_transport: Make, make_stock: MakeStock, papers: Papers, conduct: Callable[[Talk], None]
) -> None:
    """STANDARDS S3, S8."""
    soon = Timeouts(connect=1, command=0.4, quit=0.2)
    with listening(talking(conduct)) as site:
        stock = make_stock(letters(2))
        transport = make_transport(site.port, security=Security.STARTTLS, ca_file=papers.authority, timeouts=soon)
        trouble = transport.deliver(stock)
    assert trouble
    assert trouble.stage is Stage.TLS
    assert stock.outcomes == {}


def test_starttls_that_is_not_offered_is_trouble(make_transport: Make, make_stock: MakeStock) -> None:
    """STANDARDS S8: never in clear instead."""
    script = Script(offers=["PIPELINING"])
    with listening(following(script)) as site:
        stock = make_stock(letters(1))
        trouble = make_transport(site.port, security=Security.STARTTLS).deliver(stock)
    assert trouble
    assert (trouble.stage, "STARTTLS" in trouble.problem) == (Stage.TLS, True)
    assert [line for line in script.commands if not line.startswith("EHLO")] == []


def test_what_somebody_put_in_front_of_the_handshake_is_discarded(
    make_transport: Make, make_stock: MakeStock, papers: Papers
) -> None:
    """STANDARDS S8: injected replies together with the 220 do not shift those that follow."""
    script = Script(offers=["STARTTLS"], starttls="220 Go ahead\r\n250-injected\r\n250 SMTPUTF8")
    with listening(following(script, context=papers.server())) as site:
        stock = make_stock([a_letter(0), a_letter(1, "山@example.com")])
        transport = make_transport(site.port, security=Security.STARTTLS, ca_file=papers.authority)
        assert transport.deliver(stock) is None
    assert stock.statuses == {"r0@example.com": "accepted", "山@example.com": "refused"}
