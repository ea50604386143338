"""Optuna in n processes over one SQLite storage, each trial a few dbt commands."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time

import optuna
from candidate import Problem


def search(file: str, storage: str, worker: int) -> None:
    """Take part in the study until a trial meets all targets or the time is over."""
    problem = Problem.load(file)
    ends = time.monotonic() + problem.seconds
    # Optuna's own advice for several processes: pretend that running trials are bad.
    sampler = optuna.samplers.TPESampler(seed=worker, multivariate=True, constant_liar=True)
    study = optuna.load_study(study_name="peer", storage=storage, sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        candidate = {
            name: trial.suggest_float(name, low, high, step=step)
            for name, (low, high, step) in problem.ranges.items()
        }
        metrics = problem.evaluate(candidate)
        trial.set_user_attr("met", problem.is_met(metrics))
        return problem.loss(metrics)

    def stop(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        trials = study.get_trials(deepcopy=False)
        if any(one.user_attrs.get("met") for one in trials) or time.monotonic() > ends:
            study.stop()

    study.optimize(objective, timeout=problem.seconds, callbacks=[stop])


def main(file: str, workers: int) -> None:
    """Start the processes and wait for them."""
    problem = Problem.load(file)
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        storage = f"sqlite:///{folder}/study.db"
        study = optuna.create_study(study_name="peer", storage=storage)
        study.enqueue_trial(problem.current)
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=search, args=(file, storage, number))
            for number in range(workers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
