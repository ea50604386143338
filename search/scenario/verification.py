"""Checks an evaluation against real dbt: the same metrics, and dbt's own tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from search.errors import ScenarioError
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.study.steps import ExpandedStep
from search.system.child import Report


@dataclass(frozen=True)
class Verification:
    """What real dbt says of an evaluated candidate.

    Attributes:
        differences: Metrics that dbt gives otherwise, one sentence each.
        failed_tests: dbt tests that fail for the candidate, one sentence each.
        failure: Why dbt could not evaluate it; None when it could.
        seconds: Wall time of dbt's evaluation, tests included.
    """

    differences: tuple[str, ...]
    failed_tests: tuple[str, ...]
    failure: str | None
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether dbt evaluates the candidate to the same metrics."""
        return not self.differences and self.failure is None

    @property
    def is_verified(self) -> bool:
        """Whether dbt gives the same metrics and its tests pass."""
        return self.is_equal and not self.failed_tests

    def document(self) -> dict[str, Any]:
        """Return the verification as JSON-safe values."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Verification:
        """Return the verification that a document stands for."""
        return cls(
            differences=tuple(document["differences"]),
            failed_tests=tuple(document["failed_tests"]),
            failure=document["failure"],
            seconds=document["seconds"],
        )

    def text(self) -> str:
        """Return the finding in a sentence."""
        if self.is_verified:
            return f"real dbt gives the same metrics, its tests pass ({self.seconds:.1f} s)"
        if self.failure is not None:
            return f"real dbt cannot evaluate it: {self.failure}"
        same = [] if self.differences else ["real dbt gives the same metrics, but a test fails"]
        return "; ".join([*self.differences, *same, *self.failed_tests])


class _TestingEvaluator(DbtEvaluator):
    """The reference engine that also runs the tests of what the steps built, at the end."""

    def __init__(self, factory: DbtEvaluatorFactory) -> None:
        super().__init__(factory)
        self.failed_tests: list[str] = []

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run a step; after the last one, run the tests."""
        super().run_step(step, candidate_vars)
        if step is self._plan.steps[-1]:
            self._run_tests(step, candidate_vars)

    def _run_tests(self, last: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run every test of a selected node: a test may compare nodes of several steps."""
        built = [step for step in self._plan.steps if step.command in ("run", "build", "seed")]
        if not built:
            return
        selects_all = any(not step.select for step in built)
        words = dict.fromkeys(word for step in built for word in step.select)
        try:
            self._runner.session.run(
                "test",
                select=() if selects_all else tuple(words),
                exclude=built[0].exclude if len({step.exclude for step in built}) == 1 else (),
                dbt_vars=candidate_vars | dict(built[-1].vars),
            )
        except ScenarioError as error:
            if "model" not in error.fields:
                raise
            self.failed_tests.append(str(error))


def warm_up(factory: DbtEvaluatorFactory, request: EvaluationRequest, *, report: Report) -> None:
    """Import dbt and read the project, so that a verification in this process need not.

    Args:
        factory: Makes the reference evaluator.
        request: Any candidate: a project may not parse without its vars.
        report: Takes nothing.

    Raises:
        SearchError: If the project does not parse.
    """
    if "dbt.cli.main" in sys.modules:
        return
    evaluator = DbtEvaluator(factory)
    evaluator.open()
    try:
        evaluator.read_project(request)
    finally:
        evaluator.close()


def verify(
    factory: DbtEvaluatorFactory,
    requests: Sequence[EvaluationRequest],
    expected: Sequence[Mapping[str, float]],
    find: Callable[[EvaluationRequest], str | None] | None = None,
    *,
    report: Report,
) -> Verification:
    """Evaluate candidates through real dbt with its tests, and compare the metrics.

    Args:
        factory: Makes the reference evaluator.
        requests: A candidate, once for each replication.
        expected: The metrics to confirm, in the same order.
        find: Says where a candidate's replay and dbt part ways, when they do.
        report: Takes a line of progress.
    """
    report("verifying through real dbt, with its tests")
    evaluator = _TestingEvaluator(factory)
    evaluator.open()
    differences: list[str] = []
    wrong: EvaluationRequest | None = None
    seconds = 0.0
    try:
        for request, metrics in zip(requests, expected, strict=True):
            outcome = evaluator.evaluate(request)
            seconds += outcome.seconds
            if outcome.failure is not None:
                tests = tuple(evaluator.failed_tests)
                return Verification((), tests, outcome.failure.message, seconds)
            found = differing(outcome.metrics, metrics, threads=factory.threads)
            wrong = request if found and wrong is None else wrong
            differences += found
    finally:
        evaluator.close()
    if wrong is not None and find is not None:
        report("looking for the first relation that differs")
        where = find(wrong)
        differences += [] if where is None else [where]
    return Verification(tuple(differences), tuple(evaluator.failed_tests), None, seconds)


def differing(
    reference: Mapping[str, float], found: Mapping[str, float], *, threads: int
) -> list[str]:
    """Return the metrics that differ from dbt's, one sentence each.

    With one thread they must be equal; with more, sums of floating-point numbers may be
    added in another order, and 1e-9 of the value is allowed.

    Example:
        >>> differing({"cost": 2.0}, {"cost": 2.5}, threads=1)
        ['cost = 2.5 where dbt gives 2.0']
    """
    allowed = 0.0 if threads == 1 else 1e-9
    return [
        f"{name} = {found[name]!r} where dbt gives {value!r}"
        for name, value in reference.items()
        if not abs(found[name] - value) <= allowed * abs(value)
    ]
