"""Importing: every good row is stored, every bad one told with its line, and doing it again changes nothing."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from jlgc_mailer.audience.importing import BadRow, GoodRow, ImportResult, import_csv, read_rows
from jlgc_mailer.audience.lists import find_list
from jlgc_mailer.audience.subscriptions import Evidence, find_subscriber, subscriptions, unsubscribe
from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.db.people import ConsentRecord, Subscription
from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.states import Language, SubscriptionStatus
from tests import factories

PEOPLE = "email,name,language\naiko@example.org,田中愛子,ja\nken@example.org,Ken,en\n"


@pytest.fixture
def news(mailer: Mailer) -> int:
    """The id of a list to import into."""
    with mailer.database.transaction() as session:
        return factories.mailing_list(session).id


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def run(mailer: Mailer, list_id: int, file: Path) -> tuple[ImportResult, list[BadRow]]:
    bad: list[BadRow] = []
    result = import_csv(
        mailer.database,
        file,
        list_id,
        default_language=Language.ENGLISH,
        now=mailer.clock(),
        on_bad_row=bad.append,
    )
    return result, bad


def stored(mailer: Mailer) -> list[tuple[str, str, str]]:
    with mailer.database.reading() as session:
        return [(each.address, each.name, each.language.value) for each, _, _ in subscriptions(session)]


def rows(text: str) -> list[GoodRow | BadRow]:
    return list(read_rows(io.StringIO(text, newline=""), "people.csv", Language.ENGLISH))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom", "cp932"])
def test_a_file_in_any_usual_encoding_is_read(encoding: str, mailer: Mailer, news: int, file: Path) -> None:
    """M3: Shift_JIS is decoded on input."""
    data = f"\ufeff{PEOPLE}".encode(encoding.removesuffix("-bom")) if "-bom" in encoding else PEOPLE.encode(encoding)
    file.write_bytes(data)
    result, bad = run(mailer, news, file)
    assert (result, bad) == (ImportResult(added=2), [])
    assert stored(mailer) == [("aiko@example.org", "田中愛子", "ja"), ("ken@example.org", "Ken", "en")]


def test_importing_again_changes_nothing(mailer: Mailer, news: int, file: Path) -> None:
    file.write_text(PEOPLE, encoding="utf-8")
    run(mailer, news, file)
    before = stored(mailer)
    file.write_text(PEOPLE.replace("Ken,en", "Kenneth,ja"), encoding="utf-8")
    result, bad = run(mailer, news, file)
    assert (result, bad) == (ImportResult(unchanged=2), [])
    assert stored(mailer) == before
    with mailer.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ConsentRecord)) == 2


def test_each_imported_person_has_a_proof_that_names_the_file(mailer: Mailer, news: int, file: Path) -> None:
    """L3: evidence for imports."""
    file.write_text(PEOPLE, encoding="utf-8")
    run(mailer, news, file)
    with mailer.database.reading() as session:
        proofs = {(each.how, each.wording) for each in session.scalars(select(ConsentRecord))}
    assert proofs == {("import", "imported from people.csv")}


def test_who_unsubscribed_stays_unsubscribed(mailer: Mailer, news: int, file: Path) -> None:
    """Promise 2"""
    file.write_text(PEOPLE, encoding="utf-8")
    run(mailer, news, file)
    with mailer.database.transaction() as session:
        aiko = find_subscriber(session, "aiko@example.org")
        unsubscribe(session, aiko.id, [news], Evidence("one-click", ""), mailer.clock())
    result, _ = run(mailer, news, file)
    assert result == ImportResult(unchanged=2)
    with mailer.database.reading() as session:
        tie = session.scalars(select(Subscription).where(Subscription.subscriber_id == aiko.id)).one()
        assert tie.status is SubscriptionStatus.UNSUBSCRIBED


def test_bad_rows_are_told_with_their_lines_and_the_good_ones_stored(mailer: Mailer, news: int, file: Path) -> None:
    file.write_text(
        "Name,E-Mail,lang\n"
        "Aiko,aiko@example.org,ja\n"
        "Nobody,,en\n"
        "\n"
        '"Two\nlines",ken@example.org,en\n'
        "Wrong,wrong@,en\n"
        '"Two\nlines",no address,en\n'
        "Pierre,pierre@example.org,fr\n"
        "Short\n"
        "Hana,hana@example.org\n",
        encoding="utf-8",
    )
    result, bad = run(mailer, news, file)
    assert result == ImportResult(added=3, bad=5)
    assert [row.line for row in bad] == [3, 7, 8, 10, 11]
    assert list(bad[1].row) == ["Wrong", "wrong@", "en"]
    assert bad[3].reason == "Language 'fr' cannot be used: choose en or ja."
    assert [each[:2] for each in stored(mailer)] == [
        ("aiko@example.org", "Aiko"),
        ("hana@example.org", "Hana"),
        ("ken@example.org", "Two lines"),
    ]


def test_one_address_in_several_rows_is_one_person(mailer: Mailer, news: int, file: Path) -> None:
    """Promise 1"""
    file.write_text("email,name\na@example.org,First\nA@EXAMPLE.org,Second\n", encoding="utf-8")
    result, _ = run(mailer, news, file)
    assert result == ImportResult(added=1, unchanged=1)
    assert stored(mailer) == [("a@example.org", "First", "en")]


def test_japanese_column_names_are_understood() -> None:
    assert (
        rows("氏名,メールアドレス,言語,タイムゾーン\n愛子,aiko@example.org,ja,Asia/Tokyo\n")[0]
        == rows("email,name,language,zone\naiko@example.org,愛子,ja,Asia/Tokyo")[0]
    )


def test_zones_are_read_and_a_wrong_one_is_told_with_its_line(mailer: Mailer, news: int, file: Path) -> None:
    file.write_text(
        "email,zone\na@example.org,Asia/Tokyo\nb@example.org,Tokyo\nc@example.org,\nd@example.org\n", encoding="utf-8"
    )
    result, bad = run(mailer, news, file)
    assert result == ImportResult(added=3, bad=1)
    assert [(row.line, row.reason) for row in bad] == [
        (3, "Zone 'Tokyo' cannot be used: it is no time zone. Write it like Europe/London or Asia/Tokyo.")
    ]
    with mailer.database.reading() as session:
        assert [someone.zone for someone, _, _ in subscriptions(session)] == ["Asia/Tokyo", None, None]


def test_a_row_with_octets_of_another_encoding_is_bad_and_the_others_are_not_garbled(
    mailer: Mailer, news: int, file: Path
) -> None:
    """M3: one Latin-1 name after 700 UTF-8 rows, beyond what is read at once."""
    many = "".join(f"reader{number}@example.org,読者,ja\n" for number in range(700))
    data = (
        f"email,name,language\n{many}".encode() + b"ren\xe9@example.org,Ren\xe9,en\naiko@example.org,\xe6\x84\x9b,ja\n"
    )
    file.write_bytes(data)
    result, bad = run(mailer, news, file)
    assert result == ImportResult(added=701, bad=1)
    assert [row.line for row in bad] == [702]
    assert "no characters" in bad[0].reason
    assert {name for _, name, _ in stored(mailer)} == {"読者", "愛"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the first line names no column “email”"),
        ("name,language\nAiko,ja\n", "the first line names no column “email”"),
        ("aiko@example.org,Aiko\n", "the first line names no column “email”"),
        ('"email,name\n', "the first line names no column “email”"),
    ],
)
def test_a_file_without_a_header_is_refused_whole(
    text: str, problem: str, mailer: Mailer, news: int, file: Path
) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile) as caught:
        run(mailer, news, file)
    remedy = "Begin the file with a line such as: email,name,language,zone"
    assert str(caught.value) == f"{file}:1: {problem}. {remedy}"
    assert stored(mailer) == []


def test_a_file_that_cannot_be_read_is_told(mailer: Mailer, news: int, tmp_path: Path) -> None:
    for place, problem in ((tmp_path / "nothing.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidFile) as caught:
            run(mailer, news, place)
        assert str(caught.value).startswith(f"{place}: {problem}")


def test_a_huge_field_is_a_bad_row_and_the_next_is_read() -> None:
    good, bad, last = rows(f"email\na@example.org\n{'x' * 200_000}\nb@example.org\n")
    assert isinstance(bad, BadRow)
    assert (good.line, bad.line, last.line) == (2, 3, 4)
    assert "field larger than field limit" in bad.reason
    assert isinstance(last, GoodRow)


def test_a_quotation_mark_that_is_not_closed_is_told_where_it_opens() -> None:
    good, bad = rows('email,name\na@example.org,A\nb@example.org,"B\nc@example.org,C\n')
    assert (good.line, bad.line) == (2, 3)
    assert isinstance(bad, BadRow)
    assert "up to line 4" in bad.reason
    assert "quotation mark" in bad.reason


def test_a_nul_is_a_bad_row_where_it_matters() -> None:
    name, address = rows("email,name\na@example.org,A\0B\nb\0@example.org,B\n")
    assert isinstance(name, BadRow)
    assert isinstance(address, BadRow)


def test_rows_are_read_as_they_come_and_not_kept() -> None:
    """A file without end gives its first rows, and a long one takes no more memory than a short one."""

    def endless() -> Iterator[str]:
        yield "email,name\n"
        for number in count():
            yield f"reader{number}@example.org,{'x' * 100}\n"

    def peak(rows_to_read: int) -> int:
        tracemalloc.start()
        for row in islice(read_rows(endless(), "people.csv", Language.ENGLISH), rows_to_read):
            assert isinstance(row, GoodRow)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(1000) < 2 * peak(100)


def test_good_rows_before_a_failure_stay(mailer: Mailer, news: int, file: Path) -> None:
    """Chunks of 1,000 rows are committed one by one, so that a break costs at most the present one."""
    file.write_text(
        "email\n" + "".join(f"r{number}@example.org\n" for number in range(1500)) + "bad\n", encoding="utf-8"
    )

    def stop(_row: BadRow) -> None:
        raise KeyboardInterrupt

    octets: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        import_csv(
            mailer.database,
            file,
            news,
            default_language=Language.ENGLISH,
            now=mailer.clock(),
            on_bad_row=stop,
            on_progress=octets.append,
        )
    assert len(stored(mailer)) == 1500
    assert octets == sorted(octets)
    assert len(octets) == 1
    result, _ = run(mailer, news, file)
    assert result == ImportResult(unchanged=1500, bad=1)


@given(st.text() | st.text('aé@.,"\n\r\0', max_size=100))
@example('""" \n"\n')
@example("\r\r\n")
def test_any_text_gives_rows_with_rising_lines_or_is_refused(text: str) -> None:
    lines = [row.line for row in rows(f"email,name\n{text}")]
    assert lines == sorted(set(lines))
    assert all(2 <= line <= len(text) + 2 for line in lines)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), max_size=20)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=10))
def test_whatever_a_spreadsheet_writes_each_row_is_accounted_for(people: list[tuple[str, str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([("email", "name"), *people])
    read = rows(written.getvalue())
    filled = [person for person in people if any(cell.strip() for cell in person)]
    assert [list(row.row) for row in read if isinstance(row, BadRow)] == [
        list(person) for row, person in zip(read, filled, strict=True) if isinstance(row, BadRow)
    ]


def test_the_list_stays_the_one_that_was_named(mailer: Mailer, news: int, file: Path) -> None:
    with mailer.database.transaction() as session:
        jobs = factories.mailing_list(session, "jobs").id
    file.write_text(PEOPLE, encoding="utf-8")
    run(mailer, news, file)
    assert run(mailer, jobs, file)[0] == ImportResult(added=2)
    with mailer.database.reading() as session:
        assert find_list(session, "news").id == news
        assert len(list(subscriptions(session, "news"))) == len(list(subscriptions(session, "jobs"))) == 2
