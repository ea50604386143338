"""Random candidates through both engines: every metric must be the same, bit for bit.

Each study of configs/ and the retail project of the tests: dbt itself, recorded SQL on an overlay
and recorded SQL on a file copy evaluate the same candidates, drawn at random inside the ranges.

    python benchmarks/equality.py --employees 5000 --candidates 50
    python benchmarks/equality.py --studies quick retail --candidates 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import (  # type: ignore[import-not-found]
    HERE,
    ROOT,
    compile_scenario,
    compiled_factory,
    scratch,
)

from search.sampling.history import axes_of
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.preparation import prepare
from search.scenario.project import package_versions
from search.study import StudySpec, load_study
from search.study.space import canonical, constraints_hold, current_candidate, distributions
from search.system.child import Report, run_in_child
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

RETAIL = "retail"
WORKSPACES = ("overlay", "copy")


@dataclass(frozen=True)
class Comparison:
    """What became of a study's candidates.

    Attributes:
        study: Its name.
        size: What it was run on.
        candidates: How many candidates dbt evaluated.
        metrics: How many metrics each has.
        equal: Workspace to how many candidates had dbt's metrics, bit for bit.
        by_dbt: How many candidates the compiled engine left to dbt.
        failed: How many candidates failed in dbt.
        seconds: Engine or workspace to the median wall time of a candidate.
        differences: The first few differences, in words.
    """

    study: str
    size: str
    candidates: int
    metrics: int
    equal: Mapping[str, int]
    by_dbt: int
    failed: int
    seconds: Mapping[str, float]
    differences: Sequence[str]


def studies() -> dict[str, Path]:
    """Return every study by its name."""
    found = {path.stem: path for path in sorted((ROOT / "configs").glob("*.yaml"))}
    return found | {RETAIL: ROOT / "tests" / "projects" / RETAIL / "study.yml"}


def load(name: str, employees: int, folder: Path) -> StudySpec:
    """Return a study, with a generated census of a given size where it has one."""
    path = studies()[name]
    one_worker = ["resources.workers=1", "resources.memory_budget=8GB"]
    if name != RETAIL:
        census = ["scenario.vars.census_path=null", f"scenario.vars.census_employees={employees}"]
        return load_study(path, overrides=[*one_worker, *census])
    for project in (RETAIL, "retail_rules"):
        shutil.copytree(path.parents[1] / project, folder / project)
    dbt = str(Path(sys.prefix, "bin", "dbt"))
    subprocess.run([dbt, "--quiet", "deps"], cwd=folder / RETAIL, check=True)
    return load_study(folder / RETAIL / "study.yml", overrides=one_worker)


def random_candidates(spec: StudySpec, count: int, seed: int) -> list[EvaluationRequest]:
    """Return the current candidate and others at random, none twice where there are enough."""
    box = axes_of(distributions(spec))
    chooser = np.random.default_rng(list(f"{spec.study} {seed}".encode()))
    found = [current_candidate(spec)]
    for _ in range(100 * count):
        if len(found) == count:
            break
        one = canonical(spec, box.values(box.snap(box.uniform(chooser, 1))[0]))
        if constraints_hold(spec, one) and one not in found:
            found.append(one)
    replications = spec.scenario.replications
    seeds = replications.values if replications else (None,)
    return [
        EvaluationRequest(trial=i, values=one, replication=seeds[i % len(seeds)])
        for i, one in enumerate(found[:count])
    ]


def evaluate(factory: Any, asked: Sequence[EvaluationRequest], *, report: Report) -> list[Outcome]:
    """Evaluate the candidates one after the other, in this process."""
    evaluator = factory()
    evaluator.open()
    outcomes = []
    try:
        for number, request in enumerate(asked, 1):
            outcomes.append(evaluator.evaluate(request))
            if number % 10 == 0 or number == len(asked):
                report(f"  {outcomes[-1].engine} {number}/{len(asked)}")
    finally:
        evaluator.close()
    return outcomes


def compare(
    spec: StudySpec, size: str, count: int, seed: int, folder: Path, report: Report
) -> Comparison:
    """Evaluate a study's candidates on every engine and workspace, and compare."""
    memory = memory_plan(spec)
    environment = {"PYTHONPATH": str(HERE)}
    limits = preparation_limits(spec, memory)
    prepared = run_in_child(prepare, spec, folder / "baselines", limits, report=report)
    factory = evaluator_factory(spec, prepared.plan, memory)
    asked = random_candidates(spec, count, seed)
    overlay = compiled_factory(spec, factory, folder / "programs")
    run_in_child(compile_scenario, overlay, asked[0], report=report, env=environment)
    factories = {"dbt": factory}
    factories |= {name: replace(overlay, isolation=name) for name in WORKSPACES}
    # Recorded SQL first: a statement that fails there is seen before dbt's long run.
    found = {
        name: run_in_child(evaluate, factories[name], asked, report=report, env=environment)
        for name in (*WORKSPACES, "dbt")
    }
    return counted(spec.study, size, found)


def counted(study: str, size: str, found: Mapping[str, Sequence[Outcome]]) -> Comparison:
    """Count what is equal, and say what is not."""
    equal = dict.fromkeys(WORKSPACES, 0)
    differences: list[str] = []
    expected = found["dbt"]
    for name in WORKSPACES:
        for one, other in zip(expected, found[name], strict=True):
            if one.failure is None and other.failure is None and one.metrics == other.metrics:
                equal[name] += 1
            elif one.failure is None or other.failure is None:
                what = other.failure or one.failure or _first_difference(one, other)
                differences.append(f"{study}, {name}, {dict(one.request.values)}: {what}")
    return Comparison(
        study=study,
        size=size,
        candidates=len(expected),
        metrics=len(expected[0].metrics),
        equal=equal,
        by_dbt=sum(one.engine == "dbt" for one in found["overlay"]),
        failed=sum(one.failure is not None for one in expected),
        seconds={
            name: statistics.median(one.seconds for one in outcomes)
            for name, outcomes in found.items()
        },
        differences=differences,
    )


def _first_difference(one: Outcome, other: Outcome) -> str:
    return next(
        f"{name} is {other.metrics.get(name)!r}, but dbt's is {value!r}"
        for name, value in one.metrics.items()
        if other.metrics.get(name) != value
    )


def row(one: Comparison) -> str:
    """Return a comparison as a line of the table."""
    seconds = " | ".join(f"{one.seconds[name]:.2f}" for name in ("dbt", *WORKSPACES))
    return (
        f"| {one.study} | {one.size} | {one.candidates} | {one.metrics} | {one.equal['overlay']} "
        f"| {one.equal['copy']} | {one.by_dbt} | {one.failed} | {seconds} |"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print a Markdown table row by row, and end with 1 when something differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--employees", type=int, default=5000)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--studies", nargs="+", choices=list(studies()), default=list(studies()))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    versions = ", ".join(f"{name} {one}" for name, one in package_versions().items())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {versions}\n")
    print("| study | size | candidates | metrics | equal on overlay | equal on copy | left to dbt "
          "| failed in dbt | dbt s | overlay s | copy s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    differences: list[str] = []
    for name in options.studies:
        with scratch() as folder:
            spec = load(name, options.employees, folder)
            size = "as it is" if name == RETAIL else f"{options.employees:,} employees"
            report(f"{name}, {size}")
            found = compare(spec, size, options.candidates, options.seed, folder, report)
        print(row(found), flush=True)
        differences += found.differences
    print("\n" + "\n".join(differences[:20] or ["every metric of every candidate is the same"]))
    return 1 if differences else 0


if __name__ == "__main__":
    # Child processes find the functions by the module's name.
    from equality import main as _main  # type: ignore[import-not-found]

    sys.exit(_main())
