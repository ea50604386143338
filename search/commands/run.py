"""One run of a study, from the study file to the result: prepare, search, leave nothing behind."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.audit.earlier import SPEC
from search.audit.records import RunRecord
from search.commands.workbench import prepared_workbench, require_same_inputs
from search.driver.appraisal import Appraiser
from search.driver.continuation import FINGERPRINTS, INPUTS, OnChange, version_to_run
from search.driver.engine import Engine, prepare_engine
from search.driver.futures import Futures
from search.driver.loop import Driver
from search.driver.progress import Progress
from search.driver.recorder import StudyRecorder
from search.driver.results import RunResult, SearchEnd
from search.driver.verifier import Verifier
from search.driver.warm_start import EarlierStudy, earlier_studies, warm_candidates
from search.errors import AuditError, ProjectError, SearchError, StorageError
from search.report.html import write_report
from search.sampling.choice import choose_sampler
from search.scenario.at_work import patience
from search.scenario.earlier_fingerprints import earlier_fingerprints
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.plan import ScenarioPlan
from search.scenario.preparation import Prepared
from search.scenario.project import DbtProject
from search.scenario.world import changes, input_files
from search.storage.attributes import RUN_ID
from search.storage.database import GroupingStorage, masked, open_storage
from search.storage.lock import StudyLock
from search.storage.results import ResultCache, ResultKey
from search.storage.study_store import StudyStore
from search.storage.versions import StudyVersion, next_version
from search.study import StudySpec, expand_metrics, study_fingerprint
from search.study.budget import MemoryPlan
from search.study.layout import Layout
from search.study.percent import unlikely_fractions, unlikely_metrics, whole_number_notes
from search.study.space import current_candidate
from search.study.targets import directions, goals_of
from search.study.values import Scalar
from search.system import files, interrupt
from search.system.child import ChildProcess
from search.system.memory import MemorySampler, cores
from search.system.provenance import git_state, versions, who
from search.system.scratch import sweep_scratch
from search.views.checks import check_text
from search.views.text import counted
from search.workers import ClusterLimits, WorkerPool, make_pool
from search.workers.cached import CachedPool
from search.workers.resources import (
    memory_plan,
    memory_text,
    scratch_parent,
)
from search.workers.spool import Spool
from search.workers.unchanged import Unchanged, UnchangedPool
from search.workers.watchdog import MemoryWatchdog

MAX_AUTO_BATCH = 64
INTERRUPTED = "interrupted"
APPRAISED = "appraised"
"""Study attribute: what was found out at the end, and for which winner."""


@dataclass(frozen=True)
class RunOptions:
    """What the caller decides, beside the study file.

    Attributes:
        results: Folder of all studies' results and of the baseline cache.
        is_restart: Start the study anew under its next version, whatever is stored.
        on_change: What to do when inputs have changed since the study's newest version:
            ``branch`` starts the next version, ``continue`` goes on with that one, ``refuse``
            does nothing.
        max_new_iterations: Iterations that this run adds at most; None for no limit but the
            study's. The next run goes on.
    """

    results: Path
    is_restart: bool = False
    on_change: OnChange = "branch"
    max_new_iterations: int | None = None


def batch_size(spec: StudySpec, workers: int) -> int:
    """Return how many candidates an iteration proposes.

    ``auto`` is a multiple of the workers, so that none idles at the end of a batch, and at
    least 4, so that an iteration learns something.
    """
    if spec.search.batch_size != "auto":
        return spec.search.batch_size
    lanes = max(workers, 1)
    return min(MAX_AUTO_BATCH, lanes * -(-4 // lanes))


def run_study(spec: StudySpec, options: RunOptions, progress: Progress) -> RunResult:
    """Run a study until its targets are met or a limit is reached.

    Started again with the same inputs, it goes on where it stopped; with other inputs it
    starts the study's next version, and the earlier one is kept.

    Args:
        spec: The study.
        options: Where results go, and whether to start anew.
        progress: Takes news for a person.

    Raises:
        SearchError: If something of the user's is wrong or the study cannot go on.
        KeyboardInterrupt: If interrupted; the state is saved before.
    """
    layout = Layout(options.results, spec.study)
    # What a study writes holds salaries.
    with files.private(layout.folder, layout.baselines, layout.programs):
        return _StudyRun(spec, options, progress).run()


@dataclass(frozen=True)
class _Session:
    """What all versions that one run may search have in common."""

    memory: MemoryPlan
    pool: WorkerPool
    sampler: MemorySampler
    storage: GroupingStorage
    fingerprints: Mapping[str, str]
    plan: ScenarioPlan
    inputs: Mapping[str, str]
    earlier: tuple[EarlierStudy, ...]
    watched: Unchanged
    read: Unchanged
    tables: Sequence[Mapping[str, Any]] = ()


class _StudyRun:
    """The order of a run; each stage leaves nothing when a later one fails."""

    def __init__(self, spec: StudySpec, options: RunOptions, progress: Progress) -> None:
        self._spec = spec
        self._options = options
        self._progress = progress
        self._layout = Layout(options.results, spec.study)
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)

    def run(self) -> RunResult:
        memory = memory_plan(self._spec)
        self._progress.note(memory_text(memory))
        is_new_folder = not self._layout.folder.exists()
        sweep_scratch(scratch_parent(self._spec))
        try:
            with (
                StudyLock(self._layout.lock),
                MemoryWatchdog(
                    budget_bytes=memory.budget_bytes, share_bytes=memory.per_worker_bytes
                ) as sampler,
                make_pool(
                    workers=memory.workers,
                    threads_per_worker=self._spec.resources.threads_per_worker,
                    retries=self._spec.search.retries,
                    trial_timeout_seconds=self._spec.search.trial_timeout,
                    memory_bytes_per_worker=memory.per_worker_bytes,
                    watchdog=sampler,
                    cluster=ClusterLimits(
                        self._spec.resources.min_workers, memory.workers_per_node
                    ),
                ) as pool,
            ):
                return self._search(memory, pool, sampler)
        finally:
            sweep_scratch(scratch_parent(self._spec))
            if is_new_folder:
                # Nothing was written when a mistake was found before the first trial.
                with contextlib.suppress(OSError):
                    self._layout.folder.rmdir()

    def _search(self, memory: MemoryPlan, pool: WorkerPool, sampler: MemorySampler) -> RunResult:
        spec = self._spec
        url = self._layout.storage_url(spec)
        storage = open_storage(url) if self._is_storage_there(url) else None
        earlier = earlier_studies(spec, self._storages_of)
        watched = Unchanged(lambda: _project_files(spec))
        # One for all that dbt does: importing it takes seconds.
        with ChildProcess(patience=patience(spec.search.prepare_timeout)) as child:
            bench = prepared_workbench(spec, self._layout, memory, child, self._progress)
            prepared, reference = bench.prepared, bench.reference
            tables = [table.document() for table in prepared.tables]
            for table in tables:
                self._progress.note(check_text(table))
            engine = self._engine(child, reference, memory, prepared.warnings)
            plan = engine.plan or prepared.plan
            self._require_prepared_from(watched)
            inputs = plan.inputs()
            read = Unchanged(lambda: input_files(inputs))
            require_same_inputs(plan, inputs)
            fingerprints = dict(plan.fingerprints) | {"spec": study_fingerprint(spec)}
            version, is_new = version_to_run(
                spec,
                storage,
                fingerprints,
                earlier=lambda: _as_earlier(spec, prepared, inputs),
                is_restart=self._options.is_restart,
                on_change=self._options.on_change,
                inputs=inputs,
                progress=self._progress,
            )
            session = _Session(
                memory=memory,
                pool=pool,
                sampler=sampler,
                storage=storage or open_storage(url),
                fingerprints=fingerprints,
                earlier=earlier,
                plan=plan,
                inputs=inputs,
                watched=watched,
                read=read,
                tables=tables,
            )
            current = EvaluationRequest(trial=0, values=current_candidate(spec))
            with Verifier(child, reference, engine, current, self._progress) as verifier:
                result = self._run_version(
                    session, version, engine, engine.first if is_new else None, verifier
                )
            verification = result.verification
            if engine.name == "dbt" or verification is None or verification.is_equal:
                return result
            with self._results_cache(session, engine) as cache:
                if cache is not None:
                    cache.forget_replayed()
            what = "the compiled scenario does not equal dbt"
            is_ours = verification.failure is None
            self._progress.note(
                f"{'ERROR OF OURS: ' if is_ours else ''}{what}: {verification.text()}"
            )
            self._progress.note("the study starts again, and dbt evaluates every candidate")
            slow = Engine(reference, "dbt", "copy", first=None, warnings=engine.warnings)
            following = next_version(session.storage, spec.study)
            with Verifier(child, reference, slow, current, self._progress) as verifier:
                return self._run_version(session, following, slow, None, verifier)

    def _engine(
        self,
        child: ChildProcess,
        reference: DbtEvaluatorFactory,
        memory: MemoryPlan,
        warnings: tuple[str, ...],
    ) -> Engine:
        engine: Engine = child.call(
            prepare_engine,
            reference,
            self._spec,
            self._layout.programs.absolute(),
            max(1, min(2, memory.workers, cores())),
            report=self._progress.note,
        )
        unlikely = unlikely_fractions(self._spec)
        engine = replace(engine, warnings=(*warnings, *unlikely, *engine.warnings))
        for warning in engine.warnings:
            self._progress.note(f"warning: {warning}")
        return engine

    def _run_version(
        self,
        session: _Session,
        version: StudyVersion,
        engine: Engine,
        first: Outcome | None,
        verifier: Verifier,
    ) -> RunResult:
        """Search one version of the study with one engine, and record how it ended."""
        spec = self._spec
        store = StudyStore.create_or_load(
            session.storage,
            version.name,
            directions=directions(goals_of(spec)),
            base_name=version.base_name,
        )
        choice = choose_sampler(spec)
        size = batch_size(spec, session.memory.workers)
        self._progress.note(
            f"study {store.name}: {counted(len(spec.parameters), 'parameter')}, "
            f"{counted(len(goals_of(spec)), 'target')}, sampler {choice.name} ({choice.why}), "
            f"batches of {size}, engine {engine.name} on {engine.isolation}"
        )
        run = self._run_record(version, session, engine)
        with (
            self._results_cache(session, engine) as cache,
            StudyRecorder(
                folder=self._layout.folder, spec=spec, storage=session.storage, store=store, run=run
            ) as recorder,
        ):
            for broken in recorder.breaks:
                self._progress.note(
                    f"warning: the audit trail was changed, which it records: {broken}"
                )
            key = f"{store.name}/{session.fingerprints['scenario']}/{engine.name}"
            spool = Spool(self._layout.spool.absolute(), key)
            pool: WorkerPool = session.pool
            pool = UnchangedPool(pool, session.read, lambda: spool.keep(()))
            if engine.name == "dbt":  # which reads the project for each step; a program does not
                pool = UnchangedPool(pool, session.watched, lambda: spool.keep(()))
            pool = CachedPool(pool, cache) if cache else pool
            store.set_attributes(
                {
                    SPEC: spec.to_document(),
                    FINGERPRINTS: session.fingerprints,
                    INPUTS: session.inputs,
                }
            )
            driver = Driver(
                spec=spec,
                goals=goals_of(spec),
                store=store,
                pool=pool,
                batch_size=size,
                recorder=recorder,
                progress=self._progress,
                details={RUN_ID: run.run_id},
                warm_start=lambda goals: warm_candidates(
                    spec,
                    goals,
                    session.earlier,
                    limit=size,
                    is_known=lambda one: _is_known(spec, cache, one),
                ),
                noise=Futures(spec, store, pool, self._progress).noise,
                max_new_iterations=self._options.max_new_iterations,
                spool=spool,
            )
            try:
                pool.open(spool.factory(engine.factory))
                end = driver.run(first)
                appraisal = self._appraise(end, store, pool)
                verification = verifier.verify(store, end)
                moved = self._moved(session, store, cache)
                submitted = driver.first_submit_at or self._started
                result = RunResult(
                    study=store.name,
                    end=end,
                    memory=session.memory,
                    batch_size=size,
                    sampler=choice.name,
                    wall_seconds=time.monotonic() - self._started,
                    startup_seconds=submitted - self._started,
                    peak_memory_bytes=session.sampler.peak_bytes,
                    folder=self._layout.folder,
                    warnings=(*engine.warnings, *moved, *self._told_by_numbers(end)),
                    engine=engine.name,
                    isolation=engine.isolation,
                    verification=verification,
                    appraisal=appraisal,
                    prefer=spec.search.prefer,
                )
                spool.keep(())
                recorder.finish("finished", **_ending(result))
            except (KeyboardInterrupt, Exception) as error:
                if isinstance(error, KeyboardInterrupt) or interrupt.is_requested():
                    self._save_interrupted(store, recorder, session.pool)
                    raise KeyboardInterrupt from error
                if isinstance(error, SearchError):
                    recorder.finish("failed", reason=str(error), reason_code=error.code)
                    self._write_report(store.name)
                raise
            result = replace(result, anchor=recorder.anchor.text)
        self._write_report(store.name)
        return result

    def _require_prepared_from(self, watched: Unchanged) -> None:
        """Refuse a baseline or program that was made while the project was edited.

        Raises:
            ProjectError: Naming what changed; what was put into the caches meanwhile is gone.
        """
        try:
            watched.require()
        except ProjectError:
            since = self._started_at.timestamp()
            for made in [*self._layout.baselines.glob("*"), *self._layout.programs.glob("*")]:
                if made.stat().st_ctime >= since:
                    shutil.rmtree(made, ignore_errors=True)
            raise

    def _moved(
        self, session: _Session, store: StudyStore, cache: ResultCache | None
    ) -> tuple[str, ...]:
        """Tell what changed while the study ran: its trials may belong to either content.

        Neither they nor what was kept of them are gone on with.
        """
        seen = (*session.watched.changed(), *session.read.changed())
        edited = [str(path) for path in seen]
        found = list(dict.fromkeys([*edited, *changes(session.inputs, session.plan.inputs())]))
        if not found:
            return ()
        store.set_attributes({FINGERPRINTS: {**session.fingerprints, "scenario": "changed"}})
        if cache is not None:
            cache.forget()
        text = (
            f"{', '.join(found)} changed while the study ran, so its trials may belong to either "
            "content; start it again"
        )
        self._progress.note(f"warning: {text}")
        return (text,)

    def _save_interrupted(
        self, store: StudyStore, recorder: StudyRecorder, pool: WorkerPool
    ) -> None:
        """Save the state. Who interrupts may kill what is left: what matters goes first."""
        with interrupt.answering():
            store.set_aside()
            recorder.finish(INTERRUPTED, reason="interrupted by the user", reason_code=INTERRUPTED)
            self._progress.note(f"anchor of the audit trail: {recorder.anchor.text}")
            pool.close()
            self._write_report(store.name)

    def _told_by_numbers(self, end: SearchEnd) -> tuple[str, ...]:
        """Return what the numbers themselves say: fractions above 1, targets between integers."""
        units = {metric.name: metric.unit for metric in expand_metrics(self._spec)}
        today = end.current.metrics if end.current else {}
        seen: dict[str, set[float]] = {}
        for trial in end.complete:
            for name, value in trial.metrics.items():
                seen.setdefault(name, set()).add(value)
        told = (*unlikely_metrics(today, units), *whole_number_notes(end.goals, seen))
        for line in told:
            self._progress.note(f"warning: {line}")
        return told

    @contextlib.contextmanager
    def _results_cache(self, session: _Session, engine: Engine) -> Iterator[ResultCache | None]:
        """Yield the cache of results; None when it is not wanted or not usable."""
        spec = self._spec
        if not spec.resources.reuse_results:
            yield None
            return
        key = ResultKey(session.fingerprints["scenario"], spec.resources.threads_per_worker)
        with contextlib.ExitStack() as stack:
            cache = None
            try:
                cache = stack.enter_context(
                    ResultCache(self._layout.evaluations, key, is_dbt_only=engine.name == "dbt")
                )
            except StorageError as error:
                self._progress.note(f"warning: {error}")
            yield cache
            if cache is not None and cache.fault is not None:
                self._progress.note(f"warning: {cache.fault}")

    def _storages_of(self, study: str) -> list[str]:
        """Return where a study of some name may be stored."""
        urls = [self._layout.storage_url(self._spec)]
        default = f"sqlite:///{Layout(self._layout.results, study).folder / 'study.db'}"
        return list(dict.fromkeys([*urls, default]))

    def _appraise(self, end: SearchEnd, store: StudyStore, pool: WorkerPool) -> dict[str, Any]:
        """Find out about the end of the search, once for each winner."""
        best = end.best.number if end.best else None
        mark = [best, end.trials, self._spec.seeds_to_confirm, self._spec.search.sensitivity]
        known: Mapping[str, Any] = store.attributes().get(APPRAISED, {})
        if known.get("mark") == mark:
            return dict(known["appraisal"])
        found = Appraiser(self._spec, end, store, pool, self._progress).appraise()
        units = {name: one.unit for name, one in self._spec.parameters.items()}
        document = found.document(units) | {"order": _order(self._spec)}
        store.set_attributes({APPRAISED: {"mark": mark, "appraisal": document}})
        return document

    def _write_report(self, study: str) -> None:
        """Write the report; what the study found is safe in the trail when that fails."""
        try:
            write_report(self._layout.folder, study=study)
        except AuditError as error:
            self._progress.note(f"warning: {error}")

    def _is_storage_there(self, url: str) -> bool:
        """Whether opening the storage early tells of a mistake without writing anything."""
        prefix = "sqlite:///"
        return not url.startswith(prefix) or Path(url.removeprefix(prefix)).exists()

    def _run_record(self, version: StudyVersion, session: _Session, engine: Engine) -> RunRecord:
        fingerprints, memory = session.fingerprints, session.memory
        person = who()
        git = git_state(self._spec.file)
        known = {
            "study": version.name,
            "run_id": uuid.uuid4().hex[:12],
            "started_at": self._started_at,
            "base_study": version.base_name,
            "study_version": version.version,
            "study_file": str(self._spec.file),
            "user_name": person.user_name,
            "host": person.host,
            "pid": person.pid,
            "spec": self._spec.to_document(),
            "spec_fingerprint": fingerprints["spec"],
            "project_fingerprint": fingerprints["project"],
            "baseline_fingerprint": fingerprints["baseline"],
            "git_commit": git.commit if git else None,
            "git_is_dirty": git.is_dirty if git else None,
            "engine": engine.name,
            "isolation": engine.isolation,
            "sampler": choose_sampler(self._spec).name,
            "sampler_seed": self._spec.search.seed,
            "workers": memory.workers,
            "threads_per_worker": self._spec.resources.threads_per_worker,
            "memory_budget_bytes": memory.budget_bytes,
            "storage_url": masked(session.storage.url),
            "checks": list(session.tables) or None,
        }
        return RunRecord.model_validate(known | versions())


def _as_earlier(
    spec: StudySpec, prepared: Prepared, inputs: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the fingerprints as version 0.1.0 made them, None when they say too little."""
    found = earlier_fingerprints(spec, prepared.recipe, prepared.not_of_it, inputs)
    return None if found is None else {**found, "spec": study_fingerprint(spec)}


def _project_files(spec: StudySpec) -> list[Path]:
    """Return the files of the dbt project; none where preparing will say what is wrong."""
    project = DbtProject(spec.resolve_path(spec.scenario.dbt_project))
    try:
        return [file for _, file in project.read_files()]
    except (ProjectError, OSError):
        return []


def _ending(result: RunResult) -> dict[str, Any]:
    """Return the fields of the run's record that are known at its end."""
    end, verification = result.end, result.verification
    return {
        "reason": result.reason,
        "reason_code": result.reason_code,
        "is_converged": result.is_converged,
        "iterations": end.iterations,
        "trials": end.trials,
        "failed_trials": end.failed_trials,
        "best_trial": end.best.number if end.best else None,
        "is_verified": result.is_verified,
        "is_metrics_verified": result.is_metrics_verified,
        "verification": None if verification is None else verification.document(),
        "warnings": list(result.warnings),
        "peak_memory_bytes": result.peak_memory_bytes,
        "startup_seconds": result.startup_seconds,
        "wall_seconds": result.wall_seconds,
        "appraisal": dict(result.appraisal),
    }


def _order(spec: StudySpec) -> dict[str, list[str]]:
    """Return the names of a study file in its order, which a trail of sorted keys does not keep."""
    return {name: list(getattr(spec, name)) for name in ("parameters", "metrics", "targets")}


def _is_known(spec: StudySpec, cache: ResultCache | None, values: Mapping[str, Scalar]) -> bool:
    """Return whether every evaluation of a candidate is in the cache."""
    seeds: Sequence[Scalar | None] = spec.scenario.seeds
    return cache is not None and all(
        cache.find(EvaluationRequest(0, values, seed)) is not None for seed in seeds
    )
