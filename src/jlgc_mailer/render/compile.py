"""Compiling: an edition once, for everybody who reads it (promise 8)."""

import hashlib
import json
import re
from base64 import encodebytes
from dataclasses import dataclass
from pathlib import Path
from quopri import encodestring

from mjml import mjml2html

from jlgc_mailer.errors import InvalidFile, TemplateFault
from jlgc_mailer.render.fields import Slots, split_at_marks
from jlgc_mailer.render.finishing import finish
from jlgc_mailer.render.letter import write_letter
from jlgc_mailer.render.lint import lint
from jlgc_mailer.render.source import Compiled, EditionSource, Site
from jlgc_mailer.render.templating import FOLDER, fill, read

RECIPE_VERSION = 1  # raise it when this package compiles the same input to something else
WARN_ABOVE = 80_000
REFUSE_ABOVE = 100_000  # Gmail cuts a message off near 102 KB

_MAIN = "newsletter.mjml"
_DATA_URI = re.compile(r"""(?:src|href|background)="data:|url\(["']?data:""", re.IGNORECASE)


def compile_edition(source: EditionSource, site: Site, templates: Path) -> Compiled:
    """The edition as mail, with marks where each recipient's values go.

    Raises InvalidFile for what its author can mend and TemplateFault for what the templates' author can.
    """
    slots = Slots()
    letter = write_letter(source, site, templates, slots)
    mjml = fill(templates, _MAIN, letter.values())
    _check_mjml(mjml)
    html = finish(_to_html(mjml), read(templates, "author.css"), letter.subject)
    text = fill(templates, "newsletter.txt", letter.values())
    compiled = Compiled(source.language, source.sender, letter.subject, html, text, slots.all)
    _check_marks(compiled, source.place)
    _check_html(html, source.place)
    return compiled


def recipe_digest(site: Site, templates: Path) -> str:
    """SHA-256 over everything besides the edition that goes into a compiled artefact."""
    folder = templates / FOLDER
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = [(file.relative_to(folder).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    particulars = vars(site) | {"organisation": dict(site.organisation)}
    recipe = {"version": RECIPE_VERSION, "site": particulars, "files": digests}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SizeFinding:
    """The HTML is larger than `limit`, in octets; above `REFUSE_ABOVE` it is not compiled."""

    size: int
    limit: int


def size_findings(html: str) -> tuple[SizeFinding, ...]:
    """Which limit the HTML passes (M8), measured in its transfer encoding, which is never the smaller measure."""
    data = html.encode()
    size = min(len(encodebytes(data)), len(encodestring(data)))
    return tuple(SizeFinding(size, limit) for limit in (WARN_ABOVE, REFUSE_ABOVE) if size > limit)[-1:]


def _check_mjml(mjml: str) -> None:
    """Raise TemplateFault for the first thing that mrml would silently get wrong."""
    findings = lint(mjml)
    if findings:
        first = findings[0]
        written = mjml.split("\n")[first.line - 1].strip()[:80]
        raise TemplateFault(
            place=f"{_MAIN} as filled:{first.line}:{first.column}",
            problem=f"{first.problem}, at {written!r}",
            remedy=first.remedy,
        )


def _to_html(mjml: str) -> str:
    try:
        return mjml2html(mjml)
    except ValueError as error:
        found = re.search(r"position (\d+)", str(error))
        line = mjml.encode()[: int(found[1])].count(b"\n") + 1 if found else 1
        raise TemplateFault(
            place=f"{_MAIN} as filled:{line}", problem=f"MJML: {error}", remedy="Correct the template."
        ) from error


def _check_marks(compiled: Compiled, place: str) -> None:
    """Text that only becomes a mark when Markdown is read, as in `zq&#115;lot0zq`, must not pass for one."""
    known = range(len(compiled.slots))
    for text in (compiled.subject, compiled.html, compiled.text):
        if any(isinstance(piece, int) and piece not in known for piece in split_at_marks(text)):
            raise InvalidFile(place=place, problem="its text holds “zqslot”, which is reserved", remedy="Remove it.")


def _check_html(html: str, place: str) -> None:
    if _DATA_URI.search(html):
        remedy = "Store the picture and write its address."
        raise TemplateFault(place=_MAIN, problem="the HTML holds a data: URI, which mail programs drop", remedy=remedy)
    refusals = [finding for finding in size_findings(html) if finding.limit == REFUSE_ABOVE]
    if refusals:
        raise InvalidFile(
            place=place,
            problem=f"the message is {refusals[0].size:,} octets of HTML; Gmail cuts off after about 100,000",
            remedy="Shorten the articles, or lead on to them with a link.",
        )
