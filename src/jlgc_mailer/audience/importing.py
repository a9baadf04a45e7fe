"""Importing subscribers from CSV: streamed, every bad row reported with its line, the good ones committed.

Rows go to the database in chunks, each one transaction. Running the same file again changes nothing.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from jlgc_mailer.audience.subscriptions import Evidence, Person, confirm, person
from jlgc_mailer.db.base import Database
from jlgc_mailer.errors import InvalidFile, MailerError
from jlgc_mailer.states import Language

_CHUNK = 1000
_COLUMNS = {
    "email": ("email", "e-mail", "address", "メールアドレス"),
    "name": ("name", "氏名", "名前"),
    "language": ("language", "lang", "言語"),
}
_FIELD_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: its line in the file, what it held, and why."""

    line: int
    row: Sequence[str]
    reason: str


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that can be stored."""

    line: int
    person: Person


@dataclass
class ImportResult:
    """What an import did; the three counts add up to the rows read."""

    added: int = 0
    unchanged: int = 0
    bad: int = 0


def import_csv(
    database: Database,
    file: Path,
    list_id: int,
    *,
    default_language: Language,
    now: datetime,
    on_bad_row: Callable[[BadRow], None],
    on_progress: Callable[[int], None] = lambda _octets: None,
) -> ImportResult:
    """Add every good row of `file` to the list as confirmed, on the evidence of the file.

    The file has a header with a column `email`, and may have `name` and `language`. UTF-8 (with or without
    byte order mark) and UTF-16 are read as such, else Shift_JIS as Excel in Japan writes it.
    Raises InvalidFile when the file as a whole cannot be read. `on_progress` gets the octets read so far.
    """
    evidence = Evidence("import", f"imported from {file.name}")
    result = ImportResult()
    with _open(file) as stream:
        rows = read_rows(stream, str(file), default_language)
        while chunk := list(islice(rows, _CHUNK)):
            bad = [row for row in chunk if isinstance(row, BadRow)]
            good = [row.person for row in chunk if isinstance(row, GoodRow)]
            with database.transaction() as session:
                added = confirm(session, good, list_id, evidence, now)
            for row in bad:
                on_bad_row(row)
            result.added += added
            result.unchanged += len(good) - added
            result.bad += len(bad)
            on_progress(stream.buffer.tell() if hasattr(stream, "buffer") else 0)
    return result


def read_rows(lines: Iterable[str], place: str, default_language: Language) -> Iterator[GoodRow | BadRow]:
    """Each row after the header as a value, good or bad; raises InvalidFile for a header without `email`."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(lines)
    columns = _columns(next(_rows(reader, place), []), place)
    for row in _rows(reader, place):
        if any(cell.strip() for cell in row):
            yield _read_row(row, reader.line_num, columns, default_language)


def _open(file: Path) -> IO[str]:
    try:
        return file.open(encoding=_encoding(file), newline="")
    except OSError as error:
        raise InvalidFile(place=file, problem=error.strerror, remedy="Give a CSV file that can be read.") from None


def _encoding(file: Path) -> str:
    """The encoding that the first 64 KiB fit: a multi-byte character cut at their end does not count against it."""
    with file.open("rb") as stream:
        start = stream.read(65536)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return "cp932"
    return "utf-8-sig"


def _rows(reader: Iterator[list[str]], place: str) -> Iterator[list[str]]:
    """The reader's rows; what stops the whole file becomes an InvalidFile with its line."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeError) as error:
            line = getattr(reader, "line_num", 0) + 1
            remedy = "Save it as CSV in UTF-8 and import it again; rows before this line are stored."
            raise InvalidFile(place=f"{place}:{line}", problem=str(error), remedy=remedy) from None


def _columns(header: list[str], place: str) -> dict[str, int]:
    cells = [cell.strip().lower() for cell in header]
    columns = {field: cells.index(name) for field, names in _COLUMNS.items() for name in names if name in cells}
    if "email" not in columns:
        raise InvalidFile(
            place=f"{place}:1",
            problem="the first line names no column “email”",
            remedy="Begin the file with a line such as: email,name,language",
        )
    return columns


def _read_row(row: list[str], line: int, columns: dict[str, int], default_language: Language) -> GoodRow | BadRow:
    def cell(field: str) -> str:
        at = columns.get(field)
        return row[at] if at is not None and at < len(row) else ""

    try:
        return GoodRow(line, person(cell("email"), cell("name"), cell("language") or default_language))
    except MailerError as error:
        return BadRow(line, row, str(error))
