"""Checks an evaluation against real dbt: the same metrics, and dbt's own tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.scenario.dbt_results import NodeResult
from search.scenario.evaluator import DbtEvaluator, DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest, failure_text
from search.scenario.report_tables import PlanTables, plan_tables
from search.scenario.verdict import DataTests, Verification
from search.scenario.world import World
from search.study.report import ReportSpec
from search.study.steps import ExpandedStep
from search.study.values import Scalar
from search.system.child import Report


class _TestingEvaluator(DbtEvaluator):
    """The reference engine that also runs the tests of what the steps built, at the end.

    Args:
        factory: The plan and this process's limits.
        asked: The report's tables to read from the first candidate's database; None for none.
        world: Takes what those tables follow from.
    """

    def __init__(
        self,
        factory: DbtEvaluatorFactory,
        asked: ReportSpec | None = None,
        world: World | None = None,
    ) -> None:
        super().__init__(factory)
        self.tested: list[NodeResult] = []
        self.tables: PlanTables | None = None
        self._asked = asked
        self._world = world
        self._since = 0.0

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Evaluate a candidate; ``tested`` then has how its tests ended."""
        self._runner.session.built.clear()
        self.tested = []
        self._trial = request.trial
        return super().measure(request, stages)

    def _learn(self, since: float) -> None:
        """Learn what is read up to the report's tables, which decide no metric."""
        self._since = since
        if self.tables is None:
            super()._learn(since)

    def look(self, candidate_vars: dict[str, Any]) -> None:
        """Read the report's tables of the first candidate; its metrics stand already."""
        if self._asked is not None and self.tables is None:
            self.tables = plan_tables(
                self._trial, self._asked, self._plan, self._runner, candidate_vars
            )
            if self._world is not None:
                self._world.learn(self._reads, since=self._since)

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run a step; after the last one, run the tests: one may compare nodes of several steps."""
        super().run_step(step, candidate_vars)
        if step is self._plan.steps[-1]:
            dbt_steps = [dbt_step for dbt_step in self._plan.steps if dbt_step.command is not None]
            excludes = {asked.exclude for asked in dbt_steps}
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

    Arguments are those of :func:`verify_and_read`, which also reads the report's tables.
    """
    return verify_and_read(factory, requests, expected, current, find, None, report=report)[0]


def verify_and_read(
    factory: DbtEvaluatorFactory,
    requests: Sequence[EvaluationRequest],
    expected: Sequence[Mapping[str, float]] | None,
    current: Mapping[str, Scalar],
    find: Callable[[EvaluationRequest], str | None] | None,
    asked: ReportSpec | None,
    world: World | None = None,
    *,
    report: Report,
) -> tuple[Verification, PlanTables | None]:
    """Evaluate candidates through real dbt with its tests, and compare the metrics.

    Tests that fail are run for today's values as well, to tell which failures are new.

    Args:
        factory: Makes the reference evaluator.
        requests: A candidate, once for each replication.
        expected: The metrics to confirm, in the same order; None when they are dbt's own, and
            the tests alone are asked for.
        current: Today's candidate.
        find: Says where a candidate's replay and dbt part ways, when they do.
        asked: The report's tables to read from the candidate's database; not read where it has
            several replications, whose own reads are still to be learned.
        world: Takes what those tables follow from.
        report: Takes a line of progress.

    Returns:
        What was found, and the tables; None where none were asked for or no database was built.
    """
    scenario = factory.plan.fingerprints.get("scenario")
    evaluator = _TestingEvaluator(factory, asked if len(requests) == 1 else None, world)
    evaluator.open()
    differences: list[str] = []
    wrong: EvaluationRequest | None = None
    ended = _Ended()
    seconds = 0.0
    try:
        if expected is None and not evaluator.has_tests(requests[0]):
            return Verification((), DataTests(), None, 0.0, scenario), None
        report("verifying through real dbt, with its tests")
        for number, request in enumerate(requests):
            outcome = evaluator.evaluate(request)
            seconds += outcome.seconds
            if outcome.failure is not None:
                message = failure_text(outcome.failure)
                return Verification((), DataTests(), message, seconds, scenario), None
            ended.take(request.replication, evaluator.tested)
            if expected is not None:
                unequal = differing(outcome.metrics, expected[number], threads=factory.threads)
                wrong = request if unequal and wrong is None else wrong
                differences += unequal
        tests = _told_apart(evaluator, ended, requests[0], current, report)
    finally:
        evaluator.close()
    if wrong is not None and find is not None:
        report("looking for the first relation that differs")
        where = find(wrong)
        differences += [] if where is None else [where]
    return Verification(tuple(differences), tests, None, seconds, scenario), evaluator.tables


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
        for test in tested:
            name = _test_name(test.unique_id)
            if not test.is_failure:
                self.passed.append(name)
                continue
            self.failed.setdefault(name, []).append(replication)
            self.messages.setdefault(name, " ".join((test.message or test.status).split()))


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
    reference: Mapping[str, float], measured: Mapping[str, float], *, threads: int
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
        f"{name} = {measured[name]!r} where dbt gives {value!r}"
        for name, value in reference.items()
        if not abs(measured[name] - value) <= allowed * abs(value)
    ]
