"""Candidates side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.cli.leaving import exit_code
from search.cli.main import main

BY_LOOP = {
    "v": {"sql": "select v from result"},
    "paid": {
        "for_each": {"level": [1, 2]},
        "sql": "select v * {{ level }} from result",
        "unit": "USD",
    },
}


class Ran:
    """A study that has run, and its commands."""

    def __init__(self, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.file = file
        self._capfd = capfd

    def __call__(self, command: str, *words: str, code: int = 0) -> str:
        line = [command, str(self.file), "--results", str(self.file.parent.parent / "results")]
        assert exit_code(lambda: main([*line, *words], standalone_mode=False)) == code
        said = self._capfd.readouterr()
        assert "Traceback" not in said.err and "unexpected" not in said.err
        return said.out if said.out else said.err

    def document(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self("compare", "--json", *words)))


@pytest.fixture
def ran(
    tiny: Callable[..., Path], without_children: None, capfd: pytest.CaptureFixture[str]
) -> Ran:
    file = tiny(
        metrics=BY_LOOP,
        scenario={"setup": [{"dbt": {"command": "seed"}}]},
        search={"max_iterations": 1, "batch_size": 2, "sensitivity": "none"},
    )
    (file.parent / "seeds").mkdir()
    (file.parent / "seeds" / "levers.csv").write_text("name,value\nrate,1.5\n")
    one = Ran(file, capfd)
    one("run", code=3)
    return one


def test_current_against_best_trial_and_set(ran: Ran) -> None:
    found = ran.document("--a", "current", "--b", "best", "--b", "trial:1")
    current, best, trial = found["sides"]
    assert current["source"] == "trial 0" and best["source"] == best["label"]
    assert current["parameters"] == {"x": 1.0, "rate": 1.0}
    for position, side in enumerate((current, best, trial)):
        expected = 10 * side["parameters"]["x"] + side["parameters"]["rate"]
        for name, factor in (("v", 1), ("paid@1", 1), ("paid@2", 2)):
            one = found["metrics"][name]["sides"][position]
            assert one["value"] == pytest.approx(expected * factor)
            assert one["difference"] == pytest.approx((expected - 11) * factor)
            assert one["relative"] == pytest.approx(expected / 11 - 1)
    assert found["metrics"]["paid@2"]["by"] == {"level": 2}
    text = ran("compare")
    said = ran("compare", "--b", "trial:99", code=2)
    assert "--b must be a trial of the study, but got 99; there are 0 to 2" in said
    assert "level 2" in text and "22 USD" in text and "metrics from: current (trial 0)" in text

    # A set that no trial has evaluated is evaluated, and with it all: the seed has changed.
    ran("apply", "--set", "rate=2.5", "--set", "x=3", "-m", "a test")
    found = ran.document("--a", "current", "--b", "set:1", "--b", "active")
    assert [side["source"] for side in found["sides"]] == ["evaluated"] * 3
    assert [one["value"] for one in found["metrics"]["v"]["sides"]] == [11.0, 32.5, 32.5]
    assert [side["label"] for side in found["sides"]] == ["current", "set 1", "active set 1"]


def test_trials_are_compared_with_the_vars_that_they_ran_with(
    tiny: Callable[..., Path], without_children: None, capfd: pytest.CaptureFixture[str]
) -> None:
    # The file alone has no value of `base`: without the run's own, nothing could be built.
    file = tiny(
        metrics={"v": {"sql": "select v from result"}},
        scenario={
            "setup": [
                {"sql": "create table levers as select 'rate' as name, 1.0::double as value"},
                {"sql": "create table given as select {{ var('base') }} as base"},
            ],
            "steps": [
                {
                    "sql": "create or replace table result as"
                    " select base + {{ var('x') }} as v from given"
                }
            ],
        },
        search={"max_iterations": 1, "batch_size": 2, "sensitivity": "none"},
    )
    ran = Ran(file, capfd)
    ran("run", "--var", "base=300", "--set", "search.allow_dead_parameters=true", code=3)
    for words, source in (((), "trial"), (("--fresh",), "evaluated")):
        found = ran.document("--a", "current", "--b", "trial:1", *words)
        for side, read in zip(found["sides"], found["metrics"]["v"]["sides"], strict=True):
            assert side["source"].startswith(source)
            assert read["value"] == pytest.approx(300 + side["parameters"]["x"])
    found = ran.document("--a", "current", "--b", "trial:1", "--var", "base=500")
    assert [side["source"] for side in found["sides"]] == ["evaluated"] * 2
    assert found["metrics"]["v"]["sides"][0]["value"] == pytest.approx(501)
    assert "scenario.vars" in ran("compare", "--var", "bsae=1", "--a", "trial:0", code=2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--b is best, but study tiny has no complete trial yet"),
        (["--b", "trial:0"], "--b must be a trial of the study, but got 0; there are none"),
        (["--a", "set:1"], "--a must be a parameter set, but got set 1; there are none"),
        (
            ["--a", "bset"],
            "--a must be current, active, best, alternative:N, trial:N or set:N, but got 'bset'",
        ),
    ],
)
def test_names_of_nothing(
    tiny: Callable[..., Path], capfd: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert says in Ran(tiny(), capfd)("compare", *words, code=2)
