"""What can go wrong in a way that a person can mend.

Every error carries fields; its class says how they read as one sentence with what to do.
"""

from typing import ClassVar


class MailerError(Exception):
    """The family of all errors that reach people as one clear sentence."""

    sentence: ClassVar[str]

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(self.sentence.format(**fields))


class SettingError(MailerError):
    """A setting is missing, unreadable or out of range."""

    sentence = "Setting {variable}: {problem}. {remedy}"


class Unreachable(MailerError):
    """A database, broker or relay does not answer."""

    sentence = "Cannot reach the {service} at {place}: {problem}. {remedy}"


class NotInitialised(MailerError):
    """The database has no tables, or those of another version."""

    sentence = "The database at {place} is {problem}. Run: jlgc-mailer init"


class NotFound(MailerError):
    """Nothing of that kind has that name."""

    sentence = "There is no {kind} {name!r}. {remedy}"


class AlreadyExists(MailerError):
    """The name is taken."""

    sentence = "There is already a {kind} {name!r}. {remedy}"


class InvalidInput(MailerError):
    """A value that a person gave cannot be used."""

    sentence = "{what} {value!r} cannot be used: {problem}"


class InvalidFile(MailerError):
    """A file that a person gave cannot be used; `place` names the file and, where known, the line."""

    sentence = "{place}: {problem}. {remedy}"


class TemplateFault(MailerError):
    """A template of mail cannot be rendered."""

    sentence = "Template {place}: {problem}. {remedy}"


class IllegalMove(MailerError):
    """A status change that its table of legal moves does not have."""

    sentence = "{what} cannot go from {old} to {new}."


class UnsafeValue(MailerError):
    """A header, address or merge value holds a character that could break out of its place."""

    sentence = "{what} holds {character}, which is not allowed in mail (RFC 5322 2.2). Correct the value: {value!r}"


class NoSuchLocalTime(MailerError):
    """A local time that a clock change skips."""

    sentence = "{local} does not exist in {zone}: the clocks go forward. Choose {first} or {second}."


class AmbiguousLocalTime(MailerError):
    """A local time that a clock change repeats."""

    sentence = "{local} happens twice in {zone}: the clocks go back. Choose {first} or {second}."


class NotAllowedNow(MailerError):
    """The thing exists but what was asked cannot be done in its present state."""

    sentence = "The {kind} {name!r} cannot be {action}: {problem}. {remedy}"
