"""The demo, as a newcomer runs it, on both pairs."""

import json
import os
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

_PROGRAM = Path(sys.executable).with_name("jlgc-mailer")
_READERS = 150


def run_demo(pair: dict[str, str], home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scaled = pair["broker_url"].startswith("redis")
    servers = ["--database-url", pair["database_url"], "--broker-url", pair["broker_url"]] if scaled else []
    command = [_PROGRAM, "demo", "--exit", "--subscribers", str(_READERS), "--home", str(home), *servers, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JLGC_MAILER_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment, check=False)


def test_the_demo_accounts_for_everybody_and_can_be_run_again(pair: dict[str, str], tmp_path: Path) -> None:
    """Promises 1, 2, 6; the second run begins afresh."""
    home = tmp_path / "home"
    run_demo(pair, home, "--subscribers", "5")
    ran = run_demo(pair, home, "--json")
    assert ran.returncode == 0, ran.stderr
    facts = json.loads(ran.stdout)
    assert facts["total"] == _READERS == sum(facts[key] for key in ("accepted", "refused", "skipped"))
    assert facts["refused_why"] == {"unknown user": 1, "mailbox full": 1}
    assert facts["skipped_why"] == {"suppressed": 1, "unsubscribed": 2}
    assert facts["receiver_holds"] == facts["accepted"] == _READERS - 5
    assert facts["complaints"] == 1
    assert facts["accounted_for"] is True
    _look_at_messages(home / "demo-mailboxes")


def _look_at_messages(mailboxes: Path) -> None:
    """M2, M9, M13, M14: what the receiver holds are whole newsletters, one per reader."""
    messages = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in mailboxes.glob("*.eml")]
    assert len(messages) == _READERS - 5
    assert len({message["Message-ID"] for message in messages}) == len(messages)
    for message in messages:
        for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Id", "List-Unsubscribe"):
            assert len(message.get_all(name, [])) == 1, name
        assert message["Precedence"] == "bulk"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert {message["Content-Language"] for message in messages} == {"en", "ja"}


def test_a_folder_or_database_that_is_in_use_is_left_alone(pair: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.env").write_text("JLGC_MAILER_SECRET_KEYS=a key of somebody else, long enough\n")
    ran = run_demo(pair, home)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "an installation lives there" in ran.stderr
    assert "Traceback" not in ran.stderr
