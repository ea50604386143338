"""TargetSampler as an Optuna sampler: it hits, it does not repeat itself, it can be repeated."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from search.sampling.feasible import SpaceExhaustedError
from search.sampling.history import metrics_of_trial
from search.sampling.target import TargetSampler
from search.study.ranking import loss
from search.study.targets import Goal, all_met

optuna.logging.set_verbosity(optuna.logging.WARNING)

Metrics = Callable[[Mapping[str, Any]], dict[str, float]]


def ask_and_tell(
    metrics: Metrics,
    goals: Sequence[Goal],
    space: dict[str, BaseDistribution],
    *,
    batch: int = 4,
    iterations: int = 10,
    backwards: bool = False,
    study: optuna.Study | None = None,
    **options: Any,
) -> optuna.Study:
    """Search as the driver does: a new sampler for each iteration, a batch told as it ends."""
    study = study or optuna.create_study()
    for _ in range(iterations):
        study.sampler = TargetSampler(goals, **options)
        trials = [study.ask(space) for _ in range(batch)]
        for trial in reversed(trials) if backwards else trials:
            found = metrics(trial.params)
            for name, value in found.items():
                trial.set_user_attr(f"metric:{name}", value)
            study.tell(trial, 0.0)
        if any(is_hit(goals, trial) for trial in study.get_trials(deepcopy=False)):
            break
    return study


def is_hit(goals: Sequence[Goal], trial: optuna.trial.FrozenTrial) -> bool:
    metrics = metrics_of_trial(trial)
    if metrics is None or any(goal.is_objective or goal.change is not None for goal in goals):
        return False
    return all_met(goals, metrics)


def candidates(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(trial.params.values()) for trial in study.get_trials(deepcopy=False)]


def floats(count: int) -> dict[str, BaseDistribution]:
    return {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(count)}


def vector(params: Mapping[str, Any]) -> np.ndarray:
    return np.array(list(params.values()), dtype=float)


# --- it hits --------------------------------------------------------------------


@pytest.mark.parametrize(("count", "most"), [(1, 5), (3, 13), (8, 17), (12, 25)])
def test_linear_targets_are_met_a_few_evaluations_after_one_per_parameter(
    count: int, most: int
) -> None:
    random = np.random.default_rng(count)
    rows = min(count, 4)
    matrix = random.uniform(-1, 1, (rows, count))
    hidden = random.uniform(0.2, 0.8, count)

    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {f"m{i}": float(y) for i, y in enumerate(100 + 10 * matrix @ vector(params))}

    wanted = 100 + 10 * matrix @ hidden
    goals = [Goal(f"m{i}", "equal", value=float(y), tolerance=0.002) for i, y in enumerate(wanted)]
    study = ask_and_tell(metrics, goals, floats(count))
    assert any(is_hit(goals, trial) for trial in study.trials)
    assert len(study.trials) <= most


def growth(params: Mapping[str, Any]) -> dict[str, float]:
    """Five years of pay: products over many orders of magnitude, heads are whole."""
    pay = 1.4e9 * (1 + params["merit"] + params["cola"]) ** 5 * (1 + 3 * params["growth"])
    heads = round(20_000 * (1 + params["growth"]) ** 5)
    return {"cost": pay, "heads": float(heads), "raise": params["merit"] + params["cola"] / 2}


GROWTH: dict[str, BaseDistribution] = {
    "merit": FloatDistribution(0.0, 0.08, step=0.0005),
    "cola": FloatDistribution(0.0, 0.05, step=0.0005),
    "growth": FloatDistribution(-0.02, 0.08),
}
TODAY = {"merit": 0.035, "cola": 0.02, "growth": 0.03}
HIDDEN = {"merit": 0.061, "cola": 0.0125, "growth": 0.0123}


def growth_goals(tolerance: float = 0.002) -> list[Goal]:
    found = growth(HIDDEN)
    return [Goal(name, "equal", value=one, tolerance=tolerance) for name, one in found.items()]


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_products_and_counts_are_met_on_the_grid(batch: int) -> None:
    goals = growth_goals()
    study = ask_and_tell(growth, goals, GROWTH, batch=batch, iterations=24, current=TODAY)
    assert study.trials[0].params == TODAY
    assert any(is_hit(goals, trial) for trial in study.trials)
    assert len(study.trials) <= 24 if batch < 16 else 32


def test_a_solution_in_a_corner_is_met() -> None:
    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        x = vector(params)
        return {"sum": 1 + float(x.sum()), "last": float(np.exp(2 * x[-1]))}

    goals = [
        Goal("sum", "equal", value=5.0, tolerance=0.01),
        Goal("last", "at_least", low=7.3, tolerance=0.0),
    ]
    study = ask_and_tell(metrics, goals, floats(4))
    assert any(is_hit(goals, trial) for trial in study.trials)


def test_whole_numbers_choices_and_log_scales_are_met_exactly() -> None:
    factor = {"a": 1.0, "b": 1.6, "c": 0.4}
    space: dict[str, BaseDistribution] = {
        "age": IntDistribution(55, 70),
        "mix": CategoricalDistribution(["a", "b", "c"]),
        "rate": FloatDistribution(1e-4, 1.0, log=True),
        "flag": CategoricalDistribution([True, False]),
    }

    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {
            "load": (params["age"] - 40) * factor[params["mix"]],
            "decay": 5 + math.log(params["rate"]) + (2.0 if params["flag"] else 0.0),
        }

    wanted = metrics({"age": 63, "mix": "b", "rate": 0.02, "flag": True})
    goals = [
        Goal("load", "equal", value=wanted["load"], tolerance=0.005),
        Goal("decay", "between", low=wanted["decay"] - 0.02, high=wanted["decay"] + 0.02),
    ]
    study = ask_and_tell(metrics, goals, space, batch=4)
    assert any(is_hit(goals, trial) for trial in study.trials)


def test_a_metric_that_jumps_and_one_of_noise_do_not_stop_it() -> None:
    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        x = vector(params)
        return {
            "count": float(math.floor(400 * (1 + x[0]) * (1 + 0.3 * x[1]))),
            "median": round(50_000 * (1 + 0.1 * x[1] + 0.05 * x[2]), -2),
            "ripple": 10 + x[2] + 0.01 * math.sin(90 * x[0] + 70 * x[1]),
        }

    wanted = metrics({"x0": 0.31, "x1": 0.72, "x2": 0.44})
    goals = [Goal(name, "equal", value=value, tolerance=0.004) for name, value in wanted.items()]
    study = ask_and_tell(metrics, goals, floats(3))
    assert any(is_hit(goals, trial) for trial in study.trials)


def test_change_refers_to_the_current_parameters() -> None:
    goals = [Goal("cost", "equal", change=-0.03, tolerance=0.002)]
    study = ask_and_tell(growth, goals, GROWTH, current=TODAY, iterations=4)
    today = growth(TODAY)["cost"]
    costs = [trial.user_attrs["metric:cost"] for trial in study.trials]
    assert min(abs(cost / today - 0.97) for cost in costs) < 0.97 * 0.002


@pytest.mark.parametrize("kind", ["minimize", "maximize"])
def test_the_best_of_an_objective_among_candidates_that_meet_the_target(kind: str) -> None:
    price = np.array([1.0, 2.0, 3.0])

    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        x = vector(params)
        return {"heads": float(x.sum()), "price": 10 + float(price @ x)}

    goals = [
        Goal("heads", "equal", value=1.5, tolerance=0.01),
        Goal("price", kind),  # type: ignore[arg-type]
    ]
    study = ask_and_tell(metrics, goals, floats(3), iterations=8)
    met = [
        trial.user_attrs["metric:price"]
        for trial in study.trials
        if abs(trial.user_attrs["metric:heads"] / 1.5 - 1) <= 0.01
    ]
    # Cheapest first: 1 + 0.485 of the second; dearest first: 1 of the third + 0.515.
    best = min(met) if kind == "minimize" else max(met)
    assert best == pytest.approx(11.97 if kind == "minimize" else 14.03, abs=0.03)


def test_only_an_objective_is_searched_to_its_end() -> None:
    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {"dip": float(((vector(params) - 0.3) ** 2).sum())}

    study = ask_and_tell(metrics, [Goal("dip", "minimize")], floats(3), iterations=8)
    assert min(trial.user_attrs["metric:dip"] for trial in study.trials) < 1e-3


# --- what may be proposed -------------------------------------------------------


@pytest.mark.parametrize("has_margins", [True, False])
def test_constraints_hold_for_every_candidate_and_the_target_behind_is_met(
    has_margins: bool,
) -> None:
    def margins(values: Mapping[str, Any]) -> list[float]:
        return [values["merit"] + values["cola"] - 0.06]

    hidden = {"merit": 0.055, "cola": 0.005, "growth": 0.05}
    goals = [
        Goal(name, "equal", value=value, tolerance=0.004) for name, value in growth(hidden).items()
    ]
    options: dict[str, Any] = (
        {"margins": margins}
        if has_margins
        else {"is_allowed": lambda values: margins(values)[0] <= 0}
    )
    study = ask_and_tell(growth, goals, GROWTH, current=TODAY, **options)
    assert all(margins(trial.params)[0] <= 0 for trial in study.trials)
    assert any(is_hit(goals, trial) for trial in study.trials)


def test_no_candidate_comes_twice_and_a_small_space_is_used_up() -> None:
    space: dict[str, BaseDistribution] = {
        "n": IntDistribution(0, 3),
        "c": CategoricalDistribution(["a", "b"]),
        "f": FloatDistribution(0.0, 0.3, step=0.1),
    }

    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {"m": params["n"] + params["f"]}

    study = optuna.create_study()
    goals = [Goal("m", "equal", value=99.0)]
    with pytest.raises(SpaceExhaustedError):
        ask_and_tell(metrics, goals, space, batch=5, iterations=10, study=study)
    every = candidates(study)[:-1] if not study.trials[-1].params else candidates(study)
    assert len(every) == len(set(every)) == 4 * 2 * 4


def test_free_floats_do_not_come_twice_either() -> None:
    goals = [Goal("m", "equal", value=99.0)]
    study = ask_and_tell(
        lambda params: {"m": float(vector(params).sum())}, goals, floats(2), batch=16, iterations=3
    )
    assert len(set(candidates(study))) == len(study.trials) == 48


def test_a_failed_candidate_is_not_tried_again_and_its_surroundings_are_left() -> None:
    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {"m": float(vector(params).sum())}

    study = optuna.create_study()
    space = floats(2)
    goals = [Goal("m", "equal", value=1.0, tolerance=0.001)]
    for _ in range(6):
        study.sampler = TargetSampler(goals, seed=1)
        for trial in [study.ask(space) for _ in range(4)]:
            if trial.params["x0"] > 0.5:
                study.tell(trial, state=TrialState.FAIL)
                continue
            trial.set_user_attr("metric:m", metrics(trial.params)["m"])
            study.tell(trial, 0.0)
    assert len(set(candidates(study))) == len(study.trials)
    late = study.trials[12:]
    assert sum(trial.state == TrialState.FAIL for trial in late) <= len(late) // 3


def test_enqueued_candidates_are_taken_into_account() -> None:
    study = optuna.create_study(sampler=TargetSampler([Goal("m", "equal", value=9.0)]))
    space: dict[str, BaseDistribution] = {"n": IntDistribution(0, 2)}
    study.enqueue_trial({"n": 1})
    study.enqueue_trial({"n": 0})
    assert [study.ask(space).params["n"] for _ in range(3)] == [1, 0, 2]


@pytest.mark.parametrize(("count", "targets"), [(30, 6)])
def test_thirty_parameters_do_not_break_it(count: int, targets: int) -> None:
    random = np.random.default_rng(0)
    matrix = random.uniform(-1, 1, (targets, count))

    def metrics(params: Mapping[str, Any]) -> dict[str, float]:
        return {f"m{i}": float(np.exp(0.1 * y)) for i, y in enumerate(matrix @ vector(params))}

    wanted = metrics({f"x{i}": x for i, x in enumerate(random.uniform(0.3, 0.7, count))})
    goals = [Goal(name, "equal", value=y, tolerance=0.02) for name, y in wanted.items()]
    study = ask_and_tell(metrics, goals, floats(count), batch=8, iterations=5)
    assert any(is_hit(goals, trial) for trial in study.trials)


# --- it can be repeated ---------------------------------------------------------


def test_the_order_in_which_a_batch_ends_does_not_matter() -> None:
    runs = [
        candidates(ask_and_tell(growth, growth_goals(1e-9), GROWTH, iterations=4, backwards=order))
        for order in (False, True)
    ]
    assert runs[0] == runs[1]


def test_the_seed_decides() -> None:
    def run(seed: int) -> list[tuple[Any, ...]]:
        study = ask_and_tell(growth, growth_goals(1e-9), GROWTH, iterations=3, seed=seed)
        return candidates(study)

    first = run(5)
    assert first == run(5)
    assert first[1:4] != run(6)[1:4]


def test_a_study_goes_on_from_its_storage_alone(tmp_path: Path) -> None:
    def storage() -> optuna.storages.BaseStorage:
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
        return optuna.storages.JournalStorage(backend)

    goals = growth_goals(1e-9)
    one = optuna.create_study(storage=storage(), study_name="one")
    for _ in range(2):
        reloaded = optuna.load_study(storage=storage(), study_name="one")
        ask_and_tell(growth, goals, GROWTH, batch=3, iterations=1, study=reloaded)
    whole = ask_and_tell(growth, goals, GROWTH, batch=3, iterations=2)
    assert candidates(one) == candidates(whole)


def test_trials_without_metrics_or_with_other_parameters_are_no_trouble() -> None:
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.add_trial(
        optuna.trial.create_trial(
            params={"x0": 0.2}, distributions={"x0": FloatDistribution(0.0, 1.0)}, value=1.0
        )
    )
    goals = [Goal("m", "equal", value=1.0)]
    space = floats(2)
    study = ask_and_tell(
        lambda params: {"m": math.nan if params["x0"] > 0.9 else float(vector(params).sum())},
        goals,
        space,
        study=study,
        distributions=space,
    )
    assert any(is_hit(goals, trial) for trial in study.trials[2:])


def test_it_needs_a_goal() -> None:
    with pytest.raises(ValueError, match="at least one goal"):
        TargetSampler([])


# --- in someone else's script ---------------------------------------------------


def test_optimize_with_suggest_calls_works_from_the_first_trial() -> None:
    goals = growth_goals()

    def objective(trial: optuna.Trial) -> float:
        params = {
            "merit": trial.suggest_float("merit", 0.0, 0.08, step=0.0005),
            "cola": trial.suggest_float("cola", 0.0, 0.05, step=0.0005),
            "growth": trial.suggest_float("growth", -0.02, 0.08),
        }
        found = growth(params)
        for name, value in found.items():
            trial.set_user_attr(f"metric:{name}", value)
        return loss(goals, found)

    study = optuna.create_study(sampler=TargetSampler(goals, current=TODAY))
    study.optimize(objective, n_trials=20)
    assert study.trials[0].params == TODAY
    assert study.best_value == 0


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sampling.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    code = code.replace("print(", "_print(")
    shown: list[str] = []
    scope: dict[str, Any] = {"_print": lambda *parts: shown.append(" ".join(map(str, parts)))}
    exec(compile(code, "docs/sampling.md", "exec"), scope)
    assert scope["study"].best_value == 0
    assert any("merit" in line for line in itertools.chain(shown))
