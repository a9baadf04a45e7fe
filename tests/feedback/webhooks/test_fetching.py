"""What a provider keeps for us is fetched over verified https, in bounded time and size, and from there only."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jlgc_mailer.errors import Unreachable
from jlgc_mailer.feedback.webhooks import fetching
from jlgc_mailer.feedback.webhooks.fetching import fetch


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path
        if path == "/silence":
            threading.Event().wait(0.6)
            return
        self.send_response({"/gone": 404, "/broken": 500, "/moved": 302}.get(path, 200))
        self.send_header("Location", "/certificate")
        self.end_headers()
        self.wfile.write(b"x" * 100_000 if path == "/huge" else path.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An https server on loopback, with a certificate that names it and that only itself vouches for."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a provider for tests")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as listening:
        listening.handle_error = lambda *_: None  # type: ignore[method-assign]  # handshakes that a test breaks off
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def trusted(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    return server


def test_what_is_there_is_fetched_with_its_query(trusted: str) -> None:
    assert fetch(f"{trusted}/certificate") == b"/certificate"
    assert fetch(f"{trusted}/?Action=ConfirmSubscription&Token=1") == b"/?Action=ConfirmSubscription&Token=1"


@pytest.mark.parametrize(
    ("path", "why"),
    [("/broken", "it answered 500"), ("/moved", "it answered 302"), ("/huge", "more than a certificate")],
)
def test_redirects_errors_and_floods_are_one_sentence(trusted: str, path: str, why: str) -> None:
    """F10: whoever could redirect us could have us visit anything. Addresses may hold tokens, so they are not told."""
    with pytest.raises(Unreachable, match=why) as caught:
        fetch(f"{trusted}{path}")
    assert path not in str(caught.value)


def test_what_is_not_there_is_no_fault(trusted: str) -> None:
    assert fetch(f"{trusted}/gone") is None


def test_a_server_that_nobody_vouches_for_is_refused(server: str) -> None:
    with pytest.raises(Unreachable, match="certificate verify failed"):
        fetch(f"{server}/certificate")


def test_a_server_that_is_silent_is_not_waited_for(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 0.2)
    with pytest.raises(Unreachable, match="timed out"):
        fetch(f"{trusted}/silence")


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(Unreachable, match="provider at 127.0.0.1:1: "):
        fetch("https://127.0.0.1:1/x")
