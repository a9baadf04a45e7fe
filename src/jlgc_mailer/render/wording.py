"""The fixed words of mails in both languages, from a gettext catalogue whose source strings are the English."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po

from jlgc_mailer.states import Language

CATALOGUE = Path("locale") / "ja.po"


def wording(templates: Path, language: Language) -> Callable[[str], str]:
    """What says a text in `language`: English as it is written, Japanese from the catalogue.

    A text without a Japanese entry raises KeyError, so that it cannot be forgotten.
    """
    if language is Language.ENGLISH:
        return str
    catalogue = templates / CATALOGUE
    return _read(catalogue, catalogue.stat().st_mtime_ns).__getitem__


@lru_cache(maxsize=8)
def _read(catalogue: Path, _changed_at: int) -> dict[str, str]:
    with catalogue.open("rb") as file:
        messages = read_po(file, locale="ja")
    return {str(message.id): str(message.string) for message in messages if message.id and message.string}
