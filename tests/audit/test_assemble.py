"""From trials to records: nothing that is needed to repeat or judge a trial is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from search.audit.assemble import assemble_records, best_trial, resolved_goals
from search.audit.schema import TABLES, AuditTables
from search.storage.study_store import StudyStore
from search.study.targets import Goal


@pytest.fixture
def tables(assembled: Callable[[], AuditTables]) -> AuditTables:
    return assembled()


def test_a_complete_trial(tables: AuditTables) -> None:
    trial = tables.trials[2]
    assert (trial.trial, trial.run_id, trial.iteration, trial.state) == (2, "r1", 1, "complete")
    assert trial.candidate == {"merit": 0.05, "timing": 'it\'s "late"'}
    assert trial.replications == [11]
    assert trial.is_all_targets_met is True
    assert trial.loss == 0.0
    assert (trial.seconds, trial.stage_seconds) == (1.5, {"bind": 0.5, "step": 1.0})
    assert (trial.worker, trial.peak_memory_bytes) == ("here:1", 2**30)
    assert (trial.engine, trial.isolation) == ("compiled", "overlay")
    assert trial.details == {"program_fingerprint": "f1"}
    assert trial.started_at is not None and trial.finished_at is not None
    assert (trial.finished_at - trial.started_at).total_seconds() == 1.5
    assert trial.error_message is None


def test_a_failed_trial_and_its_retry(tables: AuditTables) -> None:
    failed, again = tables.trials[4:]
    assert (failed.state, failed.error_stage, failed.error_step) == ("failed", "step", "steps[0]")
    assert (failed.error_model, failed.error_message) == ("fct_pay", "it's too much")
    assert failed.loss is None
    assert (again.state, again.lineage, again.parent_trial) == ("running", "retry of trial 4", 4)
    assert again.finished_at is None


def test_parameters_keep_every_digit_and_their_type(tables: AuditTables) -> None:
    merit, timing = (row for row in tables.parameters if row.trial == 3)
    assert (merit.value, merit.value_text, merit.value_type) == (
        0.1 + 0.2 - 0.25,
        "0.050000000000000044",
        "float",
    )
    assert (merit.unit, merit.low, merit.high) == ("fraction", 0.0, 0.08)
    assert (timing.value, timing.value_text, timing.value_type) == (None, 'it\'s "late"', "str")
    assert timing.choices == ["january", 'it\'s "late"']


def test_metrics_stand_against_their_targets(tables: AuditTables) -> None:
    cost, growth, headcount = (row for row in tables.metrics if row.trial == 2)
    assert (cost.target_kind, cost.target, cost.unit, cost.is_met) == ("equal", 50.0, "USD", True)
    assert cost.variance == pytest.approx(0.01)
    assert (growth.target_kind, growth.target_high, growth.is_met) == ("at_most", 0.03, True)
    assert (headcount.target_kind, headcount.unit, headcount.is_met) == (None, "people", None)


def test_iterations_know_their_best(tables: AuditTables) -> None:
    first, second = tables.iterations
    assert (first.trials, first.complete_trials, first.best_trial) == (2, 2, 1)
    assert first.best_variances == pytest.approx({"cost": -0.1, "growth": 0.0})
    assert first.finished_at is not None
    assert (second.trials, second.complete_trials, second.failed_trials) == (4, 2, 1)
    assert (second.best_trial, second.best_trial_so_far) == (2, 2)
    assert second.is_all_targets_met is True
    assert second.finished_at is None


def test_the_best_trials_parameters(tables: AuditTables) -> None:
    assert [(row.trial, row.parameter) for row in tables.best_parameters] == [
        (2, "merit"),
        (2, "timing"),
    ]


def test_nothing_yet_is_a_trail_as_well() -> None:
    assert assemble_records([], [], study="pay") == AuditTables()


def test_without_goals_the_loss_decides(study: StudyStore) -> None:
    best = best_trial(study.trials())
    assert best is not None and best.number == 2


def test_relative_goals_follow_the_current_parameters(study: StudyStore) -> None:
    goal = Goal("cost", "equal", change=0.5)
    (resolved,) = resolved_goals([goal], study.trials())
    assert resolved.value == 60.0
    best = best_trial(study.trials(), [resolved])
    assert best is not None and best.number == 3


def test_goals_that_are_not_resolved_yet_have_no_verdict(study: StudyStore) -> None:
    goals = [Goal("cost", "equal", change=0.5)]
    tables = assemble_records(study.trials(), [], study="pay", goals=goals)
    assert {row.is_met for row in tables.metrics} == {None}


def test_two_studies_are_published_together(tables: AuditTables) -> None:
    both = tables.joined(replace(tables, runs=()))
    assert len(both.trials) == 2 * len(tables.trials)
    assert len(both.runs) == 1


def test_every_column_says_what_it_holds() -> None:
    for table in TABLES.values():
        assert all(column.comment for column in table.columns)
        for column in table.columns:
            for suffix in ("seconds", "bytes"):
                if column.name.endswith(f"_{suffix}") and column.duckdb_type != "JSON":
                    assert suffix in column.comment
