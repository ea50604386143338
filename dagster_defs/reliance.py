"""Whether a study's result can be relied upon. Each function returns what is wrong, in words."""

from __future__ import annotations

from pathlib import Path

from search.audit.anchor import Anchor
from search.commands.audit import check_study, kept_anchors
from search.commands.verify import verify_trial
from search.driver.progress import SilentProgress
from search.errors import SpecError
from search.report.facts import StudyFacts
from search.study import StudySpec
from search.study.space import validate_candidate


def out_of_bounds(facts: StudyFacts, spec: StudySpec) -> list[str]:
    """Return what the best parameters violate: names, ranges, steps, choices, constraints."""
    if facts.best is None:
        return ["no trial is complete, so there are no parameters to recommend"]
    try:
        validate_candidate(spec, {parameter.name: parameter.best for parameter in facts.parameters})
    except SpecError as error:
        return [str(error)]
    return []


def not_reproduced(facts: StudyFacts, spec: StudySpec, results: Path) -> list[str]:
    """Return in what real dbt, with its tests, differs from the winner's metrics.

    The run's own verification counts, or a later one; without any, dbt evaluates the winner here.

    Raises:
        SearchError: If dbt cannot be asked.
    """
    if facts.best is None or facts.run.is_verified:
        return []
    if facts.verification is not None:
        return [facts.verification.text()]
    number, verification = verify_trial(spec, None, results=results, progress=SilentProgress())
    if number != facts.best:
        return [f"the storage's best trial is {number}, the trail's is {facts.best}"]
    return [] if verification.is_verified else [verification.text()]


def audit_gaps(spec: StudySpec, results: Path, anchor: str | None) -> list[str]:
    """Return what is wrong with the study's trail: what ``audit verify`` calls a problem.

    Args:
        spec: The study.
        results: Folder of all results.
        anchor: The trail's head at the end of the study's last run, from Dagster's own records.

    Raises:
        SearchError: If there is no trail, or the storage cannot be read.
    """
    kept = kept_anchors(spec, [Anchor.parse(anchor)] if anchor else [])
    checked = check_study(spec, results, kept)
    return [
        f"{finding.place}: {finding.text}" for finding in checked.findings if finding.is_problem
    ]
