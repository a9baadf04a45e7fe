"""Reading an issue: what staff wrote becomes editions, and what cannot be read is told with file and line."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.content.importing import read_edition, read_issue
from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.render.source import BlockKind, EditionSource
from jlgc_mailer.states import Language
from tests.content.conftest import WriteIssue, picture
from tests.factories import ENGLISH, JAPANESE

FRONT = """---
subject: News of the summer
preheader: What happened in June
season: Summer 2024
from: JLGC London <newsletter@example.org>
---
"""
SAMPLE = Path(__file__).parents[2] / "examples" / "summer-2024"


def read(text: str) -> EditionSource:
    return read_edition(text, "en.md", "summer-2024", Language.ENGLISH)


def refusal(text: str) -> str:
    with pytest.raises(InvalidFile) as caught:
        read(text)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_an_edition_is_its_fields_and_its_headed_blocks() -> None:
    edition = read(ENGLISH)
    assert (edition.subject, edition.season) == ("News of the summer", "Summer 2024")
    assert (edition.preheader, edition.sender) == (
        "What happened in June and July",
        "JLGC London <newsletter@example.org>",
    )
    assert [(block.kind, block.heading, block.line) for block in edition.blocks] == [
        (BlockKind.HERO, "A summer in Whitehall", 8),
        (BlockKind.ARTICLE, "Visit to the park", 14),
    ]
    assert "Welcome to the summer issue." in edition.blocks[0].markdown


def test_the_sample_issue_is_read_in_both_languages_with_its_pictures() -> None:
    files = read_issue(SAMPLE)
    assert files.slug == "summer-2024"
    assert [edition.language for edition in files.editions] == [Language.ENGLISH, Language.JAPANESE]
    assert [edition.other_languages for edition in files.editions] == [(Language.JAPANESE,), (Language.ENGLISH,)]
    assert {file.name for file in (SAMPLE / "images").iterdir()} == {
        file.picture.name for file in files.pictures.values()
    }


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: f"\ufeff{text}"])
def test_line_ends_and_marks_of_other_systems_change_nothing(change: object) -> None:
    assert callable(change)
    assert read(change(ENGLISH)) == read(ENGLISH)


@pytest.mark.parametrize(
    ("field", "text"), [("season", "2024"), ("subject", "10:30"), ("subject", "yes"), ("season", "2024-06-01")]
)
def test_a_field_is_the_text_that_was_written(field: str, text: str) -> None:
    """Not the number, time, truth or date that YAML would make of it."""
    lines = [f"{field}: {text}" if line.startswith(field) else line for line in ENGLISH.split("\n")]
    edition = read("\n".join(lines))
    assert {"season": edition.season, "subject": edition.subject}[field] == text


def test_headings_in_code_begin_no_block() -> None:
    edition = read(f"{FRONT}# Title\n\n```\n# not a heading\n```\n\n### Smaller\n\n> # quoted\n")
    assert [block.heading for block in edition.blocks] == ["Title"]


def test_an_underlined_heading_begins_a_block_and_its_lines_are_still_counted() -> None:
    edition = read(f"{FRONT}Title\n=====\nHello\n\nVisit\n-----\nText\n")
    assert [(block.heading, block.line) for block in edition.blocks] == [("Title", 7), ("Visit", 11)]
    assert [block.markdown for block in edition.blocks] == ["\nHello\n", "\nText\n"]


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "en.md:1", "the front matter is missing"),
        ("# Title\n", "en.md:1", "the front matter is missing"),
        ("---\nsubject: x\n", "en.md:1", "the front matter does not end"),
        ("---\nsubject: x\n---\n# Title\n", "en.md:1", "the front matter has no preheader"),
        (ENGLISH.replace("News of the summer", ""), "en.md:1", "the front matter has no subject"),
        (ENGLISH.replace("News of the summer", "[a, b]"), "en.md:1", "the front matter has no subject"),
        (ENGLISH.replace("Summer 2024", "Summer: 2024"), "en.md:4", "mapping values are not allowed here"),
        (ENGLISH.replace("Summer 2024", '"Summer'), "en.md:4", "the front matter cannot be read"),
        (ENGLISH.replace("Summer 2024", "Sum\x07mer"), "en.md:4", "special characters are not allowed"),
        (ENGLISH.replace("Summer 2024", '"Summer\\r\\n2024"'), "en.md:4", "the field season holds more than one line"),
        (ENGLISH.replace("Summer 2024", '"\\ud800"'), "en.md:4", "the field season holds more than one line or half"),
        (f"---\n{'[' * 600}\n---\n# Title\n", "en.md:2", "the front matter cannot be read"),
        (ENGLISH.replace("newsletter@example.org", "newsletter"), "en.md:5", "the field from is no address"),
        (ENGLISH.replace("newsletter@example.org", "愛子@example.org"), "en.md:5", "the field from is no address"),
        (FRONT, "en.md:7", "there is no title"),
        (f"{FRONT}\n\n## Article\n", "en.md:9", "there is no title"),
        (f"{FRONT}\nHello\n\n# Title\n", "en.md:8", "there is something before the title"),
        (f"{FRONT}## Article\n# Title\n", "en.md:7", "there is something before the title"),
        (f"{FRONT}# Title\n\n## Article\n\n# Second\n", "en.md:11", "there is a second title"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, place: str, problem: str) -> None:
    sentence = refusal(text)
    assert sentence.startswith(f"{place}: ")
    assert problem in sentence


@given(st.text() | st.text("-:#\n \"'[]{}ab@\r\t\x85\u2028&*!|>%", max_size=200))
@example("---\n? [a]\n: b\n---\n# x")
@example("---\nsubject: !!python/object:os.system x\n---\n")
@example("---\n- a\n---\n")
def test_any_text_is_an_edition_or_is_refused(text: str) -> None:
    for whole in (text, f"---\n{text}\n---\n# Title\n", f"{FRONT}{text}", ENGLISH.replace("Summer 2024", text)):
        try:
            edition = read(whole)
        except InvalidFile as error:
            assert str(error).startswith("en.md:")
            assert len(str(error).splitlines()) == 1
        else:
            assert edition.blocks[0].kind is BlockKind.HERO


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_line_of_the_text_is_in_its_block_at_its_distance(text: str) -> None:
    body = f"# Title\n\n{text}"
    try:
        edition = read(FRONT + body)
    except InvalidFile:
        return
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for block in edition.blocks:
        written = block.markdown.split("\n")
        start = block.line - 7 + 1
        assert all(line in ("", lines[start + number]) for number, line in enumerate(written))


def test_a_folder_that_holds_no_issue_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as caught:
        read_issue(tmp_path / "nothing")
    assert str(caught.value).startswith(f"{tmp_path / 'nothing'}: there is no such folder. ")
    with pytest.raises(InvalidFile) as caught:
        read_issue(tmp_path)
    assert str(caught.value) == f"{tmp_path}: there is no en.md or ja.md in it. Write one file per language."


def test_a_file_that_is_not_utf_8_is_told_with_its_line(write_issue: WriteIssue) -> None:
    folder = write_issue(ENGLISH.encode().replace(b"Whitehall", "白".encode("cp932")), **{"ja.md": JAPANESE})
    with pytest.raises(InvalidFile) as caught:
        read_issue(folder)
    assert str(caught.value) == f"{folder / 'en.md'}:8: it is not UTF-8 text. Save it as UTF-8."


def test_one_language_is_enough(write_issue: WriteIssue) -> None:
    files = read_issue(write_issue(None, **{"ja.md": JAPANESE}))
    assert [(edition.language, edition.other_languages) for edition in files.editions] == [(Language.JAPANESE, ())]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("images/hall.png", "images/hall.png"),
        ("images/写真.png", "images/写真.png"),
        ("<images/the hall.png>", "images/the hall.png"),
        ("images/the%20hall.png", "images/the hall.png"),
        ("./images/../hall.png", "hall.png"),
    ],
)
def test_a_picture_beside_the_edition_is_read_under_the_name_that_was_written(
    address: str, name: str, write_issue: WriteIssue
) -> None:
    folder = write_issue(f"{ENGLISH}\n![The hall]({address})\n", **{name: picture()})
    files = read_issue(folder)
    assert [(file.picture.name, file.content_type) for file in files.pictures.values()] == [
        (Path(name).name, "image/png")
    ]
    assert [(picture.width, picture.height) for picture in files.editions[0].pictures.values()] == [(12, 8)]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nothing.png", "there is no picture 'nothing.png'"),
        ("../secret.png", "picture ../secret.png lies outside the folder of the issue"),
        ("%2e%2e/secret.png", "picture ../secret.png lies outside the folder of the issue"),
        ("/etc/hostname", "picture /etc/hostname lies outside the folder of the issue"),
        ("link.png", "picture link.png lies outside the folder of the issue"),
        ("circle.png", "there is no picture 'circle.png'"),
        ("a%00b.png", "there is no picture 'a\\x00b.png'"),
        ("en.md", "picture en.md is no PNG, JPEG or GIF that can be read to its end"),
        (".", "there is no picture '.'"),
        (f"{'a' * 300}.png", "there is no picture"),
    ],
)
def test_a_picture_that_cannot_be_used_is_told_with_the_line_it_stands_on(
    address: str, problem: str, write_issue: WriteIssue
) -> None:
    folder = write_issue(f"{ENGLISH}\n\n![The hall]({address})\n")
    (folder.parent / "secret.png").write_bytes(picture())
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    line = len(ENGLISH.split("\n")) + 2
    with pytest.raises(InvalidFile) as caught:
        read_issue(folder)
    assert str(caught.value).startswith(f"{folder / 'en.md'}:{line}: {problem}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_picture_in_both_editions_is_kept_once(write_issue: WriteIssue) -> None:
    show = "\n![]({})\n".format
    folder = write_issue(ENGLISH + show("a.png"), **{"ja.md": JAPANESE + show("b.png"), "a.png": picture()})
    (folder / "b.png").write_bytes(picture())
    assert len(read_issue(folder).pictures) == 1
