"""Errors carry fields; their classes say how they read."""

from collections.abc import Iterator
from string import Formatter

import pytest

from jlgc_mailer.errors import MailerError, NotFound, Unreachable


def family(error: type[MailerError] = MailerError) -> Iterator[type[MailerError]]:
    for child in error.__subclasses__():
        yield child
        yield from family(child)


def fields_of(error: type[MailerError]) -> dict[str, str]:
    return {name: f"<{name}>" for _, name, _, _ in Formatter().parse(error.sentence) if name}


@pytest.mark.parametrize("error", sorted(set(family()), key=str))
def test_every_error_reads_as_one_line_with_all_its_fields(error: type[MailerError]) -> None:
    fields = fields_of(error)
    raised = error(**fields)
    assert fields
    assert raised.fields == fields
    assert len(str(raised).splitlines()) == 1
    assert all(value in str(raised) for value in fields.values())


def test_an_error_without_one_of_its_fields_cannot_be_made() -> None:
    with pytest.raises(KeyError):
        NotFound(kind="issue", name="summer")


def test_an_error_says_what_where_why_and_what_to_do() -> None:
    error = Unreachable(service="broker", place="redis://localhost:1//", problem="refused", remedy="Start Redis.")
    assert str(error) == "Cannot reach the broker at redis://localhost:1//: refused. Start Redis."
