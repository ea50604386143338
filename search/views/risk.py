"""How sure a plan is, and what would make it fail."""

from __future__ import annotations

from search.views.appraisal import confirmation_text, diagnosis_lines, quality_lines
from search.views.drivers import breaking_lines
from search.views.findings import Findings, spoken


def risk_line(findings: Findings) -> str:
    """Return how sure it is that the plan meets its targets, in a sentence."""
    sentence = confirmation_text(findings.appraisal)
    if sentence is None:
        if findings.has_chance:
            return "How it does in other random futures was not evaluated (search.confirm_seeds)."
        return "The scenario draws nothing at random: the same values give the same metrics."
    weakest = _weakest(findings)
    return f"{sentence} {weakest}" if weakest else sentence


def _weakest(findings: Findings) -> str:
    """Return which target is missed most often; empty when none is."""
    confirmation = findings.appraisal["confirmation"]
    spreads = [risk for risk in confirmation["spreads"] if risk.get("met") is not None]
    total = len(confirmation["seeds"]) + confirmation["failed"]
    least = min(spreads, key=lambda spread: spread["met"], default=None)
    if least is None or least["met"] == total:
        return ""
    missed = total - least["met"]
    return f"{spoken(least['metric']).capitalize()} is what fails: in {missed} of {total}."


def failing_lines(findings: Findings) -> list[str]:
    """Return what would make the plan fail, or why it misses its targets."""
    lines = diagnosis_lines(findings.appraisal)
    if findings.is_verified is False:
        lines = ["Real dbt does not confirm the plan: see the verification.", *lines]
    lines += breaking_lines(findings)
    at_end = _at_ends(findings)
    if at_end:
        lines.append(f"{at_end}: what lies beyond was not allowed.")
    return [*lines, *quality_lines(findings.appraisal, findings.units)]


def _at_ends(findings: Findings) -> str:
    plan = findings.plan
    names = []
    for name, parameter in findings.parameters.items():
        value = plan.values.get(name) if plan else None
        if (
            value is not None
            and parameter.low != parameter.high
            and value in (parameter.low, parameter.high)
        ):
            names.append(f"{name} ({'lower' if value == parameter.low else 'upper'} end)")
    if not names:
        return ""
    return f"{', '.join(names)} {'stands' if len(names) == 1 else 'stand'} at the end of the range"
