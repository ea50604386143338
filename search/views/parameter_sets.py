"""Parameter sets for people and programs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.parameter_sets.journal import Journal, ParameterSet
from search.parameter_sets.sets import Applied
from search.study import StudySpec
from search.study.figures import with_unit
from search.study.values import Scalar
from search.views.parameters import change_text, difference
from search.views.text import table_text

UNSET = "unset"
"""Shown where a parameter has no value of its own, or several."""


def set_document(applied: ParameterSet, *, is_active: bool) -> dict[str, Any]:
    """Return a set for programs."""
    document = applied.model_dump(
        mode="json", exclude={"images", "previous", "format_version"}, exclude_none=True
    )
    return document | {"active": is_active}


def history_document(journal: Journal, drift: list[str]) -> dict[str, Any]:
    """Return the sets for programs."""
    sets = [set_document(known, is_active=known is journal.active) for known in journal.sets]
    return {"journal": str(journal.path), "sets": sets, "edited_since": drift}


def history_text(spec: StudySpec, journal: Journal, drift: list[str]) -> str:
    """Return the sets for people, oldest first, with what each changed."""
    if not journal.sets:
        return f"study {spec.study} has applied no parameter set yet"
    rows = []
    before: Mapping[str, Scalar] = {}
    for known in journal.sets:
        is_first = known is journal.sets[0]
        rows.append(
            [
                f"{known.version} *" if known is journal.active else str(known.version),
                known.at.strftime("%Y-%m-%d %H:%M UTC"),
                known.author,
                known.origin.text,
                known.reason,
                "-" if is_first else _changes(spec, before, known.values),
            ]
        )
        before = known.values
    text = table_text(["set", "applied", "by", "origin", "reason", "changes"], rows)
    text += "\n* in force: what dbt uses without a search"
    if drift:
        text += (
            f"\nedited by hand since: {', '.join(drift)}; the next apply or rollback records "
            "that as a set of its own first"
        )
    return text


def difference_document(a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return two sets of values side by side for programs."""
    return {
        name: {
            "a": a.get(name),
            "b": b.get(name),
            "difference": difference(a.get(name), b.get(name)),
        }
        for name in dict.fromkeys([*a, *b])
    }


def difference_text(
    spec: StudySpec,
    a: Mapping[str, Scalar],
    b: Mapping[str, Scalar],
    labels: tuple[str, str],
) -> str:
    """Return two sets of values side by side for people."""
    rows = []
    for name, parameter in spec.parameters.items():
        left, right = a.get(name), b.get(name)
        rows.append(
            [
                name,
                _shown(left, parameter.unit),
                _shown(right, parameter.unit),
                change_text(left, right, parameter.unit),
            ]
        )
    return table_text(["parameter", *labels, "difference"], rows)


def applied_document(applied: Applied, *, is_dry_run: bool) -> dict[str, Any]:
    """Return what an apply or a rollback did, for programs."""
    return {
        "changed": applied.is_changed,
        "dry_run": is_dry_run,
        "active": set_document(applied.active, is_active=not is_dry_run),
        "recorded_first": list(applied.kept),
        "files": [str(change.path) for change in applied.changes],
        "differences": {
            name: sides
            for name, sides in difference_document(applied.previous, applied.active.values).items()
            if sides["a"] != sides["b"]
        },
    }


def applied_text(spec: StudySpec, applied: Applied, *, is_dry_run: bool) -> str:
    """Return what an apply or a rollback did, for people: values, and lines of files."""
    if not applied.is_changed:
        return f"nothing to do: set {applied.active.version} is in force with these values"
    active = applied.active
    verb = "would be" if is_dry_run else "is"
    parts = [f"set {active.version} {verb} in force ({active.origin.text})"]
    if applied.kept and applied.kept != (0,):
        kept = ", ".join(map(str, applied.kept))
        parts.append(f"the files had been edited by hand; that is kept as set {kept}")
    labels = ("before", f"set {active.version}")
    parts += ["", difference_text(spec, applied.previous, active.values, labels)]
    for change in applied.changes:
        if change.path.suffix != ".jsonl":
            parts += ["", *_file_difference(change.path, change.before or b"", change.after)]
    return "\n".join(parts)


def _changes(spec: StudySpec, before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> str:
    units = {name: parameter.unit for name, parameter in spec.parameters.items()}
    moved = [
        f"{name} {_shown(before.get(name), units.get(name))} -> "
        f"{_shown(after.get(name), units.get(name))}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    return "; ".join(moved) or "none"


def _shown(value: Scalar | None, unit: str | None) -> str:
    return UNSET if value is None else with_unit(value, unit)


def _file_difference(path: Path, before: bytes, after: bytes) -> list[str]:
    old, new = (text.decode("utf-8", "replace").splitlines() for text in (before, after))
    path = path.resolve()
    lines = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
    return [f"{path}:", *(f"  {line}" for line in lines if not line.startswith("@@"))]
