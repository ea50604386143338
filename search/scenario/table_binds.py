"""Parameters that travel as cells of a table: planned by the project, checked on the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from search.errors import SpecError
from search.scenario.plan import TableBind
from search.scenario.relations import Relations
from search.scenario.session import ACCESS_ADVICE
from search.scenario.writes import outside_writes
from search.study.parameters import BindSpec

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


def check_table_bind(connection: Any, bind: TableBind, mistaken: Mistaken) -> None:
    """Refuse a bind whose table, column or rows the baseline does not have.

    Args:
        connection: To the baseline.
        bind: The bind.
        mistaken: Makes the error.

    Raises:
        SpecError: If something is missing; it names what there is.
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


def _quoted(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
