"""The report: one self-contained page about a study, made from its published trail alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from search.audit.records import TrialMetric
from search.errors import AuditError
from search.report.appraisal import (
    confirmation_section,
    diagnosis_section,
    effects_section,
    front_section,
)
from search.report.checks import checks_section
from search.report.courses import candidates_section, convergence_section
from search.report.details import (
    costs_section,
    failures_section,
    provenance_section,
    repeat_section,
    trials_section,
)
from search.report.facts import StudyFacts, read_facts
from search.report.page import page
from search.report.sections import (
    head,
    parameters_section,
    targets_section,
    verification_section,
    warnings_section,
)
from search.system import files

REPORT_NAME = "report.html"

_PLACES = (
    *("targets", "diagnosis", "verification", "warnings", "parameters"),
    *("effects", "confirmation", "front"),
    *("convergence", "candidates", "trials", "failures"),
    *("checks", "costs", "repeat", "provenance"),
)


def write_report(results_folder: Path, *, study: str | None = None) -> Path:
    """Write the report of a study, whole or not at all, and return its path.

    The page needs no network and no other file.

    Args:
        results_folder: The study's results folder, with its published trail.
        study: Name in the storage, version included; the newest version when None.

    Raises:
        AuditError: If nothing is published there, or the page cannot be written.
    """
    facts = read_facts(results_folder, study=study)
    target = results_folder / REPORT_NAME
    try:
        files.write_durably(target, report_html(facts).encode())
    except OSError as error:
        raise AuditError(
            f"the report must be written to {target}, but that failed ({error.strerror}); check "
            "space and permissions there, then run `scenario-search report`"
        ) from error
    return target


def report_html(facts: StudyFacts) -> str:
    """Return the whole page."""
    lever_units = {parameter.name: parameter.unit for parameter in facts.parameters}
    metrics = {trial: _values(records) for trial, records in facts.metrics.items()}
    sections = [
        targets_section(facts),
        diagnosis_section(facts.appraisal),
        verification_section(facts),
        warnings_section(facts),
        parameters_section(facts),
        effects_section(facts.appraisal, facts.units, lever_units),
        confirmation_section(facts.appraisal, facts.units),
        front_section(facts.appraisal, _ordered_units(facts), metrics),
        failures_section(facts) if facts.best is None else Markup(),
        convergence_section(facts),
        candidates_section(facts),
        trials_section(facts),
        failures_section(facts) if facts.best is not None else Markup(),
        checks_section(facts.checks),
        costs_section(facts),
        repeat_section(facts),
        provenance_section(facts),
    ]
    there = [section for section in sections if section]
    places = [
        place
        for place in _PLACES
        if any(section.startswith(f'<section id="{place}"') for section in there)
    ]
    return page(f"{facts.study} - scenario search", head(facts), there, places)


def _ordered_units(facts: StudyFacts) -> dict[str, str | None]:
    """Return the unit of each metric, those of objectives first."""
    objectives = [one.goal.metric for one in facts.targets if one.goal.is_objective]
    return {name: facts.units.get(name) for name in [*objectives, *facts.units]}


def _values(records: Mapping[str, TrialMetric]) -> dict[str, float]:
    return {name: one.value for name, one in records.items() if one.value is not None}
