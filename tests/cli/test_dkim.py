"""`dkim`: keys are made once, kept for their owner alone, and shown as what has to be published."""

import re
from pathlib import Path

import pytest

from jlgc_mailer.mail.dkim_keys import Algorithm, new_key, read_keys, write_key
from tests.cli.conftest import Command, program


@pytest.fixture(autouse=True)
def domain(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These commands need no database."""
    assert home
    monkeypatch.setenv("JLGC_MAILER_MAIL_DOMAIN", "news.example.org")


def test_keygen_writes_a_key_for_its_owner_alone_and_prints_the_record(run: Command, home: Path) -> None:
    """M16"""
    said = run("dkim", "keygen").words()
    (file,) = (home / "dkim").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"jlgc-20\d{6}\.pem", file.name)
    (key,) = read_keys(home / "dkim", "news.example.org")
    assert key.algorithm is Algorithm.RSA
    assert said.splitlines()[:4] == [
        f"The private key is in {file}. Keep it secret.",
        f"TXT record of {file.stem} (rsa):",
        f"name {file.stem}._domainkey.news.example.org",
        f"value {key.record_value}",
    ]
    assert said.splitlines()[-1].startswith("When the record can be seen in the DNS, start all processes again")


def test_the_line_for_a_zone_file_holds_the_record_in_strings(run: Command, home: Path) -> None:
    """RFC 1035 3.3, 5.1"""
    said = run("dkim", "keygen", "--selector", "one").words()
    (line,) = (line for line in said.splitlines() if " IN TXT " in line)
    assert line.startswith("one._domainkey.news.example.org. IN TXT ( ")
    strings = re.findall(r'"([^"]*)"', line)
    assert max(map(len, strings)) == 255
    assert "".join(strings) == read_keys(home / "dkim", "news.example.org")[0].record_value


def test_show_prints_the_records_of_all_keys(run: Command, home: Path) -> None:
    assert (
        run("dkim", "show").words() == "There are no keys, so mail is not signed here. See: jlgc-mailer dkim keygen -h"
    )
    assert run("dkim", "show", "--json").json() == []
    for algorithm in Algorithm:
        write_key(home / "dkim", new_key(algorithm, "news.example.org", f"key-{algorithm}"))
    ed25519, rsa = read_keys(home / "dkim", "news.example.org")
    assert run("dkim", "show", "--json").json() == [
        {
            "selector": "key-ed25519",
            "algorithm": "ed25519",
            "name": "key-ed25519._domainkey.news.example.org",
            "value": ed25519.record_value,
            "strings": [ed25519.record_value],
        },
        {
            "selector": "key-rsa",
            "algorithm": "rsa",
            "name": "key-rsa._domainkey.news.example.org",
            "value": rsa.record_value,
            "strings": [rsa.record_value[:255], rsa.record_value[255:]],
        },
    ]
    shown = run("dkim", "show").words()
    assert shown.count("TXT record of ") == 2
    assert ed25519.record_value in shown
    assert rsa.record_value in shown


def test_an_ed25519_key_is_made_beside_an_rsa_key_only(run: Command, home: Path) -> None:
    """M16"""
    refused = run("dkim", "keygen", "--ed25519", "--selector", "two").sentence(1)
    assert refused == (
        "The DKIM key 'two' cannot be made: Ed25519 signs only beside RSA. Run first: jlgc-mailer dkim keygen"
    )
    assert not (home / "dkim").exists()
    assert run("dkim", "keygen").status == 0
    assert run("dkim", "keygen", "--ed25519").status == 0
    rsa, ed25519 = read_keys(home / "dkim", "news.example.org")
    assert (rsa.algorithm, ed25519.algorithm) == (Algorithm.RSA, Algorithm.ED25519)
    assert ed25519.selector == f"{rsa.selector}e"


def test_a_key_is_never_overwritten(run: Command, home: Path) -> None:
    assert run("dkim", "keygen", "--selector", "one").status == 0
    before = (home / "dkim" / "one.pem").read_bytes()
    said = run("dkim", "keygen", "--selector", "one").sentence(1)
    assert said == "There is already a DKIM key 'one'. Choose another name with --selector."
    assert (home / "dkim" / "one.pem").read_bytes() == before


def test_a_selector_that_is_no_name_is_misuse(run: Command, home: Path) -> None:
    assert run("dkim", "keygen", "--selector", "../one").sentence(2).startswith("DKIM key '../one' cannot be used:")
    assert list(home.rglob("*")) == []


def test_no_command_prints_a_private_key(run: Command, home: Path) -> None:
    """Nor is it read as something else: the file is named when it is garbled, its content is not."""
    said = [run("dkim", "keygen", "--selector", "one"), run("dkim", "show"), run("dkim", "show", "--json")]
    file = home / "dkim" / "one.pem"
    secret = file.read_text(encoding="ascii").splitlines()[1:-1]
    file.write_text("\n".join(secret), encoding="ascii")
    said.append(run("dkim", "show"))
    assert said[-1].sentence(2).startswith("DKIM key 'one' cannot be used: it is no private key in PEM form.")
    assert len(secret) > 20
    assert [line for line in secret if any(line in each.out + each.err for each in said)] == []


def test_the_installed_program_makes_a_key(home: Path) -> None:
    """Through a real process."""
    assert "one._domainkey.news.example.org" in program("dkim", "keygen", "--selector", "one").words()
    assert (home / "dkim" / "one.pem").is_file()
