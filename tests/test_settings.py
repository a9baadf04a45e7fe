"""Settings: from the environment and a file, each fault told with its variable, no secret told at all."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.errors import SettingError
from jlgc_mailer.settings import FILE_NAME, Settings, default_home, read_settings

KEY = "a key for tests that is long enough to be one"
WriteSettings = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the machine that runs the tests has set."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"JLGC_MAILER_{field.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


@pytest.fixture
def write(tmp_path: Path) -> WriteSettings:
    """Writes settings.env with a key and these lines; gives its folder."""

    def write(*lines: str, key: str | None = KEY) -> Path:
        first = [f"JLGC_MAILER_SECRET_KEYS='{key}'"] if key else []
        (tmp_path / FILE_NAME).write_text("\n".join([*first, *lines]), encoding="utf-8")
        return tmp_path

    return write


def refusal(home: Path) -> str:
    with pytest.raises(SettingError) as caught:
        read_settings(home)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_only_the_key_is_needed_and_the_database_is_a_file_at_home(write: WriteSettings) -> None:
    settings = read_settings(write())
    assert settings.secret_keys[0].get_secret_value() == KEY
    assert settings.effective_database_url == f"sqlite:///{settings.home / 'mailer.db'}"
    assert settings.broker_url == "memory://"
    assert not settings.is_public


def test_a_missing_key_is_named_with_what_to_do(write: WriteSettings) -> None:
    home = write(key=None)
    assert refusal(home) == (
        "Setting JLGC_MAILER_SECRET_KEYS: is missing. "
        f"Run jlgc-mailer init, or set it in {home / FILE_NAME} or in the environment."
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SECRET_KEYS", "short"),
        ("SECRET_KEYS", f"{KEY},"),
        ("SMTP_PORT", "smtp"),
        ("SMTP_PORT", "65536"),
        ("SMTP_SECURITY", "ssl"),
        ("SMTP_TIMEOUT", "0"),
        ("SMTP_AUTH", "cram-md5"),
        ("SMTP_EHLO_NAME", "a b"),
        ("SMTP_CONNECTIONS", "0"),
        ("SMTP_PER_MINUTE", "-1"),
        ("WEB_PORT", "-1"),
        ("WORKER_CONCURRENCY", "0"),
        ("BATCH_SIZE", "many"),
        ("LEASE_SECONDS", "0"),
        ("TICK_SECONDS", "0"),
        ("SENDER_ID", "a b"),
        ("PUBLIC_URL", "news.example.org"),
        ("PUBLIC_URL", "http://news.example.org"),
        ("PUBLIC_URL", "https://[news"),
        ("MAIL_DOMAIN", "localhost"),
        ("MAIL_DOMAIN", ""),
        ("MAIL_DOMAIN", "news example.org"),
        ("BOUNCE_DOMAIN", "https://bounce.example.org"),
        ("CONTACT", "by telephone"),
        ("FEEDBACK_KEEP_DAYS", "0"),
        ("FEEDBACK_KEEP_DAYS", "29.9"),
        ("FEEDBACK_KEEP_DAYS", "1e9"),
    ],
)
def test_a_bad_value_is_told_with_its_variable_from_file_and_environment(
    variable: str, value: str, write: WriteSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"JLGC_MAILER_{variable}"
    sentence = refusal(write(f"{name}='{value}'"))
    assert sentence.startswith(f"Setting {name}: ")
    assert FILE_NAME in sentence
    home = write()
    monkeypatch.setenv(name, value)
    assert refusal(home) == sentence


def test_reports_are_kept_for_as_long_as_they_count(write: WriteSettings) -> None:
    """F2, L6: one that came again after it was deleted must be too old by then."""
    assert read_settings(write()).feedback_keep_days == 180
    days = "JLGC_MAILER_FEEDBACK_MATCH_DAYS=200"
    sentence = refusal(write(days))
    assert sentence.startswith(
        "Setting JLGC_MAILER_FEEDBACK_KEEP_DAYS: reports must be kept for at least JLGC_MAILER_FEEDBACK_MATCH_DAYS. "
    )
    home = write(days, "JLGC_MAILER_FEEDBACK_KEEP_DAYS=200")
    assert read_settings(home).feedback_keep_days == 200


def test_readers_outside_need_https(write: WriteSettings) -> None:
    """M10: RFC 8058 takes https only."""
    assert "https (RFC 8058" in refusal(write("JLGC_MAILER_PUBLIC_URL=http://news.example.org"))
    settings = read_settings(write("JLGC_MAILER_PUBLIC_URL=https://news.example.org/"))
    assert (settings.public_url, settings.is_public) == ("https://news.example.org", True)


def test_an_unknown_variable_is_told_wherever_it_stands(write: WriteSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(write("JLGC_MAILER_SMPT_HOST=smtp.example.org")).startswith("Setting JLGC_MAILER_SMPT_HOST: ")
    assert refusal(write("SMTP_HOST=smtp.example.org")).startswith("Setting SMTP_HOST: ")
    home = write()
    monkeypatch.setenv("JLGC_MAILER_SMPT_HOST", "smtp.example.org")
    assert refusal(home).startswith("Setting JLGC_MAILER_SMPT_HOST: is not known. Correct its name in the environment")


@pytest.mark.parametrize("line", ["what is this", "JLGC_MAILER_WEB_PORT", 'JLGC_MAILER_SMTP_PASSWORD="secret'])
def test_a_line_that_cannot_be_read_is_told_with_its_number(line: str, write: WriteSettings) -> None:
    home = write("# a comment", line, "JLGC_MAILER_WEB_PORT=8080")
    sentence = refusal(home)
    assert sentence.startswith(f"Setting {home / FILE_NAME}:3: the line cannot be read. Write NAME=value")
    assert "secret" not in sentence


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes("JLGC_MAILER_ORGANISATION_JA=自治体".encode("cp932"))
    assert refusal(tmp_path) == f"Setting {tmp_path / FILE_NAME}: it is not UTF-8 text. Save it as UTF-8."


def test_the_environment_wins_over_the_file(write: WriteSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write("JLGC_MAILER_WEB_PORT=8080", "JLGC_MAILER_SMTP_HOST=smtp.example.org")
    monkeypatch.setenv("JLGC_MAILER_WEB_PORT", "9090")
    settings = read_settings(home)
    assert (settings.web_port, settings.smtp_host) == (9090, "smtp.example.org")


def test_several_keys_are_read_in_their_order(write: WriteSettings) -> None:
    """F1: new keys first, old ones kept for reading."""
    settings = read_settings(write(key=f"{KEY} 2, {KEY} 1"))
    assert [key.get_secret_value() for key in settings.secret_keys] == [f"{KEY} 2", f"{KEY} 1"]


def test_domains_of_any_script_become_a_labels(write: WriteSettings) -> None:
    """M5"""
    settings = read_settings(write("JLGC_MAILER_MAIL_DOMAIN=日本語.jp", "JLGC_MAILER_BOUNCE_DOMAIN=Bounce.Example.org"))
    assert (settings.mail_domain, settings.bounce_domain) == ("xn--wgv71a119e.jp", "bounce.example.org")


def test_no_secret_is_printed(write: WriteSettings) -> None:
    settings = read_settings(
        write(
            "JLGC_MAILER_SMTP_PASSWORD=geheim-1",
            "JLGC_MAILER_CONSOLE_PASSWORD=geheim-2",
            "JLGC_MAILER_DATABASE_URL=postgresql+psycopg://mailer:geheim-3@localhost/mailer",
            "JLGC_MAILER_BROKER_URL=redis://:geheim-4@localhost/0",
        )
    )
    for printed in (repr(settings), str(settings)):
        assert "geheim" not in printed
        assert KEY not in printed


@pytest.mark.parametrize("variable", ["SECRET_KEYS", "SMTP_PORT", "PUBLIC_URL"])
def test_a_refused_value_is_not_printed(variable: str, write: WriteSettings) -> None:
    assert "geheim" not in refusal(write(f"JLGC_MAILER_{variable}=geheim"))


def test_settings_do_not_change(write: WriteSettings) -> None:
    settings = read_settings(write())
    with pytest.raises(ValueError, match="frozen"):
        settings.web_port = 1  # type: ignore[misc]


def test_home_is_where_the_environment_says_or_with_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_home() == tmp_path / "user" / ".jlgc-mailer"
    monkeypatch.setenv("JLGC_MAILER_HOME", "/srv/newsletter")
    assert default_home() == Path("/srv/newsletter")


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("JLGC_MAILER_WEB_PORT='\"=#\n $\\{}8", max_size=80))
def test_any_file_gives_settings_or_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(f"JLGC_MAILER_SECRET_KEYS='{KEY}'\n{text}", encoding="utf-8")
    try:
        assert read_settings(tmp_path).secret_keys
    except SettingError as error:
        assert len(str(error).splitlines()) == 1
