"""Two small editions, the sender's particulars and the templates, whole or broken on purpose."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jlgc_mailer.render.source import Block, BlockKind, EditionSource, Picture, Site
from jlgc_mailer.states import Language

TEMPLATES = Path(__file__).parents[2] / "templates"
PICTURES = {
    "images/hall.png": Picture("aa11", "hall.png", 1200, 520),
    "images/写真.png": Picture("bb22", "写真.png", 300, 200),
}

ENGLISH_HERO = """
![A hall with six columns](images/hall.png)

Dear {{ name|reader }}, welcome to 多文化共生 and *総務省*.
"""
ENGLISH_ARTICLE = """
We met [the council](https://council.example/?a=1&b=2) in **May**.

### A smaller matter

- one
- two

> A quotation.

![](images/写真.png "Photograph: 事務所")

[Read the report](https://report.example/pdf)
"""
JAPANESE_HERO = """
![六本の円柱がある建物](images/hall.png)

{{ name|読者 }}様、**「重要」**です。*強調*とJET Programmeの話。
"""
JAPANESE_ARTICLE = """
[区役所](https://council.example/ja)を訪問しました。

[報告書を読む](https://report.example/ja)
"""


@pytest.fixture
def templates() -> Path:
    return TEMPLATES


@pytest.fixture
def broken_templates(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the templates in which one file reads differently."""

    def copy(name: str, old: str, new: str) -> Path:
        copied = tmp_path / "templates"
        shutil.copytree(TEMPLATES, copied)
        file = copied / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return copied

    return copy


@pytest.fixture
def site() -> Site:
    return Site(
        public_url="https://news.example.org",
        organisation={Language.ENGLISH: "The London Office", Language.JAPANESE: "ロンドン事務所"},
        postal_address="15 Whitehall, London SW1A 2DD",
        contact="contact@example.org",
    )


@pytest.fixture
def english() -> EditionSource:
    return EditionSource(
        slug="summer-2024",
        language=Language.ENGLISH,
        subject='Summer & "more", {{ name|reader }}',
        preheader="What happened in summer",
        season="Summer 2024",
        sender="JLGC London <newsletter@example.org>",
        blocks=(
            Block(BlockKind.HERO, "Summer in Whitehall", ENGLISH_HERO, line=7),
            Block(BlockKind.ARTICLE, "A visit to 豊田市", ENGLISH_ARTICLE, line=12),
        ),
        pictures=PICTURES,
        other_languages=(Language.JAPANESE,),
        place="en.md",
    )


@pytest.fixture
def japanese() -> EditionSource:
    return EditionSource(
        slug="summer-2024",
        language=Language.JAPANESE,
        subject="夏号のご案内",
        preheader="夏の話題をお届けします",
        season="2024年夏号",
        sender="クレアロンドン <newsletter@example.org>",
        blocks=(
            Block(BlockKind.HERO, "夏の便り", JAPANESE_HERO, line=7),
            Block(BlockKind.ARTICLE, "Whitehallの一日", JAPANESE_ARTICLE, line=12),
        ),
        pictures=PICTURES,
        other_languages=(Language.ENGLISH,),
        place="ja.md",
    )


@pytest.fixture(params=list(Language))
def edition(request: pytest.FixtureRequest, english: EditionSource, japanese: EditionSource) -> EditionSource:
    """Each of the two editions."""
    return english if request.param is Language.ENGLISH else japanese
