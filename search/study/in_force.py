"""What dbt uses for a var when nobody gives it one: ``dbt_project.yml``, else the row of a seed.

The row is the one that the study's ``apply`` would write: the parameter's own, or the one that it
inherits. A var that is null in ``dbt_project.yml`` is not set there.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from search.study.apply import ApplySpec
from search.study.values import Scalar, value_text


def value_in_force(
    var: str, *, project: Path, scenario_vars: Mapping[str, Any], apply: Any
) -> Scalar | None:
    """Return the one value that dbt uses for a var; None without one, or with several.

    Args:
        var: Name of the var.
        project: Folder of the dbt project.
        scenario_vars: Vars of the study's scenario.
        apply: The study file's ``apply``, as it is written.
    """
    try:
        document = yaml.safe_load((project / "dbt_project.yml").read_bytes())
    except (OSError, yaml.YAMLError):
        return None  # said of the project itself
    document = document if isinstance(document, dict) else {}
    value = _project_var(document, var)
    if value is not None:
        return value if isinstance(value, Scalar) else None
    try:
        spec = ApplySpec.model_validate(apply or {})
        identity = spec.identity(var, scenario_vars)
    except (ValidationError, KeyError):
        return None  # said of `apply` itself
    if spec.seed is None or var in spec.project_vars:
        return None
    rows = _seed_rows(project, document, spec.seed)
    columns = {column: value_text(given) for column, given in identity.items()}
    inherited = columns | {name: value_text(given) for name, given in spec.inherits.items()}
    own = _matching(rows, columns) or _matching(rows, inherited)
    if len(own) != 1 or not _is_whole(own[0], spec, columns):
        return None
    return _scalar(own[0].get(str(spec.value)) or "")


def _project_var(document: Mapping[str, Any], var: str) -> Any:
    known = document.get("vars")
    known = known if isinstance(known, dict) else {}
    own = known.get(document.get("name"))
    return own[var] if isinstance(own, dict) and var in own else known.get(var)


def _seed_rows(project: Path, document: Mapping[str, Any], seed: str) -> list[dict[str, str]]:
    paths = document.get("seed-paths")
    for folder in paths if isinstance(paths, list) else ["seeds"]:
        for file in sorted((project / str(folder)).rglob(f"{seed}.csv")):
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError):
                return []
            return [row for row in csv.DictReader(text.splitlines()) if None not in row]
    return []


def _matching(rows: list[dict[str, str]], columns: Mapping[str, str]) -> list[dict[str, str]]:
    return [row for row in rows if all(row.get(name) == cell for name, cell in columns.items())]


def _is_whole(row: Mapping[str, str], spec: ApplySpec, columns: Mapping[str, str]) -> bool:
    """Whether a row holds for the parameter as a whole: nothing else tells it apart."""
    named = {spec.value, spec.locked, spec.date, spec.author, *columns}
    return all(column in named or not cell for column, cell in row.items())


def _scalar(text: str) -> Scalar | None:
    try:
        number = float(text)
    except ValueError:
        return text or None
    return int(number) if number.is_integer() and "." not in text else number
