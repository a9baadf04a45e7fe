"""[webhooks.NAME] of feedback.toml: every kind, every fault told with file, table and key, no secret told at all."""

import base64
import re
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jlgc_mailer.errors import InvalidFile, SettingError
from jlgc_mailer.feedback.webhooks.guards import Credentials, GenericSignature, MailgunSignature, SendGridSignature
from jlgc_mailer.feedback.webhooks.posted import Webhook
from jlgc_mailer.feedback.webhooks.sns import SnsSignature
from jlgc_mailer.settings.feedback_file import FEEDBACK_FILE
from jlgc_mailer.settings.webhooks import read_webhooks
from jlgc_mailer.states import ReportForm
from tests.conftest import make_settings
from tests.feedback.webhooks.providers import SendGrid, basic, posted

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-2:123456789012:newsletter"
Read = Callable[[str], Mapping[str, Webhook]]
PAPER = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the webhooks of a home folder with this feedback.toml."""

    def read(text: str) -> Mapping[str, Webhook]:
        (tmp_path / FEEDBACK_FILE).write_text(text, encoding="utf-8")
        return read_webhooks(make_settings(tmp_path))

    return read


def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    assert read_webhooks(make_settings(tmp_path)) == {}


def test_the_examples_in_the_paper_are_read(read: Read, tmp_path: Path) -> None:
    """Each kind of webhook has one."""
    for name in re.findall(r'secret_file = "(.*?)"', PAPER):
        (tmp_path / name).write_text("geheim", encoding="utf-8")
    webhooks = read("".join(re.findall(r"```toml\n(.*?)```", PAPER, re.DOTALL)))
    assert {webhook.form for webhook in webhooks.values()} == set(ReportForm) - {ReportForm.MESSAGE}
    assert {webhook.form: type(webhook.guard) for webhook in webhooks.values()} == {
        ReportForm.SES: SnsSignature,
        ReportForm.SENDGRID: SendGridSignature,
        ReportForm.MAILGUN: MailgunSignature,
        ReportForm.POSTMARK: Credentials,
        ReportForm.BREVO: Credentials,
        ReportForm.GENERIC: GenericSignature,
    }
    assert all(webhook.name == name for name, webhook in webhooks.items())


@pytest.mark.parametrize("place", ["in place", "in a file", "by a command"])
def test_a_secret_may_be_kept_in_three_ways(read: Read, tmp_path: Path, place: str) -> None:
    (tmp_path / "secret.txt").write_text("geheim\n", encoding="utf-8")
    key = {
        "in place": 'secret = "geheim"',
        "in a file": 'secret_file = "secret.txt"',
        "by a command": 'secret_command = "cat secret.txt"',
    }[place]
    webhooks = read(f'[webhooks.postmark]\nkind = "postmark"\nuser = "u"\n{key}\n')
    guard = webhooks["postmark"].guard
    assert guard.refusal(posted(b"{}", basic("u", "geheim")), NOW) is None
    assert guard.refusal(posted(b"{}", basic("u", "falsch")), NOW)
    assert "geheim" not in repr(webhooks)


def test_a_command_is_not_run_for_every_post(read: Read, tmp_path: Path) -> None:
    """Anybody can post, so the number of processes must not follow the number of posts."""
    script = tmp_path / "secret"
    script.write_text("#!/bin/sh\necho x >> runs\necho geheim\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    guard = read(f'[webhooks.own]\nkind = "generic"\nsecret_command = "{script}"\n')["own"].guard
    assert not (tmp_path / "runs").exists()
    for _ in range(5):
        assert guard.refusal(posted(b"{}"), NOW)
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "x\n"


def test_a_command_that_fails_is_run_again(read: Read, tmp_path: Path) -> None:
    guard = read('[webhooks.own]\nkind = "generic"\nsecret_command = "cat secret.txt"\n')["own"].guard
    with pytest.raises(SettingError, match=r"\[webhooks.own\] secret_command: it ended with status 1"):
        guard.refusal(posted(b"{}"), NOW)
    (tmp_path / "secret.txt").write_text("geheim\n", encoding="utf-8")
    assert guard.refusal(posted(b"{}"), NOW)


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("kind = 'sparkpost'", "kind: is missing or not known"),
        ("secret = 'geheim'", "kind: is missing or not known"),
        ("kind = 'ses'", "topics: is missing"),
        ("kind = 'ses'\ntopics = []", "topics"),
        ("kind = 'ses'\ntopics = ['arn:aws:sqs:eu-west-2:123456789012:x']", "topics.0"),
        (f"kind = 'ses'\ntopics = ['{TOPIC}']\nsecret = 'geheim'", "secret: is not known"),
        ("kind = 'sendgrid'", "public_key: is missing"),
        ("kind = 'sendgrid'\npublic_key = 'geheim'", "public_key: it is no verification key"),
        ("kind = 'sendgrid'\npublic_key = 7", "public_key: it is no verification key"),
        ("kind = 'mailgun'", "secret_command: it needs one of secret"),
        ("kind = 'mailgun'\nsecret = 'geheim'\nsecret_command = 'geheim'", "secret_command: it needs one of secret"),
        ("kind = 'generic'\nsecret = ''", "secret_command: it needs one of secret"),
        ("kind = 'generic'\nsecret_file = 'none.txt'", "secret_file: there is no file"),
        ("kind = 'postmark'\nsecret = 'geheim'", "user: is missing"),
        ("kind = 'postmark'\nuser = ''\nsecret = 'geheim'", "user"),
        ("kind = 'brevo'\nuser = 'a:b'\nsecret = 'geheim'", "user"),
    ],
)
def test_a_bad_key_is_told_with_file_and_table(read: Read, tmp_path: Path, table: str, where: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(f"[webhooks.office]\n{table}")
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / FEEDBACK_FILE}, [webhooks.office] ")
    assert where in sentence
    assert "geheim" not in sentence
    assert len(sentence.splitlines()) == 1


def test_a_key_of_another_curve_is_told(read: Read) -> None:
    good = SendGrid().public_key
    assert read(f'[webhooks.a]\nkind = "sendgrid"\npublic_key = "{good}"')
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(serialization.Encoding.DER, form)
    for key in (good[:-8], base64.b64encode(other).decode()):
        with pytest.raises(InvalidFile, match="it is no verification key"):
            read(f'[webhooks.a]\nkind = "sendgrid"\npublic_key = "{key}"')
