from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup

from jlgc_mailer.errors import InvalidFile, TemplateFault
from jlgc_mailer.render.compile import (
    REFUSE_ABOVE,
    WARN_ABOVE,
    SizeFinding,
    compile_edition,
    recipe_digest,
    size_findings,
)
from jlgc_mailer.render.fields import split_at_marks
from jlgc_mailer.render.source import Block, BlockKind, Compiled, EditionSource, Picture, Site
from jlgc_mailer.render.wording import wording
from jlgc_mailer.states import Language

Broken = Callable[[str, str, str], Path]


def merged(text: str, compiled: Compiled, **values: str) -> str:
    pieces = split_at_marks(text)
    slots = compiled.slots
    return "".join(p if isinstance(p, str) else values.get(slots[p].field, "") or slots[p].fallback for p in pieces)


def with_article(source: EditionSource, markdown: str, line: int = 12) -> EditionSource:
    return replace(source, blocks=(source.blocks[0], Block(BlockKind.ARTICLE, "News", markdown, line)))


class TestMergeFields:
    def test_subject_and_both_parts_hold_marks_for_the_same_slots(
        self, english: EditionSource, site: Site, templates: Path
    ) -> None:
        compiled = compile_edition(english, site, templates)
        assert merged(compiled.subject, compiled, name="Aiko") == 'Summer & "more", Aiko'
        assert "Dear reader, welcome" in merged(compiled.text, compiled)
        assert "Dear Aiko, welcome" in merged(compiled.html, compiled, name="Aiko")
        assert sorted(slot.field for slot in compiled.slots) == ["address", "list_title", "name", "unsubscribe_url"]

    def test_an_undeclared_field_is_refused_with_its_line(
        self, english: EditionSource, site: Site, templates: Path
    ) -> None:
        with pytest.raises(InvalidFile, match=r"^en\.md:14: merge field \{\{ email \}\} is not declared"):
            compile_edition(with_article(english, "\nHello {{ email }}"), site, templates)

    @pytest.mark.parametrize("markdown", ["zqslot9zq", "zq&#115;lot9zq"])
    def test_a_mark_cannot_be_forged(self, markdown: str, english: EditionSource, site: Site, templates: Path) -> None:
        with pytest.raises(InvalidFile, match="reserved"):
            compile_edition(with_article(english, markdown), site, templates)


class TestHtmlPart:
    def test_the_authors_styles_are_inlined_and_the_dark_and_mobile_rules_stay(
        self, edition: EditionSource, site: Site, templates: Path
    ) -> None:
        html = compile_edition(edition, site, templates).html
        page = BeautifulSoup(html, "html.parser")
        assert all("margin" in p["style"] for p in page.select(".text p"))
        assert all("underline" in a["style"] for a in page.select(".text a"))
        assert "@media (prefers-color-scheme: dark)" in html
        assert "@media only screen and (max-width: 479px)" in html
        assert "!important" in html
        assert "data-premailer" not in html

    def test_it_begins_with_its_doctype(self, edition: EditionSource, site: Site, templates: Path) -> None:
        assert compile_edition(edition, site, templates).html.startswith("<!DOCTYPE html>\n<html ")

    def test_pictures_come_from_our_own_pages(self, english: EditionSource, site: Site, templates: Path) -> None:
        page = BeautifulSoup(compile_edition(english, site, templates).html, "html.parser")
        assert [unquote(str(image["src"])) for image in page.find_all("img")] == [
            "https://news.example.org/media/aa11/hall.png",
            "https://news.example.org/media/bb22/写真.png",
        ]

    def test_what_an_author_writes_is_text_and_never_markup(
        self, english: EditionSource, site: Site, templates: Path
    ) -> None:
        nasty = "<script>\"&'</script>"
        blocks = (
            Block(BlockKind.HERO, nasty, f"![{nasty}](p.png ({nasty}))\n\n{nasty}\n\n[{nasty}](https://x.example)", 1),
        )
        source = replace(
            english,
            subject=nasty,
            preheader=nasty,
            season=nasty,
            blocks=blocks,
            pictures={"p.png": Picture("d", "p.png", 9, 9)},
        )
        page = BeautifulSoup(compile_edition(source, site, templates).html, "html.parser")
        assert page.find("script") is None
        assert page.title is not None
        assert page.title.string == nasty
        assert [heading.get_text() for heading in page.find_all("h1")] == [nasty]
        assert [image["alt"] for image in page.find_all("img")] == [nasty]

    def test_no_data_uris(self, english: EditionSource, site: Site, broken_templates: Broken) -> None:
        """STANDARDS M8."""
        templates = broken_templates(
            "email/partials/hero.mjml", "{{ picture_url(picture.picture) }}", "data:image/png,A"
        )
        with pytest.raises(TemplateFault, match="data: URI"):
            compile_edition(english, site, templates)

    def test_what_gmail_would_cut_off_is_refused(self, english: EditionSource, site: Site, templates: Path) -> None:
        """STANDARDS M8."""
        with pytest.raises(InvalidFile, match=r"^en\.md: the message is 1\d\d,\d{3} octets"):
            compile_edition(with_article(english, "Many words. " * 8_000), site, templates)

    @pytest.mark.parametrize(
        ("html", "findings"),
        [
            ("a" * 70_000, ()),
            ("a" * 79_000, (SizeFinding(81_106, WARN_ABOVE),)),
            ("あ" * 20_000, (SizeFinding(81_053, WARN_ABOVE),)),
            ("あ" * 30_000, (SizeFinding(121_579, REFUSE_ABOVE),)),
        ],
    )
    def test_size_is_measured_as_it_travels(self, html: str, findings: tuple[SizeFinding, ...]) -> None:
        """STANDARDS M8, M6: quoted-printable or base64, whichever is smaller."""
        assert size_findings(html) == findings


class TestPlainPart:
    def test_it_carries_every_block_and_every_link(self, edition: EditionSource, site: Site, templates: Path) -> None:
        """STANDARDS M7."""
        compiled = compile_edition(edition, site, templates)
        links = BeautifulSoup(compiled.html, "html.parser").find_all("a")
        assert len(links) > 5
        assert all(str(link["href"]).removeprefix("mailto:") in compiled.text for link in links)
        assert all(block.heading in compiled.text for block in edition.blocks)

    def test_it_is_text_and_not_html(self, english: EditionSource, site: Site, templates: Path) -> None:
        """STANDARDS M7."""
        text = compile_edition(with_article(english, "Tea & <cake>"), site, templates).text
        assert "Tea & <cake>" in text
        assert unescape(text) == text


class TestFooter:
    def test_it_tells_who_writes_why_and_how_to_refuse(
        self, edition: EditionSource, site: Site, templates: Path
    ) -> None:
        """STANDARDS L9, L10."""
        compiled = compile_edition(edition, site, templates)
        values = {"address": "aiko@example.jp", "list_title": "News", "unsubscribe_url": "https://news.example.org/u/1"}
        page = BeautifulSoup(merged(compiled.html, compiled, **values), "html.parser")
        say = wording(templates / "email", edition.language)
        because = say("You receive this because {address} is subscribed to {list_title}.").format(**values)
        for text in (page.get_text(), merged(compiled.text, compiled, **values)):
            assert site.organisation[edition.language] in text
            assert site.postal_address in text
            assert site.contact in text
            assert because in text
            assert say("You may refuse further mail at any time.") in text
        assert page.select(f'a[href="mailto:{site.contact}"]')
        assert [link.get_text() for link in page.select('a[href$="/u/1"]')] == [say("Unsubscribe")]


class TestSourceFaults:
    def test_an_edition_has_one_main_heading_and_begins_with_it(
        self, english: EditionSource, site: Site, templates: Path
    ) -> None:
        """STANDARDS A3."""
        hero, article = english.blocks
        for blocks, line in (((), 1), ((article,), 1), ((article, hero), 7), ((hero, replace(hero, line=30)), 30)):
            with pytest.raises(InvalidFile, match=rf"^en\.md:{line}: an edition begins with one main heading"):
                compile_edition(replace(english, blocks=blocks), site, templates)

    def test_subject_and_headings_are_not_empty(self, english: EditionSource, site: Site, templates: Path) -> None:
        """STANDARDS A3."""
        hero, article = english.blocks
        unnamed = replace(english, blocks=(hero, replace(article, heading=" ")))
        for source, line in ((replace(english, subject=""), 1), (unnamed, 12)):
            with pytest.raises(InvalidFile, match=rf"^en\.md:{line}: the subject or heading is empty"):
                compile_edition(source, site, templates)

    def test_a_control_character_is_refused_wherever_it_stands(
        self, english: EditionSource, site: Site, templates: Path
    ) -> None:
        hero = replace(english.blocks[0], heading="Summer\x00")
        sources = (
            replace(english, subject="a\x1b"),
            replace(english, preheader="\x7f"),
            replace(english, blocks=(hero,)),
        )
        for source, line in zip(sources, (1, 1, 7), strict=True):
            with pytest.raises(InvalidFile, match=rf"^en\.md:{line}: a control character"):
                compile_edition(source, site, templates)


class TestTemplateFaults:
    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("newsletter.mjml", "{{ language }}", "{{ languish }}", r"newsletter.mjml:4: 'languish' is undefined"),
            ("newsletter.mjml", "{% endfor %}", "", r"newsletter.mjml:12: Unexpected end of template"),
            ("newsletter.mjml", "partials/footer", "partials/boots", r"newsletter.mjml:\d+: there is no template part"),
            ("partials/body.mjml", "part.label", "part.lable", r"partials/body.mjml:13: .*Undefined"),
            (
                "partials/footer.mjml",
                "slot('un",
                "slot('",
                r"partials/footer.mjml:6: there is no merge field 'subscribe",
            ),
            (
                "partials/article.mjml",
                "</mj-column>",
                "</mj-section>",
                r"newsletter.mjml as filled:\d+:\d+: .*mismatched",
            ),
            (
                "partials/article.mjml",
                "<mj-divider ",
                "<mj-divider hue='' ",
                r"as filled:\d+:\d+: <mj-divider> has no att",
            ),
            (
                "partials/head.mjml",
                "<mj-head>",
                "<mj-head>  ",
                r"newsletter.mjml as filled:\d+: MJML: unexpected token",
            ),
            ("newsletter.txt", "{{ season }}", "{{ saison }}", r"newsletter.txt:2: 'saison' is undefined"),
        ],
    )
    def test_they_name_the_file_and_the_line(
        self, name: str, old: str, new: str, message: str, english: EditionSource, site: Site, broken_templates: Broken
    ) -> None:
        with pytest.raises(TemplateFault, match=message):
            compile_edition(english, site, broken_templates(f"email/{name}", old, new))

    def test_missing_styles_are_one(self, english: EditionSource, site: Site, broken_templates: Broken) -> None:
        templates = broken_templates("email/author.css", "", "")
        (templates / "email" / "author.css").unlink()
        with pytest.raises(TemplateFault, match=r"author\.css: it cannot be read"):
            compile_edition(english, site, templates)

    def test_words_without_japanese_are_noticed(
        self, japanese: EditionSource, site: Site, broken_templates: Broken
    ) -> None:
        templates = broken_templates("email/partials/footer.mjml", 't("Unsubscribe")', 't("Sign off")')
        with pytest.raises(KeyError, match="Sign off"):
            compile_edition(japanese, site, templates)


class TestSameness:
    def test_the_same_edition_compiles_to_the_same(self, edition: EditionSource, site: Site, templates: Path) -> None:
        assert compile_edition(edition, site, templates) == compile_edition(edition, site, templates)

    def test_the_recipe_is_the_same_until_something_in_it_changes(
        self, site: Site, templates: Path, broken_templates: Broken
    ) -> None:
        recipes = {recipe_digest(site, templates), recipe_digest(replace(site, contact="other@example.org"), templates)}
        copied = broken_templates("email/author.css", "", "")
        recipes.add(recipe_digest(site, copied))
        assert len(recipes) == 2
        for file in (*copied.rglob("*.mjml"), copied / "email" / "author.css", copied / "email" / "ja.po"):
            file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
            recipes.add(recipe_digest(site, copied))
        assert len(recipes) == 2 + len(list(copied.rglob("*.mjml"))) + 2


def test_the_catalogue_is_read_again_when_it_has_changed(broken_templates: Broken) -> None:
    templates = broken_templates("email/ja.po", "配信を停止する", "停止")
    assert wording(templates / "email", Language.JAPANESE)("Unsubscribe") == "停止"
    assert wording(templates / "email", Language.ENGLISH)("Unsubscribe") == "Unsubscribe"
