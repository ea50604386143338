"""Studies over several nodes: what each needs is brought once, nodes may join and be lost."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from optuna.trial import FrozenTrial
from ray_cluster import HIDING, Cluster, joined_node, running_cluster
from studies import copy_project, search_command, stored_trials, tiny_document, write_study

PATIENCE_SECONDS = 120.0
QUICK = [
    {
        "sql": "create or replace table result as select {{ var('x') }} * 10"
        " + (select value from levers) + (select 0 * sum(hash(range) % 7) from range(20000000))"
        " as v"
    }
]
"""A step of about a fifth of a second."""

pytestmark = [pytest.mark.ray, pytest.mark.dbt, pytest.mark.fault, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that holds no worker, so that all of them are on nodes that join."""
    probe = subprocess.run([*HIDING, "true"], capture_output=True, text=True, check=False)
    if shutil.which(HIDING[0]) is None or probe.returncode != 0:
        pytest.skip(f"a node that sees other files needs a mount namespace: {probe.stderr}")
    with running_cluster(cpus=0) as started:
        yield started


def eventually(what: Callable[[], object], said: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, said()
        time.sleep(0.2)


def test_nodes_that_see_nothing_join_and_are_lost(cluster: Cluster, tmp_path: Path) -> None:
    folder = copy_project("tiny", tmp_path / "hidden" / "project")
    results = tmp_path / "hidden" / "results"
    document = tiny_document(
        scenario={"steps": QUICK},
        targets={"v": {"value": 1000.0}},
        search={"max_iterations": 1000, "max_trials": 5000, "early_stop": False},
        resources={"workers": 3, "min_workers": 1, "engine": "auto", "memory_budget": "4GB"},
    )
    log = tmp_path / "run.log"

    def told() -> list[FrozenTrial]:
        return [one for one in stored_trials(results, "tiny") if one.state.is_finished()]

    def workers_of(node: psutil.Process) -> set[int]:
        pids = {one.pid for one in node.children(recursive=True)}
        workers = {str(one.user_attrs["outcome"]["worker"]) for one in told()[1:]}
        return pids & {int(name.split(":")[1]) for name in workers if ":" in name}

    with ExitStack() as stack:
        first = stack.enter_context(joined_node(cluster, "first", hidden=tmp_path / "hidden"))
        environment = cluster.environment() | {"RAY_ADDRESS": cluster.gcs}
        command = search_command("run", write_study(folder, document), "--results", results)
        run = subprocess.Popen(
            command,
            env=environment,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
        )
        stack.callback(run.wait, 30)
        stack.callback(run.terminate)
        eventually(lambda: workers_of(first.process), log.read_text)
        (brought,) = first.temp.glob("scenario-node-*")
        names = sorted(file.name for file in brought.rglob("files/**/*") if file.is_file())
        assert {"tiny.duckdb", "dbt_project.yml", "program.json"} <= set(names), names

        # Two workers of another node ask at once, and one of them fetches.
        second = stack.enter_context(
            joined_node(cluster, "second", cpus=2, hidden=tmp_path / "hidden")
        )
        eventually(lambda: len(workers_of(second.process)) == 2, log.read_text)
        (brought,) = second.temp.glob("scenario-node-*")
        assert len(list(brought.iterdir())) == 3
        assert all(len(list(one.glob("users/*"))) == 2 for one in brought.iterdir())

        first.lose()
        seen = len(told())
        eventually(lambda: len(told()) > seen + 12, log.read_text)
        run.terminate()
        assert run.wait(60) == 130, log.read_text()

        # Killed workers left their files; those of the next run sweep them, and leave none.
        iterations = 1 + max(int(one.user_attrs["iteration"]) for one in told())
        limit = f"search.max_iterations={iterations}"
        again = subprocess.run(
            [*command, "--set", limit],
            env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert again.returncode == 3, again.stdout + again.stderr
        assert not list(second.temp.glob("scenario-*"))

    trials = told()
    assert all(one.state.name == "COMPLETE" for one in trials), Counter(t.state for t in trials)
    for one in trials:
        expected = one.params["x"] * 10 + one.params["rate"]
        assert one.user_attrs["metric:v"] == pytest.approx(expected, abs=1e-9)
