"""Filling the Jinja2 templates of mail, with every fault told by file and line."""

import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)

from jlgc_mailer.errors import TemplateFault
from jlgc_mailer.render.plain import underlined

FOLDER = "email"


def fill(templates: Path, name: str, values: Mapping[str, object]) -> str:
    """The template `name` of `templates`/email with `values`; raises TemplateFault."""
    try:
        return _environment(templates).get_template(name).render(values)
    except (TemplateError, TypeError) as error:  # a TypeError is what an undefined value gives inside a function
        _tell(error, templates / FOLDER, name)


def read(templates: Path, name: str) -> str:
    """A file of `templates`/email as it stands; raises TemplateFault."""
    try:
        return (templates / FOLDER / name).read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateFault(place=name, problem=f"it cannot be read ({error.strerror})", remedy="Restore it") from error


@lru_cache(maxsize=8)
def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates / FOLDER),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["mjml"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["underlined"] = underlined
    return environment


def _tell(error: Exception, folder: Path, name: str) -> NoReturn:
    if isinstance(error, TemplateNotFound):
        problem, remedy = f"there is no template {error.name}", f"Restore it in {folder}."
    elif isinstance(error, TemplateSyntaxError):
        problem, remedy = str(error.message), "Correct the Jinja2 syntax there."
    else:
        problem, remedy = str(error), "Correct the name there."
    raise TemplateFault(place=_place(error, folder, name), problem=problem.rstrip("."), remedy=remedy) from error


def _place(error: Exception, folder: Path, name: str) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or name}:{error.lineno}"
    # Jinja2 rewrites the traceback so that its frames name the templates' own files and lines.
    stack = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in stack if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(frames[-1].filename).relative_to(folder)}:{frames[-1].lineno}" if frames else name
