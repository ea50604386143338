"""What a study found as rows of tables in the main database. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from dagster_defs.main_database import DatabaseTable
from dagster_defs.metadata import allowed_of
from search.report.facts import StudyFacts
from search.report.findings import findings_of
from search.study.targets import variances
from search.study.values import Scalar
from search.views.targets import Judgement, wanted_text

STATE_TABLE = DatabaseTable(
    "optimization_scenario_state",
    pa.schema(
        {
            "scenario_id": pa.string(),
            "study": pa.string(),
            "iteration": pa.int64(),
            "trials": pa.int64(),
            "failed_trials": pa.int64(),
            "best_trial_so_far": pa.int64(),
            "best_loss_so_far": pa.float64(),
            "best_parameters_so_far": pa.string(),
            "best_variances_so_far": pa.string(),
            "is_converged": pa.bool_(),
            "started_at": pa.timestamp("us", tz="UTC"),
            "finished_at": pa.timestamp("us", tz="UTC"),
        }
    ),
)
RESULTS_TABLE = DatabaseTable(
    "parameter_optimization_results",
    pa.schema(
        {
            "scenario_id": pa.string(),
            "study": pa.string(),
            "trial": pa.int64(),
            "kind": pa.string(),
            "name": pa.string(),
            "unit": pa.string(),
            "current_value": pa.float64(),
            "current_text": pa.string(),
            "recommended_value": pa.float64(),
            "recommended_text": pa.string(),
            "allowed": pa.string(),
            "wanted": pa.string(),
            "variance": pa.float64(),
            "is_met": pa.bool_(),
        }
    ),
)
BEST_TABLE = DatabaseTable(
    "best_parameters",
    pa.schema(
        {
            "scenario_id": pa.string(),
            "study": pa.string(),
            "trial": pa.int64(),
            "parameter": pa.string(),
            "value": pa.float64(),
            "value_json": pa.string(),
            "unit": pa.string(),
        }
    ),
)
ALTERNATIVES_TABLE = DatabaseTable(
    "plan_alternatives",
    pa.schema(
        {
            "scenario_id": pa.string(),
            "study": pa.string(),
            "alternative": pa.int64(),
            "plan": pa.string(),
            "trial": pa.int64(),
            "kind": pa.string(),
            "name": pa.string(),
            "unit": pa.string(),
            "value": pa.float64(),
            "value_text": pa.string(),
            "is_met": pa.bool_(),
        }
    ),
)
FUTURES_TABLE = DatabaseTable(
    "plan_futures",
    pa.schema(
        {
            "scenario_id": pa.string(),
            "study": pa.string(),
            "trial": pa.int64(),
            "seed": pa.string(),
            "is_searched": pa.bool_(),
            "is_all_targets_met": pa.bool_(),
            "metric": pa.string(),
            "unit": pa.string(),
            "value": pa.float64(),
            "is_met": pa.bool_(),
        }
    ),
)


def alternative_rows(facts: StudyFacts, scenario: str) -> list[dict[str, Any]]:
    """Return every parameter and metric of the other plans that meet every target."""
    findings = findings_of(facts)
    rows = []
    for number, plan in enumerate(findings.alternatives, start=1):
        head = {"scenario_id": scenario, "study": facts.study, "alternative": number}
        head |= {"plan": plan.name, "trial": plan.trial}
        for name, parameter in findings.parameters.items():
            value = plan.values.get(name)
            number_, text = _pair("x", value).values()
            shown = {"kind": "parameter", "name": name, "unit": parameter.unit}
            rows.append(head | shown | {"value": number_, "value_text": text})
        for name, achieved in plan.metrics.items():
            goal = findings.goal_of.get(name)
            judged = None if goal is None else Judgement.of(goal, achieved).is_met
            shown = {"kind": "metric", "name": name, "unit": findings.units.get(name)}
            rows.append(head | shown | {"value": achieved, "is_met": judged})
    return rows


def future_rows(facts: StudyFacts, scenario: str) -> list[dict[str, Any]]:
    """Return every metric of the plan in each future."""
    findings = findings_of(facts)
    head = {"scenario_id": scenario, "study": facts.study, "trial": facts.best}
    rows = []
    for future in findings.futures():
        seed = {"seed": str(future["seed"]), "is_searched": future["is_searched"]}
        seed |= {"is_all_targets_met": future["is_met"]}
        for name, value in future["metrics"].items():
            goal = findings.goal_of.get(name)
            judged = None if goal is None else Judgement.of(goal, value).is_met
            shown = {"metric": name, "unit": findings.units.get(name), "value": value}
            rows.append(head | seed | shown | {"is_met": judged})
    return rows


def state_rows(facts: StudyFacts, scenario: str) -> list[dict[str, Any]]:
    """Return the state after each iteration, in order."""
    trials = {trial.trial: trial for trial in facts.trials}
    goals = [target.goal for target in facts.targets if target.is_resolved]
    rows = []
    for iteration in facts.iterations:
        number = iteration.best_trial_so_far
        best = trials.get(number) if number is not None else None
        metrics = {goal.metric: facts.value(number, goal.metric) for goal in goals}
        known = {name: value for name, value in metrics.items() if value is not None}
        scored = [goal for goal in goals if goal.metric in known]
        rows.append(
            {
                "scenario_id": scenario,
                "study": facts.study,
                "iteration": iteration.iteration,
                "trials": iteration.trials,
                "failed_trials": iteration.failed_trials,
                "best_trial_so_far": number,
                "best_loss_so_far": iteration.best_loss_so_far,
                "best_parameters_so_far": json.dumps(best.candidate) if best else None,
                "best_variances_so_far": json.dumps(variances(scored, known)),
                "is_converged": bool(best and best.is_all_targets_met),
                "started_at": iteration.started_at,
                "finished_at": iteration.finished_at,
            }
        )
    return rows


def result_rows(facts: StudyFacts, scenario: str) -> list[dict[str, Any]]:
    """Return recommended parameters and achieved metrics against today's, in one shape."""
    head = {"scenario_id": scenario, "study": facts.study, "trial": facts.best}
    rows = [
        head
        | {"kind": "parameter", "name": parameter.name, "unit": parameter.unit}
        | _pair("current", parameter.current)
        | _pair("recommended", parameter.best)
        | {"allowed": allowed_of(parameter)}
        for parameter in facts.parameters
    ]
    for target in facts.targets:
        goal = target.goal
        judged = Judgement.of(goal, target.best)
        rows.append(
            head
            | {"kind": "metric", "name": goal.metric, "unit": goal.unit}
            | _pair("current", target.current)
            | _pair("recommended", target.best)
            | {
                "wanted": wanted_text(goal),
                "variance": judged.variance,
                "is_met": None if goal.is_objective else judged.is_met,
            }
        )
    return rows


def best_rows(facts: StudyFacts, scenario: str) -> list[dict[str, Any]]:
    """Return the best trial's parameters; empty while no trial is complete."""
    if facts.best is None:
        return []
    return [
        {
            "scenario_id": scenario,
            "study": facts.study,
            "trial": facts.best,
            "parameter": parameter.name,
            "value": _number(parameter.best),
            "value_json": json.dumps(parameter.best),
            "unit": parameter.unit,
        }
        for parameter in facts.parameters
    ]


def best_values(rows: Sequence[Mapping[str, Any]]) -> dict[str, Scalar]:
    """Return the parameters that ``best_rows`` made rows of, exactly.

    Example:
        >>> best_values([{"parameter": "rate", "value_json": "0.1"}])
        {'rate': 0.1}
    """
    return {row["parameter"]: json.loads(row["value_json"]) for row in rows}


def _pair(name: str, value: Scalar | None) -> dict[str, Any]:
    """Return a value as a number, and as text when it is none."""
    number = _number(value)
    text = json.dumps(value) if value is not None and number is None else None
    return {f"{name}_value": number, f"{name}_text": text}


def _number(value: Scalar | None) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else None
