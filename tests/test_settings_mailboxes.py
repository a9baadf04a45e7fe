"""[mailboxes.NAME] of feedback.toml: every key, every fault told with file, table and key, no secret told at all."""

import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidFile, MailerError, SettingError
from jlgc_mailer.feedback.mailboxes import Mailbox
from jlgc_mailer.feedback.mailboxes.imap import ImapMailbox
from jlgc_mailer.feedback.mailboxes.maildir import Maildir
from jlgc_mailer.feedback.mailboxes.mbox import Mbox
from jlgc_mailer.feedback.mailboxes.pop3 import Pop3Mailbox
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security
from jlgc_mailer.settings.feedback_file import FEEDBACK_FILE
from jlgc_mailer.settings.feedback_rules import RULES_FILE, read_feedback_rules
from jlgc_mailer.settings.mailboxes import ImapTable, MaildirTable, MboxTable, Pop3Table, read_mailboxes
from tests.conftest import make_settings

Read = Callable[[str], Sequence[Mailbox]]
IMAP = '[mailboxes.office]\nkind = "imap"\nhost = "imap.example.org"\nuser = "reports"\npassword = "geheim"\n'
MAILDIR = '[mailboxes.local]\nkind = "maildir"\npath = "Maildir"\n'


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the mailboxes of a home folder with this feedback.toml."""
    (tmp_path / "ca.pem").write_text("a certificate", encoding="utf-8")
    (tmp_path / "password.txt").write_text("geheim-in-file\n", encoding="utf-8")

    def read(text: str) -> Sequence[Mailbox]:
        (tmp_path / FEEDBACK_FILE).write_text(text, encoding="utf-8")
        return read_mailboxes(make_settings(tmp_path))

    return read


def test_every_key_finds_its_place(read: Read, tmp_path: Path) -> None:
    server_keys = 'port = 1993\nsecurity = "starttls"\nauth = "plain"\nca_file = "ca.pem"\n'
    (office,) = read(IMAP + server_keys + 'folder = "報告"\nafter = "move:読了"\nevery = 300')
    assert isinstance(office, ImapMailbox)
    own = office.server
    assert (office.name, office.every, office.folder, office.after) == (
        "office",
        timedelta(minutes=5),
        "報告",
        "move:読了",
    )
    assert (own.host, own.port, own.security, own.user) == ("imap.example.org", 1993, Security.STARTTLS, "reports")
    assert (own.password(), own.auth, own.ca_file) == ("geheim", Auth.PLAIN, tmp_path / "ca.pem")


def test_what_is_not_said_is_as_usual(read: Read) -> None:
    (office,) = read(IMAP)
    assert isinstance(office, ImapMailbox)
    assert (office.every, office.folder, office.after) == (timedelta(minutes=1), "INBOX", "delete")
    assert (office.server.port, office.server.security, office.server.auth) == (993, Security.TLS, Auth.AUTO)


@pytest.mark.parametrize(
    ("kind", "security", "port"),
    [("imap", "tls", 993), ("imap", "starttls", 143), ("pop3", "tls", 995), ("pop3", "starttls", 110)],
)
def test_the_usual_port_goes_with_kind_and_security(read: Read, kind: str, security: str, port: int) -> None:
    (office,) = read(IMAP.replace('"imap"', f'"{kind}"') + f'security = "{security}"')
    assert isinstance(office, ImapMailbox | Pop3Mailbox)
    assert office.server.port == port


def test_files_are_named_from_the_home_folder(read: Read, tmp_path: Path) -> None:
    text = MAILDIR + 'after = "keep"\n[mailboxes.spool]\nkind = "mbox"\npath = "/var/mail/reports"\nevery = 10'
    local, spool = read(text)
    assert local == Maildir("local", timedelta(seconds=60), tmp_path / "Maildir", keeps=True)
    assert spool == Mbox("spool", timedelta(seconds=10), Path("/var/mail/reports"))


def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    assert read_mailboxes(make_settings(tmp_path)) == ()


def test_webhooks_stand_in_the_same_file(read: Read) -> None:
    assert [each.name for each in read(f'{MAILDIR}\n[webhooks.ses]\nkind = "ses"')] == ["local"]


def test_passwords_come_from_where_they_are_kept(read: Read) -> None:
    for key, password in (
        ('password_file = "password.txt"', "geheim-in-file"),
        (f"password_command = \"{sys.executable} -c 'print(12345)'\"", "12345"),
    ):
        (office,) = read(IMAP.replace('password = "geheim"', key))
        assert isinstance(office, ImapMailbox)
        assert office.server.password() == password


def test_a_command_that_fails_is_told_with_its_place_when_it_is_needed(read: Read, tmp_path: Path) -> None:
    (office,) = read(IMAP.replace('password = "geheim"', 'password_command = "/bin/false"'))
    assert isinstance(office, ImapMailbox)
    with pytest.raises(
        SettingError, match=re.escape(f"{tmp_path / FEEDBACK_FILE}, [mailboxes.office] password_command")
    ):
        office.server.password()


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("x", "", "it is not TOML: "),
        ("[mailbox.office]", ", mailbox", "is not known"),
        ("mailboxes = 3", ", mailboxes", "is no table"),
        ("[mailboxes]\noffice = 3", ", [mailboxes.office]", "is no table"),
        (IMAP.replace("office", "Office!"), "", "it is not TOML: "),
        (IMAP.replace("office", '"Office!"'), ", [mailboxes.Office!]", "is no name"),
        (IMAP.replace('"imap"', '"imap5"'), ", [mailboxes.office] kind", "Write one of: imap, pop3, maildir, mbox."),
        (IMAP.replace('kind = "imap"', ""), ", [mailboxes.office] kind", "is missing or not known"),
        (IMAP.replace('host = "imap.example.org"', ""), ", [mailboxes.office] host", "is missing"),
        (IMAP.replace('user = "reports"', ""), ", [mailboxes.office] user", "is missing"),
        (IMAP.replace('password = "geheim"', ""), ", [mailboxes.office] user", "it needs one of password"),
        (IMAP + 'password_command = "x"', ", [mailboxes.office] user", "it needs one of password"),
        (IMAP + 'password_file = "nowhere"', ", [mailboxes.office] password_file", "there is no file "),
        (IMAP + 'security = "none"', ", [mailboxes.office] user", "would go in clear"),
        (IMAP + 'auth = "magic"', ", [mailboxes.office] auth", ""),
        (IMAP + "port = 0", ", [mailboxes.office] port", ""),
        (IMAP + "every = 1", ", [mailboxes.office] every", ""),
        (IMAP + 'after = "burn"', ", [mailboxes.office] after", ""),
        (IMAP + 'after = "move:"', ", [mailboxes.office] after", ""),
        (IMAP + 'folder = "a\\nb"', ", [mailboxes.office] folder", ""),
        (IMAP + 'pasword = "geheim2"', ", [mailboxes.office] pasword", "is not known"),
        (IMAP.replace('"imap"', '"pop3"') + 'after = "keep"', ", [mailboxes.office] after", "is not known"),
        (MAILDIR + 'after = "move:x"', ", [mailboxes.local] after", ""),
        (MAILDIR.replace('path = "Maildir"', ""), ", [mailboxes.local] path", "is missing"),
    ],
)
def test_faults_are_told_with_their_place(
    read: Read, tmp_path: Path, text: str, where: str | None, problem: str
) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(text)
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / FEEDBACK_FILE}{where}: ")
    assert problem in sentence
    assert len(sentence.splitlines()) == 1
    assert "geheim" not in sentence


def test_a_file_in_another_encoding_is_told(read: Read, tmp_path: Path) -> None:
    (tmp_path / FEEDBACK_FILE).write_bytes("# 報告".encode("shift_jis"))
    with pytest.raises(InvalidFile, match="it is not UTF-8 text"):
        read_mailboxes(make_settings(tmp_path))


_KEYS = st.sampled_from(["host", "user", "password", "path", "folder", "after", "every"])
_KINDS = st.sampled_from(["imap", "pop3", "maildir", "mbox"]) | st.text()


@given(_KINDS, st.dictionaries(_KEYS, st.text() | st.integers()))
def test_any_table_is_read_or_told_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, kind: str, keys: dict[str, object]
) -> None:
    home = tmp_path_factory.mktemp("home")
    lines = [f"{key} = {value}" if isinstance(value, int) else f"{key} = {_toml(value)}" for key, value in keys.items()]
    (home / FEEDBACK_FILE).write_text("\n".join(["[mailboxes.a]", f"kind = {_toml(kind)}", *lines]), encoding="utf-8")
    try:
        read_mailboxes(make_settings(home))
    except MailerError as error:
        assert len(str(error).splitlines()) == 1


def _toml(value: object) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in str(value)) + '"'


def test_every_key_is_in_the_paper() -> None:
    paper = (Path(__file__).parents[1] / "docs" / "feedback.md").read_text(encoding="utf-8")
    rows = [cell for row in re.findall(r"^\| ([a-z_, 0-9]+) \|", paper, re.MULTILINE) for cell in row.split(", ")]
    fields = {name for table in (ImapTable, Pop3Table, MaildirTable, MboxTable) for name in table.model_fields}
    assert set(rows) >= fields | {"kind"}


# --- feedback-rules.toml ------------------------------------------------------------------------------------------


def test_rules_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    (tmp_path / RULES_FILE).write_bytes(b"\xff")
    with pytest.raises(InvalidFile, match="it is not UTF-8 text"):
        read_feedback_rules(tmp_path)


def test_rules_that_are_no_rules_are_told_with_their_file(tmp_path: Path) -> None:
    (tmp_path / RULES_FILE).write_text("x", encoding="utf-8")
    with pytest.raises(InvalidFile, match=re.escape(str(tmp_path / RULES_FILE))):
        read_feedback_rules(tmp_path)
