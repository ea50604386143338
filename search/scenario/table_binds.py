"""Parameters that travel as cells of a table: planned by the project, checked on the data."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from search.errors import SpecError
from search.scenario.given_vars import is_same
from search.scenario.plan import TableBind
from search.scenario.relations import Relations
from search.scenario.session import ACCESS_ADVICE
from search.scenario.writes import outside_writes
from search.study.parameters import BindSpec, ParameterSpec
from search.study.stepped_range import free_decimals, grid_count, grid_value
from search.study.values import Scalar
from search.system.sql_text import quoted

MAX_SAMPLES = 10
"""Points of a grid that are tried in a cell's type: they show its decimals, both ends its width."""
_WHOLE = frozenset(
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT".split()
)

Mistaken = Callable[[str, str], SpecError]
"""Makes the error for a key of the study file, from the key and what is wrong there."""


def plan_table_bind(
    parameter: str,
    bind: BindSpec,
    *,
    relations: Relations,
    selected: Mapping[str, frozenset[str]],
    render: Callable[[str, str], str],
    mistaken: Mistaken,
) -> TableBind | None:
    """Return a bind to a table as the workers need it; None when it is one to a var.

    Args:
        parameter: The parameter's name.
        bind: As in the study file.
        relations: What names mean.
        selected: The nodes that each step selects, by the step's name.
        render: Renders the condition, given with its key.
        mistaken: Makes the error.

    Raises:
        SpecError: If a step builds the table anew, or the condition does not render.
    """
    if bind.table is None or bind.column is None or bind.where is None:
        return None
    relation = relations.find(bind.table) or _quoted(bind.table)
    node = relations.node_ids.get(bind.table)
    for step, nodes in selected.items():
        if step.startswith("steps") and node in nodes:
            raise mistaken(
                f"parameters.{parameter}.bind.table",
                "must be a table that the steps leave alone, but "
                f"scenario.{step} builds {bind.table} anew and would undo the value; "
                "exclude it there",
            )
    where = render(bind.where, f"parameters.{parameter}.bind.where")
    for write in outside_writes(f"delete from t where {where}"):
        raise mistaken(
            f"parameters.{parameter}.bind.where", f"must be a condition alone, but {write.text()}"
        )
    return TableBind(parameter, bind.table, relation, bind.column, where)


def check_table_bind(
    connection: Any, bind: TableBind, parameter: ParameterSpec, mistaken: Mistaken
) -> str | None:
    """Refuse a bind whose table, column or rows the baseline does not have, or whose cells round.

    Args:
        connection: To the baseline.
        bind: The bind.
        parameter: What the cells are to hold.
        mistaken: Makes the error.

    Returns:
        A warning when the cells do not hold the parameter's current value today.

    Raises:
        SpecError: If something is missing, and names what there is; or if the column's type
            cannot hold each value that the parameter may have.
    """
    key = f"parameters.{bind.parameter}.bind"
    try:
        described = connection.execute(f"describe {bind.relation}").fetchall()
    except duckdb.Error as error:
        raise mistaken(
            f"{key}.table",
            f"must be a table of the baseline, but {bind.table!r} is not: "
            f"{str(error).splitlines()[0]}",
        ) from error
    columns = [row[0] for row in described]
    if bind.column not in columns:
        raise mistaken(
            f"{key}.column",
            f"must be a column of {bind.table}, but {bind.column!r} is not one of: "
            f"{', '.join(columns)}",
        )
    try:
        count = connection.execute(
            f"select count(*) from {bind.relation} where {bind.where}"
        ).fetchone()[0]
    except duckdb.PermissionException as error:
        raise mistaken(f"{key}.where", f"{str(error).splitlines()[0]}; {ACCESS_ADVICE}") from error
    except duckdb.Error as error:
        raise mistaken(
            f"{key}.where", f"must be a condition on {bind.table}: {str(error).splitlines()[0]}"
        ) from error
    if count == 0:
        raise mistaken(
            f"{key}.where", f"must match a row of {bind.table}, but {bind.where!r} matches none"
        )
    kind = next(str(row[1]) for row in described if row[0] == bind.column)
    changed = unlike_in_cell(connection, parameter, kind)
    if changed is not None:
        raise mistaken(
            f"{key}.column",
            f"must be a column that holds every value of the parameter, but {bind.column} of "
            f"{bind.table} is {kind.lower()}: {changed}",
        )
    return _differs_today(connection, bind, parameter)


def unlike_in_cell(connection: Any, parameter: ParameterSpec, kind: str) -> str | None:
    """Return which value of a parameter a column's type changes, and what helps; None if none.

    Args:
        connection: To any database.
        parameter: What the cells are to hold.
        kind: The column's type in SQL.
    """
    if parameter.kind == "float" and parameter.grid_step is None:
        return _any_float_in(parameter, kind)
    for value in _samples(parameter):
        held = _in_cell(connection, value, kind)
        if held is None:
            return f"it cannot hold {value!r}; give the column a wider type"
        if not is_same(held, value):
            advice = f"a wider type, or the parameter a step that {kind.lower()} holds"
            return f"{value!r} would be stored as {held}; give the column {advice}"
    return None


def _any_float_in(parameter: ParameterSpec, kind: str) -> str | None:
    """Judge a range without a step, whose values have up to 10 significant digits."""
    name = kind.split("(")[0].upper()
    advice = "give the parameter a step, or the column the type double"
    if name in _WHOLE:
        return f"it would round every value to a whole number; {advice}"
    if name != "DECIMAL":
        return None
    width, scale = (int(part) for part in kind[kind.index("(") + 1 : -1].split(","))
    low, high = map(float, parameter.bounds)
    largest = max(abs(low), abs(high))
    whole = max(0, math.floor(math.log10(largest)) + 1) if largest else 0
    needed = free_decimals(low, high, is_log=parameter.log)
    if whole > width - scale:
        return f"it cannot hold {largest!r}; {advice}"
    if needed > scale:
        return f"it would round values to {scale} decimals; {advice}"
    return None


def _samples(parameter: ParameterSpec) -> list[Scalar]:
    """Return values that show whether a type holds all: both ends, and the first steps."""
    if parameter.choices is not None:
        return list(parameter.choices)
    low, high = parameter.bounds
    step = parameter.grid_step
    assert step is not None
    count = 1 + (grid_count(low, high, step) or 0)
    points = [grid_value(low, step, index) for index in range(min(MAX_SAMPLES, count))]
    if parameter.kind == "integer":
        return [int(low), int(high), *(int(point) for point in points)]
    return [float(low), float(high), *points]


def _in_cell(connection: Any, value: Scalar, kind: str) -> Any:
    """Return what a cell of a type holds once a value was written to it; None if it cannot."""
    try:
        (held,) = connection.execute(f"select cast(? as {kind})", [value]).fetchone()
    except duckdb.Error:
        return None
    if isinstance(held, float) and kind.upper() in ("FLOAT", "REAL"):
        return struct.unpack("f", struct.pack("f", float(str(value))))[0] == held and value
    return held


def _differs_today(connection: Any, bind: TableBind, parameter: ParameterSpec) -> str | None:
    column = quoted(bind.column)
    rows = connection.execute(
        f"select distinct {column} from {bind.relation} where {bind.where} limit 4"
    ).fetchall()
    today = [row[0] for row in rows]
    if all(value is not None and is_same(value, parameter.current) for value in today):
        return None
    shown = ", ".join(str(value) for value in today[:3]) + (", ..." if len(today) > 3 else "")
    return (
        f"parameters.{bind.parameter}.current is {parameter.current!r}, but {bind.column} of "
        f"{bind.table} is {shown} today (where {bind.where})"
    )


def _quoted(name: str) -> str:
    return ".".join(map(quoted, name.split(".")))
