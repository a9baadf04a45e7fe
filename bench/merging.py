"""Merging the sample issue for one recipient, against copying it, and against Jinja2 and an EmailMessage."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage

from jinja2 import Environment

from bench.rounds import medians
from jlgc_mailer.bootstrap import examples_folder, templates_folder
from jlgc_mailer.content.importing import read_issue
from jlgc_mailer.mail.tokens import Keyring
from jlgc_mailer.render.compile import compile_edition
from jlgc_mailer.render.source import Compiled, Site
from jlgc_mailer.sending.letters import Identity, ListFace, Recipient, Stationery
from jlgc_mailer.states import Language

_RECIPIENTS = 100
_ROUNDS = 7
_NAMES = ("Aiko Tanaka", "田中 愛子", "Siân O'Brien", "")
_NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)


def run() -> Iterator[str]:
    """One line per edition of the sample issue."""
    site = Site("https://news.example.org", dict.fromkeys(Language, "JLGC"), "London", "a@example.org")
    for edition in read_issue(examples_folder() / "summer-2024").editions:
        compiled = compile_edition(edition, site, templates_folder())
        stationery = _stationery(compiled)
        size = len(stationery.letter(_reader(0)).content)
        fast, join, slow = medians(_ROUNDS, _merging(stationery), _joining(size), _naive(compiled))
        yield (
            f"{edition.language}, {size / 1000:.0f} KB: {_per_letter(fast):5.1f} µs a letter, with its tokens and "
            f"headers; joining alone {_per_letter(join):4.1f} µs; naive {_per_letter(slow):7.1f} µs; "
            f"ratio {slow / fast:5.1f}"
        )


def _per_letter(seconds: float) -> float:
    return seconds / _RECIPIENTS * 1e6


def _stationery(compiled: Compiled) -> Stationery:
    keyring = Keyring((b"a key for benchmarks, long enough to be one",))
    identity = Identity("https://news.example.org", "example.org", "bounce.example.org", "jlgcmailer", keyring)
    face = ListFace("news", dict.fromkeys(Language, "News"))
    return Stationery(identity, 1, _NOW, {1: compiled}, {1: face})


def _reader(number: int) -> Recipient:
    name = _NAMES[number % len(_NAMES)]
    return Recipient(1_000_000 + number, 1, _NOW, number, f"r{number}@example.com", name, 1, 1)


def _merging(stationery: Stationery) -> Callable[[], None]:
    def work() -> None:
        for number in range(_RECIPIENTS):
            stationery.letter(_reader(number))

    return work


def _joining(size: int) -> Callable[[], None]:
    """The floor: the same octets copied once, as any merging must."""
    pieces = [b"x" * (size // 4)] * 4

    def work() -> None:
        for _ in range(_RECIPIENTS):
            b"".join(pieces)

    return work


def _naive(compiled: Compiled) -> Callable[[], None]:
    environment = Environment(autoescape=True)
    text, html = (environment.from_string(_as_template(compiled, part)) for part in (compiled.text, compiled.html))

    def work() -> None:
        for number in range(_RECIPIENTS):
            values = {slot.field: f"Aiko Tanaka {number}" for slot in compiled.slots}
            message = EmailMessage(policy=policy.SMTP)
            message["From"], message["To"] = "News <news@example.org>", f"Aiko Tanaka <r{number}@example.com>"
            message["Subject"] = compiled.subject
            message.set_content(text.render(values))
            message.add_alternative(html.render(values), subtype="html")
            message.as_bytes()

    return work


def _as_template(compiled: Compiled, source: str) -> str:
    for slot in compiled.slots:
        source = source.replace(slot.mark, f"{{{{ {slot.field} }}}}")
    return source
