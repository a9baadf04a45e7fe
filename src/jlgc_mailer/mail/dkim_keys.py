"""DKIM keys: PEM files in one folder, each named after its selector, and the DNS records that publish them."""

import base64
import os
import re
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from jlgc_mailer.errors import AlreadyExists, InvalidFile, InvalidInput

FOLDER = "dkim"  # in the home folder of an installation
_SUFFIX = ".pem"
_RSA_BITS = range(2048, 4097)  # shorter ones are weak; longer ones need not be read by receivers (RFC 8301 3.2)
_LONGEST_NAME = 253
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\Z")
_STRING = 255  # octets of one character-string of a TXT record (RFC 1035 3.3)


class Algorithm(StrEnum):
    """The k= tag of a record; with `-sha256`, the a= tag of a signature."""

    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True)
class DkimKey:
    """A private key and the name under which its public half is published; raises InvalidInput."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if not _DOMAIN.match(self.selector):
            raise _invalid(self.selector, "a selector is letters, digits and hyphens, such as jlgc-20260601.")
        if not _DOMAIN.match(self.domain) or len(self.record_name) > _LONGEST_NAME:
            raise InvalidInput(what="DKIM domain", value=self.domain, problem="it is no domain such as example.org.")
        if isinstance(self.private, RSAPrivateKey) and self.private.key_size not in _RSA_BITS:
            problem = f"it is RSA with {self.private.key_size} bits, where 2048 are right (RFC 8301)."
            raise _invalid(self.selector, f"{problem} Run: jlgc-mailer dkim keygen")

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""
        return Algorithm.RSA if isinstance(self.private, RSAPrivateKey) else Algorithm.ED25519

    @property
    def record_name(self) -> str:
        """The name of the TXT record."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record_value(self) -> str:
        """The text of the TXT record (RFC 6376 3.6.1, RFC 8463 4.2)."""
        public = self.private.public_key()
        if self.algorithm is Algorithm.ED25519:
            data = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        else:
            data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k={self.algorithm}; p={base64.b64encode(data).decode()}"

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`, always the same one: neither algorithm takes anything random into it."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(data, PKCS1v15(), SHA256())
        return self.private.sign(sha256(data).digest())  # the hash, not the text (RFC 8463 3)

    def pem(self) -> bytes:
        """The private key in PEM form (PKCS #8)."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def character_strings(value: str) -> list[str]:
    """The text of a TXT record in the parts of at most 255 octets that a zone file needs (RFC 6376 3.6.2.2)."""
    return [value[at : at + _STRING] for at in range(0, len(value), _STRING)]


def new_key(algorithm: Algorithm, domain: str, selector: str) -> DkimKey:
    """A fresh key; raises InvalidInput for names that cannot stand in the DNS."""
    if algorithm is Algorithm.ED25519:
        return DkimKey(domain, selector, Ed25519PrivateKey.generate())
    return DkimKey(domain, selector, generate_private_key(public_exponent=65537, key_size=2048))


def read_key(pem: bytes, domain: str, selector: str) -> DkimKey:
    """The key in a PEM file; raises InvalidInput for anything but an RSA or Ed25519 key without a passphrase."""
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise _invalid(selector, "it needs a passphrase. Take that away with: openssl pkey") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid(selector, "it is no private key in PEM form. Run: jlgc-mailer dkim keygen") from None
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise _invalid(selector, "it is neither RSA nor Ed25519. Run: jlgc-mailer dkim keygen")
    return DkimKey(domain, selector, private)


def read_keys(folder: Path, domain: str) -> list[DkimKey]:
    """The keys in `folder` in the order of their selectors; none when there is no folder.

    Raises InvalidInput, or InvalidFile for what cannot be read: mail must not leave unsigned without a word.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == _SUFFIX)
        return [read_key(file.read_bytes(), domain, file.stem) for file in files]
    except FileNotFoundError:
        return []
    except OSError as error:
        remedy = "Make it readable to the user that sends."
        raise InvalidFile(place=error.filename, problem=error.strerror, remedy=remedy) from None


def write_key(folder: Path, key: DkimKey) -> Path:
    """Put `key` into `folder`, readable for its owner alone; raises AlreadyExists rather than overwrite one."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / f"{key.selector}{_SUFFIX}"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        remedy = "Choose another name with --selector."
        raise AlreadyExists(kind="DKIM key", name=key.selector, remedy=remedy) from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(key.pem())
    return file


def _invalid(selector: str, problem: str) -> InvalidInput:
    return InvalidInput(what="DKIM key", value=selector, problem=problem)
