"""Importing subscribers from CSV: streamed, every bad row reported with its line, the good ones committed.

Rows go to the database in chunks, each one transaction. Running the same file again changes nothing.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
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
    "zone": ("zone", "timezone", "time zone", "タイムゾーン"),
}
_FIELD_LIMIT = 100_000
_UNREADABLE = "\ufffd"  # what stands for octets that are no character in the file's encoding


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


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it was split."""

    line: int
    cells: Sequence[str]


@dataclass
class ImportResult:
    """What an import did; the three counts add up to the rows read."""

    added: int = 0
    unchanged: int = 0
    bad: int = 0

    def count(self, added: int, unchanged: int, bad: int) -> None:
        """Add what a chunk of rows came to."""
        self.added += added
        self.unchanged += unchanged
        self.bad += bad


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

    The file has a header with a column `email`, and may have `name`, `language` and `zone`. UTF-8 (with or without
    byte order mark) and UTF-16 are read as such, else Shift_JIS as Excel in Japan writes it.
    Raises InvalidFile, with nothing stored, when there is no such file or header. `on_progress` gets the octets
    read so far.
    """
    evidence = Evidence("import", f"imported from {file.name}")
    result = ImportResult()
    with _open(file) as stream:
        rows = read_rows(stream, str(file), default_language)
        while chunk := list(islice(rows, _CHUNK)):
            good = [row.person for row in chunk if isinstance(row, GoodRow)]
            bad = [row for row in chunk if isinstance(row, BadRow)]
            with database.transaction() as session:
                added = confirm(session, good, list_id, evidence, now)
            for row in bad:
                on_bad_row(row)
            result.count(added, len(good) - added, len(bad))
            on_progress(_octets_read(stream))
    return result


def read_rows(lines: Iterable[str], place: str, default_language: Language) -> Iterator[GoodRow | BadRow]:
    """Each row after the header as a value, good or bad; raises InvalidFile for a header without `email`."""
    rows = _split(lines)
    columns = _columns(next(rows, None), place)
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        elif any(cell.strip() for cell in row.cells):
            yield _read_row(row, columns, default_language)


def _open(file: Path) -> IO[str]:
    try:
        return file.open(encoding=_encoding(file), errors="replace", newline="")
    except OSError as error:
        raise InvalidFile(place=file, problem=error.strerror, remedy="Give a CSV file that can be read.") from None


def _octets_read(stream: IO[str]) -> int:
    return stream.buffer.tell() if isinstance(stream, TextIOWrapper) else 0


def _encoding(file: Path) -> str:
    """Shift_JIS if the whole file fits it and not UTF-8; a file that fits neither is UTF-8 with some bad rows."""
    with file.open("rb") as stream:
        start = stream.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return "cp932" if not _fits(file, "utf-8") and _fits(file, "cp932") else "utf-8-sig"


def _fits(file: Path, encoding: str) -> bool:
    try:
        with file.open(encoding=encoding) as stream:
            while stream.read(65536):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _split(lines: Iterable[str]) -> Iterator[_Row | BadRow]:
    """Each row with the line that it begins on; after something that is no CSV it goes on with the next line."""
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.reader(lines, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield _Row(line, next(reader))
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"no CSV up to line {reader.line_num}: {error}. Look for a quotation mark that is not closed."
            yield BadRow(line, (), reason)


def _columns(header: _Row | BadRow | None, place: str) -> dict[str, int]:
    cells = [cell.strip().lower() for cell in header.cells] if isinstance(header, _Row) else []
    columns = {field: cells.index(name) for field, names in _COLUMNS.items() for name in names if name in cells}
    if "email" not in columns:
        raise InvalidFile(
            place=f"{place}:1",
            problem="the first line names no column “email”",
            remedy="Begin the file with a line such as: email,name,language,zone",
        )
    return columns


def _read_row(row: _Row, columns: dict[str, int], default_language: Language) -> GoodRow | BadRow:
    def cell(field: str) -> str:
        at = columns.get(field)
        return row.cells[at] if at is not None and at < len(row.cells) else ""

    if any(_UNREADABLE in value for value in row.cells):
        return BadRow(row.line, row.cells, "it holds octets that are no characters. Save the file as UTF-8.")
    try:
        language = cell("language") or default_language
        return GoodRow(row.line, person(cell("email"), cell("name"), language, cell("zone")))
    except MailerError as error:
        return BadRow(row.line, row.cells, str(error))
