"""The parameters that a scenario is simulated with: the winner's, or those in force."""

from __future__ import annotations

from pathlib import Path

from dagster_defs.locations import Places
from dagster_defs.main_database import MainDatabase
from dagster_defs.rows import BEST_TABLE, best_values
from dagster_defs.scenarios import load_scenario, study_files
from dagster_defs.steps import Chosen
from search.errors import AuditError, SpecError
from search.parameter_sets.candidates import Candidates
from search.parameter_sets.journal import Journal
from search.report.facts import StudyFacts
from search.report.gathering import read_facts
from search.storage.own_studies import require_own
from search.study import StudySpec, edited_keys, study_from_document
from search.study.layout import Layout
from search.study.space import current_candidate, validate_candidate


def choose(places: Places, database: MainDatabase, scenario: str, which: str) -> Chosen:
    """Return a scenario with the parameters to simulate it with.

    Args:
        places: Where study files and results are.
        database: Holds what ``best_parameters`` materialised.
        scenario: The partition's key.
        which: ``best``, ``active``, ``current``, ``trial:N`` or ``set:N``.

    Raises:
        SpecError: If there is no such scenario, its dbt project is another one, or it has no
            such parameters.
    """
    chosen = (
        _winner(places, database, scenario)
        if which == "best"
        else _named(file_spec(places, scenario), places, which)
    )
    if chosen.project.resolve() != places.project.resolve():
        raise SpecError(
            f"scenario.dbt_project must be {places.project} to be materialised here, but is "
            f"{chosen.project}; set SCENARIO_SEARCH_DBT_PROJECT to that for its assets"
        )
    return chosen


def _named(spec: StudySpec, places: Places, which: str) -> Chosen:
    current = current_candidate(spec)
    if which == "active" and Journal.of(spec).active is None:
        return Chosen(spec, current, "the study file's current parameters; none were applied")
    named = Candidates(spec, places.results).find(which, option="parameters")
    # A set may lack parameters that were added to the study since.
    values = validate_candidate(spec, {**current, **named.values})
    return Chosen(spec, values, f"the parameters of {named.label}", named.trial)


def file_spec(places: Places, scenario: str) -> StudySpec:
    """Return a scenario's study: of its file, or as it ran when it was added by hand.

    Raises:
        SpecError: If there is neither.
    """
    if scenario in study_files(places.configs):
        return load_scenario(places, scenario)
    try:
        return spec_of_run(places, scenario, read_facts(places.results / scenario))
    except AuditError:
        return load_scenario(places, scenario)  # says which scenarios there are


def spec_of_run(places: Places, scenario: str, facts: StudyFacts) -> StudySpec:
    """Return the study as its latest run had it, changes of that run included.

    Raises:
        SpecError: If something that runs is not as in its file, and this user never ran it.
    """
    today = load_scenario(places, scenario) if scenario in study_files(places.configs) else None
    changed = edited_keys(facts.document, today) if today else ["scenario"]
    require_own(Layout(places.results, scenario).own_studies, facts.document, changed)
    return study_from_document(facts.document, file=Path(facts.run.study_file or "study.yaml"))


def _winner(places: Places, database: MainDatabase, scenario: str) -> Chosen:
    rows = database.rows(BEST_TABLE, scenario=scenario)
    if not rows:
        raise SpecError(
            f"scenario {scenario!r} must have best parameters, but has none yet; materialise "
            "tune_compensation_parameters and best_parameters first, or simulate the active ones"
        )
    study, trial = rows[0]["study"], rows[0]["trial"]
    spec = spec_of_run(places, scenario, read_facts(places.results / scenario, study=study))
    values = validate_candidate(spec, best_values(rows))
    return Chosen(spec, values, f"the best parameters of {study}, trial {trial}", trial)
