"""What was found out at the end of a study, as tables and sentences.

They are made from the stored document (``Appraisal.document``), so that a report from the trail
says what the run said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.study.figures import short_change, signed, with_unit
from search.views.grid import Grid
from search.views.text import wrapped

Units = Mapping[str, str | None]
MAX_FRONT = 20
"""Trials of a front that are listed; the others are counted."""


def effects_grid(document: Mapping[str, Any], metrics: Units, parameters: Units) -> Grid | None:
    """Return what a step of each parameter does to each target's metric; None when unknown."""
    effects: Sequence[Mapping[str, Any]] = document.get("effects") or ()
    if not effects:
        return None
    names = list(dict.fromkeys(effect["metric"] for effect in effects))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for effect in effects:
        unit = parameters.get(effect["parameter"])
        step = f"{with_unit(effect['start'], unit)} to {with_unit(effect['end'], unit)}"
        row = cells.setdefault((effect["parameter"], step), {})
        row[effect["metric"]] = _effect_text(effect, metrics.get(effect["metric"]))
    return Grid(
        ("parameter", "step", *names),
        tuple((*key, *(row.get(name, "-") for name in names)) for key, row in cells.items()),
    )


def _effect_text(effect: Mapping[str, Any], unit: str | None) -> str:
    """Return an effect, with its interval where it is the model's; no figure of unsure sign."""
    if effect["evaluated"] == 0:
        return "none"
    if effect["evaluated"] is not None:
        return short_change(effect["evaluated"], unit)
    if effect.get("modelled") == 0 and effect.get("uncertainty") == 0:
        return "none"
    interval = effect.get("interval")
    if effect.get("is_known") is False or interval is None:
        return "not known"
    low, high = (short_change(end, unit) for end in interval)
    # The unit once, where both ends have it.
    first, rest = low.partition(" ")[0], low.partition(" ")[2]
    low = first if rest == high.partition(" ")[2] else low
    return f"{short_change(effect['modelled'], unit)} ({low} to {high})"


def effects_source(document: Mapping[str, Any]) -> str:
    """Return where the figures of ``effects_grid`` come from, in a sentence."""
    effects: Sequence[Mapping[str, Any]] = document.get("effects") or ()
    if all(effect["evaluated"] is not None for effect in effects):
        return "Evaluated: half the difference of one step up and one down, where both are allowed."
    if any(effect["evaluated"] is not None for effect in effects):
        return "Evaluated where the neighbour is allowed; the others are the model's estimates."
    return (
        "Estimates of the model of the metrics with their 95 % interval, not evaluated; "
        "`search.sensitivity: checked` evaluates what is not known."
    )


def importances_text(document: Mapping[str, Any]) -> str | None:
    """Return how much of the loss's variation each parameter explains, in a sentence."""
    shares: Mapping[str, float] = document.get("importances") or {}
    if not shares:
        return None
    listed = ", ".join(f"{name} {share * 100:.0f} %" for name, share in shares.items())
    return f"Importance for the loss (Optuna, PED-ANOVA): {listed}."


def alike_lines(document: Mapping[str, Any], parameters: Units) -> list[str]:
    """Return which parameters do the same to every target, a sentence for each pair."""
    lines = []
    for pair in document.get("interchangeable") or ():
        name, other = pair["parameter"], pair["other"]
        step = 0.001 if parameters.get(name) == "fraction" else 1.0
        # One that both could make: an exchange of ten times a parameter's range says nothing.
        step = _at_most(step, pair.get("largest"))
        left = signed(step, parameters.get(name))
        right = signed(-step * pair["ratio"], parameters.get(other))
        lines.append(
            f"{name} and {other} act alike on all {pair['targets']} targets: {left} of {name} and "
            f"{right} of {other} change none of them."
        )
    return lines


def _at_most(step: float, largest: float | None) -> float:
    """Return a step divided by tens until it is at most ``largest``."""
    if not largest or step <= largest:
        return step
    return step * 10.0 ** -math.ceil(math.log10(step / largest))


def quality_lines(document: Mapping[str, Any], metrics: Units) -> list[str]:
    """Return for which metrics the model says little, a sentence for each."""
    return [
        f"The model foretells {missed['metric']} badly: left out, its {missed['left_out']} "
        f"evaluations are missed by {with_unit(missed['error'], metrics.get(missed['metric']))} "
        "(one standard deviation)."
        for missed in document.get("model_quality") or ()
        if missed["is_bad"]
    ]


def confirmation_grid(document: Mapping[str, Any], metrics: Units) -> Grid | None:
    """Return the spread of each target's metric over fresh seeds; None when not asked for."""
    confirmation = document.get("confirmation")
    if not confirmation:
        return None
    rows = []
    for spread in confirmation["spreads"]:
        unit = metrics.get(spread["metric"])
        names = ("mean", "deviation", "p10", "p50", "p90")
        # Written before 0.2 without the median.
        figures = ["-" if spread.get(n) is None else with_unit(spread[n], unit) for n in names]
        rows.append((spread["metric"], *figures, f"{spread['share_met'] * 100:.0f} %"))
    return Grid(("target", "mean", "deviation", "p10", "p50", "p90", "seeds met"), tuple(rows))


def confirmation_text(document: Mapping[str, Any]) -> str | None:
    """Return how the winner does under fresh seeds, in a sentence."""
    confirmation = document.get("confirmation")
    if not confirmation:
        return None
    seeds = len(confirmation["seeds"]) + confirmation["failed"]
    failed = f" ({confirmation['failed']} failed)" if confirmation["failed"] else ""
    if "met" not in confirmation:  # written before 0.2
        share = f"{confirmation['share_met'] * 100:.0f} %"
        return f"Under {seeds} fresh seeds{failed} all targets are met in {share}."
    low, high = (f"{end * 100:.0f} %" for end in confirmation["interval"])
    text = (
        f"In {confirmation['met']} of {seeds} random futures{failed} all targets are met; "
        f"the chance is {low} to {high} (95 %, Jeffreys)."
    )
    if confirmation["asked"] > seeds:
        text += f" {confirmation['asked']} were asked for; these are what fits into a minute."
    return text


def diagnosis_lines(document: Mapping[str, Any]) -> list[str]:
    """Return why targets are missed; empty when they are met or nothing is known."""
    diagnosis = document.get("diagnosis")
    return list(diagnosis["text"]) if diagnosis else []


def front_text(document: Mapping[str, Any]) -> str | None:
    """Return the trials of the Pareto front; None with fewer than two objectives."""
    front: Sequence[int] = document.get("front") or ()
    if not front:
        return None
    listed = ", ".join(map(str, front[:MAX_FRONT]))
    more = f" and {len(front) - MAX_FRONT} more" if len(front) > MAX_FRONT else ""
    return f"Pareto front, {len(front)} trials that none beats in all objectives: {listed}{more}."


def appraisal_text(document: Mapping[str, Any], metrics: Units, parameters: Units) -> list[str]:
    """Return what backs a decision as paragraphs of plain text."""
    parts = []
    if lines := diagnosis_lines(document):
        parts.append(wrapped("\n".join(lines)))
    if (sentence := front_text(document)) is not None:
        parts.append(wrapped(sentence))
    if (grid := effects_grid(document, metrics, parameters)) is not None:
        source = wrapped(f"What one step does at the best trial. {effects_source(document)}")
        parts.append(f"{source}\n{grid.text()}")
    if lines := [*alike_lines(document, parameters), *quality_lines(document, metrics)]:
        parts.append(wrapped("\n".join(lines)))
    return parts
