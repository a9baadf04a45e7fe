import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from jlgc_mailer.render.compile import compile_edition
from jlgc_mailer.render.source import EditionSource, Site
from jlgc_mailer.states import Language

DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", re.DOTALL)
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
Styles = dict[int, dict[str, str]]


@pytest.fixture
def html(edition: EditionSource, site: Site, templates: Path) -> str:
    return compile_edition(edition, site, templates).html


@pytest.fixture
def page(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def declarations(text: str) -> dict[str, str]:
    pairs = (pair.split(":", 1) for pair in text.replace("!important", "").split(";") if ":" in pair)
    return {name.strip(): value.strip() for name, value in pairs}


def style(tag: Tag) -> dict[str, str]:
    return declarations(str(tag.get("style", "")))


def luminance(colour: str) -> float:
    assert re.fullmatch("#[0-9a-f]{6}", colour), colour
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def visible_texts(page: BeautifulSoup) -> Iterator[NavigableString]:
    assert page.body is not None
    for text in page.body.find_all(string=True):
        hidden = any(style(parent).get("display") == "none" for parent in text.parents if isinstance(parent, Tag))
        if text.strip() and not isinstance(text, PreformattedString) and not hidden:
            yield text


def colour_pairs(page: BeautifulSoup, overrides: Styles) -> set[tuple[str, str]]:
    """The text and background colours of everything that can be read."""

    def nearest(text: NavigableString, *names: str) -> str:
        for parent in text.parents:
            styles = style(parent) | overrides.get(id(parent), {})
            for name in names:
                if name in styles:
                    return styles[name]
        raise AssertionError(f"no {names} for {text!r}")

    return {(nearest(text, "color"), nearest(text, "background", "background-color")) for text in visible_texts(page)}


def dark_styles(page: BeautifulSoup, html: str) -> Styles:
    found = DARK.search(html)
    assert found
    overrides: Styles = {}
    for selectors, body in RULE.findall(found[1]):
        for tag in page.select(selectors.strip()):
            overrides.setdefault(id(tag), {}).update(declarations(body))
    return overrides


def test_the_document_and_its_article_are_named_and_have_a_language(
    page: BeautifulSoup, edition: EditionSource
) -> None:
    """STANDARDS A1, A3."""
    assert page.html is not None
    [article] = page.select("[role=article]")
    for tag in (page.html, article):
        assert tag["lang"] == edition.language
        assert tag["dir"] == "ltr"
    assert article["aria-roledescription"] == "email"
    assert page.title is not None
    assert page.title.string == article["aria-label"]
    assert str(article["aria-label"]).startswith(edition.subject.split("{")[0])


def test_every_table_is_for_layout_and_says_so(html: str) -> None:
    """STANDARDS A2: those for Outlook, inside comments, too."""
    tables = re.findall(r"<table[^>]*>", html)
    assert len(tables) > 10
    assert all('role="presentation"' in table for table in tables)


def test_headings_begin_with_the_only_h1_and_skip_no_level(page: BeautifulSoup, edition: EditionSource) -> None:
    """STANDARDS A3."""
    headings = page.find_all(re.compile("^h[1-6]$"))
    levels = [int(heading.name[1]) for heading in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    titles = [heading.get_text() for heading in headings]
    assert [title for title in titles if title in {b.heading for b in edition.blocks}] == [
        b.heading for b in edition.blocks
    ]


def test_every_picture_has_an_alternative_text_and_a_width(page: BeautifulSoup) -> None:
    """STANDARDS A4, A7."""
    pictures = page.find_all("img")
    assert pictures
    assert all(picture.has_attr("alt") and str(picture["width"]).isdigit() for picture in pictures)


def test_links_are_underlined_or_buttons_and_have_texts_of_their_own(page: BeautifulSoup) -> None:
    """STANDARDS A4."""
    links = page.find_all("a")
    assert all(
        "text-decoration:underline" in str(a["style"]).replace(" ", "") or a.find_parent(class_="button") for a in links
    )
    texts = [link.get_text() for link in links]
    assert all(texts)
    assert len(set(texts)) == len(texts)


def test_targets_are_large_enough(page: BeautifulSoup) -> None:
    """STANDARDS A4: 24 px for links that stand apart, 44 for buttons."""
    for link in page.select(".target"):
        assert style(link)["display"] == "inline-block"
        assert int(style(link)["line-height"].removesuffix("px")) >= 24
    for button in page.select(".button a"):
        padding = int(style(button)["padding"].split("px")[0])
        assert int(style(button)["line-height"].removesuffix("px")) + 2 * padding >= 44


def test_text_contrasts_with_its_ground_in_light_and_dark(page: BeautifulSoup, html: str) -> None:
    """STANDARDS A5."""
    light, dark = colour_pairs(page, {}), colour_pairs(page, dark_styles(page, html))
    assert len(light) >= 5
    assert len(dark) >= 5
    too_weak = {pair: round(contrast(*pair), 2) for pair in light | dark if contrast(*pair) < 4.5}
    assert not too_weak


def test_no_light_ground_is_left_in_the_dark(page: BeautifulSoup, html: str) -> None:
    """STANDARDS A5, A6: but for buttons, which are the reverse of their surroundings."""
    grounds = {ground for colour, ground in colour_pairs(page, dark_styles(page, html)) if luminance(colour) > 0.2}
    assert grounds
    assert all(luminance(ground) < 0.05 for ground in grounds)


def test_body_text_is_large_well_spaced_and_left_aligned(page: BeautifulSoup, edition: EditionSource) -> None:
    """STANDARDS A5."""
    bodies = [div for div in page.select(".card .text > div") if "quiet" not in str(div.parent)]
    assert bodies
    for body in bodies:
        assert style(body)["font-size"] == "16px"
        assert style(body)["line-height"] == ("1.7" if edition.language is Language.JAPANESE else "1.5")
        assert style(body)["text-align"] == "left"


def test_both_colour_schemes_are_declared_and_nothing_moves(page: BeautifulSoup, html: str) -> None:
    """STANDARDS A6."""
    for name in ("color-scheme", "supported-color-schemes"):
        meta = page.find("meta", attrs={"name": name})
        assert isinstance(meta, Tag)
        assert meta["content"] == "light dark"
    assert ":root { color-scheme: light dark; supported-color-schemes: light dark; }" in html
    assert not re.search(r"animation|transition|@keyframes|\.gif", html)


def test_outlook_gets_what_it_needs(page: BeautifulSoup, html: str) -> None:
    """STANDARDS A7."""
    assert page.html is not None
    assert page.html["xmlns:v"] == "urn:schemas-microsoft-com:vml"
    assert page.html["xmlns:o"] == "urn:schemas-microsoft-com:office:office"
    assert "<o:OfficeDocumentSettings>" in html
    for button in page.select(".button a"):
        assert button.get_text()
        assert button.find_parent("td", attrs={"bgcolor": True}) is not None


def test_every_font_stack_has_japanese_fonts(page: BeautifulSoup) -> None:
    """STANDARDS A8."""
    stacks = {style(tag)["font-family"].replace("'", "") for tag in page.find_all(style=re.compile("font-family"))}
    assert stacks
    for stack in stacks:
        assert "Hiragino Sans,Yu Gothic,Meiryo,Noto Sans JP" in re.sub(r",\s*", ",", stack)


def test_words_of_the_other_language_are_marked_wherever_they_stand(
    page: BeautifulSoup, edition: EditionSource
) -> None:
    """STANDARDS A8."""
    runs = {span.get_text() for span in page.select("span[lang]")}
    if edition.language is Language.ENGLISH:
        assert runs == {"多文化共生", "総務省", "豊田市", "事務所"}
    else:
        assert runs == {"JET Programme", "Whitehall", "London SW", "DD"}


def test_japanese_is_never_in_italics(page: BeautifulSoup, edition: EditionSource) -> None:
    """STANDARDS A8."""
    emphases = page.select("em span[lang=ja]" if edition.language is Language.ENGLISH else "em")
    assert emphases
    assert all(style(emphasis)["font-style"] == "normal" for emphasis in emphases)


def test_the_switch_shows_each_language_in_itself(page: BeautifulSoup, edition: EditionSource) -> None:
    """STANDARDS A8."""
    [other] = edition.other_languages
    [switch] = page.select("a[hreflang]")
    assert switch["lang"] == switch["hreflang"] == other
    assert str(switch["href"]).endswith(f"/issues/summer-2024/{other}")
    assert switch.get_text() == {"ja": "この号を日本語で読む", "en": "Read this issue in English"}[other]
