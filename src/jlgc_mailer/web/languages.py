"""Which language a page is in, and its words, numbers and times in that language."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from flask import request
from markupsafe import Markup, escape

from jlgc_mailer.render.wording import wording
from jlgc_mailer.states import Language

# Each language is named in itself, so that whoever needs it can find it (STANDARDS A8).
NAMES = {Language.ENGLISH: "English", Language.JAPANESE: "日本語"}

_LOCALES = {Language.ENGLISH: "en_GB", Language.JAPANESE: "ja_JP"}
_TIMES = {Language.ENGLISH: "d MMMM y, HH:mm", Language.JAPANESE: "y年M月d日 HH:mm"}


def language_named(name: str) -> Language | None:
    """The language with that code, if we have it."""
    return next((language for language in Language if language.value == name), None)


def asked_for() -> Language | None:
    """The language that the address names with `?lang=`."""
    return language_named(request.args.get("lang", ""))


def page_language(reader: Language | None = None) -> Language:
    """The language asked for, else the reader's own, else the browser's, else English."""
    return asked_for() or reader or _browser_language() or Language.ENGLISH


def switch_address(language: Language) -> str:
    """The same page in another language, relative to its own address."""
    return "?" + urlencode({**request.args, "lang": language.value})


def _browser_language() -> Language | None:
    best = request.accept_languages.best_match([language.value for language in Language])
    return Language(best) if best else None


@dataclass(frozen=True)
class Wording:
    """Says texts, numbers and times in one language; called `t` in the templates."""

    language: Language
    say: Callable[[str], str]

    @classmethod
    def of(cls, templates: Path, language: Language) -> "Wording":
        """The wording of the catalogue in `templates`."""
        return cls(language, wording(templates, language))

    def __call__(self, text: str, **values: object) -> Markup:
        """The English `text` in this language; `values` are escaped unless they are markup."""
        return escape(self.say(text)).format(**values)

    def number(self, number: int) -> str:
        """A number with its groups of digits."""
        return format_decimal(number, locale=_LOCALES[self.language])

    def moment(self, at: datetime, zone: str) -> Markup:
        """A time of day in a zone, with the zone's name."""
        shown = format_datetime(at, _TIMES[self.language], ZoneInfo(zone), _LOCALES[self.language])
        return Markup('<time datetime="{}">{} ({})</time>').format(at.isoformat(timespec="seconds"), shown, zone)

    def day(self, at: datetime, zone: str) -> Markup:
        """A date in a zone."""
        local = at.astimezone(ZoneInfo(zone)).date()
        return Markup('<time datetime="{}">{}</time>').format(
            local.isoformat(), format_date(local, "long", _LOCALES[self.language])
        )
