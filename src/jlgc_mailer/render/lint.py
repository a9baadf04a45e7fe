"""A check of MJML before mrml sees it, because mrml is silent about what it does not understand.

mrml drops unknown tags and attributes, and answers mismatched tags with an empty mail. Here each such thing
is a finding with its line and column.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

_FREE = frozenset({"mj-text", "mj-button", "mj-raw", "mj-style"})  # hold HTML or CSS, which is not ours to check

_PLACED = frozenset({"css-class", "padding", "padding-top", "padding-right", "padding-bottom", "padding-left"})
_BOXED = _PLACED | {"align", "container-background-color"}
_FONT = frozenset({"color", "font-family", "font-size", "font-weight", "line-height", "letter-spacing"})
_BORDERED = frozenset({"background-color", "border", "border-top", "border-bottom", "border-radius"})

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "mjml": frozenset({"lang", "dir"}),
    "mj-head": frozenset(),
    "mj-attributes": frozenset(),
    "mj-all": _BOXED | _FONT,
    "mj-preview": frozenset(),
    "mj-raw": frozenset(),
    "mj-style": frozenset(),
    "mj-body": frozenset({"background-color", "width", "css-class"}),
    "mj-section": _PLACED | _BORDERED | {"full-width", "text-align"},
    "mj-column": _PLACED | _BORDERED | {"width", "vertical-align"},
    "mj-text": _BOXED | _FONT | {"text-transform"},
    "mj-image": _BOXED | {"src", "alt", "width", "href", "target", "fluid-on-mobile", "border-radius"},
    "mj-button": _BOXED | _FONT | _BORDERED | {"href", "target", "inner-padding", "width", "text-decoration"},
    "mj-divider": _BOXED | {"border-color", "border-style", "border-width", "width"},
    "mj-spacer": _PLACED | {"height"},
}

_CONTENT = frozenset({"mj-text", "mj-image", "mj-button", "mj-divider", "mj-spacer", "mj-raw"})
CHILDREN: Mapping[str, frozenset[str]] = {
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset({"mj-attributes", "mj-preview", "mj-raw", "mj-style"}),
    "mj-attributes": frozenset({"mj-all", "mj-section", "mj-column", "mj-text", "mj-image", "mj-button", "mj-divider"}),
    "mj-body": frozenset({"mj-section", "mj-raw"}),
    "mj-section": frozenset({"mj-column", "mj-raw"}),
    "mj-column": _CONTENT,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the MJML that mrml would silently get wrong; `line` and `column` count from 1."""

    line: int
    column: int
    problem: str
    remedy: str


def lint(mjml: str) -> tuple[Finding, ...]:
    """What is wrong with a rendered MJML document, in its order; nothing if it is sound."""
    return _Reader().read(mjml)


class _Reader:
    """Follows the tags of one document."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._open
        self._parser.EndElementHandler = self._close
        self._parents: list[str] = []
        self._findings: list[Finding] = []

    def read(self, mjml: str) -> tuple[Finding, ...]:
        try:
            self._parser.Parse(mjml, True)
        except expat.ExpatError as error:
            problem = f"this is not well-formed XML ({expat.ErrorString(error.code)})"
            remedy = "Close every tag, quote every attribute, and write &amp; for & and &#160; for &nbsp;."
            self._findings.append(Finding(error.lineno, error.offset + 1, problem, remedy))
        return tuple(self._findings)

    def _open(self, tag: str, attributes: dict[str, str]) -> None:
        parent = self._parents[-1] if self._parents else None
        self._parents.append(tag)
        if parent is None and tag != "mjml":
            self._find(f"the document begins with <{tag}>", "Begin it with <mjml>.")
        elif tag in ATTRIBUTES and (parent is None or tag in CHILDREN.get(parent, ())):
            self._check_attributes(tag, attributes)
        elif not self._in_free_content() or tag.startswith("mj"):
            self._find(*_misplaced(tag, parent))

    def _close(self, _: str) -> None:
        self._parents.pop()

    def _in_free_content(self) -> bool:
        return any(parent in _FREE for parent in self._parents[:-1])

    def _check_attributes(self, tag: str, attributes: dict[str, str]) -> None:
        known = ATTRIBUTES[tag]
        for name in attributes:
            if name not in known:
                self._find(f"<{tag}> has no attribute {name!r}", f"Use {', '.join(sorted(known)) or 'none'}.")

    def _find(self, problem: str, remedy: str) -> None:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        self._findings.append(Finding(line, column, problem, remedy))


def _misplaced(tag: str, parent: str | None) -> tuple[str, str]:
    if tag not in ATTRIBUTES:
        known = ", ".join(sorted(name for name in ATTRIBUTES if name.startswith("mj-")))
        return f"<{tag}> is not a tag that these templates use", f"Use {known}; HTML goes inside mj-text or mj-raw."
    allowed = ", ".join(sorted(CHILDREN.get(parent or "", ()))) or "text only"
    return f"<{tag}> may not stand in <{parent}>", f"What may stand there: {allowed}."
