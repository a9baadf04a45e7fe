"""Debian's Exim as a relay. It cannot be installed beside Postfix, so it may also lie unpacked in `.mta`."""

import os
import pwd
import shutil
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.relays import DOWN, FAR, FORWARDED, FORWARDED_TO, FULL, HERE, Ports

_UNPACKED = Path(__file__).parents[2] / ".mta/usr/sbin"
_USER = "Debian-exim"  # compiled in: it does not start without
_SECONDS = 30

_BASE = """
exim_path = {program}
primary_hostname = mta.example
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
pid_file_path =
deliver_drop_privilege = true
keep_environment =
host_lookup =
helo_lookup_domains =
tls_advertise_hosts =
"""

_RELAY = """
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = everything
delay_warning = 1s:1d
delay_warning_condition = yes

begin acl
everything:
  accept

begin routers
bounces:
  driver = manualroute
  domains = {bounce_domain}
  route_list = * 127.0.0.1 byname
  self = send
  transport = bounces
far:
  driver = manualroute
  domains = {far_domain}
  route_list = * 127.0.0.1 byname
  self = send
  transport = far
down:
  driver = manualroute
  domains = {down_domain}
  route_list = * 127.0.0.1 byname
  self = send
  transport = down
forwarded:
  driver = redirect
  local_parts = {forwarded}
  domains = {here}
  data = {forwarded_to}
full:
  driver = accept
  local_parts = {full}
  domains = {here}
  transport = mailbox
unknown:
  driver = redirect
  domains = {here}
  allow_fail
  data = :fail: Unknown user

begin transports
far:
  driver = smtp
  port = {far}
  allow_localhost
down:
  driver = smtp
  port = {nobody}
  allow_localhost
bounces:
  driver = smtp
  protocol = lmtp
  port = {bounces}
  allow_localhost
mailbox:
  driver = appendfile
  file = {folder}/spool/mailbox
  user = {user}
  quota = 1K

begin retry
* * F,4s,1s
"""


def missing() -> str | None:
    """Why there can be no such server here, as a sentence; None when there can."""
    if os.geteuid() != 0:
        return "Exim has to be started by root."
    if _program() is None:
        return "Debian's exim4-daemon-light is neither installed nor in .mta; .ci/run unpacks it there."
    if _USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"There is no user {_USER}; .ci/run adds it."
    return None


def _program() -> str | None:
    return shutil.which("exim4", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", str(_UNPACKED))))


@contextmanager
def relay(folder: Path, bounce_domain: str, ports: Ports) -> Iterator[None]:
    """The relay in an empty folder that everybody may enter, for as long as the block lasts."""
    own = {"bounce_domain": bounce_domain, "far_domain": FAR, "down_domain": DOWN, "here": HERE}
    local_parts = {"full": FULL.partition("@")[0], "forwarded": FORWARDED.partition("@")[0]}
    values = {"folder": folder, "user": _USER, "forwarded_to": FORWARDED_TO} | own | local_parts | vars(ports)
    with running(folder, ports.relay, _RELAY.format(**values)):
        yield


@contextmanager
def running(folder: Path, port: int, configuration: str) -> Iterator[None]:
    """Exim in an empty folder, which answers on this port for as long as the block lasts; all but that is as told."""
    spool, file = folder / "spool", folder / "exim.conf"
    spool.mkdir()
    shutil.chown(spool, _USER, _USER)
    file.write_text(_BASE.format(program=_program(), folder=folder, port=port) + configuration)
    command = [str(_program()), "-C", str(file), "-bdf", "-q1s"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _wait_until_ready(port, process)
        yield
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + _SECONDS
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=_SECONDS):
                return
        except OSError:
            assert process.poll() is None, "Exim has ended"
            assert time.monotonic() < give_up, "Exim does not answer"
            time.sleep(0.05)
