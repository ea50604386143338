"""Candidates of a study side by side: parameters, metrics, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.commands.repeat import with_vars_of_trials
from search.driver.progress import Progress
from search.errors import SpecError
from search.parameter_sets.candidates import Candidates, NamedCandidate, StoredStudy
from search.scenario.outcome import Outcome
from search.storage.attributes import FINGERPRINTS
from search.storage.trials import read_trials
from search.study import StudySpec, expand_metrics
from search.study.figures import signed, with_unit
from search.study.fingerprint import candidate_key
from search.study.replication import over_replications
from search.study.space import canonical, validate_candidate
from search.study.values import Scalar
from search.views.findings import Findings, PlanView
from search.views.grid import Grid
from search.views.parameters import change_text, difference
from search.views.text import wrapped

SCENARIO = "scenario"
"""The fingerprint of all that a candidate's metrics follow from."""


@dataclass(frozen=True)
class Side:
    """One of the candidates that are compared.

    Attributes:
        label: What it is called.
        values: Its parameters.
        metrics: What it yields; empty when its evaluation failed.
        source: Where the metrics come from: ``trial 4``, or ``evaluated``.
        failure: Why there are no metrics; None when there are.
    """

    label: str
    values: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    source: str
    failure: str | None = None


def compare_candidates(
    spec: StudySpec,
    a: str,
    others: Sequence[str],
    *,
    results: Path,
    progress: Progress,
    is_fresh: bool = False,
    overrides: Sequence[str] = (),
) -> list[Side]:
    """Return the named candidates with their metrics, the one to compare with first.

    A complete trial with the same values tells the metrics, and otherwise they are evaluated.
    When the scenario is not the trials' any more, all are, so that no number is an old one and no
    difference comes from the scenario. Vars are those that the trials ran with.

    Args:
        spec: The study.
        a: Name of the candidate to compare with.
        others: Names of those that are compared with it.
        results: Folder of all results.
        progress: Takes news for a person.
        is_fresh: Evaluate all of them in any case.
        overrides: What the caller changed in the study file, as ``load_study`` takes it.

    Raises:
        SpecError: If a name stands for nothing, or a set lacks values.
    """
    candidates = Candidates(spec, results)
    named = [candidates.find(a, option="--a")]
    named += [candidates.find(name, option="--b") for name in others]
    if any(candidate.trial is not None for candidate in named):
        spec = with_vars_of_trials(spec, candidates.stored, overrides, progress)
    sides = [
        _side(spec, candidate, {} if is_fresh else _known(spec, candidates.stored))
        for candidate in named
    ]
    evaluated = _evaluated(spec, sides, candidates.stored, results, progress)
    return [
        replace(evaluated.get(candidate_key(dict(side.values)), side), label=side.label)
        for side in sides
    ]


def _side(spec: StudySpec, candidate: NamedCandidate, known: Mapping[str, Side]) -> Side:
    lacking = [name for name in spec.parameters if name not in candidate.values]
    if lacking:
        raise SpecError(
            f"a candidate needs a value for each parameter, but {candidate.label} has none, or "
            f"several, for {', '.join(lacking)}"
        )
    values = canonical(spec, {name: candidate.values[name] for name in spec.parameters})
    stored = known.get(candidate_key(values))
    if stored is not None:
        return replace(stored, label=candidate.label)
    return Side(candidate.label, validate_candidate(spec, values), {}, "evaluated")


def _known(spec: StudySpec, stored: StoredStudy) -> dict[str, Side]:
    """Return the complete trials by their candidate, those with all of today's metrics."""
    names = [metric.name for metric in expand_metrics(spec)]
    sides: dict[str, Side] = {}
    for trial in read_trials(stored.trials.values()):
        if not trial.is_complete or not trial.is_ours or not set(names) <= set(trial.metrics):
            continue
        ordered = {name: float(trial.metrics[name]) for name in names}
        values = trial.candidate
        key = candidate_key(values)
        sides.setdefault(key, Side("", values, ordered, f"trial {trial.number}"))
    return sides


def _evaluated(
    spec: StudySpec,
    sides: Sequence[Side],
    stored: StoredStudy,
    results: Path,
    progress: Progress,
) -> dict[str, Side]:
    """Evaluate what has no metrics; all, when the stored ones are of another scenario."""
    from search.commands.evaluate import evaluate_all
    from search.commands.workbench import open_workbench, requests_of

    with open_workbench(spec, results, progress) as bench:
        then = stored.attributes.get(FINGERPRINTS, {}).get(SCENARIO)
        wanted = [side for side in sides if not side.metrics]
        if len(wanted) < len(sides) and then != bench.fingerprint:
            progress.note("the scenario has changed since the trials ran, so all are evaluated")
            wanted = list(sides)
        by_key = {candidate_key(dict(side.values)): side for side in wanted}
        numbered = [(number, side.values) for number, side in enumerate(by_key.values())]
        requests = requests_of(spec, numbered)
        outcomes: list[Outcome] = (
            bench.call(evaluate_all, bench.reference, spec, bench.programs, requests)
            if requests
            else []
        )
    replications = spec.scenario.replications
    done: dict[str, Side] = {}
    for number, (key, side) in enumerate(by_key.items()):
        own = [outcome for outcome in outcomes if outcome.request.trial == number]
        failure = next(
            (outcome.failure.message for outcome in own if outcome.failure is not None), None
        )
        statistic = replications.statistic if replications else "mean"
        metrics = (
            {} if failure else over_replications([outcome.metrics for outcome in own], statistic)
        )
        done[key] = replace(side, metrics=metrics, source="evaluated", failure=failure)
    return done


def comparison_document(spec: StudySpec, sides: Sequence[Side]) -> dict[str, Any]:
    """Return the comparison for programs; differences are those from the first side."""
    first = sides[0]
    metrics = {}
    for metric in expand_metrics(spec):
        base = first.metrics.get(metric.name)
        rows = []
        for side in sides:
            value = side.metrics.get(metric.name)
            rows.append(
                {
                    "value": value,
                    "difference": difference(base, value),
                    "relative": _relative(base, value),
                }
            )
        by = {} if metric.loop is None else {metric.loop[0]: metric.loop[1]}
        metrics[metric.name] = {
            "metric": metric.key, "by": by, "unit": metric.unit, "sides": rows,
        }  # fmt: skip
    return {
        "study": spec.study,
        "sides": [
            {
                "label": side.label,
                "source": side.source,
                "failure": side.failure,
                "parameters": dict(side.values),
            }
            for side in sides
        ],
        "metrics": metrics,
    }


def comparison_grids(spec: StudySpec, sides: Sequence[Side]) -> tuple[Grid, Grid]:
    """Return the parameters and the metrics of all sides, with differences from the first."""
    first, others = sides[0], sides[1:]
    head = [first.label]
    for side in others:
        head += [side.label, "difference"]
    parameters = []
    for name, parameter in spec.parameters.items():
        row = [name, with_unit(first.values[name], parameter.unit)]
        for side in others:
            value = side.values[name]
            row += [
                with_unit(value, parameter.unit),
                change_text(first.values[name], value, parameter.unit),
            ]
        parameters.append(tuple(row))
    metrics = []
    has_loops = any(metric.loop for metric in expand_metrics(spec))
    for metric in expand_metrics(spec):
        base = first.metrics.get(metric.name)
        row = [metric.key]
        if has_loops:
            row.append("" if metric.loop is None else f"{metric.loop[0]} {metric.loop[1]}")
        row.append(with_unit(base, metric.unit))
        for side in others:
            yielded = side.metrics.get(metric.name)
            row += [with_unit(yielded, metric.unit), _moved(base, yielded, metric.unit)]
        metrics.append(tuple(row))
    by = ["by"] if has_loops else []
    return (
        Grid(("parameter", *head), tuple(parameters)),
        Grid(("metric", *by, *head), tuple(metrics)),
    )


def comparison_notes(sides: Sequence[Side]) -> list[str]:
    """Return where the metrics are from, and what failed."""
    notes = ["metrics from: " + ", ".join(f"{side.label} ({side.source})" for side in sides)]
    return notes + [f"{side.label} failed: {side.failure}" for side in sides if side.failure]


def comparison_text(spec: StudySpec, sides: Sequence[Side]) -> str:
    """Return the comparison for people: parameters, then metrics by what they repeat over."""
    parameters, metrics = comparison_grids(spec, sides)
    notes = map(wrapped, comparison_notes(sides))
    return "\n".join([parameters.text(), "", metrics.text(), "", *notes])


def write_comparison(spec: StudySpec, sides: Sequence[Side], target: Path) -> Path:
    """Write the comparison as a page, whole or not at all, and return its path.

    Raises:
        AuditError: If it cannot be written.
    """
    from search.report.comparison import comparison_html  # late: a page alone needs its drawing
    from search.report.findings import loops_of
    from search.report.html import write_page

    plans = [PlanView(side.label, None, side.values, side.metrics) for side in sides]
    loops = loops_of(expand_metrics(spec))
    units = {metric.name: metric.unit for metric in expand_metrics(spec)}
    findings = Findings(
        study=spec.study,
        parameters=spec.parameters,
        goals=(),
        units=units,
        today=plans[0],
        plan=plans[1] if len(plans) > 1 else None,
        alternatives=tuple(plans[2:]),
        loops=loops,
    )
    grids = comparison_grids(spec, sides)
    return write_page(target, comparison_html(findings, *grids, comparison_notes(sides)))


def _relative(base: float | None, value: float | None) -> float | None:
    return None if base is None or value is None or base == 0 else value / base - 1


def _moved(base: float | None, value: float | None, unit: str | None) -> str:
    if base is None or value is None:
        return "-"
    if base == value:
        return "same"
    relative = _relative(base, value)
    text = signed(value - base, unit)
    if relative is None or unit == "fraction":
        return text
    return f"{text} ({relative * 100:+.2f} %)"
