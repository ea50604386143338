"""No sampler proposes values whose digits alone make an innocent model overflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from search.sampling.choice import Samplers
from search.study import study_from_document
from search.study.space import distributions
from search.study.targets import goals_of

DOCUMENT: dict[str, Any] = {
    "study": "digits",
    "scenario": {"dbt_project": "proj", "steps": [{"dbt": {"command": "run"}}]},
    "parameters": {
        "x": {"low": 0.01, "high": 2.0, "current": 1.0, "bind": {"var": "x"}},
        "tiny": {"low": 1e-6, "high": 1.0, "log": True, "current": 1e-5, "bind": {"var": "tiny"}},
        "stepped": {
            "low": 0.0,
            "high": 0.9,
            "step": 0.1,
            "current": 0.1,
            "bind": {"var": "stepped"},
        },
    },
    "metrics": {"m": {"sql": "select 1"}},
    "targets": {"m": {"value": 1, "tolerance": 0.01}},
}


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid", "cmaes", "nsga2", "target"])
def test_proposals_have_ten_digits_or_those_of_their_step(sampler: str, tmp_path: Path) -> None:
    document = DOCUMENT | {"search": {"sampler": sampler, "max_trials": 30}}
    spec = study_from_document(document, file=tmp_path / "study.yml")
    study = optuna.create_study(
        sampler=Samplers(spec).of_iteration(goals_of(spec), iteration=1, batch_size=8)
    )
    space = distributions(spec)
    seen = set()
    for number in range(12):
        trial = study.ask(space)
        trial.set_user_attr("iteration", 1)
        values = trial.params
        assert round(values["x"], 9) == values["x"]
        assert float(f"{values['tiny']:.10g}") == values["tiny"]
        assert round(values["stepped"], 1) == values["stepped"]
        seen.add(tuple(values.values()))
        study.tell(trial, float(number))
    assert len(seen) == 12
