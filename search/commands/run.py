"""One run of a study, from the study file to the result: prepare, search, leave nothing behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from search.commands.clean import LIMIT_VARIABLE, cache_limit, keep_within
from search.commands.run_session import Session
from search.commands.version_run import VersionRun
from search.commands.workbench import prepared_workbench, require_same_inputs, tell_passing_key
from search.driver.continuation import OnChange, version_to_run
from search.driver.engine import Engine, prepare_engine
from search.driver.progress import Progress
from search.driver.results import RunResult
from search.driver.timeline import Timeline
from search.driver.verifier import Verifier
from search.driver.warm_start import earlier_studies
from search.scenario.at_work import patience
from search.scenario.earlier_fingerprints import earlier_fingerprints
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.input_content import input_files
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import Prepared
from search.storage.database import open_storage
from search.storage.lock import StudyLock
from search.storage.versions import next_version
from search.study import StudySpec, study_fingerprint
from search.study.budget import MemoryPlan, format_bytes
from search.study.layout import Layout
from search.study.percent import unlikely_fractions
from search.study.space import current_candidate
from search.system import files
from search.system.child import ChildProcess
from search.system.memory import MemorySampler
from search.system.scratch import sweep_scratch
from search.system.unchanged import Unchanged
from search.views.checks import check_text
from search.views.text import counted
from search.workers import WorkerPool
from search.workers.resources import (
    dbt_processes,
    memory_plan,
    memory_text,
    scratch_parent,
)
from search.workers.study_pool import study_pool


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
    limit = cache_limit()
    tell_passing_key(progress)
    # What a study writes holds salaries.
    with files.private(
        layout.folder, layout.baselines, layout.programs, is_shared=spec.results.is_shared
    ):
        timeline = Timeline(progress)
        study_run = _StudyRun(spec, options, timeline)
        try:
            result = study_run.run()
        finally:
            if study_run.has_begun:  # a run that was refused leaves the one before as it is
                timeline.keep(layout.timeline)
    gone = [] if limit is None else keep_within(options.results, limit)
    if gone:
        progress.note(
            f"removed {counted(len(gone), 'cache')} that had not been used for the longest: "
            f"{LIMIT_VARIABLE} is {format_bytes(limit or 0)}"
        )
    return result


class _StudyRun:
    """The order of a run; each stage leaves nothing when a later one fails."""

    def __init__(self, spec: StudySpec, options: RunOptions, progress: Progress) -> None:
        self._spec = spec
        self._options = options
        self._progress = progress
        self._layout = Layout(options.results, spec.study)
        self._started = time.monotonic()
        self._started_at = datetime.now(UTC)
        self.has_begun = False

    def run(self) -> RunResult:
        memory = memory_plan(self._spec)
        self._progress.note(memory_text(memory))
        is_new_folder = not self._layout.folder.exists()
        sweep_scratch(scratch_parent(self._spec))
        try:
            with (
                StudyLock(self._layout.lock),
                study_pool(self._spec, memory) as (pool, sampler),
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
        # One for all that dbt does: importing it takes seconds.
        with ChildProcess(patience=patience(spec.search.prepare_timeout)) as child:
            bench = prepared_workbench(spec, self._layout, memory, child, self._progress)
            prepared, reference = bench.prepared, bench.reference
            tables = [table.document() for table in prepared.tables]
            for table in tables:
                self._progress.note(check_text(table))
            engine = self._engine(child, reference, memory, prepared.warnings)
            plan = engine.plan or prepared.plan
            bench.watched.require_untouched()
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
            self.has_begun = True
            session = Session(
                started=self._started,
                started_at=self._started_at,
                memory=memory,
                pool=pool,
                sampler=sampler,
                storage=storage or open_storage(url),
                fingerprints=fingerprints,
                earlier=earlier,
                plan=plan,
                inputs=inputs,
                watched=bench.watched,
                read=read,
                tables=tables,
            )
            versions = VersionRun(
                spec, self._layout, session, self._progress, self._options.max_new_iterations
            )
            current = EvaluationRequest(trial=0, values=current_candidate(spec))
            processes = dbt_processes(memory)
            with Verifier(child, reference, engine, current, self._progress, processes) as verifier:
                result = versions.search(
                    version, engine, engine.first if is_new else None, verifier
                )
            verification = result.verification
            if engine.name == "dbt" or verification is None or verification.is_equal:
                return result
            if session.edited():
                return result  # dbt read something else than the replay: nobody is wrong
            with versions.results_cache(engine) as cache:
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
            with Verifier(child, reference, slow, current, self._progress, processes) as verifier:
                return versions.search(following, slow, None, verifier)

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
            dbt_processes(memory),
            report=self._progress.note,
        )
        unlikely = unlikely_fractions(self._spec)
        engine = replace(engine, warnings=(*warnings, *unlikely, *engine.warnings))
        for warning in engine.warnings:
            self._progress.note(f"warning: {warning}")
        return engine

    def _storages_of(self, study: str) -> list[str]:
        """Return where a study of some name may be stored."""
        urls = [self._layout.storage_url(self._spec)]
        default = f"sqlite:///{Layout(self._layout.results, study).folder / 'study.db'}"
        return list(dict.fromkeys([*urls, default]))

    def _is_storage_there(self, url: str) -> bool:
        """Whether opening the storage early tells of a mistake without writing anything."""
        prefix = "sqlite:///"
        return not url.startswith(prefix) or Path(url.removeprefix(prefix)).exists()


def _as_earlier(
    spec: StudySpec, prepared: Prepared, inputs: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the fingerprints as version 0.1.0 made them, None when they say too little."""
    earlier = earlier_fingerprints(spec, prepared.recipe, prepared.not_of_it, inputs)
    return None if earlier is None else {**earlier, "spec": study_fingerprint(spec)}
