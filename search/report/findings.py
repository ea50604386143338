"""A study's findings from its published trail, or from a run that has just ended."""

from __future__ import annotations

from collections.abc import Mapping

from search.driver.results import CompleteTrial, RunResult
from search.report.facts import StudyFacts
from search.study import StudySpec, expand_metrics
from search.study.metrics import ExpandedMetric
from search.views.findings import PLAN, TODAY, Findings, Loop, PlanView


def findings_of(facts: StudyFacts) -> Findings:
    """Return what a published trail says a study found."""
    by_number = {trial.trial: trial for trial in facts.trials}

    def plan(name: str, number: int | None) -> PlanView | None:
        trial = by_number.get(number) if number is not None else None
        if trial is None or not isinstance(trial.candidate, dict):
            return None
        records = facts.metrics.get(trial.trial, {})
        metrics = {n: record.value for n, record in records.items() if record.value is not None}
        return PlanView(name, trial.trial, trial.candidate, metrics)

    current = next(
        (t.trial for t in facts.trials if t.iteration == 0 and t.state == "complete"), None
    )
    others = [plan(name, number) for name, number in facts.alternatives]
    return Findings(
        study=facts.study,
        parameters={parameter.name: parameter for parameter in facts.parameters},
        goals=tuple(target.goal for target in facts.targets),
        units=facts.units,
        loops=loops_of(expand_metrics(facts.spec)) if facts.spec is not None else {},
        today=plan(TODAY, current),
        plan=plan(PLAN, facts.best),
        alternatives=tuple(other for other in others if other is not None),
        appraisal=facts.appraisal,
        is_verified=facts.run.is_verified,
        has_chance=facts.spec is not None and facts.spec.scenario.has_chance,
    )


def findings_of_run(spec: StudySpec, result: RunResult) -> Findings:
    """Return what a run that has just ended found."""
    end = result.end
    metrics = {trial.number: trial.metrics for trial in end.complete}
    expanded = expand_metrics(spec)
    return Findings(
        study=result.study,
        parameters=spec.parameters,
        goals=end.goals,
        units={metric.name: metric.unit for metric in expanded},
        loops=loops_of(expanded),
        today=_plan(TODAY, end.current),
        plan=_plan(PLAN, end.best),
        alternatives=tuple(
            PlanView(
                alternative.name,
                alternative.trial,
                alternative.values,
                metrics.get(alternative.trial, {}),
            )
            for alternative in end.alternatives
        ),
        appraisal=result.appraisal,
        is_verified=result.is_verified,
        has_chance=spec.scenario.has_chance,
    )


def _plan(name: str, trial: CompleteTrial | None) -> PlanView | None:
    return None if trial is None else PlanView(name, trial.number, trial.values, trial.metrics)


def loops_of(expanded: tuple[ExpandedMetric, ...]) -> Mapping[str, Loop]:
    """Return which metrics are one repetition of another."""
    return {
        metric.name: Loop(metric.key, metric.loop[0], metric.loop[1])
        for metric in expanded
        if metric.loop is not None
    }
