"""Evaluations until all targets are met, on the real simulation: samplers side by side.

Studies come from a seeded generator: 2 to 12 parameters of the workforce simulation (vars or rows
of comp_levers, some whole numbers, some choices), 2 to 6 targets with tolerances of 0.2 % to 5 %,
one year or five. Targets are the metrics of a hidden candidate, inside the ranges or at their
bounds; every sixth study asks for something that no candidate gives. All samplers see the same
studies, and a candidate that two of them try is evaluated once.

    python benchmarks/convergence.py --studies 36 --seed 1
    python benchmarks/convergence.py --studies 12 --seed 2 --samplers target --batches 4
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from convergence_analytic import Run, run
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial

from search.driver.engine import prepare_engine
from search.sampling.target import TargetSampler
from search.scenario.evaluator import Evaluator
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.study import StudySpec, load_study
from search.study.fingerprint import candidate_key
from search.study.space import canonical, current_candidate, distributions
from search.study.targets import Goal, all_met
from search.system.child import Report
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

ROOT = Path(__file__).resolve().parent.parent
METRICS = {
    "total_compensation_cost": "USD",
    "average_compensation": "USD",
    "median_compensation": "USD",
    "compensation_growth_rate": "fraction",
    "median_merit_increase": "fraction",
    "promotion_rate": "fraction",
    "closing_headcount": "people",
    "pay_equity_cv": "ratio",
    "mean_compa_ratio": "ratio",
}
VARS: dict[str, dict[str, Any]] = {
    "merit_base": {"low": 0.0, "high": 0.08, "current": 0.035},
    "cola_rate": {"low": 0.0, "high": 0.05, "step": 0.0005, "current": 0.02},
    "promotion_raise": {"low": 0.05, "high": 0.25, "current": 0.12},
    "promotion_rate_multiplier": {"low": 0.5, "high": 2.0, "step": 0.05, "current": 1.0},
    "new_hire_salary_adjustment": {"low": 0.9, "high": 1.15, "current": 1.0},
    "target_growth_rate": {"low": -0.02, "high": 0.08, "current": 0.03},
    "total_termination_rate": {"low": 0.05, "high": 0.16, "step": 0.0025, "current": 0.12},
    "new_hire_termination_rate": {"low": 0.05, "high": 0.3, "current": 0.25},
    "promotion_month": {"low": 1, "high": 12, "current": 2, "type": "integer"},
    "promotion_age_limit": {"low": 50, "high": 70, "current": 65, "type": "integer"},
    "new_hire_minimum_days": {"low": 1, "high": 200, "current": 30, "type": "integer"},
    "hiring_level_mix": {"choices": ["stayers", "fixed"], "current": "stayers"},
}
"""Levers that travel as dbt vars; one is a choice, three are whole numbers."""
ENOUGH_ROOM = 3.0
"""A metric is a target only where candidates move it by this many tolerances."""
SAMPLE = 8
"""Candidates by which a study's generator learns what moves."""


class Simulation:
    """The workforce simulation of one horizon and one way to bind levers, compiled.

    Args:
        spec: A study of all its levers.
        evaluator: Evaluates its candidates; opened.
    """

    def __init__(self, spec: StudySpec, evaluator: Evaluator) -> None:
        self.spec = spec
        self.space = distributions(spec)
        self.current = current_candidate(spec)
        self.evaluations = 0
        self.seconds = 0.0
        self._evaluator = evaluator
        self._known: dict[str, Mapping[str, float]] = {}

    def metrics(self, values: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the metrics of a candidate; levers that it lacks are as today.

        Raises:
            RuntimeError: If the simulation fails.
        """
        candidate = canonical(self.spec, {**self.current, **values})
        key = candidate_key(candidate)
        if key not in self._known:
            outcome = self._evaluator.evaluate(EvaluationRequest(0, candidate))
            if outcome.failure is not None:
                raise RuntimeError(f"{candidate}: {outcome.failure.message}")
            self.evaluations += 1
            self.seconds += outcome.seconds
            self._known[key] = outcome.metrics
        return self._known[key]


@dataclass
class Problem:
    """One study: a few levers of a simulation and targets.

    Attributes:
        name: For people.
        simulation: What is simulated.
        space: The levers that may move.
        current: Their values today.
        goals: The targets.
        impossible: The metric whose target no candidate gives; None when a hidden candidate
            meets all.
    """

    name: str
    simulation: Simulation
    space: Mapping[str, BaseDistribution]
    current: Mapping[str, Any]
    goals: Sequence[Goal]
    impossible: str | None = None
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)

    def metrics(self, values: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the metrics of a candidate."""
        return self.simulation.metrics(values)


# --- the simulations --------------------------------------------------------------


def document(years: int, binding: str, employees: int) -> dict[str, Any]:
    """Return a study of all levers of one binding over some years."""
    last = 2025 + years
    simulated = list(range(2026, last + 1))
    base = yaml.safe_load((ROOT / "configs" / "level-levers.yaml").read_text(encoding="utf-8"))
    simulate = {"command": "run", "select": "tag:simulation"}
    summarise = {
        "command": "run",
        "select": "tag:optimization",
        "vars": {"simulation_year": last},
    }
    steps: list[Any] = [
        {"for_each": {"simulation_year": simulated}, "dbt": simulate},
        {"dbt": summarise},
    ]
    if binding == "rows":
        steps.insert(0, {"dbt": {"command": "run", "select": "stg_comp_levers"}})
        parameters = {
            name: one
            for name, one in base["parameters"].items()
            if years == 5 or not name.startswith("cola_20") or name == "cola_2026"
        }
        parameters["target_growth_rate"] = VARS["target_growth_rate"] | {
            "bind": {"var": "target_growth_rate"}
        }
    else:
        parameters = {name: one | {"bind": {"var": name}} for name, one in VARS.items()}
    return {
        "study": f"{binding}-{years}",
        "scenario": {
            "dbt_project": str(ROOT / "dbt"),
            "vars": {
                "scenario_id": "level-levers" if binding == "rows" else "benchmark",
                "start_year": 2026,
                "census_employees": employees,
            },
            "setup": base["scenario"]["setup"],
            "steps": steps,
        },
        "parameters": parameters,
        "metrics": {
            name: {
                "sql": "select value from {{ ref('fct_optimization_metrics') }} "
                "where scenario_id = '{{ var('scenario_id') }}' and period = 'horizon' "
                f"and job_level is null and metric = '{name}'",
                "unit": unit,
            }
            for name, unit in METRICS.items()
        },
        "targets": {"closing_headcount": {"value": 1}},
        "search": {"allow_dead_parameters": True},
    }


@contextlib.contextmanager
def simulation(
    years: int, binding: str, employees: int, cache: Path, report: Report
) -> Iterator[Simulation]:
    """Yield a compiled simulation; what was compiled before is found in the cache."""
    file = cache / f"{binding}-{years}.yaml"
    file.write_text(yaml.safe_dump(document(years, binding, employees), sort_keys=False))
    spec = load_study(file)
    memory = memory_plan(spec)
    prepared = prepare(spec, cache / "baselines", preparation_limits(spec, memory), report=report)
    factory = evaluator_factory(spec, prepared.plan, memory)
    engine = prepare_engine(factory, spec, cache / "programs", report=report)
    if engine.name != "compiled":
        raise RuntimeError(f"the simulation must compile, but: {engine.warnings}")
    evaluator = engine.factory()
    evaluator.open()
    try:
        yield Simulation(spec, evaluator)  # type: ignore[arg-type]
    finally:
        evaluator.close()


# --- the studies ------------------------------------------------------------------


def problems(
    seed: int, count: int, simulations: Mapping[tuple[int, str], Simulation]
) -> Iterator[Problem]:
    """Yield studies; every sixth cannot be met. The same seed yields the same."""
    kinds = sorted(simulations)
    for number in range(count):
        years, binding = kinds[number % len(kinds)]
        random = np.random.default_rng([seed, number])
        yield _problem(
            f"{number + 1}: {binding}, {years} years",
            simulations[years, binding],
            random,
            is_impossible=number % 6 == 5,
        )


def _problem(
    name: str, simulation: Simulation, random: np.random.Generator, *, is_impossible: bool
) -> Problem:
    while True:
        most = min(12, len(simulation.space))
        chosen = random.choice(
            sorted(simulation.space), int(random.integers(2, most + 1)), replace=False
        )
        space = {lever: simulation.space[lever] for lever in simulation.space if lever in chosen}
        sample = [simulation.metrics(_draw(random, space)) for _ in range(SAMPLE)]
        hidden = _draw(random, space, at_bounds=float(random.choice([0.0, 0.4])))
        truth = simulation.metrics(hidden)
        wanted = min(int(random.integers(2, 7)), len(space) + 1)
        goals = []
        for metric in random.permutation(sorted(METRICS)):
            goal = _goal(random, str(metric), truth[metric])
            values = [one[metric] for one in sample]
            room = ENOUGH_ROOM * goal.tolerance * abs(truth[metric])
            if max(values) - min(values) > room and truth[metric] != 0:
                goals.append(goal)
        goals = goals[:wanted]
        current = {lever: simulation.current[lever] for lever in space}
        if len(goals) < 2 or all_met(goals, simulation.metrics(current)):
            continue
        assert all_met(goals, truth)
        impossible = None
        if is_impossible:
            impossible, goals = _spoiled(random, simulation, space, goals)
        label = f"{name}, {len(space)} levers, {len(goals)} targets"
        return Problem(label, simulation, space, current, goals, impossible)


def _goal(random: np.random.Generator, metric: str, value: float) -> Goal:
    tolerance = float(np.exp(random.uniform(np.log(0.002), np.log(0.05))))
    weight = float(random.choice([1.0, 2.0, 4.0]))
    form = random.random()
    room = 0.5 * tolerance * abs(value)
    if form < 0.75:
        aim = value * (1 + 0.5 * tolerance * random.uniform(-1, 1))
        return Goal(metric, "equal", value=float(aim), tolerance=tolerance, weight=weight)
    if form < 0.85:
        return Goal(metric, "at_most", high=value + room, tolerance=tolerance, weight=weight)
    if form < 0.95:
        return Goal(metric, "at_least", low=value - room, tolerance=tolerance, weight=weight)
    low, high = value - room, value + room
    return Goal(metric, "between", low=low, high=high, tolerance=tolerance, weight=weight)


def _spoiled(
    random: np.random.Generator,
    simulation: Simulation,
    space: Mapping[str, BaseDistribution],
    goals: Sequence[Goal],
) -> tuple[str, list[Goal]]:
    """Put one target well beyond what corners and random candidates give."""
    metric = goals[0].metric
    seen = [simulation.metrics(_draw(random, space, at_bounds=1.0))[metric] for _ in range(24)]
    seen += [simulation.metrics(_draw(random, space))[metric] for _ in range(8)]
    width = max(seen) - min(seen)
    value = max(seen) + 1.5 * width if random.random() < 0.5 else min(seen) - 1.5 * width
    spoiled = Goal(metric, "equal", value=float(value), tolerance=0.01, weight=goals[0].weight)
    return metric, [spoiled, *goals[1:]]


def _draw(
    random: np.random.Generator, space: Mapping[str, BaseDistribution], *, at_bounds: float = 0.0
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, CategoricalDistribution):
            values[name] = one.choices[int(random.integers(len(one.choices)))]
            continue
        assert isinstance(one, IntDistribution | FloatDistribution)
        if random.random() < at_bounds:
            values[name] = one.low if random.random() < 0.5 else one.high
        elif isinstance(one, IntDistribution):
            values[name] = int(random.integers(one.low, one.high + 1))
        else:
            values[name] = float(random.uniform(one.low, one.high))
    return values


# --- what is measured -------------------------------------------------------------


@dataclass(frozen=True)
class Recognition:
    """How an impossible study ended: after which iteration, and whether its reason is right."""

    iterations: int | None
    is_explained: bool


def recognise(problem: Problem, batch: int, iterations: int) -> Recognition:
    """Search an impossible study until the sampler says that it is."""
    sampler = TargetSampler(
        problem.goals, current=problem.current, seed=7, distributions=problem.space
    )
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(dict(problem.current))
    for iteration in range(iterations + 1):
        trials = [study.ask(dict(problem.space)) for _ in range(batch if iteration else 1)]
        for trial in trials:
            metrics = problem.metrics(trial.params)
            for name, value in metrics.items():
                trial.set_user_attr(f"metric:{name}", value)
            study.tell(trial, 1.0)
        found = sampler.assess(study.trials, batch_size=batch)
        if found.should_stop:
            diagnosis = found.diagnosis
            told: set[str] = set()
            if diagnosis is not None:
                told = {*diagnosis.out_of_range, *itertools.chain(*diagnosis.conflicts)}
            return Recognition(iteration, problem.impossible in told)
    return Recognition(None, False)


def proposal_milliseconds(trials: int = 200, levers: int = 12) -> float:
    """Return the time of a proposal late in a long study, in milliseconds."""
    random = np.random.default_rng(1)
    space = {f"p{i}": FloatDistribution(0.0, 1.0) for i in range(levers)}
    goals = [Goal(f"m{i}", "equal", value=9.0, tolerance=0.001) for i in range(4)]
    slopes = random.normal(size=(4, levers))
    sampler = TargetSampler(goals, seed=1, distributions=space)
    study = optuna.create_study(sampler=sampler)
    for _ in range(trials):
        point = random.random(levers)
        metrics = slopes @ point + 0.3 * (slopes @ point**2)
        study.add_trial(
            create_trial(
                params={name: float(x) for name, x in zip(space, point, strict=True)},
                distributions=dict(space),
                value=1.0,
                user_attrs={f"metric:m{i}": float(value) for i, value in enumerate(metrics)},
            )
        )
    began = time.perf_counter()
    for _ in range(4):
        study.ask(dict(space))
    return 1e3 * (time.perf_counter() - began) / 4


def main() -> None:
    """Print the tables."""
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(options.cache or temporary).resolve()
        cache.mkdir(parents=True, exist_ok=True)
        _measure(options, cache)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=36, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other studies")
    parser.add_argument(
        "--samplers", nargs="+", default=["target", "tpe", "cmaes", "random", "proportional"]
    )
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument(
        "--evaluations", type=int, help="of a run at most; iterations x batch when left out"
    )
    parser.add_argument("--employees", type=int, default=2000, help="people in the census")
    parser.add_argument("--years", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--cache", help="folder to keep compiled simulations in")
    parser.add_argument("--verbose", action="store_true", help="a line for each study")
    return parser.parse_args()


def _measure(options: argparse.Namespace, cache: Path) -> None:
    with contextlib.ExitStack() as stack:
        simulations = {}
        for years, binding in itertools.product(options.years, ("vars", "rows")):
            print(f"compiling {binding}, {years} years", flush=True)
            made = simulation(years, binding, options.employees, cache, lambda _: None)
            simulations[years, binding] = stack.enter_context(made)
        suite = list(problems(options.seed, options.studies, simulations))
        reachable = [one for one in suite if one.impossible is None]
        impossible = [one for one in suite if one.impossible is not None]
        print(
            f"seed {options.seed}: {len(reachable)} studies that can be met, {len(impossible)} "
            f"that cannot; {options.employees} employees\n"
        )
        _compare(options, reachable)
        if impossible and "target" in options.samplers:
            _recognise(options, impossible)
        spent = sum(one.seconds for one in simulations.values())
        count = sum(one.evaluations for one in simulations.values())
        print(f"\n{count} evaluations of {spent / max(count, 1):.2f} s")
        print(f"a proposal at 200 trials x 12 parameters: {proposal_milliseconds():.1f} ms")


def _compare(options: argparse.Namespace, reachable: Sequence[Problem]) -> None:
    limit_text = f"met within {options.iterations} iterations"
    print(
        f"| sampler | batch | {limit_text} | evaluations: median | p90 | iterations: median | p90 "
        "| ms a proposal |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for kind, batch in itertools.product(options.samplers, options.batches):
        if kind == "proportional" and batch != options.batches[0]:
            continue
        limit = options.iterations * (1 if kind == "proportional" else batch)
        if options.evaluations and kind != "proportional":
            limit = max(limit, options.evaluations)
        for problem in reachable:
            problem.runs[kind, batch] = run(problem, kind, batch, limit, seed=7)  # type: ignore[arg-type]
        runs = [problem.runs[kind, batch] for problem in reachable]
        counts = [one.iterations for one in runs if one.iterations is not None]
        met = [one for one in counts if one <= options.iterations]
        shown = "1" if kind == "proportional" else str(batch)
        print(
            f"| {kind} | {shown} | {len(met) / len(runs):.0%} ({len(met)} of {len(runs)}) "
            f"| {_quantiles([one.evaluations for one in runs])} "
            f"| {_quantiles([one.iterations for one in runs])} "
            f"| {1e3 * sum(o.seconds for o in runs) / sum(o.proposals for o in runs):.0f} |",
            flush=True,
        )
        if options.verbose:
            for problem, one in zip(reachable, runs, strict=True):
                print(f"    {problem.name}: {one.evaluations} evaluations")


def _quantiles(counts: Sequence[int | None]) -> str:
    """Return median and p90 as two cells; ``-`` where the study was not met by then."""
    ordered = sorted(float("inf") if one is None else float(one) for one in counts)
    middle = statistics.median_high(ordered)
    tail = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return " | ".join("-" if one == float("inf") else f"{one:.0f}" for one in (middle, tail))


def _recognise(options: argparse.Namespace, impossible: Sequence[Problem]) -> None:
    print("\n| studies that cannot be met, batch | recognised | explained | iterations: median |")
    print("|---|---|---|---|")
    for batch in options.batches:
        found = [recognise(problem, batch, options.iterations) for problem in impossible]
        known = [one.iterations for one in found if one.iterations is not None]
        median = f"{statistics.median_high(known)}" if known else "-"
        print(
            f"| {batch} | {len(known)} of {len(found)} "
            f"| {sum(one.is_explained for one in found)} of {len(found)} | {median} |",
            flush=True,
        )
        if options.verbose:
            for problem, one in zip(impossible, found, strict=True):
                print(f"    {problem.name}, {problem.impossible}: {one}")


if __name__ == "__main__":
    main()
