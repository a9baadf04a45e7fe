"""Runs of the other language inside a text, marked so that screen readers pronounce them (STANDARDS A8)."""

import re

from markupsafe import Markup, escape

from jlgc_mailer.states import Language

# The marks of fields.Slots, web addresses and mail addresses: no words of any language.
_KEPT = re.compile(r"(zqslot[0-9]+zq|https?://[!-~]+|(?<![a-z0-9_.+-])[a-z0-9_.+-]+@[a-z0-9.-]+)", re.IGNORECASE)

_JAPANESE_LETTER = "ぁ-ゖゝゞァ-ヺーヽヾｦ-ﾟ一-鿿㐀-䶿々〆〇豈-﫿\U00020000-\U000323af\U000e0100-\U000e01ef"
_BETWEEN_JAPANESE = " 0-9　、。・「」『』（）〈〉《》【】〔〕！？：；，．〜～…―－／％＆０-９Ａ-Ｚａ-ｚ"
_LATIN_LETTERS = "[A-Za-zÀ-ÖØ-öø-ɏ]+"

_OTHER = {Language.ENGLISH: Language.JAPANESE, Language.JAPANESE: Language.ENGLISH}
_RUNS = {
    Language.ENGLISH: re.compile(
        rf"([{_JAPANESE_LETTER}](?:[{_JAPANESE_LETTER}{_BETWEEN_JAPANESE}]*[{_JAPANESE_LETTER}])?)"
    ),
    Language.JAPANESE: re.compile(rf"({_LATIN_LETTERS}(?:[ '’-]+{_LATIN_LETTERS})*)"),
}


def mark_runs(text: str, language: Language) -> Markup:
    """`text` as HTML, in which each run of the other language is wrapped in `<span lang="...">`.

    A run is Japanese inside English (with the punctuation, spaces and digits inside it), or Latin words of two or
    more letters inside Japanese. Merge marks and addresses are left as they are.
    """
    pieces = enumerate(_KEPT.split(text))
    return Markup("").join(escape(piece) if index % 2 else _wrap(piece, language) for index, piece in pieces)


def _wrap(text: str, language: Language) -> Markup:
    span = Markup('<span lang="{}">{}</span>')
    pieces = enumerate(_RUNS[language].split(text))
    return Markup("").join(
        span.format(_OTHER[language].value, piece) if index % 2 and _is_word(piece, language) else escape(piece)
        for index, piece in pieces
    )


def _is_word(run: str, language: Language) -> bool:
    """One Latin letter is no word: A班, 5 m."""
    return language is Language.ENGLISH or len(run) > 1
