"""A real ``dagster dev`` on a free port, and its GraphQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil

from dagster_defs.locations import ROOT, Places

START_SECONDS = 120.0
MODULE = "dagster_defs.definitions"

LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } }
} }
"""
TERMINATE = """
mutation ($run: String!) { terminateRun(runId: $run) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message }
} }
"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
OBSERVATIONS = """
query ($asset: AssetKeyInput!, $partition: [String!]) { assetOrError(assetKey: $asset) {
  ... on Asset { assetObservations(limit: 100, partitions: $partition) { runId } } } }
"""
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename ... on RepositoryLocation { repositories { name } }
  ... on PythonError { message } } } } } }
"""


class Server:
    """A running web server with its daemon and code server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of a GraphQL query."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.loads(response.read())
        assert "errors" not in answer, answer
        return answer["data"]

    def materialize(self, asset: str, scenario: str, config: Mapping[str, Any]) -> str:
        """Materialise an asset's partition, as the button in the UI does; return the run's id."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": MODULE,
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        params = {
            "selector": selector,
            "runConfigData": json.dumps({"ops": {asset: {"config": config}}}),
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": scenario}]},
        }
        found = self.ask(LAUNCH, params=params)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def status(self, run: str) -> str:
        """Return a run's status."""
        return str(self.ask(STATUS, run=run)["runOrError"]["status"])

    def terminate(self, run: str) -> None:
        """Terminate a run as the button in the UI does."""
        found = self.ask(TERMINATE, run=run)["terminateRun"]
        assert found["__typename"] == "TerminateRunSuccess", found

    def observations(self, asset: str, scenario: str, run: str) -> int:
        """Return how many observations of an asset's partition a run has made."""
        found = self.ask(OBSERVATIONS, asset={"path": [asset]}, partition=[scenario])
        seen = found["assetOrError"].get("assetObservations", [])
        return sum(one["runId"] == run for one in seen)


@contextmanager
def dagster_dev(places: Places, environment: Mapping[str, str]) -> Iterator[Server]:
    """Start ``dagster dev`` as ``make ui`` does, and leave none of its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_defs.ui", "-m", MODULE, "-h", "127.0.0.1", "-p", str(port)],
        cwd=ROOT,
        env=os.environ
        | {
            "SCENARIO_SEARCH_CONFIGS": str(places.configs),
            "SCENARIO_SEARCH_DBT_PROJECT": str(places.project),
            "SCENARIO_SEARCH_RESULTS": str(places.results),
        }
        | dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = Server(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: is_loaded(server), START_SECONDS)
        yield server
    finally:
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=20)
        for one in alive:
            one.kill()
        psutil.wait_procs(alive, timeout=10)


def is_loaded(server: Server) -> bool:
    """Return whether the code location answers with its repository."""
    try:
        entries = server.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    except (urllib.error.URLError, OSError):
        return False
    found = [one["locationOrLoadError"] or {} for one in entries]
    assert not any("message" in one for one in found), found
    return bool(found) and all(one.get("__typename") == "RepositoryLocation" for one in found)


def eventually(is_true: Callable[[], bool], seconds: float) -> float:
    """Wait until something is true and return how long that took, in seconds."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - started


def processes_of(mark: str) -> list[psutil.Process]:
    """Return the processes whose environment or command names something."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if any(mark in word for word in words):
            found.append(process)
    return found
