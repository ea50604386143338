"""The report's figures over trials: convergence and the candidates that were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from search.audit.records import TrialRecord
from search.report.charts import axis_text
from search.report.facts import StudyFacts, Target
from search.report.page import section, wide
from search.report.plots import (
    SHADES,
    Course,
    PlotAxis,
    Point,
    Polyline,
    course_plot,
    parallel_plot,
)
from search.report.render import part, styled_file
from search.report.sections import MARKS, key_mark
from search.report.shapes import strokes
from search.study.figures import number_text, with_unit
from search.study.ranking import rank_key
from search.study.targets import Goal, variance
from search.views.targets import accepted_band, variance_text

MAX_PLOTS = 40
"""Targets that have a plot of their own; of more, those furthest from being met."""
MAX_POINTS = 60_000
"""Points that all of the plots draw together."""
MAX_LINES = 1_000
"""Trials that the parallel coordinates draw; of more, the best."""


def convergence_section(facts: StudyFacts) -> Markup:
    """Return the loss and each target's metric over the trials."""
    if not facts.complete():
        intro = "No trial is complete yet, so there is nothing to plot."
        return section("convergence", "Convergence", intro=intro)
    trials = [trial for trial in facts.trials if trial.state in ("complete", "failed")]
    record = _record(facts)
    targets = _shown_targets(facts)
    trials = _thinned(trials, MAX_POINTS // (len(targets) + 1), keep={*record, facts.best})
    plots = [_figure("loss", "0 is met", _loss_course(facts, trials, record))]
    for target in targets:
        goal = target.goal
        unit = "percent" if goal.unit == "fraction" else goal.unit or "no unit"
        side = "; right: variance" if _has_side(target) else ""
        plots.append(
            _figure(goal.metric, unit + side, _metric_course(facts, target, trials, record))
        )
    left_out = len(facts.targets) - len(targets)
    intro = (
        "Each dot is a trial, the line is the best trial so far, a cross is a failed trial; "
        "vertical lines begin an iteration."
        + (f" {left_out} targets that are closer to being met are left out." if left_out else "")
    )
    legend = MARKS
    return section("convergence", "Convergence", legend, part("figures", plots), intro=intro)


def convergence_image(facts: StudyFacts) -> str | None:
    """Return the loss over the trials as an SVG file of its own; None without a complete trial."""
    if not facts.complete():
        return None
    trials = [trial for trial in facts.trials if trial.state in ("complete", "failed")]
    record = _record(facts)
    trials = _thinned(trials, MAX_POINTS, keep={*record, facts.best})
    plot = course_plot(
        _loss_course(facts, trials, record), label_text="loss over the trials", width=720
    )
    return styled_file(plot)


def _figure(name: str, unit: str, course: Course) -> tuple[str, str, Markup]:
    return name, unit, course_plot(course, label_text=f"{name} over the trials")


def _shown_targets(facts: StudyFacts) -> list[Target]:
    targets = list(facts.targets)
    if len(targets) <= MAX_PLOTS:
        return targets
    order = sorted(targets, key=lambda target: -(target.distance(target.best) or 0.0))[:MAX_PLOTS]
    return [target for target in targets if target in order]


def _record(facts: StudyFacts) -> list[int]:
    """Return the trials that were the best when they ended, in order."""
    goals = tuple(target.goal for target in facts.targets)
    record: list[int] = []
    least: tuple[float, ...] | None = None
    for trial in facts.complete():
        key = _key(facts, goals, trial)
        if least is None or key < least:
            least = key
            record.append(trial.trial)
    return record


def _key(facts: StudyFacts, goals: Sequence[Goal], trial: TrialRecord) -> tuple[float, ...]:
    metrics = {
        name: record.value
        for name, record in facts.metrics.get(trial.trial, {}).items()
        if record.value is not None
    }
    try:
        return rank_key(goals, metrics) if goals else (trial.loss or 0.0,)
    except ValueError:
        return (math.inf if trial.loss is None else trial.loss,) * 3


def _thinned(trials: list[TrialRecord], most: int, *, keep: set[int | None]) -> list[TrialRecord]:
    if len(trials) <= most:
        return trials
    every = math.ceil(len(trials) / max(1, most))
    return [t for number, t in enumerate(trials) if number % every == 0 or t.trial in keep]


def _starts(facts: StudyFacts) -> list[int]:
    """Return the first trial of each iteration after the first."""
    first: dict[int, int] = {}
    for trial in facts.trials:
        if trial.iteration is not None:
            first.setdefault(trial.iteration, trial.trial)
    starts = [number for iteration, number in sorted(first.items()) if iteration > 0]
    return starts if len(starts) <= 60 else []


def _title(trial: TrialRecord, text: str) -> str:
    place = f", iteration {trial.iteration}" if trial.iteration is not None else ""
    return f"trial {trial.trial}{place}: {text}"


def _loss_course(facts: StudyFacts, trials: Sequence[TrialRecord], record: Sequence[int]) -> Course:
    losses = {t.trial: t.loss for t in facts.complete() if t.loss is not None}
    greatest = max((value for value in losses.values() if value > 0), default=1.0)
    is_wide = greatest > 5
    ticks = [0.0]
    if is_wide:
        powers = range(0, math.ceil(math.log10(greatest)) + 1)
        every = max(1, math.ceil(len(powers) / 4))
        ticks += [10.0**power for power in powers if power % every == 0]
    return Course(
        points=[
            Point(
                trial=trial.trial,
                value=losses.get(trial.trial),
                title=_title(trial, f"loss {losses.get(trial.trial, math.nan):.4g}"),
                is_best=trial.trial == facts.best,
            )
            for trial in trials
            if trial.state == "failed" or trial.trial in losses
        ],
        starts=_starts(facts),
        band=None,
        goal=0.0 if not any(target.goal.is_objective for target in facts.targets) else None,
        best_so_far=[(number, losses[number]) for number in record if number in losses],
        tick_text=lambda value: f"{value:g}",
        scale=(lambda value: math.log10(1 + max(0.0, value))) if is_wide else float,
        ticks=ticks if is_wide else None,
    )


def _has_side(target: Target) -> bool:
    goal = target.goal
    return goal.kind == "equal" and bool(goal.value)


def _metric_course(
    facts: StudyFacts, target: Target, trials: Sequence[TrialRecord], record: Sequence[int]
) -> Course:
    goal = target.goal

    def value(trial: int) -> float | None:
        measured = facts.value(trial, goal.metric)
        return measured if measured is not None and math.isfinite(measured) else None

    def words(trial: TrialRecord) -> str:
        measured = value(trial.trial)
        if measured is None:
            return trial.error_message or "failed"
        off = ""
        if target.is_resolved and not goal.is_objective:
            off = f", variance {variance_text(goal, measured)}"
        return f"{with_unit(measured, goal.unit)}{off}"

    return Course(
        points=[
            Point(
                trial=trial.trial,
                value=value(trial.trial),
                title=_title(trial, words(trial)),
                is_best=trial.trial == facts.best,
            )
            for trial in trials
            if trial.state == "failed" or value(trial.trial) is not None
        ],
        starts=_starts(facts),
        band=accepted_band(goal),
        goal=goal.value if goal.kind == "equal" else None,
        best_so_far=[
            (number, measured) for number in record if (measured := value(number)) is not None
        ],
        tick_text=lambda number: axis_text(number, goal.unit),
        side_text=(
            (lambda number: f"{variance(goal, number) * 100:+.3g} %") if _has_side(target) else None
        ),
    )


def candidates_section(facts: StudyFacts) -> Markup:
    """Return the tried candidates as parallel coordinates, coloured by their loss."""
    complete = [trial for trial in facts.complete() if trial.loss is not None]
    if not facts.parameters or not (complete or facts.failed()):
        return Markup()
    goals = tuple(target.goal for target in facts.targets)
    ranked = sorted(complete, key=lambda trial: _key(facts, goals, trial))[:MAX_LINES]
    failed = facts.failed()[: max(0, MAX_LINES - len(ranked))]
    lines = [_polyline(facts, trial, "fail") for trial in failed]
    current = next((t for t in facts.trials if t.iteration == 0), None)
    for place in range(len(ranked) - 1, -1, -1):
        shade = min(SHADES - 1, place * SHADES // len(ranked))
        lines.append(_polyline(facts, ranked[place], str(shade)))
    lines += [_polyline(facts, current, "now")] if current is not None else []
    best = facts.best_trial
    lines += [_polyline(facts, best, "best")] if best is not None else []
    axes = [
        PlotAxis(
            parameter.name,
            with_unit(parameter.high, parameter.unit)
            if parameter.choices is None
            else _last(parameter.choices),
            with_unit(parameter.low, parameter.unit)
            if parameter.choices is None
            else _first(parameter.choices),
        )
        for parameter in facts.parameters
    ]
    plot = parallel_plot(axes, lines, label_text="parameter values of the trials")
    shown = len(ranked) + len(failed)
    ended = len(complete) + len(facts.failed())
    intro = (
        "Each line is a trial, from axis to axis through its parameter values; the stronger its "
        "colour, the smaller its loss."
        + (f" The best {shown:,} of {ended:,} trials are drawn." if shown < ended else "")
    )
    return section("candidates", "Candidates", _legend(bool(failed)), wide(plot), intro=intro)


def _legend(has_failed: bool) -> Markup:
    names = [("best", "best"), ("now", "current"), ("0", "small loss"), ("5", "large loss")]
    names += [("fail", "failed")] if has_failed else []
    marks = [key_mark(26, 8, strokes("M0 4h26", f"l l{kind}"), name) for kind, name in names]
    return part("legend", marks)


def _polyline(facts: StudyFacts, trial: TrialRecord, kind: str) -> Polyline:
    values = trial.candidate if isinstance(trial.candidate, dict) else {}
    loss = "" if trial.loss is None else f"loss {trial.loss:.4g}; "
    few = list(values.items())[:8]
    return Polyline(
        positions=[
            parameter.position(values.get(parameter.name)) for parameter in facts.parameters
        ],
        kind=kind,
        title=_title(
            trial, loss + ", ".join(f"{name} {number_text(number)}" for name, number in few)
        ),
    )


def _first(choices: Sequence[float | int | str | bool]) -> str:
    return number_text(choices[0]) if choices else ""


def _last(choices: Sequence[float | int | str | bool]) -> str:
    return number_text(choices[-1]) if len(choices) > 1 else ""
