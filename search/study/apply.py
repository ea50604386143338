"""The study file's ``apply``: where values that a var carries stand when no search runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from search.study.mistakes import Mistake, given, listed, wrongs
from search.study.values import Identifier, Items, Model, Scalar, ScalarValue

VAR = "$var"
"""In ``apply.row``: the name of the var that the parameter is bound to."""
SCENARIO_VAR = "$vars."
"""In ``apply.row``: a var of ``scenario.vars``, such as ``$vars.scenario_id``."""

_SEED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEEDED = ("row", "value")
_BESIDE = ("row", "value", "inherits", "locked", "date", "author")


class ApplySpec(Model):
    """Where ``scenario-search apply`` writes what a var carries in the search.

    Without a seed, a var is written where ``dbt_project.yml`` sets it. Parameters bound to
    cells of a seed need no mapping: their cells are written.
    """

    seed: str | None = Field(default=None, examples=["comp_levers"])
    """Seed of the project whose rows carry values of parameters, one a row."""
    row: dict[str, ScalarValue | None] = Field(
        default={}, examples=[{"scenario_id": "$vars.scenario_id", "parameter_name": VAR}]
    )
    """Columns that identify a parameter's row; `$var` is its var, `$vars.x` a scenario var."""
    value: str | None = Field(default=None, min_length=1, examples=["parameter_value"])
    """Column that holds the value."""
    inherits: dict[str, ScalarValue] = Field(default={}, examples=[{"scenario_id": "default"}])
    """What the columns of `row` hold in rows that count where a parameter has no row of its own."""
    locked: str | None = Field(default=None, min_length=1, examples=["is_locked"])
    """Column that is true in rows that must not be changed."""
    date: str | None = Field(default=None, min_length=1, examples=["created_at"])
    """Column that takes the date of the change."""
    author: str | None = Field(default=None, min_length=1, examples=["created_by"])
    """Column that takes who changed it."""
    project_vars: Items[Identifier] = ()
    """Vars that are written to dbt_project.yml although there is a seed."""

    @model_validator(mode="after")
    def _check(self) -> ApplySpec:
        mistakes = []
        if self.seed is None:
            mistakes = [
                Mistake((name,), f"`{name}` needs `seed`, whose rows or columns it names")
                for name in _BESIDE
                if getattr(self, name)
            ]
        else:
            mistakes = [
                Mistake((name,), f"`{name}` is required with a seed")
                for name in _NEEDED
                if not getattr(self, name)
            ]
            if not _SEED.fullmatch(self.seed):
                text = f"must be a seed's name such as comp_levers, but got {given(self.seed)}"
                mistakes.append(Mistake(("seed",), text))
            if self.row and list(self.row.values()).count(VAR) != 1:
                text = f"must have {VAR} in exactly one column, but got {given(self.row)}"
                mistakes.append(Mistake(("row",), text))
            if alien := [name for name in self.inherits if name not in self.row]:
                text = f"must name columns of `row` ({listed(self.row)}), but got {alien[0]}"
                mistakes.append(Mistake(("inherits", alien[0]), text))
        if mistakes:
            raise wrongs(mistakes)
        return self

    def identity(self, var: str, scenario_vars: Mapping[str, Any]) -> dict[str, Scalar]:
        """Return the columns and values that identify the rows of one parameter.

        Columns that ``row`` leaves empty are left out: they tell a parameter's rows apart.
        """
        values: dict[str, Scalar] = {}
        for column, value in self.row.items():
            if value is None:
                continue
            if value == VAR:
                values[column] = var
            elif isinstance(value, str) and value.startswith(SCENARIO_VAR):
                values[column] = scenario_vars[value.removeprefix(SCENARIO_VAR)]
            else:
                values[column] = value
        return values


def unknown_scenario_vars(
    apply: ApplySpec, scenario_vars: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return column and name of each ``$vars.x`` that is no scalar of the scenario's vars."""
    return [
        (column, value.removeprefix(SCENARIO_VAR))
        for column, value in apply.row.items()
        if isinstance(value, str)
        and value.startswith(SCENARIO_VAR)
        and not isinstance(scenario_vars.get(value.removeprefix(SCENARIO_VAR)), Scalar)
    ]
