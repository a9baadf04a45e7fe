"""What CommonMark lacks for Japanese: emphasis beside Japanese punctuation, and lines joined without a space.

CommonMark does not close the emphasis of `**「重要」**です`, because its closing marks stand between a punctuation
mark and a letter. The rule here is the one of the markdown-cjk-friendly specification, less its clauses on
variation selectors other than those of ideographs.
"""

import unicodedata
from collections.abc import Iterable, Sequence

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline import StateInline, emphasis
from markdown_it.token import Token


def cjk_friendly(parser: MarkdownIt) -> None:
    """Teach `parser` the emphasis rule."""
    parser.inline.ruler.at("emphasis", _emphasis)


def is_cjk(character: str) -> bool:
    """Whether a character is a letter or punctuation mark of Chinese, Japanese or Korean; emoji are not."""
    if unicodedata.east_asian_width(character) not in "WFH":
        return "\U000e0100" <= character <= "\U000e01ef"  # selects the form of an ideograph, as in 葛󠄀
    is_symbol = unicodedata.category(character).startswith("S")
    return not (is_symbol and (character < "\u2e80" or character >= "\U0001f000"))


def joins_without_space(tokens: Sequence[Token], index: int) -> bool:
    """Whether the line break at `index` stands between two Japanese characters, where English would have a space."""
    before = _nearest(tokens[at].content for at in range(index - 1, -1, -1))[-1:]
    after = _nearest(tokens[at].content for at in range(index + 1, len(tokens)))[:1]
    return bool(before and after) and is_cjk(before) and is_cjk(after)


def _nearest(contents: Iterable[str]) -> str:
    return next((content for content in contents if content), "")


def _emphasis(state: StateInline, silent: bool) -> bool:
    """CommonMark's own rule, with its verdict on what may open and close replaced."""
    start = state.pos
    if not emphasis.tokenize(state, silent):
        return False
    before = state.src[start - 1] if start else " "
    after = state.src[state.pos] if state.pos < state.posMax else " "
    can_open, can_close = _flanking(before, after, splits_words=state.src[start] == "*")
    for delimiter in state.delimiters[start - state.pos :]:
        delimiter.open, delimiter.close = can_open, can_close
    return True


def _flanking(before: str, after: str, splits_words: bool) -> tuple[bool, bool]:
    """Whether emphasis marks between two characters can open and can close."""
    left = not _is_space(after) and (not _is_western_mark(after) or _is_boundary(before))
    right = not _is_space(before) and (not _is_western_mark(before) or _is_boundary(after))
    can_open = left and (splits_words or not right or _is_mark(before))
    can_close = right and (splits_words or not left or _is_mark(after))
    return can_open, can_close


def _is_boundary(character: str) -> bool:
    return _is_space(character) or _is_western_mark(character) or is_cjk(character)


def _is_space(character: str) -> bool:
    return isWhiteSpace(ord(character))


def _is_mark(character: str) -> bool:
    return isMdAsciiPunct(ord(character)) or isPunctChar(character)


def _is_western_mark(character: str) -> bool:
    return _is_mark(character) and not is_cjk(character)
