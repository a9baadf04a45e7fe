"""A real mail server for tests: Debian's postfix as an instance of its own, which shares nothing with the system's."""

import grp
import os
import pwd
import re
import shutil
import smtplib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import free_port

USER, PASSWORD = "mailer", "a password for tests"
_NOBODY = 65534
_SECONDS = 60
_PROGRAMS = ("postfix", "saslpasswd2")
_ENVELOPE = re.compile(rb"\AReturn-Path: <([^>]*)>\nX-Original-To: ([^\n]*)\nDelivered-To: [^\n]*\n")

_BASE = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
"""

_SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
retry unix - - n - - error
error unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN = """
virtual_mailbox_domains = example.com
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_destination_recipient_limit = 1
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {folder}/server.pem
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access texthash:{folder}/recipients, permit_sasl_authenticated, reject
header_checks = regexp:{folder}/header-checks
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{strict_port} inet n - n - - smtpd
 -o smtpd_hard_error_limit=5 -o smtpd_error_sleep_time=0
127.0.0.1:{late_port} inet n - n - - smtpd
 -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
 -o smtpd_end_of_data_restrictions=check_recipient_access,texthash:{folder}/recipients
"""

_SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN LOGIN
sasldb_path: {folder}/etc/sasl/sasldb2
"""


def missing() -> str | None:
    """Why there can be no such server here, as a sentence; None when there can."""
    if os.geteuid() != 0:
        return "Postfix has to be started by root."
    if any(shutil.which(program) is None for program in _PROGRAMS):
        return "Debian's postfix and sasl2-bin are not installed; .ci/run installs them."
    return None


def write_configuration(folder: Path, main: str, services: str, values: Mapping[str, object]) -> None:
    """The folders of an instance in an empty folder, and its configuration: `main` and `services` are its own part."""
    values = {**values, "folder": folder, "nobody": _NOBODY}
    owners = {"etc": 0, "etc/sasl": 0, "queue": 0, "data": pwd.getpwnam("postfix").pw_uid, "inbox": _NOBODY}
    for name, owner in owners.items():
        (folder / name).mkdir()
        os.chown(folder / name, owner, 0)
    for name, text in (("main.cf", _BASE + main), ("master.cf", services + _SERVICES), ("sasl/smtpd.conf", _SASL)):
        (folder / "etc" / name).write_text(text.format(**values))


@contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    """The instance in a folder, from when it answers on this port until it has ended."""
    command, quiet = ["postfix", "-c", str(folder / "etc")], subprocess.DEVNULL
    process = subprocess.Popen([*command, "start-fg"], stdin=quiet, stderr=quiet, start_new_session=True)
    try:
        _wait_until_ready(folder, port, process)
        yield
    finally:
        subprocess.run([*command, "stop"], check=False, stderr=quiet)
        process.wait(_SECONDS)


@dataclass(frozen=True)
class Delivered:
    """One message in an inbox, with the envelope under which it was delivered."""

    sender: str
    address: str
    content: bytes


@dataclass(frozen=True)
class Postfix:
    """A server that runs. It wants STARTTLS and a password, and puts all mail for example.com into one inbox.

    On `strict_port` it hangs up at the fifth error in a row. On `late_port` it looks at recipients only after the
    content; and when it refuses then, Postfix keeps the envelope, so that the next MAIL is "503 nested MAIL".
    """

    folder: Path
    port: int
    strict_port: int
    late_port: int

    @property
    def certificate(self) -> Path:
        """What its clients have to trust."""
        return self.folder / "certificate.pem"

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "mail.log").read_text(errors="replace")

    def delivered(self, at_least: int) -> list[Delivered]:
        """All that was delivered, once the queue is empty and there are so many, or when patience is over."""
        give_up = time.monotonic() + _SECONDS
        while (len(self._files()) < at_least or self._queued()) and time.monotonic() < give_up:
            time.sleep(0.1)
        return [_delivered(file.read_bytes()) for file in self._files()]

    def empty(self) -> None:
        """Forget what was delivered and said."""
        for file in self._files():
            file.unlink()
        os.truncate(self.folder / "mail.log", 0)

    def _files(self) -> list[Path]:
        return list((self.folder / "inbox/new").glob("*"))

    def _queued(self) -> bool:
        queues = (self.folder / "queue" / name for name in ("maildrop", "incoming", "active", "deferred"))
        return any(path.is_file() for queue in queues for path in queue.rglob("*"))


def _delivered(data: bytes) -> Delivered:
    envelope = _ENVELOPE.match(data)
    assert envelope, data[:300]
    sender, address = (part.decode() for part in envelope.groups())
    return Delivered(sender, address, data[envelope.end() :])


@contextmanager
def postfix(folder: Path, recipients: Mapping[str, str], header_checks: Sequence[str]) -> Iterator[Postfix]:
    """A server in an empty folder that everybody may enter; it replies so to these recipients and header fields."""
    server = Postfix(folder, free_port(), free_port(), free_port())
    write_configuration(folder, _MAIN, _MASTER, vars(server))
    (folder / "recipients").write_text("".join(f"{address} {reply}\n" for address, reply in recipients.items()))
    (folder / "header-checks").write_text("".join(f"{line}\n" for line in header_checks))
    _write_certificate(folder)
    _write_password(folder)
    with running(folder, server.port):
        yield server


def _write_certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mta.example")])
    host = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    public = certificate.public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "certificate.pem").write_bytes(public)
    (folder / "server.pem").write_bytes(private + public)
    (folder / "server.pem").chmod(0o600)


def _write_password(folder: Path) -> None:
    """Into a file that only Postfix's own user may read."""
    file = folder / "etc/sasl/sasldb2"
    command = ["saslpasswd2", "-p", "-c", "-f", str(file), "-u", "mta.example", USER]
    subprocess.run(command, input=PASSWORD.encode(), check=True)
    os.chown(file, 0, grp.getgrnam("postfix").gr_gid)
    file.chmod(0o640)


def _wait_until_ready(folder: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up, log = time.monotonic() + _SECONDS, folder / "mail.log"
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=_SECONDS):
                return
        except OSError:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < give_up, log.read_text(errors="replace")
            time.sleep(0.05)
