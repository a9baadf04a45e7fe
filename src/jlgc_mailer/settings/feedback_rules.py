"""The rules that reports are read by: an operator's own from the home folder, before those of the program."""

from pathlib import Path

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.mail.reports.rules import Rules, default_rules, read_rules

RULES_FILE = "feedback-rules.toml"


def read_feedback_rules(home: Path) -> Rules:
    """All rules in order; raises InvalidFile, which names the file."""
    file = home / RULES_FILE
    return read_rules_with(file) if file.is_file() else default_rules()


def read_rules_with(file: Path) -> Rules:
    """The rules of that file, before those of the program; raises InvalidFile."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidFile(place=file, problem="it is not UTF-8 text", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise InvalidFile(place=file, problem=error.strerror, remedy="Name a file that can be read.") from None
    return read_rules(text, str(file)).before(default_rules())
