"""`issues`"""

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import ENGLISH, JAPANESE

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An issue in two languages."""
    folder = tmp_path / "summer-2024"
    folder.mkdir()
    (folder / "en.md").write_text(ENGLISH, encoding="utf-8")
    (folder / "ja.md").write_text(JAPANESE, encoding="utf-8")
    return folder


def test_an_issue_is_imported_listed_and_shown(run: Command, folder: Path) -> None:
    assert run("issues", "list").words() == "There are no issues. See: jlgc-mailer issues import -h"
    imported = run("issues", "import", folder).words()
    assert imported == "Imported summer-2024, revision 1, in en and ja, with 0 pictures."
    assert run("issues", "import", folder).words() == "Nothing new: summer-2024 is the same as revision 1."
    (folder / "en.md").write_text(ENGLISH.replace("Dear", "Hello"), encoding="utf-8")
    assert run("issues", "import", folder).words().startswith("Imported summer-2024, revision 2,")
    (row,) = run("issues", "list", "--json").json()
    assert (row["issue"], row["languages"], row["revision"]) == ("summer-2024", "en ja", 2)
    assert "summer-2024 en ja News of the summer 2" in run("issues", "list").words()


def test_the_preview_links_stand_whole_on_their_lines(run: Command, folder: Path) -> None:
    """M10: each carries a token that nobody can guess."""
    run("issues", "import", folder)
    shown = run("issues", "show", "summer-2024", "--json").json()
    links = [edition["preview"] for edition in shown["editions"]]
    assert [edition["subject"] for edition in shown["editions"]] == ["News of the summer", "夏のニュース"]
    assert all(link.startswith("https://news.example.org/preview/") for link in links)
    lines = run("issues", "show", "summer-2024").words().splitlines()
    assert [f"Preview (en): {links[0]}", f"Preview (ja): {links[1]}"] == lines[-2:]


def test_a_mistake_in_an_edition_is_told_with_file_and_line(run: Command, folder: Path) -> None:
    for old, new, sentence in (
        ("{{ name|reader }}", "{{ nme }}", "summer-2024/en.md:10: merge field {{ nme }} is not declared. Use"),
        ("season: Summer", "season: Summer:", f"{folder}/en.md:4: the front matter cannot be read"),
        ("Dear", "![](a.png)", f"{folder}/en.md:10: there is no picture 'a.png'. Add the file"),
        ("# A summer", "Oh\n# A summer", f"{folder}/en.md:8: there is something before the title"),
    ):
        (folder / "en.md").write_text(ENGLISH.replace(old, new), encoding="utf-8")
        assert run("issues", "import", folder).sentence(1).startswith(sentence)
        assert run("issues", "list", "--json").json() == []


def test_what_is_no_issue_is_told(run: Command, folder: Path, tmp_path: Path) -> None:
    assert run("issues", "import", tmp_path / "nothing").sentence(1).endswith("Name the folder of an issue.")
    assert (
        run("issues", "import", folder.rename(tmp_path / "夏号")).sentence(2).startswith("Issue name '夏号' cannot be")
    )
    for command in ("show", "render"):
        told = run("issues", command, "winter").sentence(1)
        assert told == "There is no issue 'winter'. See: jlgc-mailer issues list"


def test_a_rendered_issue_is_html_text_and_a_whole_message(run: Command, folder: Path, tmp_path: Path) -> None:
    """M7"""
    run("issues", "import", folder)
    output = tmp_path / "preview" / "summer"
    files = run("issues", "render", "summer-2024", "--output", output, "--name", "愛子").words().splitlines()
    assert files == [
        str(output / f"summer-2024-{language}.{ending}")
        for language in ("en", "ja")
        for ending in ("html", "txt", "eml")
    ]
    assert "愛子" in (output / "summer-2024-en.html").read_text(encoding="utf-8")
    assert "夏号をお届けします。" in (output / "summer-2024-ja.txt").read_text(encoding="utf-8")
    message = message_from_bytes((output / "summer-2024-ja.eml").read_bytes(), policy=default)
    assert message["Subject"] == "夏のニュース"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_folder_that_cannot_be_written_to_is_told(run: Command, folder: Path, tmp_path: Path) -> None:
    run("issues", "import", folder)
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    told = run("issues", "render", "summer-2024", "--output", tmp_path / "taken" / "summer").sentence(1)
    assert told == f"{tmp_path / 'taken' / 'summer'}: Not a directory."
