"""Run config of a study: what the launchpad offers, taken from the study file's own models."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, get_args

import dagster as dg
from pydantic import Field

from search.study.models import StudySpec
from search.study.settings import ResourcesSpec, SearchSpec
from search.study.settings import Sampler as SamplerName

Sampler = Enum("Sampler", {name: name for name in get_args(SamplerName)})  # type: ignore[misc]
"""The samplers of a study file, as a choice in the launchpad."""


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
    workers: str | None = _as_in(ResourcesSpec, "workers", " A number or auto.")
    memory_budget: str | None = _as_in(ResourcesSpec, "memory_budget")
    targets: dict[str, dict[str, Any]] | None = _as_in(
        StudySpec,
        "targets",
        " Replaces the targets named, for example {cost: {value: 5.0e7, tolerance: 0.01}}.",
    )
    overrides: list[str] = Field(
        default=[],
        description="Any other key of the study file, as `dotted.key=value`: "
        "scenario.vars.census_employees=500 or search.seed=3.",
    )
    is_restart: bool = Field(
        default=False,
        description="Start the study anew under its next version; what was found is kept.",
    )

    def texts(self) -> tuple[str, ...]:
        """Return the changes as the command line's ``--set`` takes them, in order.

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
        return (*texts, *self.overrides)
