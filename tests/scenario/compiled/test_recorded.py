"""Recordings outlive edits of metrics and targets; every other edit is recorded anew."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studies import copy_project, tiny_document, write_study

from search.driver.engine import prepare_engine
from search.scenario.compiled.recording import RecordingEvaluator
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import PreparationLimits, prepare
from search.study import load_study

pytestmark = pytest.mark.dbt
MIB = 2**20
METRICS: dict[str, dict[str, Any]] = {
    "v": {"sql": "select v from result"},
    "twice": {"sql": "select 2 * v from result"},
    "loops": {"sql": "select max(loop) from result"},
    "kept": {"sql": "select sum(v) from log"},
    "each": {"sql": "select v * 3 from result", "after": "each", "combine": "sum"},
    "of_var": {"sql": "select v + {{ var('x') }} from result"},
}
STEPS = [
    {
        "for_each": {"loop": [1, 2]},
        "steps": [
            {
                "sql": "create or replace table result as select {{ var('x') }} * {{ var('by') }}"
                " + (select value from levers) as v, {{ loop }} as loop"
            },
            {"sql": "insert into log select v + loop from result"},
        ],
    }
]
SETUP = [
    {"sql": "create table levers as select 'rate' as name, 1.0::double as value"},
    {"sql": "create table log (v double)"},
]
CANDIDATE = {"x": 2.5, "rate": 3.25}


class Analyst:
    """A study on a project of its own, edited and started again and again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.project = copy_project("tiny", folder / "project")
        # A seed whose text counts, so that the project can be edited.
        self.document = tiny_document(resources={"engine": "compiled"})
        self.document["scenario"]["vars"] = {"by": 10}
        self.document["scenario"]["setup"] = copy.deepcopy(SETUP)
        self.document["scenario"]["steps"] = copy.deepcopy(STEPS)
        self.document["metrics"] = {"v": METRICS["v"]}
        self.recordings = 0
        self.said: list[str] = []
        record = RecordingEvaluator.record

        def counted(evaluator: RecordingEvaluator, request: EvaluationRequest) -> Any:
            self.recordings += 1
            return record(evaluator, request)

        monkeypatch.setattr(RecordingEvaluator, "record", counted)

    def start(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return what a candidate yields after a warm start, and what dbt says of it."""
        spec = load_study(write_study(self.project, self.document))
        self.recordings, self.said = 0, []
        limits = PreparationLimits(512 * MIB, 512 * MIB, 1, self.folder)
        prepared = prepare(spec, self.folder / "baselines", limits, report=self.said.append)
        factory = DbtEvaluatorFactory(prepared.plan, 512 * MIB, 512 * MIB, 1, self.folder)
        programs = self.folder / "programs"
        engine = prepare_engine(factory, spec, programs, report=self.said.append)
        metrics = []
        for made in (engine.factory, factory):
            evaluator = made()
            evaluator.open()
            try:
                outcome = evaluator.evaluate(EvaluationRequest(1, CANDIDATE))
            finally:
                evaluator.close()
            assert outcome.failure is None, outcome.failure
            metrics.append(dict(outcome.metrics))
        assert engine.first is None or engine.first.metrics.keys() == metrics[0].keys()
        return metrics[0], metrics[1]


@pytest.fixture
def analyst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Analyst:
    return Analyst(tmp_path, monkeypatch)


def test_metrics_that_come_and_go_ask_dbt_for_nothing(analyst: Analyst) -> None:
    replayed, by_dbt = analyst.start()
    assert analyst.recordings == 2 and replayed == by_dbt == {"v": 28.25}
    analyst.document["metrics"] = {name: METRICS[name] for name in METRICS}
    replayed, by_dbt = analyst.start()
    assert analyst.recordings == 0 and replayed == by_dbt
    assert replayed["each"] == 2 * 3 * 28.25 and replayed["kept"] == 2 * 28.25 + 3
    assert any("what dbt sends was recorded before" in line for line in analyst.said)
    assert any("new since then: twice, loops" in line for line in analyst.said)
    analyst.document["metrics"] = {"v": METRICS["v"], "twice": {"sql": "select 5 * v from result"}}
    replayed, by_dbt = analyst.start()
    assert analyst.recordings == 0 and replayed == by_dbt == {"v": 28.25, "twice": 141.25}


def test_where_no_metric_stays_dbt_is_recorded_and_told_why(analyst: Analyst) -> None:
    analyst.start()
    analyst.document["metrics"] = {"w": METRICS["v"]}
    analyst.document["targets"] = {"w": analyst.document["targets"]["v"]}
    replayed, by_dbt = analyst.start()
    assert analyst.recordings == 2 and replayed == by_dbt
    assert any("recorded anew: no metric" in line for line in analyst.said)


def test_a_new_metric_that_may_read_a_file_or_the_time_is_asked_of_dbt(analyst: Analyst) -> None:
    analyst.start()
    later = "select v + (case when current_date > '2000-01-01' then 1 else 0 end) from result"
    analyst.document["metrics"] = {"v": METRICS["v"], "later": {"sql": later}}
    replayed, by_dbt = analyst.start()
    assert analyst.recordings == 2 and replayed == by_dbt
    assert any("metric later may depend on the time" in line for line in analyst.said)


def test_a_new_metric_that_fails_is_told_as_at_a_cold_start(analyst: Analyst) -> None:
    analyst.start()
    analyst.document["metrics"] = {"v": METRICS["v"], "bad": {"sql": "select error('no')"}}
    with pytest.raises(Exception, match="metrics.bad"):
        analyst.start()


EDITS: dict[str, Callable[[Analyst, random.Random], bool]] = {}
"""Name of an edit to what makes it; returns whether dbt must be asked again."""


def edit(make: Callable[[Analyst, random.Random], bool]) -> None:
    EDITS[make.__name__] = make


@edit
def add_a_metric(analyst: Analyst, draw: random.Random) -> bool:
    name = draw.choice(sorted(METRICS))
    analyst.document["metrics"][name] = METRICS[name]
    return False


@edit
def remove_a_metric(analyst: Analyst, draw: random.Random) -> bool:
    analyst.document["metrics"].pop(draw.choice(sorted(METRICS.keys() - {"v"})), None)
    return False


@edit
def change_a_metric(analyst: Analyst, draw: random.Random) -> bool:
    factor = draw.randint(2, 9)
    analyst.document["metrics"]["twice"] = {"sql": f"select {factor} * v from result"}
    return False


@edit
def move_a_target_and_a_range(analyst: Analyst, draw: random.Random) -> bool:
    analyst.document["targets"]["v"]["value"] = float(draw.randint(20, 90))
    analyst.document["parameters"]["x"]["high"] = float(draw.randint(5, 12))
    analyst.document["constraints"] = [f"x + rate <= {draw.randint(10, 20)}"]
    return False


@edit
def change_a_var(analyst: Analyst, draw: random.Random) -> bool:
    before = analyst.document["scenario"]["vars"]["by"]
    analyst.document["scenario"]["vars"] = {"by": draw.randint(2, 9)}
    return before != analyst.document["scenario"]["vars"]["by"]


@edit
def change_a_step(analyst: Analyst, draw: random.Random) -> bool:
    step = analyst.document["scenario"]["steps"][0]["steps"][1]
    before, step["sql"] = (
        step["sql"],
        f"insert into log select v + {draw.randint(1, 9)} from result",
    )
    return bool(before != step["sql"])


@edit
def change_the_setup(analyst: Analyst, draw: random.Random) -> bool:
    analyst.document["scenario"]["setup"][1]["sql"] = (
        f"create table log as select {draw.randint(1, 9)}::double as v"
    )
    return True  # or not, when the same was drawn again


@edit
def edit_a_model(analyst: Analyst, draw: random.Random) -> bool:
    model = analyst.project / "models" / "fct_result.sql"
    model.write_text(f"{model.read_text()}\n-- {draw.random()}\n")
    return True


def edited_at_random(analyst: Analyst, seed: int, count: int) -> None:
    """Make edits and start after each: numbers are dbt's, and dbt is asked where it must be."""
    draw = random.Random(seed)
    analyst.start()
    for _ in range(count):
        name = draw.choice(sorted(EDITS))
        must_ask = EDITS[name](analyst, draw)
        replayed, by_dbt = analyst.start()
        assert replayed == by_dbt, name
        assert must_ask or analyst.recordings == 0, (name, analyst.said)


def test_random_edits_give_what_a_cold_run_gives(analyst: Analyst) -> None:
    edited_at_random(analyst, seed=1, count=6)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
def test_many_random_edits_give_what_a_cold_run_gives(analyst: Analyst, seed: int) -> None:
    edited_at_random(analyst, seed, count=10)
