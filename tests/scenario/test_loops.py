"""A loop over several steps, and metrics that read vars: the same numbers from each engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import copy_project, dbt_document, load

from search.driver.engine import prepare_engine
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

STEPS = [
    {
        "for_each": {"loop": [1, 2]},
        "steps": [
            {"dbt": {"command": "run"}},
            {
                "sql": "create or replace table last as "
                "select result + {{ loop }} as v from {{ ref('fct_result') }}"
            },
        ],
    }
]
METRIC = {
    "sql": "select v * {{ var('x') }} + {{ var('y') }} + {{ var('loop') }} * 1000 from last",
    "after": "each",
    "combine": "each",
}


@pytest.mark.dbt
@pytest.mark.parametrize("engine", ["dbt", "compiled"])
def test_loops_and_vars_mean_what_they_say(tmp_path: Path, engine: str) -> None:
    """x reaches the model and the metric; y is the project's own var; loop is the repetition's."""
    project = copy_project("tiny", tmp_path / "project")
    document = dbt_document(
        scenario={"steps": STEPS},
        metrics={"v": METRIC, "only": {"sql": "select 2 * {{ var('x') }}"}},
        targets={"v": None, "v@2": {"value": 1.0}},
        resources={"engine": engine},
    )
    del document["parameters"]["rate"]
    spec = load(project, document)
    memory = memory_plan(spec)
    limits = preparation_limits(spec, memory)
    plan = prepare(spec, tmp_path / "baselines", limits, report=lambda _: None).plan
    factory = evaluator_factory(spec, plan, memory)
    made = prepare_engine(factory, spec, tmp_path / "programs", report=lambda _: None)
    assert made.name == engine
    evaluator = made.factory()
    evaluator.open()
    try:
        for x in (1.0, 3.0):
            outcome = evaluator.evaluate(EvaluationRequest(trial=0, values={"x": x}))
            assert outcome.failure is None
            first = (10 * x + 1 + 1) * x + 1 + 1000
            second = (10 * x + 1 + 2) * x + 1 + 2000
            assert outcome.metrics == {"v@1": first, "v@2": second, "only": 2 * x}
    finally:
        evaluator.close()
