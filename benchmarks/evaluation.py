"""Seconds a candidate: dbt's commands, its runner, our two engines, bare SQL.

All engines evaluate the same candidates of the flagship scenario on the same baseline, in turn
and in one run, so that their ratios hold on a busy machine as well. Metrics must be the same.

    python benchmarks/evaluation.py --employees 20000 100000 --years 5 --repeats 5
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator, StageClock
from search.scenario.metric_reader import MetricReader
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.scenario.project import package_versions
from search.scenario.steps import authors_connection
from search.study import StudySpec, load_study
from search.study.space import current_candidate
from search.system.child import Report, run_in_child
from search.system.memory import MemorySampler
from search.workers.ray.host import ALLOCATOR
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
STUDY = ROOT / "configs" / "compensation-2026.yaml"
FIRST_YEAR = 2026


@dataclass
class Measured:
    """What an engine did with the candidates.

    Attributes:
        opening_seconds: Before the first candidate: start, recording, compiling.
        seconds: Wall time of each candidate; the warm-up is not among them.
        cpu_seconds: Processor time of each candidate, child processes included: it hardly
            depends on what else the machine does.
        metrics: Metrics of each candidate, for the comparison between engines.
        peak_bytes: Most that the engine's processes took together, proportional set size.
        isolation: How candidates are kept apart.
    """

    opening_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    metrics: list[Mapping[str, float]] = field(default_factory=list)
    peak_bytes: int = 0
    isolation: str = "copy"


def study(employees: int, years: int) -> StudySpec:
    """Return the flagship study with a generated census of a given size."""
    simulated = list(range(FIRST_YEAR, FIRST_YEAR + years))
    return load_study(
        STUDY,
        overrides=[
            "scenario.vars.census_path=null",
            f"scenario.vars.census_employees={employees}",
            f"scenario.steps[0].for_each.simulation_year={simulated}",
            f"scenario.steps[1].dbt.vars.simulation_year={simulated[-1]}",
            "resources.workers=1",
        ],
    )


def requests(spec: StudySpec, repeats: int) -> list[EvaluationRequest]:
    """Return a warm-up and ``repeats`` candidates; all differ, so that nothing is remembered."""
    current = current_candidate(spec)
    merits = [round(0.0205 + 0.0015 * number, 4) for number in range(repeats + 1)]
    return [
        EvaluationRequest(trial=number, values=current | {"merit_budget": merit})
        for number, merit in enumerate(merits)
    ]


def with_command_line(
    factory: DbtEvaluatorFactory, asked: Sequence[EvaluationRequest], *, report: Report
) -> Measured:
    """Evaluate with ``dbt`` commands as one types them, on a copy of the baseline."""

    def dbt(words: list[str], environment: Mapping[str, str]) -> None:
        command = [str(Path(sys.prefix, "bin", "dbt")), *words]
        folder = factory.plan.project_dir
        subprocess.run(command, cwd=folder, env=os.environ | environment, check=True)

    return with_dbt(factory, asked, dbt, report=report)


def with_runner(
    factory: DbtEvaluatorFactory, asked: Sequence[EvaluationRequest], *, report: Report
) -> Measured:
    """Evaluate with dbt's own ``dbtRunner`` in one warm process, nothing of ours around it."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    def dbt(words: list[str], environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        os.chdir(factory.plan.project_dir)
        done = dbtRunner().invoke(words)
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        if not done.success:
            raise SystemExit(f"dbt {' '.join(words)}: {done.exception}")

    return with_dbt(factory, asked, dbt, report=report)


def with_dbt(
    factory: DbtEvaluatorFactory,
    asked: Sequence[EvaluationRequest],
    dbt: Callable[[list[str], Mapping[str, str]], None],
    *,
    report: Report,
) -> Measured:
    """Evaluate with a way to call dbt, one call a step, on a copy of the baseline."""
    plan, measured = factory.plan, Measured()
    with scratch() as folder:
        database = folder / f"{plan.profile.catalog}.duckdb"
        limits = factory.limits(folder)
        for number, request in enumerate(asked):
            clock = Clock()
            shutil.copyfile(plan.baseline, database)
            for step in plan.steps:
                said = plan.vars_of(request) | dict(step.vars)
                words = ["--quiet", str(step.command), "--select", *step.select]
                words += ["--vars", json.dumps(said), "--target-path", str(folder / "target")]
                words += ["--log-path", str(folder / "logs")]
                dbt(words, {"WORKFORCE_DB": str(database)})
            reader = MetricReader(plan.metrics)
            with authors_connection(
                database,
                plan.profile,
                project_dir=plan.project_dir,
                limits=limits,
                allow_external_access=plan.allow_external_access,
            ) as connection:
                metrics = dict(reader.finish(connection))
            note(measured, number, clock.stop(), metrics)
            report(f"  calls of dbt {number}/{len(asked) - 1}: {measured.seconds[-1:]}")
    return measured


def with_evaluator(factory: Any, asked: Sequence[EvaluationRequest], *, report: Report) -> Measured:
    """Evaluate in one warm process, as a worker does; the warm-up counts as opening."""
    measured = Measured()
    evaluator: Evaluator = factory()
    started = time.perf_counter()
    evaluator.open()
    try:
        for number, request in enumerate(asked):
            clock = Clock()
            outcome = evaluator.evaluate(request)
            seconds = clock.stop()
            if outcome.failure is not None:
                raise SystemExit(f"{outcome.engine}: {outcome.failure.message}")
            note(measured, number, seconds, outcome.metrics)
            if number == 0:
                measured.opening_seconds = time.perf_counter() - started
            measured.isolation = outcome.isolation
            report(f"  {outcome.engine} {number}/{len(asked) - 1}: {outcome.seconds:.2f} s")
    finally:
        evaluator.close()
    return measured


class Listening:
    """A DuckDB connection that notes what is executed.

    Args:
        connection: Executes it.
        heard: Takes the statements with their values.
    """

    def __init__(self, connection: Any, heard: list[tuple[str, Any]]) -> None:
        self._connection = connection
        self._heard = heard

    def execute(self, sql: str, values: Any = None) -> Any:
        """Note a statement and execute it."""
        self._heard.append((sql, values))
        return self._connection.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def with_bare_sql(factory: Any, asked: Sequence[EvaluationRequest], *, report: Report) -> Measured:
    """Send the statements of the compiled engine to DuckDB as one would by hand.

    The engine runs each candidate first, to hear what it sends; then only the execution of
    those statements is timed, on the same kind of workspace.
    """
    measured = Measured(isolation=factory.isolation)
    evaluator = factory()
    evaluator.open()
    try:
        for number, request in enumerate(asked):
            replay = evaluator.replay_of(request)
            workspace, heard = replay._workspace, []
            begin = workspace.begin

            def listen(begin: Any = begin, workspace: Any = workspace, heard: Any = heard) -> None:
                begin()
                workspace.connection = Listening(workspace.connection, heard)

            workspace.begin = listen
            metrics = replay.measure(request, StageClock())
            workspace.begin = begin
            begin()
            clock = Clock()
            for sql, values in heard:
                workspace.connection.execute(sql, values).fetchall()
            note(measured, number, clock.stop(), metrics)
            workspace.end()
            report(f"  bare SQL {number}/{len(asked) - 1}: {measured.seconds[-1:]}")
    finally:
        evaluator.close()
    return measured


def compile_scenario(factory: Any, candidate: EvaluationRequest, *, report: Report) -> float:
    """Record, lift and check the scenario as a study's start does; return the seconds."""
    started = time.perf_counter()
    factory.library.find_or_compile(candidate.values, report=report)
    return time.perf_counter() - started


class Clock:
    """Takes the wall time and the processor time since it was made, in seconds."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._used()

    def stop(self) -> tuple[float, float]:
        """Return both."""
        return time.perf_counter() - self._wall, self._used() - self._cpu

    def _used(self) -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        used = map(resource.getrusage, kinds)
        return sum(one.ru_utime + one.ru_stime for one in used)


def note(
    measured: Measured, number: int, seconds: tuple[float, float], metrics: Mapping[str, float]
) -> None:
    """Keep a candidate's metrics, and its times unless it is the warm-up."""
    measured.metrics.append(metrics)
    if number > 0:
        measured.seconds.append(seconds[0])
        measured.cpu_seconds.append(seconds[1])


def compiled_factory(spec: StudySpec, factory: DbtEvaluatorFactory, cache: Path) -> Any:
    """Return the factory of the compiled engine."""
    from search.scenario.compiled.library import Library
    from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
    from search.scenario.compiled.source import Source

    source = Source(factory=factory, parameters=spec.parameters, replication=None)
    return ProgramEvaluatorFactory(library=Library.of(source, cache), isolation="overlay")


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder, and remove it."""
    with tempfile.TemporaryDirectory(prefix="scenario-search-bench-") as folder:
        yield Path(folder)


def measure(
    spec: StudySpec, engines: Sequence[str], repeats: int, report: Report
) -> dict[str, Measured]:
    """Measure each engine on the same baseline."""
    memory = memory_plan(spec)
    results: dict[str, Measured] = {}
    with scratch() as folder:
        prepared = run_in_child(
            prepare, spec, folder / "baselines", preparation_limits(spec, memory), report=report
        )
        factory = evaluator_factory(spec, prepared.plan, memory)
        asked = requests(spec, repeats)
        calls = {
            "cli": lambda: (with_command_line, factory),
            "runner": lambda: (with_runner, factory),
            "dbt": lambda: (with_evaluator, factory),
            "compiled": lambda: (
                with_evaluator,
                compiled_factory(spec, factory, folder / "programs"),
            ),
        }
        calls["sql"] = lambda: (with_bare_sql, calls["compiled"]()[1])
        environment = {"PYTHONPATH": str(HERE)}
        for engine in engines:
            function, made = calls[engine]()
            opening = 0.0
            allocator = ALLOCATOR if engine == "compiled" else {}  # as a worker has it
            if engine in ("compiled", "sql"):  # in a process of its own: workers never load dbt
                opening = run_in_child(
                    compile_scenario, made, asked[0], report=report, env=environment
                )
            with MemorySampler(interval_seconds=0.1) as sampler:
                before = sampler.look()
                results[engine] = run_in_child(
                    function, made, asked, report=report, env=environment | allocator
                )
            results[engine].peak_bytes = sampler.peak_bytes - before
            results[engine].opening_seconds += opening
    return results


NAMES = {
    "cli": "dbt commands, one process a step",
    "runner": "dbt's own runner in one warm process",
    "dbt": "engine `dbt`: the same, what repeats kept",
    "compiled": "engine `compiled`: recorded SQL",
    "sql": "the same statements typed into DuckDB",
}


def table(employees: int, years: int, results: Mapping[str, Measured]) -> list[str]:
    """Return the rows of one size as lines of a Markdown table."""
    slowest = max(statistics.median(one.seconds) for one in results.values())
    costliest = max(statistics.median(one.cpu_seconds) for one in results.values())
    lines = []
    for engine, one in results.items():
        median, cpu = statistics.median(one.seconds), statistics.median(one.cpu_seconds)
        lines.append(
            f"| {employees:,} x {years} | {NAMES[engine]} | {one.isolation} | {median:.2f} "
            f"| {min(one.seconds):.2f} - {max(one.seconds):.2f} | {slowest / median:.1f} x "
            f"| {cpu:.2f} | {costliest / cpu:.1f} x | {one.opening_seconds:.1f} "
            f"| {one.peak_bytes / 1e6:,.0f} |"
        )
    return lines


def is_same(results: Mapping[str, Measured]) -> bool:
    """Whether all engines found the same metrics, to the last digit."""
    first, *others = [one.metrics for one in results.values()]
    return all(one == first for one in others)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print a Markdown table, and say whether the metrics agree."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--employees", type=int, nargs="+", default=[2000])
    parser.add_argument("--years", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="+", choices=list(NAMES), default=list(NAMES))
    options = parser.parse_args(words)

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    lines, agrees = [], True
    for employees in options.employees:
        spec = study(employees, options.years)
        results = measure(spec, options.engines, options.repeats, report)
        lines += table(employees, options.years, results)
        agrees = agrees and is_same(results)
    versions = ", ".join(f"{name} {one}" for name, one in package_versions().items())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}, {versions}")
    print()
    print("| employees x years | how | isolation | s a candidate | least - most | faster "
          "| CPU s | less CPU | opening s | peak MB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    print()
    print(f"metrics of all engines are the same: {'yes' if agrees else 'NO'}")
    return 0 if agrees else 1


if __name__ == "__main__":
    # Child processes find the functions by the module's name.
    from evaluation import main as _main  # type: ignore[import-not-found]

    sys.exit(_main())
