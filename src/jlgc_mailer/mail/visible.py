"""Text from outside as databases and terminals take it."""


def visible(text: str) -> str:
    """The text on one line, with a space for each that it has, and without what cannot be seen."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "" for each in text)


def clean(text: str | None, limit: int) -> str | None:
    """The same of a text that may be none, cut where it is too long."""
    return visible(text[: 4 * limit])[:limit] if text else text
