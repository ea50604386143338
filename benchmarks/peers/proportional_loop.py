"""One candidate after the other: all levers move by a tenth of the mean relative miss."""

from __future__ import annotations

import sys
import time

from candidate import Problem

FACTOR = 0.1


def main(file: str, _: int) -> None:
    """Search until a candidate meets all targets or the time is over."""
    problem = Problem.load(file)
    ends = time.monotonic() + problem.seconds
    candidate = dict(problem.current)
    while time.monotonic() < ends:
        metrics = problem.evaluate(candidate)
        if problem.is_met(metrics):
            return
        misses = [(metrics[name] - value) / value for name, (value, _) in problem.targets.items()]
        factor = 1 - FACTOR * sum(misses) / len(misses)
        for name, (low, high, _) in problem.ranges.items():
            candidate[name] = min(high, max(low, candidate[name] * factor))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
