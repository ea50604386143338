"""Versions of one study share a results folder and its published trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.audit.assemble import assemble
from search.audit.earlier import earlier_tables
from search.audit.records import RunRecord
from search.storage.study_store import StudyStore
from search.storage.versions import next_version
from search.study import study_from_document

DOCUMENT: dict[str, Any] = {
    "study": "pay",
    "scenario": {
        "dbt_project": ".",
        "steps": [{"dbt": {"command": "build", "select": "tag:simulation"}}],
    },
    "parameters": {
        "merit": {
            "low": 0.0,
            "high": 0.08,
            "current": 0.035,
            "unit": "fraction",
            "bind": {"var": "merit"},
        }
    },
    "metrics": {"cost": {"sql": "select 1", "unit": "USD"}, "growth": {"sql": "select 2"}},
    "targets": {"cost": {"change": 0.25, "tolerance": 0.02}},
}


def test_targets_and_units_come_from_the_study_file(study: StudyStore, run: RunRecord) -> None:
    spec = study_from_document(DOCUMENT, file=Path("pay.yml"))
    tables = assemble(study.trials(), [run], spec=spec)
    costs = [row for row in tables.metrics if row.metric == "cost"]
    # The first trial of iteration 0 stands for the current parameters: cost 40.
    assert {(row.target, row.unit, row.tolerance) for row in costs} == {(50.0, "USD", 0.02)}
    assert [row.is_met for row in costs] == [False, False, True, False]
    assert {row.unit for row in tables.parameters if row.parameter == "merit"} == {"fraction"}
    assert {row.study for row in tables.trials} == {"pay"}


def test_earlier_versions_stay_in_the_trail(study: StudyStore, run: RunRecord) -> None:
    storage = study._storage
    study.set_attributes({"spec": DOCUMENT, "runs": {"r1": run.model_dump(mode="json")}})
    second = next_version(storage, "pay")
    StudyStore.create_or_load(storage, second.name, base_name="pay")
    tables = earlier_tables(storage, "pay", but=second.name)
    assert {row.study for row in tables.trials} == {"pay"}
    assert len(tables.trials) == 6
    assert tables.runs == (run,)
    assert {row.target for row in tables.metrics if row.metric == "cost"} == {50.0}
    assert earlier_tables(storage, "pay", but="pay").trials == ()


def test_a_version_under_other_rules_keeps_its_trials(study: StudyStore) -> None:
    study.set_attributes({"spec": {"study": "pay", "of": "an older version"}})
    tables = earlier_tables(study._storage, "pay", but="pay-v2")
    assert len(tables.trials) == 6
    assert {row.target for row in tables.metrics} == {None}
