"""Do the sampler's constants matter? Each group of them smaller and greater, on the same studies.

A row's figure is the mean number of evaluations until all targets are met, over the analytic suite
and the systems of the literature; what is missed counts as the limit and a half. A group that no
figure depends on may be anything; one that is best where it stands is kept for that.

    python benchmarks/ablation.py --problems 15
    python benchmarks/ablation.py --groups strengths blur --problems 30
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from convergence_analytic import Problem, problems, run
from systems import systems

from search.sampling import (
    aims,
    basis,
    belief,
    design,
    doubt,
    prospects,
    regret,
    step,
    surrogate,
    target,
    trim,
)

BATCH, LIMIT, MISSED = 4, 40, 60
"""Candidates a batch, evaluations beside today's at most, and what a missed study counts."""

GROUPS: Mapping[str, Sequence[tuple[Any, str]]] = {
    "strengths": [(surrogate, "STRENGTHS")],
    "lengths": [(basis, "LENGTHS")],
    "waves": [(basis, "FEATURES_PER_LENGTH")],
    "remainder": [(basis, "SHORT_SHARE"), (surrogate, "NOISE_SHARE")],
    "scale": [(surrogate, "SCALE_SHAPE"), (surrogate, "SCALE_RATE")],
    "relevance": [(surrogate, "SPARE_EVALUATIONS"), (surrogate, "CLEAR_EVIDENCE")],
    "blur": [(belief, "BLUR")],
    "draws": [(belief, "DRAWS")],
    "pool": [
        (prospects, "POLISHED"), (prospects, "COMBINATIONS"), (prospects, "HELD"),
        (prospects, "ROUNDED"), (prospects, "ROUNDINGS"), (prospects, "JUMPING"),
    ],
    "regret": [(regret, "MISS_REGRET"), (regret, "LATER_MISS_REGRET")],
    "centre": [(aims, "CENTRE_PULL"), (aims, "SOFT_MARGIN")],
    "step": [(step, "ITERATIONS")],
    "trims": [(trim, "NEAR_MISSES"), (trim, "NEAR"), (trim, "REFUTED"), (trim, "MOST_PAIRS")],
    "doubt": [(doubt, "DOUBTFUL"), (doubt, "PROBED"), (doubt, "UNLIKELY")],
    "stall": [(doubt, "STALLED")],
    "start": [(target, "INITIAL_LIMIT"), (design, "MARGIN")],
}  # fmt: skip
"""Constants that are changed together, by the module that has them."""


def scaled(value: Any, factor: float) -> Any:
    """Return a constant times a factor: whole numbers stay whole, each part of several."""
    if isinstance(value, tuple):
        return tuple(scaled(part, factor) for part in value)
    if isinstance(value, int):
        return max(1, round(value * factor))
    return value * factor


@contextmanager
def changed(group: str, factor: float) -> Iterator[None]:
    """Have the constants of a group times a factor for a while."""
    kept = [(module, name, getattr(module, name)) for module, name in GROUPS[group]]
    try:
        for module, name, value in kept:
            setattr(module, name, scaled(value, factor))
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def measured(suite: Sequence[Problem], seed: int) -> tuple[float, int]:
    """Return the mean number of evaluations, and how many studies were met."""
    counts = [run(problem, "target", BATCH, LIMIT, seed).evaluations for problem in suite]
    met = [count for count in counts if count is not None]
    return (sum(met) + MISSED * (len(counts) - len(met))) / len(counts), len(met)


def main() -> None:
    """Print a row for each group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3, help="of the analytic suite")
    parser.add_argument("--problems", type=int, default=15, help="analytic studies")
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=list(GROUPS))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    suite = [one for one in problems(options.seed, options.problems) if one.is_reachable]
    suite += [system.problem() for system in systems()]
    began = time.process_time()
    print(f"{len(suite)} studies, batches of {BATCH}; mean evaluations (met)\n")
    print("| group | constants | halved | as they are | doubled |\n|---|---|---|---|---|")
    as_is = measured(suite, options.seed)
    for group in options.groups:
        cells = []
        for factor in (0.5, 2.0):
            with changed(group, factor):
                cells.append(measured(suite, options.seed))
        names = ", ".join(f"`{name}`" for _, name in GROUPS[group])
        shown = [f"{mean:.1f} ({met})" for mean, met in (cells[0], as_is, cells[1])]
        print(f"| {group} | {names} | {' | '.join(shown)} |", flush=True)
    print(f"\n{time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main()
