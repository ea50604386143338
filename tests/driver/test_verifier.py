"""The process that prepared a study verifies its winner, and is not missed when it dies."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from studies import copy_project, dbt_document, factory_of, load

from search.driver.engine import Engine
from search.driver.progress import SilentProgress
from search.driver.verifier import VERIFIED, Verifier
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.system.child import ChildProcess
from search.system.scratch import sweep_scratch
from search.workers.resources import memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

VALUES = {"x": 2.0, "rate": 1.0}


def silent(line: str) -> None:
    pass


class Attributes:
    """What a verifier needs of a store."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def attributes(self) -> dict[str, Any]:
        return self.kept

    def other_versions(self) -> list[Any]:
        return []

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        self.kept |= attributes


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> DbtEvaluatorFactory:
    folder = copy_project("tiny", tmp_path_factory.mktemp("study") / "tiny")
    spec = load(folder, dbt_document())
    limits = preparation_limits(spec, memory_plan(spec))
    with ChildProcess() as child:
        prepared = child.call(prepare, spec, folder / "baselines", limits, report=silent)
    return factory_of(prepared.plan, folder / "scratch")


@pytest.fixture
def child() -> Iterator[ChildProcess]:
    with ChildProcess() as child:
        yield child


def verifier_of(child: ChildProcess, factory: DbtEvaluatorFactory) -> Verifier:
    sealed = replace(factory.plan, fingerprints={**factory.plan.fingerprints, "scenario": "sealed"})
    engine = Engine(factory, "compiled", "overlay", first=None, plan=sealed)
    return Verifier(child, factory, engine, EvaluationRequest(0, VALUES), SilentProgress())


def end_with(metrics: dict[str, float]) -> Any:
    return SimpleNamespace(
        best=SimpleNamespace(number=7, values=VALUES, evaluations=[(None, metrics)])
    )


def process_of(child: ChildProcess) -> psutil.Process:
    return psutil.Process(child._process.pid)


def wait_for_dbt(process: psutil.Process) -> None:
    """Wait until a process has loaded dbt's adapter, and with it DuckDB."""
    deadline = time.monotonic() + 60
    while not any("duckdb" in one.path for one in process.memory_maps()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_waiting_process_verifies(
    child: ChildProcess, factory: DbtEvaluatorFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.verifier.run_in_child", None)
    store: Any = Attributes()
    with verifier_of(child, factory) as verifier:
        wait_for_dbt(process_of(child))  # before anybody asks
        verification = verifier.verify(store, end_with({"v": 21.0}))
        assert verification is not None and verification.is_verified
        wrong = verifier.verify(Attributes(), end_with({"v": 99.0}))  # type: ignore[arg-type]
        assert wrong is not None and wrong.differences == ("v = 99.0 where dbt gives 21.0",)
    assert store.kept[VERIFIED]["7"]["failure"] is None
    assert store.kept[VERIFIED]["7"]["scenario"] == "sealed"  # what the next start asks for
    assert list((factory.scratch_parent or Path()).iterdir()) == []


def test_another_process_verifies_when_the_waiting_one_was_killed(
    child: ChildProcess, factory: DbtEvaluatorFactory
) -> None:
    with verifier_of(child, factory) as verifier:
        process = process_of(child)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        verification = verifier.verify(Attributes(), end_with({"v": 21.0}))  # type: ignore[arg-type]
    assert verification is not None and verification.is_verified


def test_a_search_that_is_left_does_not_wait_for_dbt(factory: DbtEvaluatorFactory) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        ChildProcess() as child,
        verifier_of(child, factory),
    ):
        process = process_of(child)
        wait_for_dbt(process)
        raise KeyboardInterrupt
    assert not process.is_running()
    assert factory.scratch_parent is not None
    sweep_scratch(factory.scratch_parent)  # as each run does: on a busy machine it was killed
    assert not factory.scratch_parent.exists() or not list(factory.scratch_parent.iterdir())


def test_what_dbt_evaluated_is_not_verified_in_a_project_without_tests(
    child: ChildProcess, factory: DbtEvaluatorFactory
) -> None:
    by_dbt = Engine(factory, "dbt", "copy", first=None)
    store: Any = Attributes()
    current = EvaluationRequest(0, VALUES)
    with Verifier(child, factory, by_dbt, current, SilentProgress()) as verifier:
        assert verifier.verify(store, end_with({"v": 21.0})) is None
    assert store.kept == {}


def test_tables_of_other_plans_are_read_while_the_winner_is_verified(
    child: ChildProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.driver.verifier.SECONDS", 600.0)
    folder = copy_project("tiny", tmp_path / "tiny")
    sql = "select 'all' as part, result from {{ ref('fct_result') }}"
    steps = [{"dbt": {"command": "run", "select": "fct_result"}}]
    report = {"tables": {"result": {"sql": sql, "by": ["part"], "value": "result"}}}
    spec = load(folder, dbt_document(scenario={"steps": steps}, report=report))
    limits = preparation_limits(spec, memory_plan(spec))
    prepared = child.call(prepare, spec, folder / "baselines", limits, report=silent)
    factory = factory_of(prepared.plan, folder / "scratch")
    engine = Engine(factory, "compiled", "overlay", first=None)
    end: Any = end_with({"v": 21.0})
    end.current = SimpleNamespace(number=0, values={"x": 1.0, "rate": 1.0})
    end.alternatives = [SimpleNamespace(trial=3, values={"x": 3.0, "rate": 1.0})]
    documents = []
    for processes in (1, 2):
        store: Any = Attributes()
        current = EvaluationRequest(0, end.current.values)
        with Verifier(child, factory, engine, current, SilentProgress(), processes) as verifier:
            assert verifier.verify(store, end, spec) is not None
            assert (verifier._others is not None) is (processes == 2)
            documents.append(verifier.tables(spec, store, end))
    assert documents[0] == documents[1]
    assert documents[0] is not None and documents[0]["left_out"] == 0
    rows = [of_plan["tables"]["result"]["rows"][0][1] for of_plan in documents[0]["plans"]]
    assert rows == [11.0, 21.0, 31.0]  # today, the winner, the other plan
    assert list((factory.scratch_parent or Path()).iterdir()) == []
