"""`column IN values` with one parameter, however many values: a statement that is written once and kept."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class among(FunctionElement[Any]):  # noqa: N801  (it stands in queries like a function)
    """Whether the column is one of the values of the parameter `name`, which `listed` writes.

    It has no type: were it a Boolean, "= 1" would be written behind it for SQLite, which then uses no index.
    """

    inherit_cache = True

    def __init__(self, column: InstrumentedAttribute[Any], name: str = "among") -> None:
        super().__init__(column, bindparam(name))


def listed(values: Iterable[int | str]) -> str:
    """The values as the parameter of `among`."""
    return json.dumps(list(values))


@compiles(among, "postgresql")
def _on_postgresql(element: among, compiler: SQLCompiler, **options: Any) -> str:
    """An array: unlike a subquery it keeps the planner on the index, also before there are statistics."""
    column, values = element.clauses
    kind = column.type.compile(compiler.dialect)
    texts = f"ARRAY(SELECT json_array_elements_text(CAST({compiler.process(values, **options)} AS json)))"
    return f"{compiler.process(column, **options)} = ANY(CAST({texts} AS {kind}[]))"


@compiles(among, "sqlite")
def _on_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  (a column's name and a parameter's)
