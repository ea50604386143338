"""The decision in one sentence: what the plan comes to, against today and against the target."""

from __future__ import annotations

from search.study.figures import short_with_unit, signed
from search.study.targets import Goal, is_resolved
from search.views.findings import Findings, spoken
from search.views.targets import tolerance_text, verdict_of

CURRENCIES = frozenset(
    "AED ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR JPY KRW MAD MXN "
    "MYR NGN NOK NZD PEN PHP PLN RON SAR SEK SGD THB TRY TWD UAH USD VND ZAR $ € £ ¥".split()
)
"""Units that are money. Source: ISO 4217, the currencies that are traded most."""


def is_money(unit: str | None) -> bool:
    """Return whether a unit is one of money.

    Example:
        >>> is_money("USD"), is_money("EUR a year"), is_money("people"), is_money(None)
        (True, True, False, False)
    """
    return bool(unit and unit.split() and unit.split()[0] in CURRENCIES)


def headline_metric(findings: Findings) -> str | None:
    """Return the metric that a decision is told in: money before all else, by priority."""
    goals = sorted(findings.goals, key=lambda goal: -goal.weight)
    targets = [goal.metric for goal in goals]
    others = [name for name in findings.metrics if name not in targets]
    single = [name for name in [*targets, *others] if name not in findings.loops]
    money = [name for name in single if is_money(findings.units.get(name))]
    first = money or targets or single
    return first[0] if first else None


def headline(findings: Findings) -> str:
    """Return the decision in one sentence."""
    plan, metric = findings.plan, headline_metric(findings)
    if plan is None or metric is None or metric not in plan.metrics:
        return "No trial is complete, so there is nothing to recommend."
    unit, achieved = findings.units.get(metric), plan.metrics[metric]
    goal = findings.goal_of.get(metric)
    today = findings.today.metrics.get(metric) if findings.today else None
    parts = [_against_today(achieved, today, unit), against_target(goal, achieved)]
    compared = " and ".join(part for part in parts if part)
    text = f"{spoken(metric)} at {short_with_unit(achieved, unit)}"
    text += f": {compared}" if compared else ""
    return f"{_verdict(findings)} {text}."


def _verdict(findings: Findings) -> str:
    """Return how the sentence begins: whether there is a plan that one can rely on."""
    assert findings.plan is not None
    metrics = findings.plan.metrics
    verdicts = [
        verdict_of(goal, metrics.get(goal.metric))
        for goal in findings.goals
        if not goal.is_objective
    ]
    met = sum(verdict is True for verdict in verdicts)
    if findings.is_verified is False:
        return "Not confirmed by dbt, so not to be relied on: the best trial puts"
    if met == len(verdicts):
        return "The plan puts"
    return f"No plan that was tried meets every target. The nearest meets {met} of {len(verdicts)}, with"  # noqa: E501 - one sentence


def _against_today(achieved: float, today: float | None, unit: str | None) -> str:
    if today is None:
        return ""
    shown = short_with_unit(today, unit)
    if today == achieved:
        return f"as today ({shown})"
    return f"{distance_text(achieved - today, unit)} {_side(achieved - today)} today ({shown})"


def against_target(goal: Goal | None, achieved: float) -> str:
    """Return where a metric stands to its target, in a few words; empty without a target."""
    if goal is None or not is_resolved(goal):
        return ""
    if goal.is_objective:
        return "lower is better" if goal.kind == "minimize" else "higher is better"
    if goal.kind == "equal" and goal.value is not None:
        off = achieved - goal.value
        where = f"on the target of {short_with_unit(goal.value, goal.unit)}"
        if off:
            side = "above" if off > 0 else "below"
            distance = distance_text(off, goal.unit)
            where = f"{distance} {side} the target of {short_with_unit(goal.value, goal.unit)}"
        allowed = tolerance_text(goal)
        if allowed == "-":
            return where
        return f"{where} ({'within' if verdict_of(goal, achieved) else 'outside'} its {allowed})"
    return _against_bounds(goal, achieved)


def _against_bounds(goal: Goal, achieved: float) -> str:
    """Return where a metric stands to the nearest bound."""
    bounds = [(end, word) for end, word in ((goal.low, "floor"), (goal.high, "limit")) if end]
    bounds = bounds or [(goal.low if goal.low is not None else goal.high or 0.0, "limit")]
    end, word = min(bounds, key=lambda bound: abs(achieved - bound[0]))
    shown = short_with_unit(end, goal.unit)
    if achieved == end:
        return f"at the {word} of {shown}"
    side = "above" if achieved > end else "below"
    return f"{distance_text(achieved - end, goal.unit)} {side} the {word} of {shown}"


def distance_text(change: float, unit: str | None) -> str:
    """Return how far apart two metrics are, without a sign.

    Example:
        >>> distance_text(-341_200_000.0, "USD"), distance_text(0.0012, "fraction")
        ('341.2 m USD', '0.12 points')
    """
    size = abs(change)
    if unit == "fraction":
        return signed(size, unit).removeprefix("+")
    return short_with_unit(size, unit)


def _side(change: float) -> str:
    return "more than" if change > 0 else "less than"
