"""The real web server: a study is launched, watched, terminated, and looked at in a browser."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster_browser import chromium_page
from dagster_folders import STUDY_ASSETS
from dagster_server import Server, dagster_dev, eventually, processes_of
from studies import copy_project, stored_trials, tiny_document, write_study

from dagster_defs.__main__ import main
from dagster_defs.locations import Places
from search.audit.reader import AuditReader

pytestmark = [pytest.mark.dagster, pytest.mark.dbt, pytest.mark.ray]

TUNE = STUDY_ASSETS[0]
STOP_SECONDS = 10.0
"""What we promise: a terminated run leaves nothing after this time."""


def stop_seconds() -> float:
    """Return the promised time; as many times longer as processes wait for each core."""
    return STOP_SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True)
class Site:
    """A web server over folders of its own, with one study that never meets its target."""

    folder: Path
    places: Places
    server: Server

    @property
    def reader(self) -> AuditReader:
        """The study's audit trail."""
        return AuditReader(self.places.results / "tiny")

    def finish(self, **config: object) -> str:
        """Materialise the study, wait for its success and return the run's id."""
        run = self.server.materialize(TUNE, "tiny", config)
        eventually(lambda: self.server.status(run) in ("SUCCESS", "FAILURE"), 180)
        assert self.server.status(run) == "SUCCESS"
        return run


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, shared_project: Path, shared_private: Path
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    document = tiny_document(
        scenario={"dbt_project": str(copy_project("tiny", folder / "tiny"))},
        targets={"v": {"value": 1000.0}},
        search={"max_iterations": 1000, "max_trials": 5000, "early_stop": False},
        resources={"workers": 1},
    )
    write_study(folder / "configs", document, name="tiny.yaml")
    (folder / "results").mkdir()
    (folder / "results" / ".dagster").symlink_to(shared_private)
    places = Places(folder / "configs", shared_project, folder / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        patch.chdir(folder)  # without scenarios: the sensor has to add them
        (folder / "configs" / "tiny.yaml").rename(folder / "later.yaml")
        assert main() == 0
        (folder / "later.yaml").rename(folder / "configs" / "tiny.yaml")
        with (
            dagster_dev(places, {"WORKFORCE_DB": str(folder / "workforce.duckdb")}) as server,
            dg.DagsterInstance.get() as instance,
        ):
            eventually(lambda: instance.get_dynamic_partitions("scenario") == ["tiny"], 90)
            yield Site(folder, places, server)


MUTATION = "mutation { setNuxSeen }"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/graphql?query=mutation%7BsetNuxSeen%7D", {}, None),
        ("GET", "/graphql/?query=%7B__typename%7D", {}, None),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, {"query": MUTATION}),
        ("POST", "/graphql?query=mutation%7BsetNuxSeen%7D", {"Content-Type": ""}, {}),
        ("POST", "/graphql", {"Content-Type": "application/json", "Origin": "http://evil.example"},
         {"query": MUTATION}),
        ("GET", "/", {"Host": "rebound.example"}, None),
        ("GET", "/server_info", {"Origin": "null"}, None),
    ],
)  # fmt: skip
def test_pages_of_others_are_not_answered(
    site: Site, method: str, path: str, headers: dict[str, str], body: object
) -> None:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(site.server.url + path, data, headers, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 403
    assert "must" in json.loads(refused.value.read())["reason"]
    assert site.server.ask("{ __typename }") == {"__typename": "Query"}


def test_a_terminated_study_leaves_no_process_and_the_next_run_goes_on(site: Site) -> None:
    before = {process.pid for process in processes_of(str(site.folder))}

    def of_the_run() -> list[str]:
        found = []
        for process in processes_of(str(site.folder)):
            with suppress(psutil.Error):  # it may end while it is looked at
                if process.pid not in before:
                    found.append(" ".join(process.cmdline())[:120])
        return found

    run = site.server.materialize(TUNE, "tiny", {})
    eventually(lambda: site.server.observations(TUNE, "tiny", run) >= 2, 180)
    assert any("raylet" in command for command in of_the_run())

    site.server.terminate(run)
    eventually(lambda: of_the_run() == [], stop_seconds())
    eventually(lambda: site.server.status(run) == "CANCELED", stop_seconds())
    assert site.reader.runs()[-1].state == "interrupted"
    trials = {one.trial: one for one in site.reader.trials()}
    # What was being evaluated waits for the next run.
    assert {one.state for one in trials.values()} <= {"complete", "failed", "waiting"}
    assert sum(one.state == "complete" for one in trials.values()) >= 5

    last = max(one.iteration or 0 for one in trials.values())
    site.finish(max_iterations=last + 1, workers="0")
    kept = {one.trial: one for one in site.reader.trials()}
    assert all(
        kept[number].loss == one.loss for number, one in trials.items() if one.state == "complete"
    )
    assert len(kept) > len(trials)
    candidates = [str(one.candidate) for one in kept.values() if one.state == "complete"]
    assert len(candidates) == len(set(candidates))


@pytest.mark.long  # killed and taken up without the server: tests/cli, tests/faults
@pytest.mark.fault
def test_a_killed_study_is_retried_and_repeats_no_finished_trial(site: Site) -> None:
    run = site.server.materialize(TUNE, "tiny", {})
    eventually(lambda: site.server.observations(TUNE, "tiny", run) >= 2, 180)
    servers = [one for one in processes_of(str(site.folder)) if Path(one.exe()).name == "raylet"]
    study = servers[0].parent()
    assert study is not None and "search.system.child" in " ".join(study.cmdline())
    before = {one.number: one for one in stored_trials(site.places.results, "tiny")}
    seen = site.server.observations(TUNE, "tiny", run)
    study.kill()

    # The retry is the same run, and goes on with the same study.
    eventually(lambda: site.server.observations(TUNE, "tiny", run) > seen, 180)
    site.server.terminate(run)
    eventually(lambda: site.server.status(run) == "CANCELED", stop_seconds())
    after = {one.number: one for one in stored_trials(site.places.results, "tiny")}
    complete = {number: one for number, one in before.items() if one.state.name == "COMPLETE"}
    assert len(complete) >= 5
    assert all(after[number] == one for number, one in complete.items())
    candidates = [json.dumps(one.params) for one in after.values() if one.state.name == "COMPLETE"]
    assert len(candidates) == len(set(candidates)) > len(complete)


@pytest.mark.browser
def test_lineage_run_and_plot_in_a_browser(site: Site, chromium: str, tmp_path: Path) -> None:
    run = site.finish(max_iterations=1, workers="0")
    with chromium_page(chromium, tmp_path / "profile") as page:
        page.open(f"{site.server.url}/locations/dagster_defs.definitions/asset-groups/optimization")
        page.wait_for("stg_census", TUNE, "best_parameters", "fct_optimization_metrics")

        page.open(f"{site.server.url}/runs/{run}")
        page.wait_for("Success", TUNE, "Finished execution of run")

        page.open(f"{site.server.url}/assets/{TUNE}?view=partitions&partition=tiny")
        page.wait_for("Materialized", "convergence", "report", "best trial")
        plot = "[...document.images].find(one => one.src.startsWith('data:image/svg'))"

        def shows_the_plot() -> bool:
            """Look for it, and open the dialog again when the page was drawn anew meanwhile."""
            if (page.evaluate(f"{plot}?.naturalWidth") or 0) > 600:
                return True
            page.click("[Show Markdown]", row="convergence")
            return False

        eventually(shows_the_plot, 60)
        page.picture(tmp_path / "asset.png")
    assert (tmp_path / "asset.png").stat().st_size > 20_000
