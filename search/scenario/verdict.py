"""What real dbt said of an evaluated candidate, as it is kept with the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        tested = document.get("tests")
        # Version 0.1.0 did not tell new failures from those of today.
        tests = DataTests(newly_failing=tuple(document.get("failed_tests") or ()))
        if tested is not None:
            groups = {name: tuple(tested[name]) for name in DataTests().document()}
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


def _counted(names: Sequence[str], single: str, several: str) -> str:
    return f"1 test {single}" if len(names) == 1 else f"{len(names)} tests {several}"
