"""Chooses how candidates are evaluated: replayed SQL where it equals dbt, else dbt itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.errors import RecordingError, ScenarioError, SpecError
from search.scenario.compiled.draws import SEED_ADVICE, drawing_files
from search.scenario.compiled.library import Library
from search.scenario.compiled.program import CheckPoint, Program
from search.scenario.compiled.program_evaluator import DivergenceFinder, ProgramEvaluatorFactory
from search.scenario.compiled.source import Source
from search.scenario.evaluator import DbtEvaluatorFactory, failure_of
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.plan import ScenarioPlan
from search.scenario.preparation import preflight, scenario_problem
from search.scenario.project import DbtProject
from search.scenario.report_tables import PlanTables, TablesAside, report_world
from search.scenario.verification import differing
from search.study import StudySpec
from search.study.space import current_candidate
from search.system.child import Report
from search.workers import EvaluatorFactory

RECORDING = "recording"
"""Name of the worker in the trail of what dbt evaluated while it was recorded."""


@dataclass(frozen=True)
class Engine:
    """How a study's candidates are evaluated.

    Attributes:
        factory: Makes an evaluator inside a worker.
        name: ``compiled`` or ``dbt``.
        isolation: ``overlay`` or ``copy``.
        first: dbt's own outcome of the current candidate, when it is at hand.
        warnings: What the user should know, one sentence each.
        plan: The prepared scenario, with the fingerprint of all that it was seen to read.
        today: The report's tables of the current candidate, when it was recorded just now.
    """

    factory: EvaluatorFactory
    name: str
    isolation: str
    first: Outcome | None
    warnings: tuple[str, ...] = ()
    plan: ScenarioPlan | None = None
    today: PlanTables | None = None


def prepare_engine(
    factory: DbtEvaluatorFactory,
    spec: StudySpec,
    programs: Path,
    recorders: int = 1,
    *,
    report: Report,
) -> Engine:
    """Return the engine that the study file asks for.

    ``auto`` is the compiled engine when the scenario can be recorded and its replay equals
    dbt, and the reference engine otherwise, with the reason as a warning.

    Args:
        factory: Makes the reference evaluator.
        spec: The study.
        programs: Folder of all compiled programs.
        recorders: Processes that may record the scenario at the same time.
        report: Takes a line of progress.

    Raises:
        SpecError: If a metric is at fault, or a parameter reaches no metric.
        ProjectError: If the scenario fails at the current parameters.
        RecordingError: If ``engine: compiled`` is asked for and cannot be had.
    """
    asked = spec.resources.engine
    if asked == "dbt":
        return _reference(factory, spec, unseeded_draws(factory, spec), report)
    source = source_of(factory, spec, recorders)
    aside = None
    if spec.report.tables:
        world = report_world(factory.plan, spec.report)
        aside = TablesAside(spec.report, current_candidate(spec), world)
        source = replace(source, aside=aside)
    library = Library.of(source, programs)
    try:
        program, _ = library.find_or_compile(current_candidate(spec), report=report)
    except RecordingError as error:
        judge(factory, str(error))
        if asked == "compiled":
            raise cannot_be_compiled(error) from error
        why = f"dbt evaluates every candidate, because {error}"
        return _reference(factory, spec, (why,), report, error.evaluated)
    except ScenarioError as error:
        failure = failure_of(error, error.fields.get("step", "step"))
        raise scenario_problem(failure, spec) from error
    _refuse_dead_parameters(program, library, spec)
    known = _sealed(factory)
    if known is not factory:
        library = library.adopted_by(source_of(known, spec, recorders), programs)
        factory = known
    judge(factory, None)
    isolation = "overlay" if spec.resources.isolation == "auto" else spec.resources.isolation
    return Engine(
        # A worker that compiles the program of another value has its own memory alone.
        factory=ProgramEvaluatorFactory(Library.of(source_of(factory, spec), programs), isolation),
        name="compiled",
        isolation=isolation,
        first=_first_outcome(program, spec),
        warnings=(*program.warnings, *_world_warnings(factory)),
        plan=factory.plan,
        today=None if aside is None else aside.tables,
    )


def judge(factory: DbtEvaluatorFactory, refusal: str | None) -> None:
    """Remember for `doctor` whether a scenario could be compiled, and if not why."""
    if factory.plan.world is not None:
        factory.plan.world.judge(refusal)


def cannot_be_compiled(error: RecordingError, option: str | None = None) -> RecordingError:
    """Return the refusal of a scenario that must be compiled and cannot be.

    Args:
        error: Why not.
        option: The option of a command that asks for it; the study's key when None.
    """
    asked = "resources.engine is compiled, but this" if option is None else f"{option} needs a"
    instead = "set it to auto or dbt" if option is None else "--engine dbt evaluates it"
    but = "scenario" if option is None else "scenario that can be compiled, and this one"
    return RecordingError(f"{asked} {but} cannot be: {error}; {instead}")


def source_of(factory: DbtEvaluatorFactory, spec: StudySpec, recorders: int = 1) -> Source:
    """Return what the programs of a study are compiled from."""
    return Source(factory, spec.parameters, spec.scenario.seeds[0], recorders)


def divergence_finder(factory: EvaluatorFactory) -> DivergenceFinder | None:
    """Return what says where a replay and dbt part ways; None when nothing is replayed."""
    if isinstance(factory, ProgramEvaluatorFactory):
        return DivergenceFinder(factory.library)
    return None


def _reference(
    factory: DbtEvaluatorFactory,
    spec: StudySpec,
    warnings: tuple[str, ...],
    report: Report,
    evaluated: Sequence[CheckPoint] = (),
) -> Engine:
    if spec.resources.isolation == "overlay":
        warnings = (*warnings, "the reference engine works on file copies, not on an overlay")
    first = preflight(factory, spec, report=report)
    warnings = (*warnings, *_second_answers(first, evaluated, factory.threads))
    factory = _sealed(factory)
    warnings = (*warnings, *_world_warnings(factory))
    return Engine(factory, "dbt", "copy", first, warnings, factory.plan)


def _second_answers(first: Outcome, evaluated: Sequence[CheckPoint], threads: int) -> Iterator[str]:
    """Yield where dbt, asked twice for the same candidate, gave another number.

    It was asked before when a recording showed that the scenario cannot be compiled.
    """
    for point in evaluated:
        request = EvaluationRequest(first.request.trial, point.values, point.replication)
        if request == first.request:
            for text in differing(first.metrics, point.metrics, threads=threads):
                yield f"the project is not repeatable: asked twice, {text}"


def _sealed(factory: DbtEvaluatorFactory) -> DbtEvaluatorFactory:
    """Return the factory with the fingerprint of all that was read so far; the same if it had it.

    From here on results are kept under that fingerprint.
    """
    plan = factory.plan
    if plan.world is None:
        return factory
    plan.world.seal()
    known = plan.with_world()
    return factory if known.fingerprints == plan.fingerprints else replace(factory, plan=known)


def _world_warnings(factory: DbtEvaluatorFactory) -> tuple[str, ...]:
    world = factory.plan.world
    return world.warnings() if world is not None else ()


def unseeded_draws(factory: DbtEvaluatorFactory, spec: StudySpec) -> tuple[str, ...]:
    """Return who draws at random without a seed, as far as the project's files tell."""
    if spec.scenario.engine_seed is not None:
        return ()
    plan = factory.plan
    files = drawing_files(plan.project_dir, plan.project_files)
    return tuple(f"{text}; {SEED_ADVICE}" for text in files)


def _first_outcome(program: Program, spec: StudySpec) -> Outcome | None:
    """Return dbt's outcome of the current candidate, from the program's recording."""
    seed = spec.scenario.seeds[0]
    names = {metric.name for metric in program.metrics}
    for point in program.checks:
        is_asked = point.values == current_candidate(spec) and point.replication == seed
        if is_asked and names == point.metrics.keys():
            return Outcome(
                request=EvaluationRequest(trial=0, values=point.values, replication=seed),
                metrics=point.metrics,
                started_at=point.started_at,
                seconds=point.seconds,
                worker=RECORDING,
                engine="dbt",
                isolation="copy",
            )
    return None


def _refuse_dead_parameters(program: Program, library: Library, spec: StudySpec) -> None:
    """Refuse a parameter whose value reaches no metric: it would move nothing."""
    if spec.search.allow_dead_parameters:
        return
    dead = dead_parameters(program, library.fixed() or (), library.source.factory)
    if not dead:
        return
    reads = DbtProject(library.source.factory.plan.project_dir).var_reads()
    name, what = next(iter(dead.items()))
    places = ", ".join(reads.places.get(what, [])) if what in reads.places else ""
    where = f"; var {what} is read in {places}, which no metric depends on" if places else ""
    raise SpecError(
        f"must reach a metric, but no metric depends on it{where}; remove it, or set "
        "search.allow_dead_parameters to true",
        file=str(spec.file),
        key=f"parameters.{name}",
    )


def dead_parameters(
    program: Program, fixed: tuple[str, ...], factory: DbtEvaluatorFactory
) -> dict[str, str]:
    """Return the parameters that reach no metric, each with the var or table it is bound to."""
    live_tables = {key[1] for key in program.live_tables()}
    by_table = {
        cell.parameter
        for cell in factory.plan.table_binds
        if cell.relation.replace('"', "").split(".")[-1].lower() in live_tables
    }
    in_metrics = {var for metric in factory.plan.metrics for var in metric.vars}
    by_metric = {bind.parameter for bind in factory.plan.var_binds if bind.var in in_metrics}
    alive = program.live_parameters() | set(fixed) | by_table | by_metric
    dead: dict[str, str] = {}
    for bind in factory.plan.var_binds:
        if bind.parameter not in alive:
            dead[bind.parameter] = bind.var
    for cell in factory.plan.table_binds:
        if cell.parameter not in alive:
            dead[cell.parameter] = cell.table
    return dead
