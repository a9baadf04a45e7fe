"""Characters that have no place in a message, whoever wrote them."""

import re

from jlgc_mailer.errors import InvalidFile

# XML 1.0, which MJML is read as, has no way to write these; mail programs show them as rubbish at best.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def check_characters(text: str, file: str, line: int) -> None:
    """Raise InvalidFile, with the line, if `text` holds a control character; `line` is where it begins in `file`."""
    found = _UNUSABLE.search(text)
    if found is None:
        return
    at = line + text[: found.start()].count("\n")
    character = f"U+{ord(found.group()):04X}"
    raise InvalidFile(
        place=f"{file}:{at}",
        problem=f"a control character ({character}) stands here",
        remedy="Delete it; it often comes along when text is pasted from another program.",
    )
