"""Debian's postfix as a relay, without a password, for whoever is on loopback."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import mta
from tests.relays import DOWN, FAR, FORWARDED, FORWARDED_TO, FULL, HERE, NOWHERE, Ports

missing = mta.missing
_SIZE = 100_000  # octets of the full mailbox, and the most that a message may have

_MAIN = """
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
transport_maps = texthash:{folder}/transports
virtual_alias_maps = texthash:{folder}/forwards
virtual_mailbox_domains = {here}
virtual_mailbox_maps = texthash:{folder}/mailboxes
virtual_mailbox_base = {folder}
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_mailbox_limit = {size}
message_size_limit = {size}
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
maximal_queue_lifetime = 4s
delay_warning_time = 1s
smtp_connection_cache_on_demand = no
lmtp_connection_cache_on_demand = no
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
"""


@contextmanager
def relay(folder: Path, bounce_domain: str, ports: Ports) -> Iterator[None]:
    """The relay in an empty folder that everybody may enter, for as long as the block lasts."""
    mta.write_configuration(folder, _MAIN, _MASTER, {"port": ports.relay, "here": HERE, "size": _SIZE})
    transports = {
        FAR: f"smtp:[127.0.0.1]:{ports.far}",
        DOWN: f"smtp:[127.0.0.1]:{ports.nobody}",
        NOWHERE: f"error:5.1.2 Host or domain name not found. Name service error for name={NOWHERE} type=MX",
        bounce_domain: f"lmtp:inet:127.0.0.1:{ports.bounces}",
    }
    _write_map(folder / "transports", transports)
    _write_map(folder / "forwards", {FORWARDED: FORWARDED_TO})
    _write_map(folder / "mailboxes", {FULL: "inbox/full"})
    (folder / "inbox/full").write_bytes(b"x" * _SIZE)
    shutil.chown(folder / "inbox/full", "nobody")
    with mta.running(folder, ports.relay):
        yield


def _write_map(file: Path, values: dict[str, str]) -> None:
    file.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
