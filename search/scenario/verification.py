"""Checks an evaluation against real dbt: the same metrics, and dbt's own tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.scenario.dbt_session import NodeResult
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest, failure_text
from search.study.steps import ExpandedStep
from search.study.values import Scalar
from search.system.child import Report

VERIFIED = "verified"
"""Study attribute: number of a trial to what real dbt said of it."""


@dataclass(frozen=True)
class DataTests:
    """How dbt's data tests ended for a candidate, by name.

    Attributes:
        passed: Tests that pass; a warning is no failure.
        failing_today: Tests that fail for the candidate, and for today's values as well.
        newly_failing: Tests that fail for the candidate and pass for today's values.
        messages: Test to what dbt says of its failure.
    """

    passed: tuple[str, ...] = ()
    failing_today: tuple[str, ...] = ()
    newly_failing: tuple[str, ...] = ()
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def failing(self) -> tuple[str, ...]:
        """Every test that fails."""
        return (*self.newly_failing, *self.failing_today)

    def document(self) -> dict[str, Any]:
        """Return the names as JSON-safe values."""
        return {
            "passed": list(self.passed),
            "failing_today": list(self.failing_today),
            "newly_failing": list(self.newly_failing),
        }

    def texts(self) -> list[str]:
        """Return a clause for each group of tests."""
        parts = []
        if self.newly_failing:
            named = "; ".join(self._named(name) for name in self.newly_failing)
            parts.append(f"{_counted(self.newly_failing, 'newly fails', 'newly fail')}: {named}")
        if self.failing_today:
            named = "; ".join(self._named(name) for name in self.failing_today)
            fail = _counted(self.failing_today, "fails", "fail")
            parts.append(f"{fail} for today's values too: {named}")
        if self.passed:
            parts.append(_counted(self.passed, "passes", "pass"))
        return parts or ["no test looks at what the steps build"]

    def _named(self, name: str) -> str:
        message = self.messages.get(name)
        return f"{name} ({message})" if message else name


@dataclass(frozen=True)
class Verification:
    """What real dbt says of an evaluated candidate.

    That its metrics are dbt's, and that dbt's tests pass, are two facts.

    Attributes:
        differences: Metrics that dbt gives otherwise, one sentence each.
        tests: How the data tests of what the steps build ended.
        failure: Why dbt could not evaluate it; None when it could.
        seconds: Wall time of dbt's evaluation, tests included.
        scenario: Fingerprint of the scenario that dbt evaluated; None when it is not known.
    """

    differences: tuple[str, ...]
    tests: DataTests
    failure: str | None
    seconds: float
    scenario: str | None = None

    @property
    def is_equal(self) -> bool:
        """Whether dbt evaluates the candidate to the same metrics."""
        return not self.differences and self.failure is None

    @property
    def is_verified(self) -> bool:
        """Whether dbt gives the same metrics and no test fails that passes today."""
        return self.is_equal and not self.tests.newly_failing

    def document(self) -> dict[str, Any]:
        """Return the verification as JSON-safe values."""
        return {
            "metrics_verified": self.is_equal,
            "tests": self.tests.document(),
            "differences": list(self.differences),
            "failed_tests": [self.tests._named(name) for name in self.tests.failing],
            "messages": dict(self.tests.messages),
            "failure": self.failure,
            "seconds": self.seconds,
            "scenario": self.scenario,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Verification:
        """Return the verification that a document stands for."""
        found = document.get("tests")
        # Version 0.1.0 did not tell new failures from those of today.
        tests = DataTests(newly_failing=tuple(document.get("failed_tests") or ()))
        if found is not None:
            groups = {name: tuple(found[name]) for name in DataTests().document()}
            tests = DataTests(**groups, messages=dict(document.get("messages") or {}))
        return cls(
            differences=tuple(document["differences"]),
            tests=tests,
            failure=document["failure"],
            seconds=document["seconds"],
            scenario=document.get("scenario"),
        )

    def text(self) -> str:
        """Return the finding in a sentence."""
        if self.failure is not None:
            return f"real dbt cannot evaluate it: {self.failure}"
        said = "; ".join(self.differences) or "real dbt gives the same metrics"
        return f"{said}; {'; '.join(self.tests.texts())} ({self.seconds:.1f} s)"


def _counted(names: Sequence[str], one: str, several: str) -> str:
    return f"1 test {one}" if len(names) == 1 else f"{len(names)} tests {several}"


class _TestingEvaluator(DbtEvaluator):
    """The reference engine that also runs the tests of what the steps built, at the end."""

    def __init__(self, factory: DbtEvaluatorFactory) -> None:
        super().__init__(factory)
        self.tested: list[NodeResult] = []

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Evaluate a candidate; ``tested`` then has how its tests ended."""
        self._runner.session.built.clear()
        self.tested = []
        return super().measure(request, stages)

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run a step; after the last one, run the tests: one may compare nodes of several steps."""
        super().run_step(step, candidate_vars)
        if step is self._plan.steps[-1]:
            dbt_steps = [one for one in self._plan.steps if one.command is not None]
            excludes = {one.exclude for one in dbt_steps}
            self.tested = self._runner.session.test(
                list(self._runner.session.built.values()),
                exclude=dbt_steps[0].exclude if len(excludes) == 1 else (),
                dbt_vars=candidate_vars | dict(dbt_steps[-1].vars if dbt_steps else {}),
            )

    def has_tests(self, request: EvaluationRequest) -> bool:
        """Return whether the project has a data test of something that the steps may build."""
        if not any(step.command for step in self._plan.steps):
            return False
        manifest = self.read_project(request)
        return any(node.resource_type == "test" for node in manifest.nodes.values())


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
    expected: Sequence[Mapping[str, float]] | None,
    current: Mapping[str, Scalar],
    find: Callable[[EvaluationRequest], str | None] | None = None,
    *,
    report: Report,
) -> Verification:
    """Evaluate candidates through real dbt with its tests, and compare the metrics.

    Tests that fail are run for today's values as well, to tell which failures are new.

    Args:
        factory: Makes the reference evaluator.
        requests: A candidate, once for each replication.
        expected: The metrics to confirm, in the same order; None when they are dbt's own, and
            the tests alone are asked for.
        current: Today's candidate.
        find: Says where a candidate's replay and dbt part ways, when they do.
        report: Takes a line of progress.
    """
    scenario = factory.plan.fingerprints.get("scenario")
    evaluator = _TestingEvaluator(factory)
    evaluator.open()
    differences: list[str] = []
    wrong: EvaluationRequest | None = None
    ended = _Ended()
    seconds = 0.0
    try:
        if expected is None and not evaluator.has_tests(requests[0]):
            return Verification((), DataTests(), None, 0.0, scenario)
        report("verifying through real dbt, with its tests")
        for number, request in enumerate(requests):
            outcome = evaluator.evaluate(request)
            seconds += outcome.seconds
            if outcome.failure is not None:
                message = failure_text(outcome.failure)
                return Verification((), DataTests(), message, seconds, scenario)
            ended.take(request.replication, evaluator.tested)
            if expected is not None:
                found = differing(outcome.metrics, expected[number], threads=factory.threads)
                wrong = request if found and wrong is None else wrong
                differences += found
        tests = _told_apart(evaluator, ended, requests[0], current, report)
    finally:
        evaluator.close()
    if wrong is not None and find is not None:
        report("looking for the first relation that differs")
        where = find(wrong)
        differences += [] if where is None else [where]
    return Verification(tuple(differences), tests, None, seconds, scenario)


@dataclass
class _Ended:
    """Tests as they ended, over replications.

    Attributes:
        passed: Names of tests that passed, in order.
        failed: Name of a test to the replications under which it failed.
        messages: Name of a test to dbt's message of its first failure.
    """

    passed: list[str] = field(default_factory=list)
    failed: dict[str, list[Scalar | None]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def take(self, replication: Scalar | None, tested: Sequence[NodeResult]) -> None:
        """Take how the tests of one evaluation ended."""
        for one in tested:
            name = _test_name(one.unique_id)
            if not one.is_failure:
                self.passed.append(name)
                continue
            self.failed.setdefault(name, []).append(replication)
            self.messages.setdefault(name, " ".join((one.message or one.status).split()))


def _told_apart(
    evaluator: _TestingEvaluator,
    ended: _Ended,
    request: EvaluationRequest,
    current: Mapping[str, Scalar],
    report: Report,
) -> DataTests:
    """Return the tests with new failures told from those that today's values have as well."""
    passed = tuple(name for name in dict.fromkeys(ended.passed) if name not in ended.failed)
    if not ended.failed:
        return DataTests(passed)
    today = ended
    if dict(request.values) != dict(current):
        report("tests fail: looking whether they fail for today's values too")
        today = _Ended()
        for seed in dict.fromkeys(seed for seeds in ended.failed.values() for seed in seeds):
            if evaluator.evaluate(EvaluationRequest(0, current, seed)).failure is None:
                today.take(seed, evaluator.tested)
    known = {
        name
        for name, seeds in ended.failed.items()
        if set(seeds) <= set(today.failed.get(name, ()))
    }
    return DataTests(
        passed=passed,
        failing_today=tuple(name for name in ended.failed if name in known),
        newly_failing=tuple(name for name in ended.failed if name not in known),
        messages=ended.messages,
    )


def _test_name(unique_id: str) -> str:
    """Return a test's name as its project writes it.

    Example:
        >>> _test_name("test.shop.not_null_orders_id.cf6c17daed")
        'not_null_orders_id'
    """
    parts = unique_id.split(".")
    return parts[2] if len(parts) > 2 else unique_id


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
