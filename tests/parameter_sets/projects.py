"""A small dbt project with levers in a seed and a var, and a study of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies import changed, write_study

from search.parameter_sets.sets import Author, ParameterSets
from search.study import StudySpec, load_study

LEVERS = """scenario,level,lever,value,is_locked,on,by
default,1,merit,0.035,false,2026-01-01,seed
default,2,merit,0.040,false,2026-01-01,seed
default,,cola,0.02,false,2026-01-01,seed
mine,1,merit,0.05,false,2026-01-01,"seed, by hand"
mine,2,merit,0.06,false,2026-01-01,seed
mine,,tip,1,false,2026-01-01,seed
other,,cola,0.5,false,2026-01-01,seed
"""
PROJECT = """name: small
version: "1.0"
profile: small

vars:
  timing: 'january' # when raises come
  days: 30
"""
STUDY: dict[str, Any] = {
    "study": "mine",
    "scenario": {
        "dbt_project": "project",
        "vars": {"scenario_id": "mine"},
        "steps": [{"sql": "select {{ var('merit') }} + {{ var('cola') }} + {{ var('days') }}"}],
    },
    "parameters": {
        "merit": {"low": 0.0, "high": 0.1, "current": 0.03, "bind": {"var": "merit"}},
        "cola": {"low": 0.0, "high": 0.1, "current": 0.02, "bind": {"var": "cola"}},
        "timing": {
            "choices": ["january", "july"],
            "current": "january",
            "bind": {"var": "timing"},
        },
        "days": {"low": 10, "high": 90, "step": 1, "current": 30, "bind": {"var": "days"}},
        "tip": {
            "low": 0.0,
            "high": 5.0,
            "current": 1.0,
            "bind": {
                "table": "levers",
                "column": "value",
                "where": "scenario = 'mine' and lever = 'tip'",
            },
        },
    },
    "metrics": {"v": {"sql": "select 1"}},
    "targets": {"v": {"value": 1.0}},
    "apply": {
        "seed": "levers",
        "row": {"scenario": "$vars.scenario_id", "level": None, "lever": "$var"},
        "value": "value",
        "inherits": {"scenario": "default"},
        "locked": "is_locked",
        "date": "on",
        "author": "by",
        "project_vars": ["timing", "days"],
    },
}
ANA = Author("ana", "a test")


def make(folder: Path, changes: Mapping[str, Any] | None = None) -> StudySpec:
    """Write the project and the study, and return the study."""
    seeds = folder / "project" / "seeds"
    seeds.mkdir(parents=True)
    (seeds / "levers.csv").write_text(LEVERS)
    (folder / "project" / "dbt_project.yml").write_text(PROJECT)
    return load_study(write_study(folder, changed(STUDY, changes or {}), name="mine.yml"))


def levers(spec: StudySpec) -> str:
    """Return the seed's text."""
    return (spec.file.parent / "project" / "seeds" / "levers.csv").read_text()


def project(spec: StudySpec) -> str:
    """Return the text of dbt_project.yml."""
    return (spec.file.parent / "project" / "dbt_project.yml").read_text()


def journal_file(spec: StudySpec) -> Path:
    """Return the journal."""
    return spec.file.parent / "project" / "parameter_sets" / "mine.jsonl"


def sets_of(spec: StudySpec) -> ParameterSets:
    """Return the study's parameter sets."""
    return ParameterSets(spec)
