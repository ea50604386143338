"""Sliders on the page: an estimate of every metric at once, from the model of the metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from search.report.facts import ParameterFacts, StudyFacts
from search.report.page import section, what_if_words
from search.report.render import part
from search.sampling.axes import Axis, Box
from search.sampling.basis import CONSTANT_VARIANCE, LENGTHS, SHORT_SHARE
from search.sampling.explorer import NUGGET, REACH, Explorer, explorer_of, quoted
from search.sampling.surrogate import NOISE_SHARE
from search.study import StudySpec
from search.study.values import Scalar
from search.views.findings import Findings
from search.views.targets import accepted_band, short_wanted

LEAST_TRIALS = 4
MOST_PARAMETERS = 30
MOST_METRICS = 12
"""Metrics that are estimated, those with a target first."""


def explorer_section(facts: StudyFacts, findings: Findings) -> Markup:
    """Return the sliders; empty where too little is known for an estimate."""
    model = explorer_model(facts, findings)
    if model is None:
        return Markup()
    intro = (
        "Estimates of the model of the metrics, with its 95 % interval, under the seeds of the "
        "search. The command evaluates the point."
    )
    if facts.spec is not None and facts.spec.constraints:
        intro += f" The study allows {'; '.join(facts.spec.constraints)}."
    body = part("explorer", json.dumps(model, separators=(",", ":"), allow_nan=False))
    return section("explorer", "Try other values", body, intro=intro)


def explorer_model(facts: StudyFacts, findings: Findings) -> dict[str, Any] | None:
    """Return what the page estimates from, JSON-safe; None where too little is known."""
    spec, plan = facts.spec, findings.plan
    if spec is None or plan is None or not 0 < len(spec.parameters) <= MOST_PARAMETERS:
        return None
    names = [name for name in findings.metrics if name in plan.metrics][:MOST_METRICS]
    trials = [
        (trial.trial, trial.candidate, values)
        for trial in facts.complete()
        if isinstance(trial.candidate, dict)
        and set(trial.candidate) >= set(spec.parameters)
        and (values := _values(facts, trial.trial, names)) is not None
    ]
    if len(trials) < LEAST_TRIALS or not names:
        return None
    box = box_of(spec)
    try:
        points = box.snap(np.array([box.point(candidate) for _, candidate, _ in trials]))
        at = box.snap(box.point(plan.values)[None])[0]
        explorer = explorer_of(box, points, np.array([v for _, _, v in trials]), at)
    except (ValueError, KeyError, StopIteration, np.linalg.LinAlgError):
        return None  # a trail of other ranges; the page does without
    numbers = [trials[i][0] for i in explorer.kept]
    return {
        "parameters": [_parameter(parameter, findings) for parameter in facts.parameters],
        "order": [box.axes[i].name for i in (*box.numeric, *box.categorical)],
        "points": [quoted(row) for row in explorer.points],
        "trials": numbers,
        "metrics": _metrics(explorer, names, findings),
        "constant": CONSTANT_VARIANCE,
        "lengths": list(LENGTHS),
        "short": SHORT_SHARE,
        "noise": NOISE_SHARE,
        "nugget": NUGGET,
        "reach": REACH,
        "command": what_if_words(facts, {}, plan.trial),
    }


def box_of(spec: StudySpec) -> Box:
    """Return the parameters of a study as axes of the model."""
    axes = []
    for name, parameter in spec.parameters.items():
        if parameter.choices is not None:
            axes.append(
                Axis(name, 0.0, len(parameter.choices) - 1.0, choices=tuple(parameter.choices))
            )
            continue
        low, high = parameter.bounds
        step = None if parameter.grid_step is None else float(parameter.grid_step)
        axes.append(
            Axis(
                name,
                float(low),
                float(high),
                step,
                parameter.kind == "integer",
                is_log=parameter.log,
            )
        )
    return Box(tuple(axes))


def _values(facts: StudyFacts, trial: int, names: Sequence[str]) -> list[float] | None:
    values = [facts.value(trial, name) for name in names]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return known if len(known) == len(names) else None


def _parameter(parameter: ParameterFacts, findings: Findings) -> Mapping[str, Any]:
    def at(side: Any) -> Scalar | None:
        value: Scalar | None = side.values.get(parameter.name) if side is not None else None
        return value

    return {
        "name": parameter.name,
        "unit": parameter.unit,
        "low": parameter.low,
        "high": parameter.high,
        "step": parameter.step,
        "log": parameter.is_log,
        "choices": None if parameter.choices is None else list(parameter.choices),
        "today": at(findings.today) if findings.today is not None else parameter.current,
        "plan": at(findings.plan),
    }


def _metrics(
    explorer: Explorer, names: Sequence[str], findings: Findings
) -> list[Mapping[str, Any]]:
    listed: list[Mapping[str, Any]] = []
    for column, (name, strength) in enumerate(zip(names, explorer.strengths, strict=True)):
        goal = findings.goal_of.get(name)
        band = None if goal is None else accepted_band(goal)
        ends = [None if not math.isfinite(end) else end for end in band] if band else None
        listed.append(
            {
                "name": name,
                "unit": findings.units.get(name),
                "wanted": "" if goal is None else short_wanted(goal),
                "band": ends,
                "values": [float(value) for value in explorer.metrics[:, column]],
                "coordinates": [int(i) for i in strength.coordinates],
                "quadratic": strength.quadratic,
                "smooth": strength.smooth,
                "rough": strength.rough,
                "log": strength.is_log,
                "centre": strength.centre,
                "spread": strength.spread,
            }
        )
    return listed
