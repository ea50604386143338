"""Candidates that belong to no trial, evaluated together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.scenario.outcome import EvaluationRequest, Outcome
from search.study.values import Scalar
from search.system import interrupt
from search.workers import WorkerPool

WAIT_SECONDS = 0.5
"""Longest wait before a pending interrupt is noticed."""


def outcomes_of(
    pool: WorkerPool,
    candidates: Sequence[Mapping[str, Scalar]],
    seeds: Sequence[Scalar | None],
) -> list[list[Outcome]]:
    """Return the outcomes of each candidate under each seed, in the order given.

    The requests carry the position of their candidate as their trial's number.

    Args:
        pool: Evaluates; open, with nothing under way.
        candidates: To evaluate.
        seeds: Values of the replication variable; None alone where there is none.
    """
    for position, values in enumerate(candidates):
        for seed in seeds:
            pool.submit(EvaluationRequest(position, values, seed))
    outcomes: dict[tuple[int, Scalar | None], Outcome] = {}
    while len(outcomes) < len(candidates) * len(seeds):
        outcome = pool.next_outcome(WAIT_SECONDS)
        interrupt.check()
        if outcome is not None:
            outcomes[outcome.request.trial, outcome.request.replication] = outcome
    return [[outcomes[position, seed] for seed in seeds] for position in range(len(candidates))]
