"""The real web server: a study is launched, watched and terminated through GraphQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster_folders import STUDY_ASSETS
from dagster_server import dagster_dev, eventually, processes_of

from dagster_defs.places import Places
from search.audit.reader import AuditReader

pytestmark = [pytest.mark.dagster, pytest.mark.dbt, pytest.mark.ray]

TUNE = STUDY_ASSETS[0]
STOP_SECONDS = 10.0
"""What we promise: a terminated run leaves nothing after this time."""
LONG = {
    "targets": {"v": {"value": 1000.0}},
    "search": {"max_iterations": 1000, "max_trials": 5000, "early_stop": False},
    "resources": {"workers": 1},
}


def test_a_terminated_study_leaves_no_process_and_the_next_run_goes_on(
    places: Places,
    instance: dg.DagsterInstance,
    home: Path,
    tiny_in: Callable[..., Path],
    tmp_path: Path,
) -> None:
    tiny_in(places, **LONG)
    reader = AuditReader(places.results / "tiny")
    with dagster_dev(places, {"DAGSTER_HOME": str(home)}) as server:
        # The sensor makes a scenario of the study file.
        eventually(lambda: instance.get_dynamic_partitions("scenario") == ["tiny"], 90)
        before = {process.pid for process in processes_of(str(tmp_path))}

        def of_the_run() -> list[str]:
            started = [one for one in processes_of(str(tmp_path)) if one.pid not in before]
            return [" ".join(one.cmdline())[:120] for one in started if one.is_running()]

        run = server.materialize(TUNE, "tiny", {})
        eventually(lambda: server.observations(TUNE, "tiny", run) >= 2, 120)
        assert any("raylet" in command for command in of_the_run())

        server.terminate(run)
        eventually(lambda: of_the_run() == [], STOP_SECONDS)
        eventually(lambda: server.status(run) == "CANCELED", STOP_SECONDS)
        (stopped,) = reader.runs()
        assert stopped.state == "interrupted"
        trials = {one.trial: one for one in reader.trials()}
        assert {one.state for one in trials.values()} <= {"complete", "failed"}
        assert sum(one.state == "complete" for one in trials.values()) >= 5

        last = max(one.iteration or 0 for one in trials.values())
        again = server.materialize(TUNE, "tiny", {"max_iterations": last + 1})
        eventually(lambda: server.status(again) in ("SUCCESS", "FAILURE"), 120)
        assert server.status(again) == "SUCCESS"
    kept = {one.trial: one for one in reader.trials()}
    assert all(kept[number].loss == one.loss for number, one in trials.items())
    assert len(kept) > len(trials)
    candidates = [str(one.candidate) for one in kept.values() if one.state == "complete"]
    assert len(candidates) == len(set(candidates))
