"""Content hashes of a study, for caches and for noticing that a study file has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from search.study.models import StudySpec
from search.study.values import Scalar

_PARAMETER_TEXT = ("unit", "description")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, numbers as Python writes them.

    Raises:
        ValueError: If a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def candidate_key(values: Mapping[str, Scalar]) -> str:
    """Return a text that is equal for equal canonical candidates.

    Example:
        >>> candidate_key({"merit": 0.035, "age": 40})
        '{"age":40,"merit":0.035}'
    """
    return canonical_json(dict(values))


def scenario_fingerprint(spec: StudySpec) -> str:
    """Return the SHA-256 (hex) of what a candidate's metrics depend on in the study file.

    That is vars, setup, steps, profile, the replication variable, binds, metrics and access
    to files. Left out are paths, whose content the scenario room hashes itself, checks, which
    change no metric, and ranges: the same candidate has the same metrics in a wider range.
    """
    return _hash(_scenario_part(spec.to_document()))


def recording_fingerprint(spec: StudySpec) -> str:
    """Return the SHA-256 (hex) of what decides in the study file what dbt sends to DuckDB.

    That is all of ``scenario_fingerprint`` but the metrics, which are read of what dbt made.
    """
    part = _scenario_part(spec.to_document())
    return _hash({"recording": {key: part[key] for key in part if key != "metrics"}})


def study_fingerprint(spec: StudySpec) -> str:
    """Return the SHA-256 (hex) of what decides which candidates a study tries.

    That is all of ``scenario_fingerprint``, parameters, constraints, targets, replication
    values, sampler, seed and tolerance. Left out are limits (a study may go on for longer),
    resources, storage, units and descriptions.
    """
    document = spec.to_document()
    search = {key: document["search"][key] for key in ("sampler", "seed", "tolerance")}
    parameters = {
        name: _without(parameter, *_PARAMETER_TEXT)
        for name, parameter in document["parameters"].items()
    }
    return _hash(
        {
            "scenario": _scenario_part(document),
            "replications": _replications(document["scenario"].get("replications")),
            "parameters": parameters,
            "constraints": document["constraints"],
            "targets": document["targets"],
            "search": search,
        }
    )


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys in which two documents differ, sorted.

    Example:
        >>> changed_keys({"study": "a", "search": {"seed": 1}}, {"study": "a", "search": {}})
        ['search.seed']
    """
    changed: list[str] = []
    for key in sorted(set(old) | set(new), key=str):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changed += [f"{key}.{inner}" for inner in changed_keys(before, after)]
        elif type(before) is not type(after) or before != after or (key in old) != (key in new):
            changed.append(str(key))
    return changed


def edited_keys(document: Mapping[str, Any] | None, spec: StudySpec) -> list[str]:
    """Return the keys of a study file that are others than when the study ran.

    What decides only how and where it is evaluated does not count.

    Args:
        document: The study file that it ran with; None when that is not known.
        spec: The study as its file is today.
    """
    if not document:
        return []
    return [
        key
        for key in changed_keys(document, spec.to_document())
        if key.split(".")[0] not in ("resources", "storage")
    ]


def _scenario_part(document: Mapping[str, Any]) -> dict[str, Any]:
    scenario = _without(
        document["scenario"],
        *("dbt_project", "profiles_dir", "inputs", "database", "replications", "checks"),
    )
    replications = document["scenario"].get("replications")
    return {
        "scenario": scenario,
        "replication_var": replications.get("var") if replications else None,
        "binds": {name: parameter["bind"] for name, parameter in document["parameters"].items()},
        "metrics": {
            name: _without(metric, *_PARAMETER_TEXT) for name, metric in document["metrics"].items()
        },
    }


def _replications(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the replications; the mean, which was the only statistic once, goes unsaid."""
    if document is None:
        return None
    return {key: value for key, value in document.items() if (key, value) != ("statistic", "mean")}


def _without(mapping: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
