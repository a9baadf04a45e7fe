"""Issues in the store: what was approved is what is sent (promise 3)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.artefacts import artefacts_of, compiled_value
from jlgc_mailer.content.importing import IssueFiles, read_edition, read_issue
from jlgc_mailer.content.issues import (
    Imported,
    all_issues,
    compiled_artefacts,
    editions_of,
    find_issue,
    import_issue,
    latest_revision,
)
from jlgc_mailer.db.issues import CompiledArtefact, Edition, Issue, Media, Revision
from jlgc_mailer.errors import InvalidFile, InvalidInput, NotFound
from jlgc_mailer.states import Language
from tests.conftest import Clock
from tests.content.conftest import WriteIssue, picture
from tests.factories import ENGLISH, JAPANESE

TABLES = (Issue, Edition, Revision, CompiledArtefact, Media)


def files(en: str | None = ENGLISH, ja: str | None = JAPANESE, slug: str = "summer-2024") -> IssueFiles:
    texts = {language: text for language, text in ((Language.ENGLISH, en), (Language.JAPANESE, ja)) if text is not None}
    editions = [
        read_edition(text, f"/home/staff/{slug}/{language}.md", slug, language, tuple(set(texts) - {language}))
        for language, text in texts.items()
    ]
    return IssueFiles(slug, tuple(editions), {})


def store(mailer: Mailer, given: IssueFiles) -> Imported:
    with mailer.database.transaction() as session:
        done = import_issue(session, given, mailer.press, mailer.clock())
        assert done.revision.issue.slug == given.slug
        return done


def counts(session: Session) -> list[int]:
    return [session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES]


def present(mailer: Mailer) -> Revision:
    with mailer.database.reading() as session:
        return latest_revision(session, find_issue(session, "summer-2024"))


def test_an_import_stores_freezes_and_compiles_every_edition(mailer: Mailer) -> None:
    done = store(mailer, files())
    assert (done.revision.number, done.is_new_revision) == (1, True)
    assert done.revision.frozen_at == mailer.clock()
    with mailer.database.reading() as session:
        assert counts(session) == [1, 2, 1, 2, 0]
        english, japanese = artefacts_of(session, done.revision.id, mailer.press.recipe)
    assert (english.language, english.subject) == (Language.ENGLISH, "News of the summer")
    assert (japanese.language, japanese.subject) == (Language.JAPANESE, "夏のニュース")
    assert "Welcome to the summer issue." in english.html
    assert "夏号をお届けします。" in japanese.text


def test_the_same_content_is_the_same_revision(mailer: Mailer, clock: Clock) -> None:
    first = store(mailer, files())
    clock.forward(days=1)
    again = store(mailer, files())
    assert (again.revision.id, again.revision.number, again.is_new_revision) == (first.revision.id, 1, False)
    with mailer.database.reading() as session:
        assert counts(session) == [1, 2, 1, 2, 0]


def test_the_folder_it_came_from_makes_no_other_revision(mailer: Mailer) -> None:
    store(mailer, files())
    given = files()
    moved = [replace(each, place=f"/elsewhere/{each.language}.md") for each in given.editions]
    assert not store(mailer, replace(given, editions=tuple(moved))).is_new_revision


def test_any_change_is_a_new_revision_and_the_old_one_stays(mailer: Mailer) -> None:
    first = store(mailer, files())
    for number, word in enumerate(("Dear", "News of the summer", "JLGC London", "Visit", "Summer 2024"), start=2):
        changed = store(mailer, files(ENGLISH.replace(word, f"Not {word}")))
        assert (changed.revision.number, changed.is_new_revision) == (number, True)
        assert present(mailer).number == number
    with mailer.database.reading() as session:
        kept = session.get_one(Revision, first.revision.id)
        assert (kept.digest, kept.content) == (first.revision.digest, first.revision.content)
        assert len(artefacts_of(session, kept.id, mailer.press.recipe)) == 2


def test_an_earlier_text_that_comes_back_is_what_is_sent(mailer: Mailer) -> None:
    """Promise 3: not the mistake that it was brought back from."""
    store(mailer, files())
    store(mailer, files(ENGLISH.replace("Whitehall", "Whitehal")))
    back = store(mailer, files())
    assert (back.revision.number, back.is_new_revision) == (1, False)
    assert present(mailer).number == 1
    assert store(mailer, files(ENGLISH.replace("Dear", "Hello"))).revision.number == 3


def test_an_edition_whose_file_is_gone_is_taken_out_and_can_come_back(mailer: Mailer) -> None:
    store(mailer, files())
    alone = store(mailer, files(ja=None))
    assert list(alone.revision.content) == ["en"]
    with mailer.database.reading() as session:
        assert [each.language for each in find_issue(session, "summer-2024").editions] == [Language.ENGLISH]
    assert store(mailer, files()).revision.number == 1


def test_a_bad_edition_is_told_with_its_line_and_leaves_nothing(mailer: Mailer) -> None:
    for en, line, problem in (
        (f"{ENGLISH}\nDear {{{{ nme }}}},\n", 18, "merge field {{ nme }} is not declared"),
        (f"{ENGLISH}\n[link](javascript:alert)\n", 18, "link address"),
        (ENGLISH.replace("Dear", "De\x07ar"), 10, "a control character (U+0007)"),
        (ENGLISH.replace("# A summer in Whitehall", "#"), 8, "the subject or heading is empty"),
        (f"{ENGLISH}\n![](https://example.org/a.png)\n", 18, "is not a file beside"),
    ):
        with pytest.raises(InvalidFile) as caught:
            store(mailer, files(en))
        assert str(caught.value).startswith(f"summer-2024/en.md:{line}: ")
        assert problem in str(caught.value)
        with mailer.database.reading() as session:
            assert counts(session) == [0, 0, 0, 0, 0]


def test_a_bad_edition_leaves_the_issue_as_it_was(mailer: Mailer, write_issue: WriteIssue) -> None:
    folder = write_issue(**{"ja.md": JAPANESE})
    store(mailer, read_issue(folder))
    before = present(mailer)
    write_issue(f"{ENGLISH}\n![](a.png)\n\n{{{{ nme }}}}\n", **{"a.png": picture()})
    with pytest.raises(InvalidFile, match="nme"):
        store(mailer, read_issue(folder))
    assert present(mailer).id == before.id
    with mailer.database.reading() as session:
        assert counts(session) == [1, 2, 1, 2, 0]


def test_a_name_that_cannot_stand_in_a_web_address_is_refused(mailer: Mailer) -> None:
    for slug in ("", "-x", "summer 2024", "夏", "a/b", "a" * 81):
        with pytest.raises(InvalidInput, match="Issue name"):
            store(mailer, replace(files(), slug=slug))


def test_pictures_are_stored_with_the_issue_and_shown_by_digest(mailer: Mailer, write_issue: WriteIssue) -> None:
    given = read_issue(write_issue(f"{ENGLISH}\n![The hall](写真.png)\n", **{"写真.png": picture()}))
    done = store(mailer, given)
    (digest,) = given.pictures
    with mailer.database.reading() as session:
        assert session.get_one(Media, digest).data == picture()
        (artefact,) = artefacts_of(session, done.revision.id, mailer.press.recipe)
    assert f"https://news.example.org/media/{digest}/" in artefact.html


def test_editions_come_back_as_they_were_read(mailer: Mailer, write_issue: WriteIssue) -> None:
    given = read_issue(write_issue(f"{ENGLISH}\n![](a.png)\n", **{"a.png": picture(), "ja.md": JAPANESE}))
    done = store(mailer, given)
    with mailer.database.reading() as session:
        kept = editions_of(session.get_one(Revision, done.revision.id))
    assert kept == [replace(each, place=f"summer-2024/{each.language}.md") for each in given.editions]


def test_another_recipe_makes_other_artefacts_and_keeps_the_old(
    mailer: Mailer, make_mailer: Callable[..., Mailer]
) -> None:
    """Promise 3: what was sent stays as it was when the sender's particulars or the templates change."""
    done = store(mailer, files())
    moved = make_mailer(postal_address="1 New Street, London")
    assert moved.press.recipe != mailer.press.recipe
    with mailer.database.transaction() as session:
        revision = session.get_one(Revision, done.revision.id)
        old = [artefact.html for artefact in artefacts_of(session, revision.id, mailer.press.recipe)]
        new = compiled_artefacts(session, revision, moved.press, mailer.clock())
    assert all("1 New Street" in artefact.text for artefact in new)
    with mailer.database.reading() as session:
        assert [each.html for each in artefacts_of(session, done.revision.id, mailer.press.recipe)] == old
        assert counts(session)[3] == 4


def test_an_artefact_is_compiled_once(mailer: Mailer, clock: Clock) -> None:
    """Promise 8"""
    done = store(mailer, files())
    clock.forward(days=1)
    with mailer.database.transaction() as session:
        revision = session.get_one(Revision, done.revision.id)
        again = compiled_artefacts(session, revision, mailer.press, clock())
    assert all(artefact.compiled_at < clock() for artefact in again)


def test_an_artefact_comes_back_with_its_slots(mailer: Mailer) -> None:
    done = store(mailer, files())
    with mailer.database.reading() as session:
        english, _ = artefacts_of(session, done.revision.id, mailer.press.recipe)
    compiled = compiled_value(english)
    assert ("name", "reader") in {(slot.field, slot.fallback) for slot in compiled.slots}
    assert all(slot.mark in compiled.html + compiled.text for slot in compiled.slots)
    assert (compiled.html, compiled.subject) == (english.html, english.subject)


def test_issues_are_listed_newest_first_and_a_missing_one_is_told(mailer: Mailer, clock: Clock) -> None:
    for slug in ("spring-2024", "summer-2024", "autumn-2024"):
        store(mailer, files(slug=slug))
        clock.forward(days=90)
    with mailer.database.reading() as session:
        assert [issue.slug for issue in all_issues(session)] == ["autumn-2024", "summer-2024", "spring-2024"]
        with pytest.raises(NotFound, match="There is no issue 'winter'. See: jlgc-mailer issues list"):
            find_issue(session, "winter")


def test_an_edition_that_is_nearly_too_long_is_told_with_its_size(mailer: Mailer) -> None:
    """M8: worth a warning from 80 KB, refused above 100 KB."""
    assert store(mailer, files()).large == {}
    (size,) = store(mailer, files(en=ENGLISH + "A long story. " * 5_000, ja=None)).large.values()
    assert 80_000 < size <= 100_000
    with pytest.raises(InvalidFile, match="Gmail"):
        store(mailer, files(en=ENGLISH + "A long story. " * 8_000, ja=None))
