"""Ray Tune with Optuna as its search algorithm, each trial a few dbt commands."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import optuna
import ray
from candidate import Problem
from ray import tune
from ray.tune.search.optuna import OptunaSearch


def main(file: str, workers: int) -> None:
    """Search until a trial meets all targets or the time is over."""
    problem = Problem.load(file)

    def trainable(config: dict[str, float]) -> dict[str, float]:
        metrics = problem.evaluate(config)
        return {"loss": problem.loss(metrics), "met": float(problem.is_met(metrics))}

    space = {
        name: optuna.distributions.FloatDistribution(low, high, step=step)
        for name, (low, high, step) in problem.ranges.items()
    }
    searcher = OptunaSearch(
        space=space,
        metric="loss",
        mode="min",
        points_to_evaluate=[problem.current],
        sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True),
    )
    os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")
    # A Ray of its own, whatever cluster runs on the machine or ran last; its folder goes with it.
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=80_000_000,
            _temp_dir=str(Path(folder, "ray")),
        )
        tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                max_concurrent_trials=workers,
                time_budget_s=problem.seconds,
            ),
            run_config=tune.RunConfig(
                storage_path=folder, stop=MetStopper(), verbose=0, log_to_file=False
            ),
        ).fit()
        ray.shutdown()


class MetStopper(tune.Stopper):
    """Ends everything once a trial meets all targets."""

    def __init__(self) -> None:
        self._is_met = False

    def __call__(self, trial_id: str, result: dict[str, float]) -> bool:
        self._is_met = self._is_met or bool(result["met"])
        return False

    def stop_all(self) -> bool:
        return self._is_met


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
