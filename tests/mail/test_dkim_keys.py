"""DKIM keys: files for their owner alone, records that others can read, and clear words about anything else."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from jlgc_mailer.errors import AlreadyExists, InvalidFile, InvalidInput
from jlgc_mailer.mail.dkim_keys import Algorithm, DkimKey, character_strings, new_key, read_key, read_keys, write_key

DOMAIN = "news.example.org"
RSA = new_key(Algorithm.RSA, DOMAIN, "one")
ED25519 = new_key(Algorithm.ED25519, DOMAIN, "two.2026")


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_a_key_reads_back_from_its_file(key: DkimKey, tmp_path: Path) -> None:
    file = write_key(tmp_path / "home" / "dkim", key)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (read,) = read_keys(file.parent, DOMAIN)
    assert (read.domain, read.selector, read.algorithm, read.record_value) == (
        DOMAIN,
        key.selector,
        key.algorithm,
        key.record_value,
    )
    assert read.sign(b"text") == key.sign(b"text")


def test_a_new_key_is_rsa_with_2048_bits_and_its_record_holds_the_public_half() -> None:
    """M16: RFC 6376 3.6.1"""
    assert RSA.record_name == "one._domainkey.news.example.org"
    prefix, _, encoded = RSA.record_value.partition("p=")
    public = serialization.load_der_public_key(base64.b64decode(encoded, validate=True))
    assert prefix == "v=DKIM1; k=rsa; "
    assert isinstance(public, rsa.RSAPublicKey)
    assert public == RSA.private.public_key()
    assert (public.key_size, public.public_numbers().e) == (2048, 65537)


def test_the_record_of_ed25519_holds_32_octets() -> None:
    """M16: RFC 8463 4.2"""
    prefix, _, encoded = ED25519.record_value.partition("p=")
    assert prefix == "v=DKIM1; k=ed25519; "
    assert base64.b64decode(encoded, validate=True) == ED25519.private.public_key().public_bytes_raw()


def test_a_record_is_cut_into_strings_of_255_octets() -> None:
    """RFC 1035 3.3, RFC 6376 3.6.2.2"""
    strings = character_strings(RSA.record_value)
    assert [len(part) for part in strings] == [255, len(RSA.record_value) - 255]
    assert "".join(strings) == RSA.record_value
    assert character_strings(ED25519.record_value) == [ED25519.record_value]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = write_key(tmp_path, RSA)
    with pytest.raises(AlreadyExists, match=r"already a DKIM key 'one'\. Choose another name with --selector\."):
        write_key(tmp_path, new_key(Algorithm.RSA, DOMAIN, "one"))
    assert file.read_bytes() == RSA.pem()


def test_a_key_shows_nothing_of_its_private_half() -> None:
    assert repr(RSA) == "DkimKey(domain='news.example.org', selector='one')"


def test_only_pem_files_are_keys_and_each_is_named_after_its_selector(tmp_path: Path) -> None:
    for key in (ED25519, RSA):
        write_key(tmp_path, key)
    (tmp_path / "one.pem.bak").write_bytes(RSA.pem())
    (tmp_path / "README").write_text("keys", encoding="utf-8")
    assert [key.selector for key in read_keys(tmp_path, DOMAIN)] == ["one", "two.2026"]
    assert read_keys(tmp_path / "elsewhere", DOMAIN) == []


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (b"", "it is no private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "it is no private key in PEM form"),
        (
            RSA.private.public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            "it is no private key in PEM form",
        ),
        (
            RSA.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")),
            "it needs a passphrase",
        ),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "it is neither RSA nor Ed25519",
        ),
        (
            rsa.generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "it is RSA with 1024 bits, where 2048 are right",
        ),
    ],
    ids=["empty", "garbled", "public", "passphrase", "elliptic", "short"],
)
def test_what_is_no_usable_key_is_told_with_its_name(pem: bytes, problem: str, tmp_path: Path) -> None:
    """M16"""
    with pytest.raises(InvalidInput, match=rf"^DKIM key 'old' cannot be used: {problem}"):
        read_key(pem, DOMAIN, "old")
    (tmp_path / "old.pem").write_bytes(pem)
    with pytest.raises(InvalidInput, match=rf"^DKIM key 'old' cannot be used: {problem}"):
        read_keys(tmp_path, DOMAIN)


def test_a_key_in_the_older_form_of_openssl_is_read() -> None:
    pem = RSA.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert read_key(pem, DOMAIN, "old").record_value == RSA.record_value


@pytest.mark.parametrize("selector", ["", "../up", "a b", "a;b", "-a", "a-", "a..b", "%d", "naïve", "a\n", "x" * 64])
def test_a_selector_that_cannot_stand_in_the_dns_is_refused(selector: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be used: a selector is letters, digits and hyphens"):
        DkimKey(DOMAIN, selector, RSA.private)


@pytest.mark.parametrize("domain", ["", "example.org.", "日本.example", "a.example; l=0", "x." * 125 + "org"])
def test_a_domain_that_cannot_stand_in_the_dns_is_refused(domain: str) -> None:
    with pytest.raises(InvalidInput, match="DKIM domain"):
        DkimKey(domain, "one", RSA.private)


def test_keys_that_cannot_be_read_are_told_rather_than_left_out(tmp_path: Path) -> None:
    """Mail that leaves unsigned is not seen until it is in the spam folder."""
    (tmp_path / "a.pem").mkdir()
    with pytest.raises(InvalidFile, match=rf"^{tmp_path}/a\.pem: Is a directory\. Make it readable to the user"):
        read_keys(tmp_path, DOMAIN)
    (tmp_path / "a.pem").rmdir()
    (tmp_path / "file").touch()
    with pytest.raises(InvalidFile, match=r"/file: Not a directory\."):
        read_keys(tmp_path / "file", DOMAIN)
