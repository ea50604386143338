"""A study as assets: tuned, stored, checked, continued, and refused when it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_folders import STUDY_ASSETS, checks_of, materialize, metadata_of

from dagster_defs.build import definitions
from dagster_defs.locations import Places

NEVER = {"v": {"value": 1000.0}}
TUNE = STUDY_ASSETS[0]
pytestmark = [pytest.mark.dagster, pytest.mark.dbt]

Write = Callable[..., Path]


def test_a_study_is_tuned_watched_stored_and_checked(
    places: Places, instance: dg.DagsterInstance, tiny_in: Write, database: Path
) -> None:
    tiny_in(places, search={"sampler": "target"})
    result = materialize(places, instance, "tiny")
    assert result.success

    tuned = metadata_of(result, TUNE)
    assert tuned["converged"] is True and tuned["workers"] == 0
    assert tuned["study in the Optuna dashboard"] == "tiny"
    assert Path(tuned["audit trail"]).exists() and Path(tuned["report"]).exists()
    assert tuned["convergence"].startswith("![loss over the trials](data:image/svg+xml;base64,")
    (target,) = tuned["targets"].records
    assert target.data["target"] == "v" and target.data["met"] is True

    observations = [
        one.event_specific_data.asset_observation
        for one in result.all_events
        if one.event_type_value == "ASSET_OBSERVATION"
    ]
    assert [one.metadata["iteration"].value for one in observations][:2] == [0, 1]
    assert all(one.partition == "tiny" for one in observations)
    assert abs(observations[-1].metadata["variance v"].value) <= 0.05
    assert "seconds a candidate" in observations[-1].metadata
    logs = [entry.user_message for entry in instance.all_logs(result.run_id)]
    trials = [json.loads(one.split("\n", 1)[1]) for one in logs if ": trial " in one]
    assert len(trials) == tuned["trials"]
    assert trials[0]["parameters"] == {"x": 1.0, "rate": 1.0}

    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["scenario-search/study"] == "tiny"
    assert len(run.tags["scenario-search/fingerprint"]) == 16

    with duckdb.connect(str(database), read_only=True) as connection:
        best = dict(
            connection.execute(
                "select parameter, value from optimization.best_parameters"
            ).fetchall()
        )
        value = connection.execute(
            "select recommended_value, is_met from optimization.parameter_optimization_results "
            "where kind = 'metric'"
        ).fetchone()
        states = connection.execute(
            "select iteration, is_converged from optimization.optimization_scenario_state "
            "order by iteration"
        ).fetchall()
        futures = connection.execute(
            "select count(*) from optimization.plan_futures where metric <> 'v'"
        ).fetchone()
        connection.execute("from optimization.plan_alternatives")
    assert futures == (0,)
    assert value == (pytest.approx(10 * best["x"] + best["rate"]), True)
    assert states[0] == (0, False) and states[-1] == (tuned["iterations"], True)

    checks = checks_of(result)
    assert checks["validate_optimization_convergence"].passed
    quality = checks["validate_optimization_results_quality"]
    assert quality.passed, quality.description


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_iterations": 0}, "search.max_iterations: "),
        ({"workers": "many"}, "resources.workers: "),
        ({"targets": {"w": {"value": 1.0}}}, "targets.w: "),
        ({"overrides": ["search.samplr=tpe"]}, "did you mean"),
        ({"study_file": "absent.yaml"}, "there is none"),
    ],
)
def test_a_mistake_in_the_run_config_is_told_once_with_its_key(
    places: Places,
    instance: dg.DagsterInstance,
    tiny_in: Write,
    config: dict[str, Any],
    message: str,
) -> None:
    tiny_in(places)
    result = materialize(places, instance, "tiny", TUNE, **config)
    assert not result.success
    (failure,) = [one for one in result.all_events if one.is_step_failure]
    assert message in str(failure.step_failure_data.error)
    assert not [one for one in result.all_events if one.is_step_up_for_retry]
    assert not (places.results / "tiny").exists()


def test_a_scenario_added_by_hand_is_a_variant_with_results_of_its_own(
    places: Places, instance: dg.DagsterInstance, tiny_in: Write
) -> None:
    tiny_in(places)
    refused = materialize(places, instance, "lean", TUNE)
    (failure,) = [one for one in refused.all_events if one.is_step_failure]
    assert "study_file" in str(failure.step_failure_data.error)
    result = materialize(
        places,
        instance,
        "lean",
        TUNE,
        study_file="tiny.yaml",
        max_iterations=1,
        targets={"v": {"value": 21.0, "tolerance": 0.5}},
    )
    assert result.success
    assert (places.results / "lean" / "audit.duckdb").exists()
    (target,) = metadata_of(result, TUNE)["targets"].records
    assert target.data["wanted"] == "21"


def test_one_iteration_as_ops_then_the_asset_goes_on_and_missing_the_targets_is_a_warning(
    places: Places, instance: dg.DagsterInstance, tiny_in: Write
) -> None:
    tiny_in(places, targets=NEVER, search={"early_stop": False, "max_iterations": 2})
    instance.add_dynamic_partitions("scenario", ["tiny"])
    job = definitions(places).resolve_job_def("single_iteration_tuning_job")
    first = job.execute_in_process(instance=instance, partition_key="tiny")
    assert first.output_for_node("compare_outcomes_to_targets") == {}
    after = first.output_for_node("compare_adjusted_outcomes")
    best = first.output_for_node("adjust_parameters_based_on_variance")
    assert after["v"] == pytest.approx((10 * best["x"] + best["rate"]) / 1000 - 1)
    assert first.output_for_node("check_convergence_criteria") is False
    (verdict,) = [
        event.step_output_data.metadata["verdict"].value
        for event in first.all_events
        if event.is_successful_output and event.step_key == "check_convergence_criteria"
    ]
    assert verdict == "targets are missed after 1 of 2 iterations; run the job again"

    second = materialize(places, instance, "tiny", TUNE)
    assert second.success
    assert metadata_of(second, TUNE)["trials"] == 9  # today's, and two batches of 4
    check = checks_of(second)["validate_optimization_convergence"]
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert "max_iterations (2) reached" in str(check.description)
