"""Systems that are not ours: does the sampler meet their targets, beside TPE and CMA-ES?

The systems are those of ``systems.py``; each is searched from its usual start, with several seeds.

    python benchmarks/literature.py --samplers target tpe cmaes
    python benchmarks/literature.py --seeds 21 22 23 24 25 26 27 28 29 30 --batches 4
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings

import optuna
from convergence_analytic import SAMPLERS, run
from systems import systems

LIMIT = 40
"""Evaluations beside the current parameters, at most."""
SEEDS = (7, 8, 9)


def main() -> None:
    """Print a row for each system, sampler and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samplers", nargs="+", default=["target"], choices=list(SAMPLERS))
    parser.add_argument("--batches", nargs="+", type=int, default=[4, 1])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", help="beginnings of the names of systems")
    options = parser.parse_args()
    suite = [one for one in systems() if one.name.startswith(tuple(options.only or [""]))]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print(f"| system | sampler | batch | met of {len(options.seeds)} | evaluations |")
    print("|---|---|---|---|---|")
    for kind, batch in itertools.product(options.samplers, options.batches):
        met, began = 0, time.process_time()
        for system in suite:
            runs = [run(system.problem(), kind, batch, LIMIT, seed) for seed in options.seeds]
            counts = [one.evaluations for one in runs]
            met += sum(one is not None for one in counts)
            shown = ", ".join("-" if one is None else str(one) for one in counts)
            hits = sum(one is not None for one in counts)
            print(f"| {system.name} | {kind} | {batch} | {hits} | {shown} |", flush=True)
        total = len(options.seeds) * len(suite)
        seconds = time.process_time() - began
        print(f"| all | {kind} | {batch} | {met} of {total} | {seconds:.0f} CPU s |", flush=True)


if __name__ == "__main__":
    main()
