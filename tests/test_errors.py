"""Errors cross process boundaries with all of their fields."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search import errors
from search.cli.leaving import INTERRUPTED, UNEXPECTED, USAGE
from search.driver import results
from search.errors import ScenarioError, SearchError, SpecError


def _classes(root: type[SearchError]) -> Iterator[type[SearchError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)


ROOT = Path(__file__).parents[1]
KINDS = [one for one in _classes(SearchError) if one.__module__ == "search.errors"]
RUN_CODES = {
    results.TARGETS_MET, results.TARGETS_MISSED, results.METRICS_NOT_REPRODUCED,
    results.TESTS_NEWLY_FAILING, results.NOTHING_COMPLETE, INTERRUPTED,
}  # fmt: skip

FIELDS: dict[type[SearchError], dict[str, Any]] = {
    SpecError: {"file": "study.yaml", "key": "search.seed", "line": 7},
    ScenarioError: {
        "stage": "step",
        "step": "steps[0] year=2026",
        "model": "fct_pay",
        "is_retryable": True,
    },
}


STAGES = (
    *("workspace", "bind", "step", "metric", "memory", "timeout", "worker", "driver"),
    errors.OUTSIDE,
)
"""Where an evaluation can fail."""


def test_every_code_is_listed_and_every_listed_code_exists() -> None:
    page = (ROOT / "docs" / "errors.md").read_text().split("## ")
    listed = [re.findall(r"^\| `(\w+)`", part, re.MULTILINE) for part in page]
    kinds = [one.kind for one in KINDS if one not in (SearchError, ScenarioError)]
    stages = [errors.scenario_code(stage) for stage in STAGES]
    assert len(set(kinds)) == len(kinds)
    assert set(listed[2]) == RUN_CODES
    assert set(listed[3]) == {*kinds, *stages, USAGE, INTERRUPTED, UNEXPECTED}
    assert all(len(set(names)) == len(names) for names in listed)


def test_errors_outside_the_one_file_have_no_codes_of_their_own() -> None:
    elsewhere = [one for one in _classes(SearchError) if one.__module__ != "search.errors"]
    assert [one.__name__ for one in elsewhere if one.__module__.startswith("search.")] == []


def test_an_error_as_a_document_says_code_and_place() -> None:
    error = ScenarioError("it broke", stage="step", step="steps[1]", model="model.pay.fct_pay")
    assert error.document() == {
        "failure": "step steps[1], model model.pay.fct_pay: it broke",
        "code": "scenario_step",
        "exit_code": 1,
        "message": "it broke",
        "stage": "step",
        "step": "steps[1]",
        "model": "model.pay.fct_pay",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_pickles_with_its_fields(kind: type[SearchError]) -> None:
    error = kind("must hold, got this, do that", **FIELDS.get(kind, {}))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.message, again.fields) == (str(error), error.message, error.fields)
    assert again.exit_code == kind.exit_code in (errors.EXIT_FAILURE, errors.EXIT_BAD_INPUT)


def test_spec_error_reads_like_a_compiler_message() -> None:
    error = SpecError("must be a number", file="study.yaml", key="search.seed", line=7)
    assert str(error) == "study.yaml:7: search.seed: must be a number"
    assert str(SpecError("wrong", file="study.yaml")) == "study.yaml: wrong"
    assert str(SpecError("wrong", key="search")) == "search: wrong"
    assert str(SpecError("wrong")) == "wrong"


def test_scenario_error_names_step_and_model() -> None:
    error = ScenarioError("it broke", stage="step", step="steps[1]", model="fct_pay")
    assert str(error) == "step steps[1], model fct_pay: it broke"
    assert error.fields["is_retryable"] is False
