import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.render.fields import Slots
from jlgc_mailer.render.markdown import Button, Image, Text, parts
from jlgc_mailer.render.source import Picture
from jlgc_mailer.states import Language

EN, JA = Language.ENGLISH, Language.JAPANESE
PICTURES = {"a.png": Picture("d1", "a.png", 1200, 520), "写真.png": Picture("d2", "写真.png", 300, 200)}
MARK = Slots().mark("name", "reader")
MARKDOWN = st.text(st.one_of(st.sampled_from("*_`[]()!<>#-+>|\\&;:/. \n\t1「」。あ漢aé\"'"), st.characters()))
INLINE = st.lists(
    st.sampled_from(["*", "**", "_", "「", "」", "。", "です", "漢字", "word", "two words", " ", "\n", MARK])
)

TAGS = {"div", "span", "p", "br", "hr", "strong", "em", "a", "ul", "ol", "li", "blockquote", "pre", "code"} | {
    f"h{level}" for level in range(3, 7)
}


def text_of(markdown: str, language: Language = EN) -> Text:
    [part] = parts(markdown, language, PICTURES)
    assert isinstance(part, Text)
    return part


def refusal(markdown: str, line: int = 1) -> str:
    with pytest.raises(InvalidFile) as caught:
        parts(markdown, EN, PICTURES, place="en.md", line=line)
    return str(caught.value)


class TestSplitting:
    def test_texts_that_follow_each_other_are_one_part(self) -> None:
        [part] = parts("One.\n\n- two\n\n> three\n\n### Four\n", EN, {})
        assert isinstance(part, Text)

    def test_a_lone_picture_and_a_lone_link_stand_between_texts(self) -> None:
        found = parts('One.\n\n![A hall](a.png "By day")\n\n[Read on](https://x.example)\n\nTwo.', EN, PICTURES)
        assert [type(part) for part in found] == [Text, Image, Button, Text]
        assert found[1] == Image(PICTURES["a.png"], "A hall", "By day", "[A hall]\nBy day")
        assert found[2] == Button("Read on", "https://x.example", "Read on:\nhttps://x.example")

    @pytest.mark.parametrize(
        "markdown", ["See [this](https://x.example).", "[a](https://x.example) [b](https://y.example)"]
    )
    def test_a_link_among_words_is_no_button(self, markdown: str) -> None:
        assert "<a href=" in text_of(markdown).html

    def test_a_bare_address_is_no_button_because_it_has_no_label(self) -> None:
        assert text_of("<https://x.example>").plain == "https://x.example"

    def test_a_decorative_picture_leaves_nothing_in_the_plain_text(self) -> None:
        """STANDARDS M7, A4."""
        [picture] = parts("![](a.png)", EN, PICTURES)
        assert picture.plain == ""

    def test_a_picture_is_found_by_its_japanese_name(self) -> None:
        [picture] = parts("![x](写真.png)", EN, PICTURES)
        assert isinstance(picture, Image)
        assert picture.picture.digest == "d2"

    def test_nothing_gives_no_parts(self) -> None:
        assert parts(" \n\n", EN, {}) == []


class TestHtml:
    def test_it_is_well_formed_xml(self) -> None:
        html = text_of("a  \nb &nbsp; & <i>raw</i>\n\n---\n\n1. x\n\n```\n<pre>\n```").html
        ET.fromstring(f"<div>{html}</div>")
        assert "<br />" in html
        assert "&lt;i&gt;raw&lt;/i&gt;" in html

    def test_headings_begin_below_the_heading_of_their_block_and_skip_no_level(self) -> None:
        """STANDARDS A3."""
        [part] = parts("## A\n#### B\n###### C\n## D\n# E", EN, {}, top_heading=3)
        assert isinstance(part, Text)
        assert re.findall(r"<h(\d)>", part.html) == ["3", "4", "5", "4", "3"]

    @pytest.mark.parametrize(
        ("markdown", "html"),
        [
            ("**「重要」**です", "<strong>「重要」</strong>です"),
            ("これは**「重要」**です。", "これは<strong>「重要」</strong>です。"),
            ("**重要。**次", "<strong>重要。</strong>次"),
            ("必ず**(注)**を", "必ず<strong>(注)</strong>を"),
            ("*「強調」*です", "<em>「強調」</em>です"),
            ("**葛\U000e0100**(市)", "<strong>葛\U000e0100</strong>(市)"),
            ("2 * 3 * 4", "2 * 3 * 4"),
        ],
    )
    def test_emphasis_closes_beside_japanese_punctuation(self, markdown: str, html: str) -> None:
        assert text_of(markdown, JA).html == f"<p>{html}</p>"

    @pytest.mark.parametrize("markdown", ["a **b.**c", 'a**"b"**c', "snake_case_name", "__init__x", "**b **c"])
    def test_emphasis_in_western_text_is_as_in_common_mark(self, markdown: str) -> None:
        assert "<strong>" not in text_of(markdown).html
        assert "<em>" not in text_of(markdown).html

    def test_emoji_do_not_count_as_japanese(self) -> None:
        assert "<strong>" not in text_of("a**.b.**😀c").html

    def test_japanese_lines_are_joined_without_a_space_and_english_ones_with(self) -> None:
        assert text_of("日本の\n**地方**\n自治", JA).plain == "日本の地方自治"
        assert text_of("日本の\n地方", JA).html == "<p>日本の地方</p>"
        assert text_of("local\ngovernment").plain == "local government"


class TestPlainText:
    def test_it_reads_well_on_its_own(self) -> None:
        """STANDARDS M7."""
        markdown = (
            "### 見出し\nSee [the *site*](https://x.example/a) or <me@x.example>.\n\n"
            "- one\n- two\n  1. inner\n  2. next\n\n9. nine\n10. ten\n\n    more\n\n"
            "> said\n> so\n>\n> twice\n\n---\n\n    code\n"
        )
        assert text_of(markdown).plain.split("\n\n") == [
            "見出し\n------",
            "See the site <https://x.example/a> or me@x.example.",
            "- one\n- two\n  1. inner\n  2. next",
            "9. nine\n10. ten\n    more",
            "> said so\n>\n> twice",
            "* * *",
            "code",
        ]

    def test_long_paragraphs_are_not_wrapped(self) -> None:
        """STANDARDS M7."""
        assert "\n" not in text_of("word " * 200).plain


class TestLanguageRuns:
    def test_japanese_in_english_is_marked(self) -> None:
        """STANDARDS A8."""
        html = text_of("Meet 多文化共生 (令和6年、東京) and **総務省**.").html
        assert html == (
            '<p>Meet <span lang="ja">多文化共生</span> (<span lang="ja">令和6年、東京</span>) '
            'and <strong><span lang="ja">総務省</span></strong>.</p>'
        )

    def test_latin_words_in_japanese_are_marked(self) -> None:
        """STANDARDS A8."""
        html = text_of("A班はPeople's Panel、JET-UKと5 m先のKōchiへ", JA).html
        assert re.findall(r'<span lang="en">(.*?)</span>', html) == ["People's Panel", "JET-UK", "Kōchi"]

    def test_attributes_addresses_and_code_are_left_alone(self) -> None:
        """STANDARDS A8."""
        html = text_of("[資料](https://x.example/ab)は<https://y.example/cd>へ、info@z.exampleも`code`も", JA).html
        assert "<span" not in html

    def test_marks_are_neither_wrapped_nor_split(self) -> None:
        """STANDARDS A8."""
        assert text_of(f"Dear {MARK}様", JA).html == f'<p><span lang="en">Dear</span> {MARK}様</p>'
        assert text_of(f"こ{MARK}と").html == f'<p><span lang="ja">こ</span>{MARK}<span lang="ja">と</span></p>'


class TestRefusals:
    @pytest.mark.parametrize(
        "address", ["javascript:alert(1)", "ftp://x.example", "page.html", "https://", "https://a b", "//x.example"]
    )
    def test_links_lead_only_to_whole_web_and_mail_addresses(self, address: str) -> None:
        assert refusal(f"Fine.\n\nMore\ntext and [a\nlink](<{address}>)", line=10).startswith("en.md:13: link address")

    @pytest.mark.parametrize(
        ("markdown", "line", "problem"),
        [
            ("x\n\n![x](gone.png)", 3, "there is no picture gone.png"),
            ("![x](https://x.example/a.png)", 1, "picture https://x.example/a.png is not a file beside the edition"),
            ("![x](data:image/png;base64,AAAA)", 1, "picture data:image/png;base64,AAAA is not a file"),
            ("text\n![x](a.png)", 2, "a picture stands among other things"),
            ("- ![x](a.png)", 1, "a picture stands among other things"),
            ("[![x](a.png)](https://x.example)", 1, "a picture stands among other things"),
            ("[](https://x.example)", 1, "the link to https://x.example has no text"),
            (f"[x](https://x.example/{MARK})", 1, "a merge field stands in the address of a link"),
            ("a\nb\x0b", 2, "a control character (U+000B) stands here"),
            ("*a **b " * 12 + "c** d*" * 12, 1, "lists, quotes or emphasis are nested too deeply"),
        ],
    )
    def test_what_cannot_be_sent_is_refused_with_its_line(self, markdown: str, line: int, problem: str) -> None:
        assert refusal(markdown).startswith(f"en.md:{line}: {problem}")


@given(MARKDOWN, st.sampled_from(Language))
@example("[a](https://[x)", EN)
@example("\ud800", EN)
@example("&#x80;&nbsp;\u2028", JA)
@example("[" * 200 + "a" + "](b)" * 200, EN)
@example("> " * 300 + "a", EN)
def test_any_text_gives_safe_parts_or_a_refusal_with_its_line(markdown: str, language: Language) -> None:
    try:
        found = parts(markdown, language, PICTURES, place="en.md")
    except InvalidFile as refused:
        line = re.match(r"en\.md:(\d+): \S", str(refused))
        assert line
        assert 1 <= int(line[1]) <= len(re.split(r"\r\n|\r|\n", markdown))
        return
    addresses = [part.url for part in found if isinstance(part, Button)]
    for part in found:
        if isinstance(part, Text):
            elements = list(ET.fromstring(f"<div>{part.html}</div>").iter())
            assert {element.tag for element in elements} <= TAGS
            addresses += [element.attrib["href"] for element in elements if element.tag == "a"]
    assert all(address.lower().startswith(("http://", "https://", "mailto:")) for address in addresses)
    assert all(part.picture in PICTURES.values() for part in found if isinstance(part, Image))


@given(INLINE, st.sampled_from(Language))
def test_marks_survive_any_text_around_them(pieces: list[str], language: Language) -> None:
    found = parts("".join(pieces), language, {})
    assert sum(str(part.html).count(MARK) for part in found if isinstance(part, Text)) == pieces.count(MARK)
    assert sum(part.plain.count(MARK) for part in found) == pieces.count(MARK)
