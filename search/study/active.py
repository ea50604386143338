"""``current: active`` of a parameter: the value that is in force in the dbt project.

``scenario-search apply`` keeps a journal beside the project; its last line says what is active. As
long as there is none, it is what dbt uses by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.study.in_force import value_in_force
from search.study.mistakes import Mistake
from search.study.values import as_mapping

ACTIVE = "active"
FOLDER = "parameter_sets"
"""Folder of the dbt project that holds the journals, one for each study."""


def journal_path(project: Path, study: str) -> Path:
    """Return the journal of the parameter sets that a study applied to a dbt project."""
    return project / FOLDER / f"{study}.jsonl"


def resolve_active(document: dict[str, Any], file: Path) -> tuple[frozenset[str], list[Mistake]]:
    """Put values in the place of ``current: active``.

    ``current: {active: 0.035}`` is the active value, and 0.035 where nothing gives one: no set was
    applied, and dbt has no single value of the parameter's var.

    Args:
        document: The study file's content; changed.
        file: The study file.

    Returns:
        The parameters whose current value is that of an applied set, and what stands in the way.
    """
    asked = {
        name: parameter
        for name, parameter in as_mapping(document.get("parameters")).items()
        if isinstance(parameter, dict) and _asks(parameter)
    }
    if not asked:
        return frozenset(), []
    values, fault = _active_values(document, file)
    mistakes: list[Mistake] = []
    resolved: set[str] = set()
    for name, parameter in asked.items():
        current = parameter["current"]
        path = ("parameters", name, "current")
        if fault is not None:
            mistakes.append(Mistake(path, fault))
        elif name in values:
            parameter["current"] = values[name]
            resolved.add(str(name))
        elif (used := _used_by_dbt(parameter, document, file)) is not None:
            parameter["current"] = used
        elif isinstance(current, dict):
            parameter["current"] = current[ACTIVE]
        else:
            text = (
                "is active, but no parameter set gives it a value yet, and neither dbt_project.yml "
                "nor the seed of `apply` has one for its var; write the value to start from as "
                "{active: value}, or run `scenario-search apply`"
            )
            mistakes.append(Mistake(path, text))
    return frozenset(resolved), mistakes


def _asks(parameter: Mapping[str, Any]) -> bool:
    current = parameter.get("current")
    if isinstance(current, dict):
        return set(current) == {ACTIVE}
    choices = parameter.get("choices")
    return current == ACTIVE and not (isinstance(choices, list) and ACTIVE in choices)


def _active_values(document: Mapping[str, Any], file: Path) -> tuple[dict[str, Any], str | None]:
    """Return the values of the active set, none without one; or what is wrong with the journal."""
    project, study = _project(document, file), document.get("study")
    if project is None or not isinstance(study, str) or "/" in study:
        return {}, None  # said of those keys themselves
    path = journal_path(project, study)
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}, None
    try:
        values = json.loads(lines[-1])["values"]
    except (ValueError, LookupError, TypeError):
        values = None
    if not isinstance(values, dict):
        return {}, f"is active, but the journal {path} is damaged; restore it from git or a backup"
    return values, None


def _used_by_dbt(
    parameter: Mapping[str, Any], document: Mapping[str, Any], file: Path
) -> str | int | float | bool | None:
    """Return what dbt uses for a parameter's var by itself; None for cells of a table."""
    binds = parameter.get("bind")
    bind = binds[0] if isinstance(binds, list) and binds else binds
    var, project = as_mapping(bind).get("var"), _project(document, file)
    if not isinstance(var, str) or project is None:
        return None
    scenario_vars = as_mapping(as_mapping(document.get("scenario")).get("vars"))
    used = value_in_force(
        var, project=project, scenario_vars=scenario_vars, apply=document.get("apply")
    )
    written = (parameter.get(key) for key in ("low", "high", "step"))
    is_float = type(used) is int and any(isinstance(number, float) for number in written)
    return float(used) if is_float and used is not None else used


def _project(document: Mapping[str, Any], file: Path) -> Path | None:
    project = as_mapping(document.get("scenario")).get("dbt_project")
    if not isinstance(project, str):
        return None
    folder = Path(project).expanduser()
    return folder if folder.is_absolute() else file.absolute().parent / folder
