"""``scenario-search frontier``: a target from one value to another, and the plan for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path

from search.audit.republish import republish
from search.commands.repeat import changed_inputs
from search.commands.workbench import Workbench, open_workbench
from search.driver.batch import outcomes_of
from search.driver.engine import Engine, prepare_engine
from search.driver.frontier import Frontier, FrontierPoint, FrontierResult
from search.driver.progress import Progress
from search.driver.results import CompleteTrial
from search.errors import ResultsMissingError, SpecError
from search.parameter_sets.candidates import StoredStudy, stored_study
from search.parameter_sets.journal import Journal
from search.report.frontier import write_plot
from search.scenario.input_content import input_files
from search.storage.attributes import FINGERPRINTS, FRONTIERS
from search.storage.evaluations import ResultCache, ResultKey
from search.storage.existing import existing_storage
from search.storage.lock import StudyLock
from search.storage.study_store import StudyStore
from search.storage.trials import read_trials
from search.study import StudySpec
from search.study.preference import Preference
from search.study.replication import over_replications
from search.study.space import validate_candidate
from search.study.targets import Goal, is_resolved, objective_goals
from search.study.values import Scalar
from search.study.vary import OPTION, Vary, levels_of, parse_varies
from search.system.unchanged import Unchanged
from search.workers import WorkerPool
from search.workers.cached import CachedPool
from search.workers.resources import dbt_processes
from search.workers.study_pool import study_pool
from search.workers.unchanged_pool import UnchangedPool, reads_the_project


def find_frontier(
    spec: StudySpec, texts: Sequence[str], *, results: Path, progress: Progress
) -> FrontierResult:
    """Solve the points of a frontier, and go on where an interrupted run stopped.

    What the study has evaluated is used; new candidates go to the cache of results.

    Args:
        spec: The study, which has run.
        texts: ``metric=low:high:count``, once or twice.
        results: Folder of all results.
        progress: Takes news for a person.

    Raises:
        SpecError: If an axis breaks a rule, or the study has several objectives.
        ResultsMissingError: If the study has not run with these inputs.
    """
    varies = parse_varies(spec, texts)
    stored = stored_study(spec, results)
    goals = _goals(spec, stored)
    with open_workbench(spec, results, progress) as bench:
        engine: Engine = bench.call(
            prepare_engine,
            bench.reference,
            spec,
            bench.programs,
            dbt_processes(bench.memory),
        )
        fingerprints = (engine.plan or bench.prepared.plan).fingerprints
        _require_same_inputs(spec, stored, fingerprints)
        assert stored.name is not None
        with (
            StudyLock(bench.layout.lock),
            existing_storage(bench.layout.storage_url(spec)) as storage,
            _open_pool(spec, bench, engine, fingerprints["scenario"]) as pool,
        ):
            assert storage is not None  # the trials came from there
            store = StudyStore.load(storage, stored.name)
            points = _solved(spec, stored, store, goals, varies, pool, bench)
    republish(
        spec,
        bench.layout.folder,
        bench.layout.storage_url(spec),
        lock=bench.layout.lock,
        parameter_sets=Journal.of(spec).records(),
        event=("frontier_solved", {"vary": [vary.text for vary in varies], "points": len(points)}),
    )
    result = FrontierResult(stored.name, varies, goals, points, bench.layout.folder)
    write_plot(spec, result)
    return result


def _require_same_inputs(
    spec: StudySpec, stored: StoredStudy, fingerprints: Mapping[str, str]
) -> None:
    """Refuse trials of other inputs; targets, ranges and limits may be others by now."""
    then = stored.attributes.get(FINGERPRINTS) or {}
    if then.get("scenario") == fingerprints["scenario"]:
        return
    changed = [
        key
        for key in changed_inputs(spec, stored, fingerprints)
        if key.split(".")[0] not in ("targets", "parameters", "constraints", "description")
    ]
    raise ResultsMissingError(
        f"study {spec.study} has run with other inputs than those of now "
        f"({', '.join(changed) or 'its scenario'}); start it again with `scenario-search run`, "
        "then the frontier"
    )


def _goals(spec: StudySpec, stored: StoredStudy) -> tuple[Goal, ...]:
    """Return the study's goals, resolved.

    Raises:
        SpecError: If several metrics are to be minimised or maximised.
        ResultsMissingError: If the study has not run.
    """
    goals = stored.goals(spec)
    if len(objective_goals(goals)) > 1:
        names = ", ".join(goal.metric for goal in objective_goals(goals))
        raise SpecError(
            f"{OPTION} goes with one metric to minimise or maximise at most, but got {names}; give "
            "all but one of them a value"
        )
    if stored.name is None or not all(map(is_resolved, goals)) or not _complete(spec, stored):
        raise ResultsMissingError(
            f"study {spec.study} has evaluated nothing yet; start it with `scenario-search run`, "
            "then the frontier, which goes on from there"
        )
    return goals


def _complete(spec: StudySpec, stored: StoredStudy) -> list[CompleteTrial]:
    """Return the complete trials that are candidates of the study as it is now."""
    complete = []
    for trial in read_trials(stored.trials.values()):
        if not trial.is_complete:
            continue
        try:
            values = validate_candidate(spec, trial.candidate)
        except SpecError:  # a range was narrowed since
            continue
        complete.append(CompleteTrial(trial.number, trial.iteration or 0, values, trial.metrics))
    return complete


def _solved(
    spec: StudySpec,
    stored: StoredStudy,
    store: StudyStore,
    goals: Sequence[Goal],
    varies: Sequence[Vary],
    pool: WorkerPool,
    bench: Workbench,
) -> tuple[FrontierPoint, ...]:
    """Solve what is left of a frontier; each point is stored as soon as it is solved."""
    trials = _complete(spec, stored)
    key = frontier_key(varies)
    known = stored.attributes.get(FRONTIERS) or {}
    mark = {"trials": len(trials), "targets": [repr(goal) for goal in goals]}
    before = known.get(key) or {}
    solved = []
    if before.get("mark") == mark:
        names = {field.name for field in fields(FrontierPoint)}
        solved = [
            FrontierPoint(**{k: v for k, v in point.items() if k in names})
            for point in before["points"]
        ]
    frontier = Frontier(
        spec,
        goals,
        replace(Preference.stored(spec, stored.attributes), is_final=False),
        trials,
        varies,
        lambda candidates: _metrics_of(spec, pool, candidates),
    )
    order = levels_of(varies)
    if solved:
        bench.progress.note(f"{len(solved)} of {len(order)} points are known")
    for point in frontier.points(tuple(solved)):
        solved.append(point)
        documents = [solution.document() for solution in solved]
        store.set_attributes({FRONTIERS: {**known, key: {"mark": mark, "points": documents}}})
        bench.progress.note(_news(varies, point, len(solved), len(order)))
    return tuple(sorted(solved, key=lambda point: order.index(dict(point.levels))))


def frontier_key(varies: Sequence[Vary]) -> str:
    """Return what a frontier is called in the storage and the trail."""
    return " ".join(vary.text for vary in varies)


def _news(varies: Sequence[Vary], point: FrontierPoint, count: int, total: int) -> str:
    at = ", ".join(f"{vary.metric} {vary.shown(point.levels[vary.metric])}" for vary in varies)
    how = "every target met" if point.is_met else point.reason
    return f"point {count} of {total}: {at}: {how} ({len(point.evaluated)} new evaluations)"


def _metrics_of(
    spec: StudySpec, pool: WorkerPool, candidates: Sequence[Mapping[str, Scalar]]
) -> list[Mapping[str, float]]:
    """Return the metrics of candidates over the replications; none of one that fails."""
    replications = spec.scenario.replications
    statistic = replications.statistic if replications else "mean"
    return [
        over_replications([outcome.metrics for outcome in outcomes], statistic)
        if all(outcome.is_complete for outcome in outcomes)
        else {}
        for outcomes in outcomes_of(pool, candidates, spec.scenario.seeds)
    ]


@contextmanager
def _open_pool(
    spec: StudySpec, bench: Workbench, engine: Engine, scenario: str
) -> Iterator[WorkerPool]:
    """Yield workers that evaluate the study, and do not evaluate again what is known."""
    resources = spec.resources
    with ExitStack() as stack:
        pool, _ = stack.enter_context(study_pool(spec, bench.memory))
        pool.open(engine.factory)
        inputs = (engine.plan or bench.prepared.plan).inputs()
        pool = UnchangedPool(pool, Unchanged(lambda: input_files(inputs)), lambda: None)
        pool = UnchangedPool(pool, bench.watched, lambda: None, reads_the_project)
        if resources.reuse_results:
            key = ResultKey(scenario, resources.threads_per_worker)
            is_dbts = engine.name == "dbt"
            cache = ResultCache(bench.layout.evaluations, key, is_dbt_only=is_dbts)
            pool = CachedPool(pool, stack.enter_context(cache))
        yield pool
