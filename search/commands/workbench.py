"""A prepared scenario at hand: what every command needs that evaluates candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.driver.engine import source_of
from search.driver.progress import Progress
from search.errors import ProjectError
from search.scenario.at_work import patience
from search.scenario.compiled.library import Library
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.input_content import changes
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import ScenarioPlan
from search.scenario.preparation import Prepared, prepare
from search.scenario.project import DbtProject
from search.study import StudySpec
from search.study.budget import MemoryPlan
from search.study.layout import Layout
from search.study.values import Scalar
from search.system import files
from search.system.child import ChildProcess
from search.system.scratch import sweep_scratch
from search.system.seal import KEY_FILE_VARIABLE, key_file, users_seal
from search.system.unchanged import Unchanged
from search.workers.resources import (
    evaluator_factory,
    memory_plan,
    preparation_limits,
    scratch_parent,
)


@dataclass(frozen=True)
class Workbench:
    """A scenario that is ready to be evaluated, and the process that made it so.

    Attributes:
        spec: The study.
        layout: Where results and caches are.
        memory: What the study may take.
        child: The process that dbt runs in: importing it takes seconds.
        prepared: The plan, the baseline, and what the user should know.
        reference: Makes the reference evaluator.
        progress: Takes news for a person.
        watched: The files of the dbt project, as they were before it was prepared.
    """

    spec: StudySpec
    layout: Layout
    memory: MemoryPlan
    child: ChildProcess
    prepared: Prepared
    reference: DbtEvaluatorFactory
    progress: Progress
    watched: Unchanged

    @property
    def programs(self) -> Path:
        """Folder of all compiled programs."""
        return self.layout.programs.absolute()

    @property
    def fingerprint(self) -> str:
        """Of all that a candidate's metrics follow from."""
        return self.prepared.plan.fingerprints["scenario"]

    def library(self) -> Library:
        """Return the compiled programs of the scenario."""
        return Library.of(source_of(self.reference, self.spec), self.programs)

    def warnings(self) -> tuple[str, ...]:
        """Return what the user should know, as far as it is known by now."""
        world = self.prepared.plan.world
        return (*self.prepared.warnings, *(world.warnings() if world else ()))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the child process; what it reports is news for the person."""
        return self.child.call(function, *arguments, report=self.progress.note)


@contextmanager
def open_workbench(spec: StudySpec, results: Path, progress: Progress) -> Iterator[Workbench]:
    """Prepare a study's scenario, and end the process that did so afterwards.

    Args:
        spec: The study.
        results: Folder of all results.
        progress: Takes news for a person.

    Raises:
        SearchError: If something of the user's is wrong.
    """
    memory = memory_plan(spec)
    layout = Layout(results, spec.study)
    sweep_scratch(scratch_parent(spec))
    tell_passing_key(progress)
    with (
        files.private(
            layout.folder, layout.baselines, layout.programs, is_shared=spec.results.is_shared
        ),
        ChildProcess(patience=patience(spec.search.prepare_timeout)) as child,
    ):
        bench = prepared_workbench(spec, layout, memory, child, progress)
        world = bench.prepared.plan.world
        told = bench.warnings()
        for warning in told:
            progress.note(f"warning: {warning}")
        inputs = bench.prepared.plan.inputs()
        require_same_inputs(bench.prepared.plan, inputs)
        known = world.inputs().keys() if world else set()
        yield bench
        for warning in bench.warnings():
            if warning not in told:  # the first evaluation of a project is what notices it
                progress.note(f"warning: {warning}")
        # What only the setup was seen to read before: the fingerprint moves, the contents do not.
        has_learnt = world is not None and world.inputs().keys() != known
        require_same_inputs(bench.prepared.plan, inputs, has_learnt=has_learnt)
        bench.watched.require_untouched()


def tell_passing_key(progress: Progress) -> None:
    """Say so when what is cached now cannot be used by the next command.

    Called before child processes start, which have the key from the environment then.
    """
    if not users_seal().is_lasting:
        progress.note(
            f"warning: {key_file()} can neither be read nor written, so baselines and programs are "
            f"made anew by each command; set {KEY_FILE_VARIABLE} to a file that can be kept"
        )


def prepared_workbench(
    spec: StudySpec, layout: Layout, memory: MemoryPlan, child: ChildProcess, progress: Progress
) -> Workbench:
    """Prepare a study's scenario in a process that the caller ends.

    Raises:
        SearchError: If something of the user's is wrong.
    """
    watched = Unchanged(lambda: project_files(spec))
    prepared: Prepared = child.call(
        prepare,
        spec,
        layout.baselines.absolute(),
        preparation_limits(spec, memory),
        report=progress.note,
    )
    reference = evaluator_factory(spec, prepared.plan, memory)
    return Workbench(spec, layout, memory, child, prepared, reference, progress, watched)


def require_same_inputs(
    plan: ScenarioPlan, inputs: Mapping[str, str], *, has_learnt: bool = False
) -> None:
    """Refuse to go on when what a scenario reads is no longer what its fingerprint says.

    Args:
        plan: The prepared scenario.
        inputs: What it reads and what that held before.
        has_learnt: Whether an evaluation was seen to read something for the first time.

    Raises:
        ProjectError: Naming what changed.
    """
    now = plan.inputs()
    known = {key: content for key, content in now.items() if key in inputs}
    if moved := changes(inputs, known):
        raise ProjectError(
            f"{', '.join(moved)} changed meanwhile, so a number may belong to either content; "
            "start again"
        )
    is_known = not has_learnt and not now.keys() - inputs.keys()
    if is_known and plan.with_world().fingerprints != plan.fingerprints:
        raise ProjectError("what the scenario reads changed meanwhile; start again")


def requests_of(
    spec: StudySpec, candidates: Sequence[tuple[int, Mapping[str, Scalar]]]
) -> list[EvaluationRequest]:
    """Return numbered candidates as requests, each once for every replication."""
    return [
        EvaluationRequest(trial=number, values=values, replication=seed)
        for number, values in candidates
        for seed in spec.scenario.seeds
    ]


def project_files(spec: StudySpec) -> list[Path]:
    """Return the files of the dbt project; none where preparing will say what is wrong."""
    project = DbtProject(spec.resolve_path(spec.scenario.dbt_project))
    try:
        return [file for _, file in project.read_files()]
    except (ProjectError, OSError):
        return []
