"""Run config of a study: what the launchpad offers, taken from the study file's own models."""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import dagster as dg
from pydantic import Field

from search.errors import SpecError
from search.study.models import StudySpec
from search.study.settings import ResourcesSpec, SearchSpec
from search.study.settings import Sampler as SamplerName

Sampler = Enum("Sampler", {name: name for name in get_args(SamplerName)})  # type: ignore[misc]
"""The samplers of a study file, as a choice in the launchpad."""


GUARDED = frozenset({"search.allow_dead_parameters", "resources.scratch"})
"""Limits' neighbours that are none: a guard, and a path."""
_LIMIT = re.compile(r"(search|resources)\.\w+", re.ASCII)
_TARGET = re.compile(r"targets\.[\w@-]+(\.\w+)?", re.ASCII)
_RANGE = re.compile(r"parameters\.\w+\.(low|high|step|current)", re.ASCII)
_VAR = re.compile(r"scenario\.vars\.\w+", re.ASCII)


def _as_in(model: Any, key: str, more: str = "") -> Any:
    """Return a field that is left to the study file and described as the study file's key."""
    text = f"{model.model_fields[key].description}{more} Left out: as in the study file."
    return Field(default=None, description=text)


class StudyConfig(dg.Config):
    """What a run changes of its study file; checked by the rules of the study file."""

    study_file: str | None = Field(
        default=None,
        description="For a scenario that was added by hand: the study file in configs/ that it "
        "varies, for example quick.yaml. Left out: the file whose study has the scenario's name.",
    )
    max_iterations: int | None = _as_in(SearchSpec, "max_iterations")
    max_trials: int | None = _as_in(SearchSpec, "max_trials")
    sampler: Sampler | None = _as_in(SearchSpec, "sampler")
    tolerance: float | None = _as_in(SearchSpec, "tolerance", " A fraction, for example 0.02.")
    timeout: str | None = _as_in(SearchSpec, "timeout")
    workers: Any = _as_in(ResourcesSpec, "workers", " A number or auto.")
    memory_budget: str | None = _as_in(ResourcesSpec, "memory_budget")
    targets: dict[str, dict[str, Any]] | None = _as_in(
        StudySpec,
        "targets",
        " Replaces the targets named, for example {cost: {value: 5.0e7, tolerance: 0.01}}.",
    )
    overrides: list[str] = Field(
        default=[],
        description="Further keys of the study file, as `dotted.key=value`: "
        "scenario.vars.census_employees=500 or search.seed=3. Limits of search and machine, ranges "
        "of parameters, targets and vars that are numbers; the rest stands in the study file.",
    )
    is_restart: bool = Field(
        default=False,
        description="Start the study anew under its next version; what was found is kept.",
    )

    def texts(self) -> tuple[str, ...]:
        """Return the changes as the command line's ``--set`` takes them, in order.

        Raises:
            SpecError: If an override is of a key that a run must not change, or a study file
                is not one of the folder.

        Example:
            >>> StudyConfig(max_iterations=3, sampler="tpe", overrides=["search.seed=1"]).texts()
            ('search.max_iterations=3', 'search.sampler=tpe', 'search.seed=1')
        """
        given = {
            "search.max_iterations": self.max_iterations,
            "search.max_trials": self.max_trials,
            "search.sampler": self.sampler.value if self.sampler else None,
            "search.tolerance": self.tolerance,
            "search.timeout": self.timeout,
            "resources.workers": self.workers,
            "resources.memory_budget": self.memory_budget,
        }
        texts = [f"{key}={value}" for key, value in given.items() if value is not None]
        for metric, target in (self.targets or {}).items():
            texts.append(f"targets.{metric}={json.dumps(target)}")
        if self.study_file is not None and Path(self.study_file).name != self.study_file:
            raise SpecError(
                "study_file must be the name of a file in the folder of study files, but got "
                f"{self.study_file!r:.100}"
            )
        return (*texts, *(allowed(text) for text in self.overrides))


def allowed(override: str) -> str:
    """Return an override of a key that run config may change.

    Whoever reaches Dagster may start runs; what is executed (SQL, paths, steps, hooks) and what
    guards it stands in files that need other rights.

    Raises:
        SpecError: If the key, or a text where a number is due, is not allowed.
    """
    key, _, value = override.partition("=")
    key = key.strip()
    if key not in GUARDED and (_LIMIT.fullmatch(key) or _TARGET.fullmatch(key)):
        return override
    if _RANGE.fullmatch(key) or _VAR.fullmatch(key):
        if _is_number(value):
            return override
        raise SpecError(f"run config must give a number for it, but got {value!r:.100}", key=key)
    raise SpecError(
        "run config may change search and resources (without allow_dead_parameters and scratch), "
        "targets.<metric>, parameters.<name>.low, .high, .step and .current, and "
        "scenario.vars.<name> where it is a number; change anything else in the study file",
        key=key,
    )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return text.strip() in ("true", "false")
