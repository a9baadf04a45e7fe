"""The fixed words of mails and pages in both languages, from gettext catalogues that translate the English."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po

from jlgc_mailer.states import Language

_CATALOGUE = "ja.po"


def wording(folder: Path, language: Language) -> Callable[[str], str]:
    """What says a text of the templates in `folder` in `language`: English as written, Japanese from their catalogue.

    A text without a Japanese entry raises KeyError, so that it cannot be forgotten.
    """
    if language is Language.ENGLISH:
        return str
    catalogue = folder / _CATALOGUE
    return _read(catalogue, catalogue.stat().st_mtime_ns).__getitem__


@lru_cache(maxsize=8)
def _read(catalogue: Path, _changed_at: int) -> dict[str, str]:
    with catalogue.open("rb") as file:
        messages = read_po(file, locale="ja")
    return {str(message.id): str(message.string) for message in messages if message.id and message.string}
