"""Errors cross process boundaries with all of their fields."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from search import errors
from search.errors import ScenarioError, SearchError, SpecError


def _classes(root: type[SearchError]) -> Iterator[type[SearchError]]:
    yield root
    for child in root.__subclasses__():
        yield from _classes(child)


FIELDS: dict[type[SearchError], dict[str, Any]] = {
    SpecError: {"file": "study.yaml", "key": "search.seed", "line": 7},
    ScenarioError: {
        "stage": "step",
        "step": "steps[0] year=2026",
        "model": "fct_pay",
        "is_retryable": True,
    },
}


@pytest.mark.parametrize(
    "kind", [one for one in _classes(SearchError) if one.__module__ == "search.errors"]
)
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
