"""The end of a run and of a single evaluation: for programs (a document) and for people (text)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.driver.results import Evaluation, RunResult
from search.report.findings import findings_of_run
from search.report.parameter_table import parameters_table
from search.scenario.verdict import Verification
from search.study import StudySpec, expand_metrics
from search.study.budget import format_bytes
from search.study.figures import with_unit
from search.study.targets import variances
from search.views.appraisal import appraisal_text
from search.views.drivers import breaking_lines
from search.views.findings import PLAN, Findings
from search.views.headline import headline
from search.views.outcomes import OUTCOMES, outcomes, settings_grid
from search.views.risk import risk_line
from search.views.targets import TargetView, goal_document
from search.views.terminal import painted
from search.views.text import counted, duration_text, table_text, wrapped


def run_summary(result: RunResult) -> dict[str, Any]:
    """Return the run's contract with programs: what ``run --json`` prints."""
    end = result.end
    achieved: Mapping[str, float] = end.best.metrics if end.best else {}
    best = None
    if end.best is not None:
        best = {
            "trial": end.best.number,
            "parameters": dict(end.best.values),
            "metrics": dict(end.best.metrics),
            "variances": variances(end.goals, end.best.metrics),
        }
    return {
        "study": result.study,
        "converged": result.is_converged,
        "reason": result.reason,
        "reason_code": result.reason_code,
        "iterations": end.iterations,
        "trials": end.trials,
        "failed_trials": end.failed_trials,
        "best": best,
        "alternatives": [
            {
                "name": alternative.name,
                "trial": alternative.trial,
                "parameters": dict(alternative.values),
                "differs_ranges": alternative.differs,
            }
            for alternative in end.alternatives
        ],
        "prefer": result.prefer,
        "polished": end.polished,
        "targets": [goal_document(goal, achieved.get(goal.metric)) for goal in end.goals],
        "sampler": result.sampler,
        "batch_size": result.batch_size,
        "engine": result.engine,
        "isolation": result.isolation,
        "workers": result.memory.workers,
        "verified": result.is_verified,
        "metrics_verified": result.is_metrics_verified,
        "tests": result.verification.tests.document() if result.verification else None,
        "evaluations_under_other_seeds": result.end.scouted,
        "wall_seconds": round(result.wall_seconds, 3),
        "startup_seconds": round(result.startup_seconds, 3),
        "evaluations_per_second": round(result.evaluations_per_second, 4),
        "peak_memory_bytes": result.peak_memory_bytes,
        "memory_budget_bytes": result.memory.budget_bytes,
        "audit_path": str(result.audit_path),
        "trail_anchor": result.anchor,
        "report_path": str(result.report_path),
        "warnings": list(result.warnings),
        "appraisal": dict(result.appraisal),
    }


def decision_summary(spec: StudySpec, result: RunResult) -> dict[str, Any]:
    """Return the decision for programs, in the words of the terminal and the page."""
    findings = findings_of_run(spec, result)
    return {
        "headline": headline(findings),
        "risk": risk_line(findings),
        "outcomes": [
            dict(zip(OUTCOMES, outcome.row, strict=True)) for outcome in outcomes(findings)
        ],
        "breaks_when": breaking_lines(findings),
    }


def _scouted_text(scouted: int) -> str:
    """Return what plans that might win took beside their trials."""
    return f" and {counted(scouted, 'evaluation')} under other seeds" if scouted else ""


def run_text(spec: StudySpec, result: RunResult, *, workbook: Path | None = None) -> str:
    """Return the run's end for people: the decision, what backs it, where the files are.

    Args:
        spec: The study.
        result: How the run ended.
        workbook: The workbook that was written; None when there is none.
    """
    end = result.end
    parts = [wrapped(f"{result.study}: {_headline(result)} - {result.reason}"), ""]
    if end.best is None:
        parts.append("no trial is complete, so there is nothing to recommend")
    else:
        parts += _decision(findings_of_run(spec, result), result)
        parts += _analysis(spec, result)
    parts += [""] if result.warnings else []
    parts += [wrapped(painted(f"warning: {line}", "warn")) for line in result.warnings]
    failed = f" ({end.failed_trials} failed)" if end.failed_trials else ""
    figures = (
        f"{counted(end.trials, 'trial')}{failed} in {counted(end.iterations, 'iteration')}"
        f"{_scouted_text(end.scouted)}, "
        f"{duration_text(result.wall_seconds)} (first candidate after "
        f"{duration_text(result.startup_seconds)}), peak memory "
        f"{format_bytes(result.peak_memory_bytes)} of {format_bytes(result.memory.budget_bytes)}"
    )
    parts += [
        "",
        wrapped(figures),
        f"report: {result.report_path}",
        *([f"workbook: {workbook}"] if workbook else []),
        f"audit trail: {result.audit_path}",
        f"its anchor: {result.anchor}",
    ]
    return "\n".join(parts)


def _decision(findings: Findings, result: RunResult) -> list[str]:
    """Return the decision: the sentence, what comes out, what to set, what would make it fail."""
    known = [outcome.row for outcome in outcomes(findings)]
    has_futures = any(row[5] != "-" for row in known)
    kept = [i for i in range(len(OUTCOMES)) if has_futures or i not in (5, 6)]
    rows = [[row[i] for i in kept] for row in known]
    parts = [
        wrapped(painted(headline(findings), "strong")),
        wrapped(risk_line(findings)),
        "",
        table_text([OUTCOMES[i] for i in kept], rows, strong=PLAN),
        "",
        settings_grid(findings).text(strong=PLAN),
    ]
    if findings.alternatives:
        parts += ["", "other plans that meet every target (apply --alternative N):"]
    for number, alternative in enumerate(findings.alternatives, start=1):
        parts.append(wrapped(f"  {number}. {alternative.name} (trial {alternative.trial})"))
    if result.verification is not None and result.verification.tests.failing:
        parts += ["", *map(wrapped, verification_lines(result.verification))]
    if lines := breaking_lines(findings):
        parts += ["", "what would make it fail:", *(wrapped(f"  {line}") for line in lines)]
    return parts


def _analysis(spec: StudySpec, result: RunResult) -> list[str]:
    units = {metric.name: metric.unit for metric in expand_metrics(spec)}
    parameters = {name: parameter.unit for name, parameter in spec.parameters.items()}
    parts = []
    for paragraph in appraisal_text(result.appraisal, units, parameters):
        parts += ["", paragraph]
    return parts


def _differences(evaluation: Evaluation) -> list[str]:
    """Return which metrics are others than the trial's, and which inputs changed since."""
    lines = [
        f"  {name} = {value!r}, trial {evaluation.from_trial} has {then!r}"
        for name, value in evaluation.metrics.items()
        if (then := evaluation.trial_metrics.get(name, value)) != value
    ]
    if evaluation.differs:
        return [*lines, f"changed since the trial ran: {'; '.join(evaluation.differs)}"]
    return [*lines, "no input changed since the trial ran: the scenario is not repeatable"]


def _headline(result: RunResult) -> str:
    if result.is_verified is False:
        return painted("NOT VERIFIED by real dbt", "warn")
    return (
        painted("targets met", "good") if result.is_converged else painted("targets not met", "bad")
    )


def verification_lines(verification: Verification) -> list[str]:
    """Return the tests that fail, one a line, with whether they fail today as well."""
    tests = verification.tests
    groups = [
        ("fails for the winner and passes for today's values", tests.newly_failing),
        ("fails for today's values too", tests.failing_today),
    ]
    return [
        f"test {name} {what}" + (f": {tests.messages[name]}" if name in tests.messages else "")
        for what, names in groups
        for name in names
    ]


def evaluation_summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return a single evaluation for programs: what ``evaluate --json`` prints."""
    return {
        "study": evaluation.study,
        "parameters": dict(evaluation.values),
        "metrics": dict(evaluation.metrics),
        "variances": variances(evaluation.goals, evaluation.metrics) if evaluation.metrics else {},
        "from_trial": evaluation.from_trial,
        "matches_trial": evaluation.matches_trial,
        "differs": list(evaluation.differs),
        "failure": evaluation.failure,
        "seconds": round(evaluation.seconds, 3),
        "engine": evaluation.engine,
        "isolation": evaluation.isolation,
        "comparison": evaluation.comparison.document() if evaluation.comparison else None,
        "warnings": list(evaluation.warnings),
    }


def evaluation_text(spec: StudySpec, evaluation: Evaluation) -> str:
    """Return a single evaluation for people."""
    parts = [parameters_table(spec, evaluation.values, title="evaluated"), ""]
    if evaluation.failure is not None:
        failed = f"the evaluation failed: {evaluation.failure}"
        return "\n".join([*parts, failed, *_engine_lines(evaluation)])
    goals = {goal.metric: goal for goal in evaluation.goals}
    rows = []
    for name, value in evaluation.metrics.items():
        goal = goals.get(name)
        row = [name, with_unit(value, evaluation.units.get(name)), "-", "-", "-", "-"]
        if goal is not None:
            view = TargetView.of(goal, None, value)
            row[2:] = [view.wanted, view.tolerance, view.variance, view.verdict]
        rows.append(row)
    header = ["metric", "value", "wanted", "tolerance", "variance", "verdict"]
    parts.append(table_text(header, rows))
    if evaluation.matches_trial is not None:
        same = "the same as" if evaluation.matches_trial else "DIFFERENT from"
        parts += ["", f"the metrics are {same} those of trial {evaluation.from_trial}"]
        parts += [] if evaluation.matches_trial else _differences(evaluation)
    parts += ["", *_engine_lines(evaluation)]
    return "\n".join(parts)


def _engine_lines(evaluation: Evaluation) -> list[str]:
    """Return who evaluated, in which time, and whether the other engine agrees."""
    lines = [f"engine {evaluation.engine}, {evaluation.seconds:.3f} s"]
    comparison = evaluation.comparison
    if comparison is not None:
        word = "equal" if comparison.is_equal else "DIFFERENT"
        lines.append(f"engine dbt, {comparison.dbt_seconds:.3f} s: {word}")
        lines += [f"  {difference}" for difference in comparison.differences]
    return lines
