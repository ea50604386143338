"""The report's first half, for a decision: verdict, targets, parameters."""

from __future__ import annotations

import math

from markupsafe import Markup

from search.report.facts import ParameterFacts, StudyFacts, Target
from search.report.page import (
    Row,
    badge,
    cell,
    command,
    moment,
    percent,
    row,
    seconds_text,
    section,
    small,
    table,
    what_if_words,
    wide,
)
from search.report.plots import Distance, distance_bar, range_bar
from search.report.render import part
from search.report.shapes import Shape, box, dot, svg
from search.study.budget import format_bytes
from search.study.figures import number_text, with_unit
from search.study.targets import DEFAULT_TOLERANCE, Goal
from search.views.parameters import change_text
from search.views.targets import (
    tolerance_at,
    tolerance_text,
    variance_text,
    verdict_of,
    wanted_text,
)

MAX_CHIPS = 12
"""Choices of a parameter that are listed; the others are counted."""


def head(facts: StudyFacts) -> Markup:
    """Return the verdict and the reason."""
    run = facts.run
    description = facts.document.get("description")
    badges = _verdict(facts)
    if run.state == "interrupted":
        badges += badge("interrupted", "warn")
    elif run.state == "failed":
        badges += badge("run failed", "bad")
    elif run.state == "running":
        badges += badge("not finished", "warn")
    if run.is_verified is not None:
        badges += badge(
            "winner verified by dbt" if run.is_verified else "winner NOT verified by dbt",
            "good" if run.is_verified else "bad",
        )
    verification = facts.verification
    if verification is not None and verification.tests.failing_today:
        badges += badge(f"{len(verification.tests.failing_today)} dbt tests fail today too", "warn")
    reason = run.reason
    if run.state == "running":
        reason = (
            f"As of {moment(facts.as_of)} the study is not finished: it still runs, or it was cut "
            "off. `scenario-search status` tells which."
        )
    who = ", ".join(
        part
        for part in (
            moment(facts.as_of),
            f"by {run.user_name}" if run.user_name else "",
            f"on {run.host}" if run.host else "",
        )
        if part
    )
    about = description if isinstance(description, str) else ""
    return part("header", facts.study, badges, about, reason or "", who)


def figures_line(facts: StudyFacts) -> Markup:
    """Return the key figures of the search."""
    run, best = facts.run, facts.best_trial
    failed = len(facts.failed())
    ended = len(facts.complete()) + failed
    wall = run.wall_seconds
    if wall is None:
        wall = ((run.finished_at or facts.as_of) - run.started_at).total_seconds()
    tiles = [
        (f"trial {best.trial}" if best else "none", "best trial"),
        (f"{ended:,}", "trials" + (f", {failed:,} of them failed" if failed else "")),
        (f"{max((i.iteration for i in facts.iterations), default=0):,}", "iterations"),
        (seconds_text(wall), "last run, start to end"),
    ]
    if run.peak_memory_bytes and run.memory_budget_bytes:
        tiles.append(
            (
                format_bytes(run.peak_memory_bytes),
                f"peak memory of {format_bytes(run.memory_budget_bytes)}",
            )
        )
    return part("tiles", tiles)


def _verdict(facts: StudyFacts) -> Markup:
    wanted = [target for target in facts.targets if not target.goal.is_objective]
    if facts.best is None:
        return badge("no complete trial", "bad")
    met = sum(_is_met(target) is True for target in wanted)
    if met == len(wanted):
        if facts.run.is_verified is False:
            return badge("not verified", "bad")
        return badge("targets met" if wanted else "objective only", "good")
    return badge(f"{met} of {len(wanted)} targets met", "bad")


def _is_met(target: Target) -> bool | None:
    return verdict_of(target.goal, target.best)


def verification_section(facts: StudyFacts) -> Markup:
    """Return what real dbt says of the winner, with every test that fails; empty when not asked."""
    verification = facts.verification
    if verification is None:
        return Markup()
    tests = verification.tests
    rows = [
        row(
            cell(name, is_text=True),
            cell(
                badge("today too", "warn")
                if name in tests.failing_today
                else badge("new failure", "bad"),
                is_text=True,
            ),
            cell(tests.messages.get(name, ""), is_text=True),
        )
        for name in tests.failing
    ]
    header = [("dbt test that fails", True), ("", True), ("why", True)]
    body = wide(table(header, rows)) if rows else Markup()
    return section("verification", "Verification", body, intro=verification.text())


def warnings_section(facts: StudyFacts) -> Markup:
    """Return what the user should know of the latest run; empty when there is nothing."""
    lines = facts.run.warnings if isinstance(facts.run.warnings, list) else []
    if not lines:
        return Markup()
    return section("warnings", "Warnings", part("lines", [str(line) for line in lines]))


def targets_section(facts: StudyFacts) -> Markup:
    """Return the targets against what is achieved."""
    rows = [_target_row(target) for target in facts.targets]
    header = [
        ("target", True),
        ("verdict", True),
        ("wanted", False),
        ("current", False),
        ("achieved", False),
        ("variance", False),
        ("distance from target", True),
    ]
    body = wide(table(header, rows))
    intro = (
        f"Achieved by the best trial, number {facts.best}."
        if facts.best is not None
        else "No trial is complete yet, so nothing is achieved."
    )
    return section("targets", "Targets", MARKS, body, intro=intro)


def key_mark(width: int, height: int, shape: Shape, name: str) -> tuple[Markup, str]:
    """Return an entry of a legend: its mark and what it means."""
    return svg(width, height, [shape], label=""), name


MARKS = part(
    "legend",
    [
        key_mark(12, 12, dot(6, 6, 5, "mark"), "best"),
        key_mark(12, 12, dot(6, 6, 4.2, "hollow"), "current"),
        key_mark(22, 10, box(0, 1, 22, 8, "band", 2), "within tolerance"),
    ],
)


def _target_row(target: Target) -> Row:
    goal = target.goal
    verdict = _is_met(target)
    off = target.distance(target.best)
    if goal.is_objective:
        shown, words = _objective_change(target), badge(goal.kind)
        distance, note = Markup(), None
    else:
        shown = variance_text(goal, target.best)
        words = badge("unknown") if verdict is None else badge(
            "met" if verdict else "missed", "good" if verdict else "bad"
        )  # fmt: skip
        distance = distance_bar(
            tolerance_axis(target), label_text=f"{goal.metric}: {_distance_text(goal, off)}"
        )
        note = _distance_text(goal, off)
    priority = None if goal.priority == "medium" else f"priority {goal.priority}"
    return row(
        cell(goal.metric, is_text=True, note=priority),
        cell(words, is_text=True),
        cell(wanted_text(goal), note=tolerance_text(goal).replace("-", "") or None),
        cell(with_unit(target.current, goal.unit)),
        cell(with_unit(target.best, goal.unit), is_strong=True),
        cell(shown),
        cell(distance, is_text=True, note=note),
    )


def _objective_change(target: Target) -> str:
    if target.best is None or not target.current:
        return "-"
    return percent(target.best / target.current - 1) + " vs current"


def _distance_text(goal: Goal, off: float | None) -> str:
    if off is None:
        return "not known"
    if off == 0 and goal.kind != "equal":
        return "inside the bound"
    if goal.tolerance == 0:
        return "beyond the bound"
    if off <= 1:
        return f"{off:.2g} of 1 tolerance"
    return f"{number_text(float(f'{off:.3g}'))} tolerances off"


def _anchor(goal: Goal) -> float | None:
    if goal.kind in ("equal", "minimize", "maximize"):
        return goal.value
    return goal.high if goal.kind == "at_most" else goal.low


def tolerance_axis(target: Target) -> Distance:
    """Return where a target's metrics stand, in tolerances from the target or its bound."""
    goal = target.goal
    if not target.is_resolved:
        return Distance(-1.0, 1.0, None, None)
    if goal.low is not None and goal.high is not None:
        middle, half = (goal.low + goal.high) / 2, (goal.high - goal.low) / 2
        unit = half + tolerance_at(goal, max(abs(goal.low), abs(goal.high))) or 1.0
        ends = (-1.0, 1.0)
    else:
        middle = _anchor(goal) or 0.0
        allowed = tolerance_at(goal, abs(middle))
        unit = allowed or DEFAULT_TOLERANCE * (abs(middle) or 1.0)
        edge = 1.0 if allowed else 0.0
        ends = (-edge, edge)
        if goal.kind == "at_most":
            ends = (-math.inf, edge)
        elif goal.kind == "at_least":
            ends = (-edge, math.inf)

    def at(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else (value - middle) / unit

    return Distance(*ends, current=at(target.current), best=at(target.best))


def parameters_section(facts: StudyFacts) -> Markup:
    """Return the parameters, today's against the best, within their ranges."""
    header = [
        ("parameter", True),
        ("current", False),
        ("best", False),
        ("change", False),
        ("lowest", False),
        ("range", True),
        ("highest", False),
    ]
    rows = [_parameter_row(parameter) for parameter in facts.parameters]
    body = wide(table(header, rows))
    at_bound = [parameter for parameter in facts.parameters if parameter.bound_reached]
    note = Markup()
    if at_bound:
        names = ", ".join(
            f"{parameter.name} ({parameter.bound_reached} end)" for parameter in at_bound
        )
        note = small(
            f"At an end of its range: {names}. If the study may go further there, widen the range."
        )
    best = facts.best_trial
    again = Markup()
    if best is not None and isinstance(best.candidate, dict):
        again = small("Evaluate these values again, or change one first:")
        again += command(what_if_words(facts, _ordered(facts, best.candidate), best.trial))
    return section("parameters", "Parameters", body, note, again)


def _ordered(facts: StudyFacts, candidate: dict[str, object]) -> dict[str, object]:
    names = [parameter.name for parameter in facts.parameters if parameter.name in candidate]
    return {name: candidate[name] for name in [*names, *sorted(set(candidate) - set(names))]}


def _parameter_row(parameter: ParameterFacts) -> Row:
    note = parameter.description or ", ".join(parameter.binds) or None
    start = [
        cell(parameter.name, is_text=True, note=note),
        cell(with_unit(parameter.current, parameter.unit)),
        cell(with_unit(parameter.best, parameter.unit), is_strong=True),
        cell(change_text(parameter.current, parameter.best, parameter.unit)),
    ]
    if parameter.choices is not None:
        return row(*start, cell(_chips(parameter), is_text=True, span=3))
    bar = range_bar(
        current=parameter.position(parameter.current),
        best=parameter.position(parameter.best),
        label_text=f"{parameter.name} within its range",
    )
    ends = [with_unit(end, parameter.unit) for end in (parameter.low, parameter.high)]
    scale = "logarithmic" if parameter.is_log else None
    return row(*start, cell(ends[0]), cell(bar, is_text=True, note=scale), cell(ends[1]))


def _chips(parameter: ParameterFacts) -> Markup:
    choices = parameter.choices or ()
    chips = [
        (
            number_text(choice),
            str(choice) == str(parameter.best),
            str(choice) == str(parameter.current),
        )
        for choice in choices[:MAX_CHIPS]
    ]
    return part("chips", chips, len(choices) - MAX_CHIPS)
