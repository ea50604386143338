"""Shared fixtures: projects in folders of their own, and studies on them."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent / "scenario"))

from studies import copy_project, read_migrations_once, tiny_document, write_study

read_migrations_once()

# A busy machine is slow now and then; that is no failure of an example.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# The key that seals caches is made in a folder of the tests, and the home folder stays as it is.
_CONFIGS = "scenario-search-config-"


def sweep_configs(folder: Path) -> None:
    """Remove the folders of test processes that were killed."""
    for left in folder.glob(f"{_CONFIGS}*"):
        owner = left.name.removeprefix(_CONFIGS).partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


sweep_configs(Path(tempfile.gettempdir()))
_CONFIG = tempfile.mkdtemp(prefix=f"{_CONFIGS}{os.getpid()}-")
atexit.register(shutil.rmtree, _CONFIG, ignore_errors=True)
os.environ["XDG_CONFIG_HOME"] = _CONFIG

# A shell that starts the tests in the background ignores Ctrl-C for them, and `nohup` a closed
# terminal; the programs that the tests interrupt would inherit that, but inherit no handler.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_report_header() -> str:
    """Name the versions that decide what a scenario computes."""
    names = ("duckdb", "dbt-core", "dbt-duckdb", "ray", "optuna")
    return ", ".join(f"{name} {version(name)}" for name in names)


collect_ignore = ["dagster_defs/shop/definitions.py"]
"""A code location of its own; it needs the manifest that its test makes."""

LONGEST = (
    "dagster_defs/test_jobs.py",
    "docs/test_commands.py",
    "cli/test_cli.py",
    "simulation/test_reproducibility.py",
    "simulation/test_hazard_fit.py",
    "simulation/test_bad_input.py",
    "scenario/compiled/test_literals.py",
    "dagster_defs/test_tuning.py",
    "commands/test_run.py",
    "faults/test_stop_signals.py",
    "dagster_defs/test_server.py",
    "workers/ray/test_ray_faults.py",
    "workers/ray/test_ray_pool.py",
    "workers/ray/test_ray_jobs.py",
    "docs/test_cluster_commands.py",
    "workers/ray/test_nodes.py",
    "workers/ray/test_network.py",
    "storage/test_postgresql.py",
    "scenario/compiled/test_beyond.py",
    "scenario/compiled/test_interpreter.py",
    "scenario/test_retail.py",
    "faults/test_driver_faults.py",
)
"""By processor time, the first ones from 150 to 25 s; a file that is not there does nothing."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave `long` tests to `make test-long` and `make test-faults`; the longest files come first.

    Otherwise one process would be left with a long file at the end.
    """
    if "long" not in config.option.markexpr and os.environ.get("FAULTS") != "all":
        is_long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=is_long)
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study of the tiny project in a folder of its own and returns the study file."""
    project = copy_project("tiny", tmp_path / "project")

    def write(**changes: Any) -> Path:
        document = tiny_document(**changes)
        return write_study(project, document, name=f"{document['study']}.yml")

    return write


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The retail project with its local package installed; not to be changed."""
    folder = tmp_path_factory.mktemp("retail")
    copy_project("retail_rules", folder / "retail_rules")
    project = copy_project("retail", folder / "retail")
    dbt = Path(sys.executable).parent / "dbt"
    subprocess.run([str(dbt), "--quiet", "deps"], cwd=project, check=True, capture_output=True)
    return project


@pytest.fixture(scope="session")
def shared_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder whose cached baselines all tests of the session use."""
    return tmp_path_factory.mktemp("shared") / "results"


class ThisProcess(contextlib.AbstractContextManager["ThisProcess"]):
    """Stands for a child process, and makes its calls here."""

    is_alive = True

    def __init__(self, *, patience: Any = None) -> None:
        self.patience = patience

    def __exit__(self, *_: object) -> None:
        pass

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        report: Any,
        stop: Any = None,
        patience: Any = None,
    ) -> Any:
        return function(*args, report=report)


@pytest.fixture
def without_children(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Prepare in this process, where dbt is imported already: seconds become tenths."""

    folder = os.getcwd()
    for module in ("run", "workbench"):
        monkeypatch.setattr(f"search.commands.{module}.ChildProcess", ThisProcess)
    monkeypatch.setattr("search.driver.verifier.run_in_child", ThisProcess().call)
    yield
    assert os.getcwd() == folder


@pytest.fixture(scope="session")
def installed() -> Callable[[str], str]:
    """Returns where a program is, installed when it is missing; skips where that cannot be."""

    def place_of(package: str) -> str:
        words = [str(Path(__file__).with_name("install.sh")), package]
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(done.stderr.strip())
        return done.stdout.strip()

    return place_of


@pytest.fixture(scope="session")
def chromium(installed: Callable[[str], str]) -> str:
    """The browser's program."""
    return installed("chromium")
