"""From a candidate to its metrics: the reference engine runs real dbt, step by step."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import ScenarioError, SearchError
from search.scenario.belongings import Belonging
from search.scenario.duck_limits import DuckLimits
from search.scenario.metric_reader import MetricReader
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.scenario.plan import ScenarioPlan, StatementObserver
from search.scenario.process import peak_memory_bytes, reset_peak_memory, worker_name
from search.scenario.project import DbtProject
from search.scenario.read_log import ReadLog
from search.scenario.seeds import Seeder
from search.scenario.steps import StepPlace, StepRunner
from search.scenario.workspace import FileCopyWorkspace, Workspace
from search.study.steps import ExpandedStep
from search.study.values import Scalar
from search.system.scratch import create_scratch, remove_scratch

SETUP_FILES = "setup files"
"""Name of the belonging that holds what the setup wrote."""
OUT_OF_MEMORY_ADVICE = (
    "give a worker more: raise resources.memory_budget or lower resources.workers"
)


class Evaluator(ABC):
    """Turns candidates into metrics, one at a time, in one process.

    Obligations of an implementation:

    * ``evaluate`` never raises for what a scenario does: the outcome carries the failure.
    * The same request gives the same metrics, whatever was evaluated before.
    * After ``close`` nothing is left on disk.
    """

    engine: str
    isolation: str

    @abstractmethod
    def open(self) -> None:
        """Prepare what all evaluations share."""

    @abstractmethod
    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Return the metrics of a candidate.

        Raises:
            SearchError: If the scenario fails; ``ScenarioError`` says where.
        """

    @abstractmethod
    def close(self) -> None:
        """Release and remove everything. May be called twice."""

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        """Evaluate a candidate and return its outcome, whatever happens."""
        reset_peak_memory()
        stages = StageClock()
        started_at, started = time.time(), time.perf_counter()
        metrics: dict[str, float] = {}
        failure = None
        try:
            metrics = self.measure(request, stages)
        except (SearchError, duckdb.Error, OSError) as error:
            failure = failure_of(error, stages.current)
        return Outcome(
            request=request,
            metrics=metrics,
            failure=failure,
            started_at=started_at,
            seconds=time.perf_counter() - started,
            stage_seconds=stages.seconds,
            peak_memory_bytes=peak_memory_bytes(),
            worker=worker_name(),
            engine=self.engine,
            isolation=self.isolation,
        )


class StageClock:
    """Wall time by stage of one evaluation, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.current = "workspace"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; its name stays current when the stage fails."""
        self.current = name
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def failure_of(error: Exception, stage: str) -> Failure:
    """Return an exception of an evaluation as a failure for the trail."""
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory Error" in text:
        first = text.split("\n\n", 1)[0]
        return Failure(stage="memory", message=f"{first}; {OUT_OF_MEMORY_ADVICE}", step=stage)
    if isinstance(error, ScenarioError):
        return Failure(message=error.message, **error.fields)
    known = stage if stage in ("workspace", "bind", "metrics") else "step"
    return Failure(
        stage="metric" if known == "metrics" else known,
        message=text,
        step=stage if known == "step" else None,
    )


def saw_templates(reads: ReadLog, project: Path) -> None:
    """Notice which templates of a project ask when dbt started."""
    for name, file in DbtProject(project).read_files():
        if file.suffix in (".sql", ".py") and file.is_relative_to(project):
            if "/" in name and not name.startswith("dbt_packages/"):
                reads.saw_template(file.read_text(errors="replace"), name)


@dataclass(frozen=True)
class DbtEvaluatorFactory:
    """Makes a reference evaluator inside a worker process; travels there by pickle.

    Attributes:
        plan: The prepared scenario.
        memory_limit_bytes: DuckDB's limit for one worker.
        max_temp_bytes: The most that one worker may spill to disk.
        threads: DuckDB threads of one worker.
        scratch_parent: Where workers make their scratch folders; the temp folder when None.
    """

    plan: ScenarioPlan
    memory_limit_bytes: int
    max_temp_bytes: int
    threads: int
    scratch_parent: Path | None = None

    def __call__(self) -> Evaluator:
        """Return a new evaluator, not opened yet."""
        return DbtEvaluator(self)

    def belongings(self) -> tuple[Belonging, ...]:
        """Return what the evaluators read: the baseline and the dbt project."""
        plan = self.plan
        written = plan.setup_files
        return (
            Belonging("baseline", plan.baseline.parent, (plan.baseline.name,)),
            Belonging("project", plan.project_dir, plan.project_files),
            *([Belonging(SETUP_FILES, written.folder, written.names())] if written else []),
        )

    def moved(self, folders: Mapping[str, Path]) -> DbtEvaluatorFactory:
        """Return the factory with belongings in other folders."""
        plan = self.plan
        moved = replace(
            plan,
            baseline=folders.get("baseline", plan.baseline.parent) / plan.baseline.name,
            project_dir=folders.get("project", plan.project_dir),
            recorded=None,
            files_fingerprint="" if folders else plan.files_fingerprint,
            setup_files=plan.setup_files
            and replace(plan.setup_files, folder=folders.get(SETUP_FILES, plan.setup_files.folder)),
        )
        return replace(self, plan=moved)

    def limits(self, folder: Path) -> DuckLimits:
        """Return what DuckDB may take, with spill files inside a folder of the worker's."""
        return DuckLimits(
            memory_limit_bytes=self.memory_limit_bytes,
            # Draws come in one order on one thread alone.
            threads=self.threads if self.plan.seed is None else 1,
            temp_directory=folder / "spill",
            max_temp_bytes=self.max_temp_bytes,
        )


class DbtEvaluator(Evaluator):
    """The reference engine: in-process dbt, one invocation a step, on a file copy.

    Always right and slow. Whatever else evaluates candidates is checked against it.

    Args:
        factory: The plan and this worker's limits.
    """

    engine = "dbt"
    observer: StatementObserver | None = None
    """Sees every statement on its way to DuckDB; None in an ordinary evaluation."""

    def __init__(self, factory: DbtEvaluatorFactory) -> None:
        self._plan = factory.plan
        self._factory = factory
        self._scratch: Path | None = None
        self._has_looked = False

    def open(self) -> None:
        """Make this worker's folder, and the dbt session in it."""
        plan = self._plan
        self._scratch = create_scratch(self._factory.scratch_parent)
        private = [self._scratch.resolve(), plan.baseline.parent.resolve()]
        private += [plan.setup_files.folder.resolve()] if plan.setup_files else []
        self._reads = ReadLog(plan.project_dir, tuple(private))
        files, folders, _ = plan.may_read()
        self._workspace: Workspace = FileCopyWorkspace(
            baseline=plan.baseline, folder=self._scratch / "workspace"
        )
        self.isolation = self._workspace.isolation
        self._runner = StepRunner(
            StepPlace(
                project_dir=plan.project_dir,
                profile=plan.profile,
                relations=plan.relations,
                database=self._workspace.path,
                home=self._scratch / "dbt",
                limits=self._factory.limits(self._scratch),
                allow_external_access=plan.allow_external_access,
                reads=self._reads,
                given=plan.setup_files,
                clock=plan.clock,
                known=(*files, *folders),
            ),
            self.observer,
        )

    def read_project(self, request: EvaluationRequest) -> Any:
        """Parse the dbt project as a candidate's first step does, and return dbt's manifest.

        What the project's texts say is kept in the process.

        Raises:
            ProjectError: If it does not parse.
        """
        first = next((step.vars for step in self._plan.steps if step.command is not None), {})
        return self._runner.session.parse(self.candidate_vars(request) | dict(first))

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Run the scenario through dbt and return the candidate's metrics.

        Raises:
            SearchError: If the scenario fails.
        """
        since = time.time()
        seed = self._plan.engine_seed(request)
        reader = MetricReader(self._plan.metrics_of(request), seed, self._runner.led)
        self._runner.seeder = None if seed is None else Seeder(seed)
        self._runner.begin()
        values = dict(request.values)
        candidate_vars = self.candidate_vars(request)
        with stages.stage("workspace"):
            self._workspace.create()
        try:
            with stages.stage("bind"):
                self._find_files_of_setup()
                self._write_table_cells(values)
            for number, step in enumerate(self._plan.steps):
                self._runner.set_time(number)
                with stages.stage(step.name):
                    self.run_step(step, candidate_vars)
                if step.ends_repetition and reader.is_due(step.index):
                    with stages.stage("metrics"):
                        self.read_after(step, reader)
            with stages.stage("metrics"), self._runner.connection() as connection:
                metrics = dict(reader.finish(connection))
            self._learn(since)
            self.look(candidate_vars)
            return metrics
        finally:
            self._workspace.discard()
            self._runner.begin()

    def look(self, candidate_vars: dict[str, Any]) -> None:
        """Look at a candidate's database once its metrics are read; an evaluation does nothing."""

    def _look_at_templates(self) -> None:
        """Notice, once, which templates of the project ask when dbt started."""
        if not self._has_looked:
            self._has_looked = True
            saw_templates(self._reads, self._plan.project_dir)

    def _learn(self, since: float) -> None:
        """Remember what the candidate read beside its database.

        Raises:
            ProjectError: If a file changed meanwhile.
        """
        if self._plan.world is not None:
            for metric in self._plan.metrics:
                self._reads.saw_statement(
                    metric.sql,
                    f"metric {metric.name}",
                    is_confined=not self._plan.allow_external_access,
                )
            self._look_at_templates()
            for world in (self._plan.world, self._plan.recorded):
                if world is not None:
                    world.learn(self._reads, since=since)
                    world.note(self._runner.notes)

    def close(self) -> None:
        """Remove this worker's folder."""
        if self._scratch is not None:
            remove_scratch(self._scratch)
            self._scratch = None

    def _find_files_of_setup(self) -> None:
        """Let views of the baseline read the files of the setup, where those were brought here."""
        files = self._plan.setup_files
        if files is not None and files.is_moved:
            with self._runner.connection() as connection:
                self._runner.session.files.lead_views_of_setup(connection)

    def _write_table_cells(self, values: dict[str, Scalar]) -> None:
        if not self._plan.table_binds:
            return
        with self._runner.connection() as connection:
            for bind in self._plan.table_binds:
                connection.execute(bind.update_sql(), [values[bind.parameter]])

    def candidate_vars(self, request: EvaluationRequest) -> dict[str, Any]:
        """Return the dbt vars of a candidate."""
        return self._plan.vars_of(request)

    def run_step(self, step: ExpandedStep, candidate_vars: dict[str, Any]) -> None:
        """Run one step.

        Raises:
            SearchError: If it fails; ``ScenarioError`` names the step and the model.
        """
        names = {**self._plan.project_vars, **candidate_vars}
        self._runner.run(step, dbt_vars=candidate_vars, sql_vars=names)

    def read_after(self, step: ExpandedStep, reader: MetricReader) -> None:
        """Read the metrics that belong to a repetition of a step."""
        assert step.loop is not None
        with self._runner.connection() as connection:
            reader.read_after(connection, step.index, step.loop[1])
