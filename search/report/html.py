"""The report: one self-contained page about a study, made from its published trail alone."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from search.audit.records import TrialMetric
from search.errors import AuditError
from search.report.appraisal_sections import (
    confirmation_section,
    diagnosis_section,
    effects_section,
    front_section,
)
from search.report.checks import checks_section
from search.report.courses import candidates_section, convergence_section
from search.report.decision import (
    decision_section,
    drivers_section,
    futures_section,
    plans_section,
    repeats_section,
)
from search.report.details import (
    costs_section,
    failures_section,
    provenance_section,
    repeat_section,
    trials_section,
)
from search.report.explorer import explorer_section
from search.report.facts import StudyFacts
from search.report.findings import findings_of
from search.report.gathering import read_facts
from search.report.own_tables import own_tables_section
from search.report.page import page
from search.report.passing import without_names, without_paths
from search.report.sections import (
    figures_line,
    head,
    parameters_section,
    targets_section,
    verification_section,
    warnings_section,
)
from search.study.layout import REPORT_NAME
from search.system import files


def write_report(results_folder: Path, *, study: str | None = None, is_full: bool = False) -> Path:
    """Write the report of a study, whole or not at all, and return its path.

    The page needs no network and no other file.

    Args:
        results_folder: The study's results folder, with its published trail.
        study: Name in the storage, version included; the newest version when None.
        is_full: Show absolute paths, user and host as well; a page that is passed on should not.

    Raises:
        AuditError: If nothing is published there, or the page cannot be written.
    """
    facts = read_facts(results_folder, study=study)
    return write_page(results_folder / REPORT_NAME, report_html(facts, is_full=is_full))


def write_page(target: Path, text: str) -> Path:
    """Write a page for its owner alone, whole or not at all, and return its path.

    Raises:
        AuditError: If it cannot be written.
    """
    try:
        with files.private():  # it may hold salaries
            files.write_durably(target, text.encode())
    except OSError as error:
        what = "memory" if error.errno == errno.ENOMEM else "space and permissions there"
        raise AuditError(
            f"the report must be written to {target}, but that failed ({error.strerror}); check "
            f"{what}, then run `scenario-search report`"
        ) from error
    return target


def report_html(facts: StudyFacts, *, is_full: bool = False) -> str:
    """Return the whole page: for the decision, for whoever checks it, and how it was made."""
    facts = facts if is_full else without_names(facts)
    findings = findings_of(facts)
    parameter_units = {parameter.name: parameter.unit for parameter in facts.parameters}
    metrics = {trial: _values(records) for trial, records in facts.metrics.items()}
    failures = failures_section(facts)
    first = [
        diagnosis_section(facts.appraisal),
        decision_section(facts, findings),
        verification_section(facts),
        warnings_section(facts),
        Markup() if facts.best is not None else failures,
    ]
    analysis = [
        figures_line(facts),
        plans_section(facts, findings),
        repeats_section(findings),
        own_tables_section(findings),
        futures_section(findings),
        Markup() if findings.futures() else confirmation_section(facts.appraisal, facts.units),
        drivers_section(findings),
        explorer_section(facts, findings),
        effects_section(facts.appraisal, facts.units, parameter_units),
        targets_section(facts),
        parameters_section(facts),
        front_section(facts.appraisal, _ordered_units(facts), metrics),
        convergence_section(facts),
        candidates_section(facts),
        trials_section(facts),
        failures if facts.best is not None else Markup(),
    ]
    provenance = [
        checks_section(facts.checks),
        costs_section(facts),
        repeat_section(facts),
        provenance_section(facts),
    ]
    text = page(f"{facts.study} - scenario search", head(facts), first, analysis, provenance)
    return text if is_full else without_paths(text, facts)


def _ordered_units(facts: StudyFacts) -> dict[str, str | None]:
    """Return the unit of each metric, those of objectives first."""
    objectives = [target.goal.metric for target in facts.targets if target.goal.is_objective]
    return {name: facts.units.get(name) for name in [*objectives, *facts.units]}


def _values(records: Mapping[str, TrialMetric]) -> dict[str, float]:
    return {name: record.value for name, record in records.items() if record.value is not None}
