"""Sensors: study files become scenarios, and changed inputs are tuned again."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from dagster_defs.locations import Places
from dagster_defs.scenarios import (
    SCENARIOS,
    inputs_fingerprint,
    load_scenario,
    study_files,
    tags_of,
)
from search.errors import SearchError


def sensors(places: Places, tuning_job: Any) -> list[dg.SensorDefinition]:
    """Return the sensors."""

    @dg.sensor(
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a scenario for each new study file. Scenarios are never removed: "
        "their results are kept.",
    )
    def scenarios_of_study_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        known = set(context.instance.get_dynamic_partitions(str(SCENARIOS.name)))
        new = [name for name in study_files(places.configs) if name not in known]
        return dg.SensorResult(
            dynamic_partitions_requests=[SCENARIOS.build_add_request(new)] if new else [],
            skip_reason=None if new else dg.SkipReason("no new study file"),
        )

    @dg.sensor(
        job=tuning_job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Tunes a scenario again when its census, parameters, targets or study file "
        "change. Switch it on when results should follow the inputs; the state at that moment "
        "counts as tuned.",
    )
    def retune_on_changed_inputs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        known = set(context.instance.get_dynamic_partitions(str(SCENARIOS.name)))
        requests, faults, now = [], [], dict(seen)
        for scenario in study_files(places.configs):
            try:
                fingerprint = inputs_fingerprint(load_scenario(places, scenario))
            except SearchError as error:
                faults.append(f"{scenario}: {error}")
                continue
            if scenario in known:
                now[scenario] = fingerprint
            if scenario in known and seen.get(scenario, fingerprint) != fingerprint:
                requests.append(
                    # Without a run key: inputs may go back to what they were before.
                    dg.RunRequest(partition_key=scenario, tags=tags_of(places, scenario))
                )
        reason = "; ".join(faults) or "no input has changed"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(reason),
            cursor=json.dumps(now, sort_keys=True),
        )

    return [scenarios_of_study_files, retune_on_changed_inputs]
