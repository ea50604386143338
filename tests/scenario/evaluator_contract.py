"""What every evaluator promises, as tests; each engine overrides the fixture."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.scenario.evaluator import Evaluator
from search.scenario.outcome import EvaluationRequest
from search.workers import EvaluatorFactory


@dataclass(frozen=True)
class Case:
    """A scenario to evaluate.

    Attributes:
        factory: Makes evaluators.
        good: Requests with different metrics.
        bad: A request whose scenario fails in a step, in ``bad_model`` when that is given.
        scratch: The only folder that evaluators may write to.
        baseline: The baseline's file, when there is one.
        bad_model: Part of the name of the model at fault.
    """

    factory: EvaluatorFactory
    good: tuple[EvaluationRequest, ...]
    bad: EvaluationRequest
    scratch: Path
    baseline: Path | None = None
    bad_model: str = ""


class EvaluatorContract:
    """An evaluation is an outcome, the same for the same candidate, and leaves nothing."""

    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError

    @pytest.fixture
    def evaluator(self, case: Case) -> Iterator[Evaluator]:
        evaluator: Evaluator = pickle.loads(pickle.dumps(case.factory))()
        evaluator.open()
        yield evaluator
        evaluator.close()

    def test_the_same_request_has_the_same_metrics_whatever_ran_before(
        self, evaluator: Evaluator, case: Case
    ) -> None:
        first, *others = case.good
        metrics = evaluator.evaluate(first).metrics
        assert metrics
        seen = [evaluator.evaluate(other).metrics for other in (*others, case.bad)]
        assert all(one != metrics for one in seen)
        assert evaluator.evaluate(first).metrics == metrics

    def test_a_failed_step_is_an_outcome_that_says_where(
        self, evaluator: Evaluator, case: Case
    ) -> None:
        outcome = evaluator.evaluate(case.bad)
        assert not outcome.is_complete and outcome.metrics == {}
        failure = outcome.failure
        assert failure is not None
        assert failure.stage == "step" and failure.step and failure.step.startswith("steps[0]")
        assert "x must be at most 8" in failure.message and "Traceback" not in failure.message
        assert case.bad_model in (failure.model or "")
        assert not failure.is_retryable
        pickle.loads(pickle.dumps(outcome))

    def test_an_outcome_says_what_it_took(self, evaluator: Evaluator, case: Case) -> None:
        outcome = evaluator.evaluate(case.good[0])
        assert outcome.request == case.good[0]
        assert (outcome.engine, outcome.isolation) == (evaluator.engine, evaluator.isolation)
        assert 0 < sum(outcome.stage_seconds.values()) <= outcome.seconds
        assert outcome.peak_memory_bytes > 2**20
        assert outcome.started_at > 1.7e9 and ":" in outcome.worker

    def test_two_evaluators_do_not_meet(self, evaluator: Evaluator, case: Case) -> None:
        alone = evaluator.evaluate(case.good[0]).metrics
        other = case.factory()
        other.open()
        try:
            assert other.evaluate(case.good[-1]).metrics != alone
            assert evaluator.evaluate(case.good[0]).metrics == alone
        finally:
            other.close()

    def test_closed_it_leaves_nothing_and_the_baseline_is_as_before(self, case: Case) -> None:
        before = _hash(case.baseline)
        evaluator = case.factory()
        evaluator.open()
        for request in (case.good[0], case.bad):
            evaluator.evaluate(request)
        evaluator.close()
        evaluator.close()
        assert not case.scratch.exists() or list(case.scratch.iterdir()) == []
        assert _hash(case.baseline) == before


def _hash(file: Path | None) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else None
