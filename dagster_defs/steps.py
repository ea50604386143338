"""A scenario's steps in the main database: by real dbt, with the parameters that were chosen."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import ScenarioError, SpecError
from search.scenario.duck_limits import DuckLimits
from search.scenario.given_vars import project_vars
from search.scenario.metric_reader import read_metric
from search.scenario.plan import PlannedMetric, TableBind
from search.scenario.relations import Relations, render_sql
from search.scenario.seeds import Seeder
from search.scenario.session import confine
from search.scenario.steps import StepPlace, StepRunner, refuse_outside_writes
from search.study import StudySpec, expand, expand_metrics
from search.study.space import dbt_vars, table_updates
from search.study.steps import ExpandedStep
from search.study.values import Scalar
from search.system.child import run_in_child
from search.system.scratch import create_scratch, remove_scratch
from search.workers.resources import memory_plan

OPTIMIZATION = "tag:optimization"
"""Selection of the steps that build the optimization models."""
SAME = 1e-9
"""Largest relative difference of metrics that count as the same: sums in another order."""


@dataclass(frozen=True)
class Chosen:
    """A scenario with the parameters to simulate it with.

    Attributes:
        spec: The study.
        values: A value for each parameter.
        origin: Where they come from, in words.
        trial: The trial that they are the candidate of, or None.
    """

    spec: StudySpec
    values: Mapping[str, Scalar]
    origin: str
    trial: int | None = None

    @property
    def vars(self) -> dict[str, Any]:
        """The dbt vars of every step."""
        var, seeds = self.spec.scenario.replication_var, self.spec.scenario.seeds
        first = {} if var is None else {var: seeds[0]}
        return {**self.spec.scenario.vars, **first, **dbt_vars(self.spec, self.values)}

    @property
    def project(self) -> Path:
        """The scenario's dbt project."""
        return self.spec.resolve_path(self.spec.scenario.dbt_project)

    def steps(self, years: Sequence[int] = ()) -> tuple[ExpandedStep, ...]:
        """Return the steps that one candidate needs, loops unrolled.

        Args:
            years: Repetitions of the scenario's loops to run; all of them when empty.

        Raises:
            SpecError: If the scenario has no such repetition.
        """
        steps = expand(self.spec.scenario.steps)
        known = [step.loop[1] for step in steps if step.loop]
        if unknown := [year for year in years if year not in known]:
            raise SpecError(f"years must be among those of the scenario {known}, but got {unknown}")
        chosen = [step for step in steps if not (years and step.loop and step.loop[1] not in years)]
        if not years:
            return tuple(chosen)
        # A step after the loop refers to the loop's last year, whichever that is now.
        last = {step.loop[0]: step.loop[1] for step in chosen if step.loop}
        return tuple(
            step if step.loop else replace(step, vars={**step.vars, **_known(step.vars, last)})
            for step in chosen
        )

    def years(self) -> list[int]:
        """Return the years that the scenario's loops simulate, in order."""
        loops = [step.loop for step in expand(self.spec.scenario.steps) if step.loop]
        return [value for _, value in loops if isinstance(value, int)]

    def simulation_steps(self, years: Sequence[int] = ()) -> tuple[ExpandedStep, ...]:
        """Return the steps before the optimization models."""
        return tuple(step for step in self.steps(years) if step.select != (OPTIMIZATION,))

    def optimization_vars(self, years: Sequence[int] = ()) -> dict[str, Any]:
        """Return the dbt vars that the optimization models are built with."""
        return self.vars | dict(self.steps(years)[-1].vars)


def _known(own: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in last.items() if name in own}


@dataclass(frozen=True)
class StepRun:
    """What a child process needs to run steps; travels there by pickle.

    Attributes:
        chosen: The scenario and its parameters.
        steps: The steps to run after the setup.
        database: The database to write.
        relations: The project's relations.
    """

    chosen: Chosen
    steps: tuple[ExpandedStep, ...]
    database: Path
    relations: Relations


def run_steps(run: StepRun, *, report: Callable[[str], None]) -> None:
    """Build the foundation, set the parameters' cells, and run steps; in one child process.

    The foundation is always built: the database may hold that of another scenario, with
    other people.

    Raises:
        SearchError: If a step fails; the message names step and model.
    """
    run_in_child(_run_steps, run, report=report)


def _run_steps(run: StepRun, *, report: Callable[[str], None]) -> None:
    from search.scenario.dbt_session import resolve_profile

    spec = run.chosen.spec
    scenario = spec.scenario
    memory = memory_plan(spec)
    scratch = create_scratch()
    written = written_beside(run.database)
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True, mode=0o700)
    try:
        limits = DuckLimits(
            memory_limit_bytes=memory.duckdb_memory_limit_bytes,
            threads=spec.resources.threads_per_worker,
            temp_directory=scratch / "spill",
            max_temp_bytes=memory.max_temp_bytes,
        )
        folder = scenario.profiles_dir
        runner = StepRunner(
            StepPlace(
                project_dir=run.chosen.project,
                profile=resolve_profile(
                    run.chosen.project,
                    profiles_dir=spec.resolve_path(folder) if folder else None,
                    profile=scenario.profile,
                    target=scenario.target,
                    cli_vars=scenario.vars,
                ),
                relations=run.relations,
                database=run.database,
                home=scratch / "dbt",
                limits=limits,
                allow_external_access=scenario.allow_external_access,
                files=written,
            )
        )
        if scenario.engine_seed is not None:
            runner.seeder = Seeder(scenario.seeds[0] or scenario.engine_seed)
        setup = expand(scenario.setup, kind="setup")
        for step in setup:
            _run(step, run, runner, report)
        _set_cells(run, runner)
        for step in run.steps:
            _run(step, run, runner, report)
    finally:
        remove_scratch(scratch)
        with contextlib.suppress(OSError):
            written.rmdir()  # mostly there is nothing in it


def _run(
    step: ExpandedStep, run: StepRun, runner: StepRunner, report: Callable[[str], None]
) -> None:
    report(f"{step.name}: {step.command or 'sql'} {' '.join(step.select)}".rstrip())
    try:
        runner.run(step, dbt_vars=run.chosen.vars)
    except duckdb.Error as error:
        raise ScenarioError(str(error), stage="step", step=step.name) from error


def _set_cells(run: StepRun, runner: StepRunner) -> None:
    """Set the table cells that parameters are bound to."""
    updates = table_updates(run.chosen.spec, run.chosen.values)
    if not updates:
        return
    with runner.connection() as connection:
        for update in updates:
            relation = run.relations.find(update.table) or update.table
            bind = TableBind("", update.table, relation, update.column, update.where)
            refuse_outside_writes(bind.update_sql())
            connection.execute(bind.update_sql(), [update.value])


@dataclass(frozen=True)
class Comparison:
    """A metric in the main database against what the study found.

    Attributes:
        metric: Its name.
        found: Of the trial.
        reproduced: Of the main database.
    """

    metric: str
    found: float
    reproduced: float

    @property
    def is_same(self) -> bool:
        """Whether both are the same number, but for the order of sums."""
        return math.isclose(self.found, self.reproduced, rel_tol=SAME, abs_tol=SAME)


def written_beside(database: Path) -> Path:
    """Return the folder of what the project wrote: views of the database may read that."""
    return database.with_name(f"{database.name}.files")


def compare_metrics(
    connection: duckdb.DuckDBPyConnection,
    chosen: Chosen,
    relations: Relations,
    measured: Mapping[str, float],
    *,
    readable: Sequence[Path] = (),
) -> list[Comparison]:
    """Return the study's metrics that can be read at the end, beside those of a trial.

    Metrics that are read after each repetition of a step are left out: their tables hold
    only the last one.

    Args:
        connection: To the main database; it reaches few files from now on, unless the study says
            ``allow_external_access``.
        chosen: The scenario and its parameters.
        relations: The project's relations.
        measured: The trial's metrics.
        readable: Files and folders, beside the project and what its vars name, that views of the
            database may read.

    Raises:
        ScenarioError: If a metric cannot be read.
    """
    project = chosen.project
    if not chosen.spec.scenario.allow_external_access:
        given = {**project_vars(project), **chosen.vars}.values()
        named = (project / value for value in given if isinstance(value, str) and value)
        confine(connection, [project, *readable, *(path for path in named if path.is_file())])
    compared = []
    for metric in expand_metrics(chosen.spec):
        if metric.step is not None or metric.name not in measured:
            continue
        names = {**project_vars(chosen.project), **chosen.vars}
        sql = render_sql(metric.sql, relations, scenario_vars=names, loop=metric.loop)
        value = read_metric(connection, PlannedMetric(metric.name, sql, metric.unit))
        compared.append(Comparison(metric.name, measured[metric.name], value))
    return compared
