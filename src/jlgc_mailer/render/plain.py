"""Markdown as plain text that reads well on its own (STANDARDS M7): every link with its address, no wrapped lines."""

import unicodedata
from collections.abc import Sequence
from itertools import count
from urllib.parse import unquote

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from jlgc_mailer.render.cjk import joins_without_space


def plain_blocks(nodes: Sequence[SyntaxTreeNode]) -> str:
    """The plain form of paragraphs, lists, quotes and so on, with an empty line between each two."""
    return "\n\n".join(_block(node) for node in nodes)


def plain_inline(tokens: Sequence[Token]) -> str:
    """The plain form of what stands in one paragraph or heading."""
    pieces: list[str] = []
    links: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        if token.type == "link_open":
            links.append((str(token.attrs["href"]), len(pieces)))
        elif token.type == "link_close":
            address, begin = links.pop()
            pieces[begin:] = [_link("".join(pieces[begin:]), address)]
        elif token.type == "hardbreak":
            pieces.append("\n")
        elif token.type == "softbreak":
            pieces.append("" if joins_without_space(tokens, index) else " ")
        else:
            pieces.append(token.content)
    return "".join(pieces)


def underlined(text: str, rule: str) -> str:
    """A heading with a line of `rule` below it, as wide as a fixed-width font shows the heading, 60 at most."""
    width = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
    return f"{text}\n{rule * min(width, 60)}"


def _link(label: str, address: str) -> str:
    """`label <address>`, or the address alone where the label shows it already."""
    shown = address.removeprefix("mailto:")
    return label if label in (shown, unquote(shown)) else f"{label} <{address}>"


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "bullet_list":
            return "\n".join(_item(item, "- ") for item in node.children)
        case "ordered_list":
            numbers = count(int(node.attrs.get("start", 1)))
            return "\n".join(_item(item, f"{number}. ") for item, number in zip(node.children, numbers, strict=False))
        case "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in plain_blocks(node.children).split("\n"))
        case "heading":
            return underlined(_inline_of(node), "-")
        case "hr":
            return "* * *"
        case _:
            return _inline_of(node) if node.type == "paragraph" else node.content.rstrip("\n")


def _inline_of(node: SyntaxTreeNode) -> str:
    return plain_inline(node.children[0].to_tokens()[0].children or ())


def _item(node: SyntaxTreeNode, bullet: str) -> str:
    blocks = [_block(child) for child in node.children]
    lines = "\n".join(blocks).split("\n")
    indented = [f"{' ' * len(bullet)}{line}".rstrip() for line in lines[1:]]
    return "\n".join([bullet + lines[0], *indented])
