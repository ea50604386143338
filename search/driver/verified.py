"""What real dbt said of a candidate in another version of the study: it is not asked twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.driver.results import CompleteTrial
from search.scenario.report_tables import PlanTables
from search.scenario.verdict import VERIFIED, Verification
from search.storage.study_store import StudyStore
from search.storage.trials import read_trials
from search.study.values import Scalar

TABLES = "report_tables"
"""Study attribute: the tables of its report, and of which plans."""


def said_before(
    store: StudyStore, best: CompleteTrial, current: Mapping[str, Scalar], scenario: str | None
) -> tuple[str, Verification] | None:
    """Return what dbt said of the same candidate, and of which trial; None when it was not asked.

    The same is: the same values and replications with the same metrics, the same candidate of
    today (by which new failures of tests are told from old ones), the same scenario.

    Args:
        store: The study; its other versions are looked at, the newest first.
        best: The candidate.
        current: Today's candidate.
        scenario: Fingerprint of the scenario as it is now.
    """
    if scenario is None:
        return None
    for other in reversed(store.other_versions()):
        said = other.attributes().get(VERIFIED) or {}
        trials = {str(trial.number): trial for trial in read_trials(other.trials())} if said else {}
        if not any(
            earlier.is_current and earlier.candidate == dict(current) for earlier in trials.values()
        ):
            continue
        for number, document in said.items():
            trial, known = trials.get(number), Verification.of_document(document)
            if trial is None or known.scenario != scenario or not known.is_equal:
                continue
            is_same = trial.candidate == dict(best.values)
            if is_same and [*trial.evaluations] == [*best.evaluations]:
                return f"trial {number} of {other.name}", known
    return None


def tables_before(
    store: StudyStore, key: Any, wanted: Sequence[tuple[int, Mapping[str, Scalar]]]
) -> dict[int, PlanTables]:
    """Return report tables that this or another version of the study has of the same candidates.

    Args:
        store: The study; its own tables are looked at first, then its newest other version's.
        key: What they follow from beside a candidate's values; nothing is known under None.
        wanted: Trials' numbers and values.

    Returns:
        Tables by the number under which they are wanted.
    """
    known: dict[int, PlanTables] = {}
    if key is None:
        return known
    others = (other.attributes() for other in reversed(store.other_versions()))
    for attributes in (store.attributes(), *others):
        kept = attributes.get(TABLES) or {}
        if kept.get("key") != key:
            continue
        for of_plan in kept["document"]["plans"]:
            values = kept["values"].get(str(of_plan["trial"]))
            for number, candidate in wanted:
                if of_plan["failure"] is None and values == dict(candidate):
                    known.setdefault(number, PlanTables(number, of_plan["tables"]))
    return known
