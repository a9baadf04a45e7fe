"""A block's Markdown as the parts a mail is laid out from: texts, pictures and buttons, each also as plain text.

Raw HTML is not Markdown here: it is shown as it was typed. Merge marks pass through untouched.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NoReturn
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.render.characters import check_characters
from jlgc_mailer.render.cjk import cjk_friendly, joins_without_space
from jlgc_mailer.render.fields import split_at_marks
from jlgc_mailer.render.plain import plain_blocks, plain_inline
from jlgc_mailer.render.runs import mark_runs
from jlgc_mailer.render.source import Picture
from jlgc_mailer.states import Language

DEEPEST = 20  # libxml2, which inlines the styles, gives up on deeply nested HTML

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_CLEANER = nh3.Cleaner(
    tags={"p", "br", "hr", "strong", "em", "a", "ul", "ol", "li", "blockquote", "pre", "code", "span", *_HEADINGS},
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}, "span": {"lang"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel=None,
)


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs, lists, quotes and headings that follow each other, as well-formed XML."""

    kind: ClassVar[str] = "text"
    html: Markup
    plain: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a paragraph of its own; `alt` is empty for a decoration, `caption` where there is none."""

    kind: ClassVar[str] = "image"
    picture: Picture
    alt: str
    caption: str
    plain: str


@dataclass(frozen=True, slots=True)
class Button:
    """A link in a paragraph of its own."""

    kind: ClassVar[str] = "button"
    label: str
    url: str
    plain: str


Part = Text | Image | Button


def parts(
    markdown: str,
    language: Language,
    pictures: Mapping[str, Picture],
    *,
    place: str = "edition",
    line: int = 1,
    top_heading: int = 3,
) -> list[Part]:
    """The parts of `markdown`, which begins on `line` of the file `place`; its highest heading becomes `top_heading`.

    Raises InvalidFile, with the line, for a link that is not http, https or mailto, a picture that is not in
    `pictures` or not in a paragraph of its own, and characters that mail cannot carry.
    """
    check_characters(markdown, place, line)
    tokens = _PARSER.parse(markdown)
    _check(tokens, place, line)
    _level_headings(tokens, top_heading)
    found: list[Part] = []
    texts: list[SyntaxTreeNode] = []
    for node in SyntaxTreeNode(tokens).children:
        single = _image(node, pictures, place, line) or _button(node)
        if single is None:
            texts.append(node)
        else:
            found += (*_text(texts, language), single)
            texts = []
    return [*found, *_text(texts, language)]


class _Parser(MarkdownIt):
    """CommonMark that reads every link, so that a bad one is reported and not quietly shown as text."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 (markdown-it's name)
        """Leave the verdict to `_check`, which knows the line."""
        return True


def _render_text(_: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return mark_runs(tokens[index].content, env["language"])


def _render_break(_: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return "" if joins_without_space(tokens, index) else "\n"


def _parser() -> _Parser:
    parser = _Parser("commonmark", {"html": False})
    cjk_friendly(parser)
    parser.add_render_rule("text", _render_text)
    parser.add_render_rule("softbreak", _render_break)
    return parser


_PARSER = _parser()


def _text(nodes: Sequence[SyntaxTreeNode], language: Language) -> list[Part]:
    if not nodes:
        return []
    tokens = [token for node in nodes for token in node.to_tokens()]
    html = _CLEANER.clean(_PARSER.renderer.render(tokens, _PARSER.options, {"language": language}))
    for written, as_xml in (("<br>", "<br />"), ("<hr>", "<hr />"), ("&nbsp;", "\u00a0")):
        html = html.replace(written, as_xml)
    return [Text(Markup(html.strip()), plain_blocks(nodes))]  # noqa: S704 (cleaned above)


def _lone_content(node: SyntaxTreeNode) -> list[Token]:
    """What stands in a paragraph; nothing for other blocks."""
    return node.children[0].to_tokens()[0].children or [] if node.type == "paragraph" else []


def _image(node: SyntaxTreeNode, pictures: Mapping[str, Picture], place: str, line: int) -> Image | None:
    match _lone_content(node):
        case [Token(type="image") as token]:
            at = line + (node.map[0] if node.map else 0)
            picture = _picture(str(token.attrs["src"]), pictures, place, at)
            alt = plain_inline(token.children or ())
            caption = str(token.attrs.get("title", ""))
            lines = (f"[{alt}]" if alt else "", caption)
            return Image(picture, alt, caption, "\n".join(filter(None, lines)))
    return None


def _picture(address: str, pictures: Mapping[str, Picture], place: str, line: int) -> Picture:
    found = pictures.get(address) or pictures.get(unquote(address))
    if found is None and _ELSEWHERE.match(address):
        _refuse(
            f"{place}:{line}",
            f"picture {address[:60]} is not a file beside the edition",
            "Save the picture beside the edition and write its file name here.",
        )
    if found is None:
        _refuse(f"{place}:{line}", f"there is no picture {unquote(address)}", "Add the file, or correct its name here.")
    return found


def _button(node: SyntaxTreeNode) -> Button | None:
    match _lone_content(node):
        case [Token(type="link_open", markup="") as opening, *inner, Token(type="link_close")] if not any(
            token.type == "link_open" for token in inner
        ):
            label, url = plain_inline(inner), str(opening.attrs["href"])
            return Button(label, url, f"{label}:\n{url}")
    return None


def _level_headings(tokens: Sequence[Token], top: int) -> None:
    """Shift headings so that the highest is `top`, and close gaps, for no level may be skipped (A3)."""
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    highest = min((_HEADINGS.index(token.tag) for token in headings), default=0)
    level = top - 1
    for token in headings:
        if token.nesting == 1:
            level = min(top + _HEADINGS.index(token.tag) - highest, level + 1, len(_HEADINGS))
        token.tag = f"h{level}"


def _check(tokens: Sequence[Token], place: str, line: int) -> None:
    for before, token in zip([None, *tokens], tokens, strict=False):
        at = line + (token.map[0] if token.map else 0)
        children = token.children or []
        if token.level > DEEPEST or any(child.level > DEEPEST for child in children):
            _refuse(f"{place}:{at}", "lists, quotes or emphasis are nested too deeply", "Write it more simply.")
        alone = len(children) == 1 and token.level == 1 and before is not None and before.type == "paragraph_open"
        for index, child in enumerate(children):
            if child.type in ("softbreak", "hardbreak"):
                at += 1
            elif child.type == "link_open":
                _check_link(children, index, f"{place}:{at}")
            elif child.type == "image" and not alone:
                _refuse(
                    f"{place}:{at}",
                    "a picture stands among other things",
                    "Give it a paragraph of its own, without text, link, list or quote around it.",
                )


def _check_link(children: Sequence[Token], index: int, place: str) -> None:
    address = str(children[index].attrs["href"])
    if len(split_at_marks(address)) > 1:
        _refuse(place, "a merge field stands in the address of a link", "Write an address that is the same for all.")
    # The cleaner drops an address that is of another kind or that no browser can read.
    if "href" not in _CLEANER.clean(f'<a href="{escape(address)}">'):
        _refuse(
            place,
            f"link address {unquote(address)[:60]!r} cannot be used",
            "Write the whole address, beginning with https://, http:// or mailto:.",
        )
    end = next(at for at in range(index, len(children)) if children[at].type == "link_close")
    if not plain_inline(children[index + 1 : end]).strip():
        _refuse(place, f"the link to {unquote(address)[:60]} has no text", "Write what it leads to between [ and ].")


def _refuse(place: str, problem: str, remedy: str) -> NoReturn:
    raise InvalidFile(place=place, problem=problem, remedy=remedy)
