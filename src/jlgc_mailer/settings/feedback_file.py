"""`feedback.toml` in the home folder: the mailboxes and webhooks by which feedback comes in. Without it none are."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from jlgc_mailer.errors import InvalidFile

FEEDBACK_FILE = "feedback.toml"
SECTIONS = ("mailboxes", "webhooks")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class FeedbackTable(BaseModel):
    """What all tables of the file have in common: unknown keys are refused, and values are not shown in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


Table = TypeVar("Table", bound=FeedbackTable)


def read_feedback_tables(home: Path, section: str, kinds: Mapping[str, type[Table]]) -> Mapping[str, Table]:
    """The tables [section.NAME] by name, each read as the model of its key `kind`.

    Raises InvalidFile, which names the file, the table and the key.
    """
    file = home / FEEDBACK_FILE
    tables = _document(file).get(section, {}) if file.is_file() else {}
    if not isinstance(tables, dict):
        raise _fault(f"{file}, {section}", "is no table", f"Write each as a table [{section}.NAME].")
    return {name: _checked(file, section, name, table, kinds) for name, table in tables.items()}


def place_of(home: Path, section: str, name: str, key: str) -> str:
    """How errors name a key."""
    return f"{home / FEEDBACK_FILE}, [{section}.{name}] {key}"


def _document(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise _fault(file, f"it is not TOML: {error}", "Correct it.") from None
    except UnicodeDecodeError:
        raise _fault(file, "it is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as error:
        raise _fault(file, str(error.strerror), "Make it readable to this user.") from None
    stray = next((key for key in document if key not in SECTIONS), None)
    if stray is not None:
        raise _fault(f"{file}, {stray}", "is not known", "Write tables [mailboxes.NAME] and [webhooks.NAME].")
    return document


def _checked(file: Path, section: str, name: str, table: object, kinds: Mapping[str, type[Table]]) -> Table:
    place = f"{file}, [{section}.{name}]"
    if not _NAME.fullmatch(name):
        raise _fault(place, "is no name", "Use up to 63 small letters, digits and hyphens.")
    if not isinstance(table, dict):
        raise _fault(place, "is no table", f"Write [{section}.{name}], and its keys below.")
    kind = kinds.get(str(table.get("kind")))
    if kind is None:
        raise _fault(f"{place} kind", "is missing or not known", f"Write one of: {', '.join(kinds)}.")
    rest = {key: value for key, value in table.items() if key != "kind"}
    try:
        return kind.model_validate(rest, context={"home": file.parent})
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join((place, ".".join(map(str, first["loc"])))).strip()
        if first["type"] == "extra_forbidden":
            raise _fault(where, "is not known", "Correct its name, or take it out.") from None
        problem = "is missing" if first["type"] == "missing" else str(first["msg"]).removeprefix("Value error, ")
        raise _fault(where, problem.rstrip("."), "Correct it.") from None


def _fault(place: object, problem: str, remedy: str) -> InvalidFile:
    return InvalidFile(place=place, problem=problem, remedy=remedy)
