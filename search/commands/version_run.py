"""The search of one version of a study with one engine, and the record of how it ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.commands.run_record import ending, run_record
from search.commands.run_session import Session
from search.driver.appraiser import Appraiser
from search.driver.engine import Engine
from search.driver.futures import Futures
from search.driver.loop import Driver
from search.driver.progress import Progress
from search.driver.recorder import StudyRecorder
from search.driver.results import RunResult, SearchEnd
from search.driver.scouting import Scout
from search.driver.verifier import Verifier
from search.driver.warm_start import warm_candidates
from search.errors import AuditError, SearchError, StorageError
from search.report.html import write_report
from search.sampling.choice import choose_sampler
from search.scenario.input_content import changes
from search.scenario.outcome import EvaluationRequest, Outcome
from search.scenario.verdict import VERIFIED, Verification
from search.storage.attributes import FINGERPRINTS, INPUTS, RUN_ID, SPEC
from search.storage.evaluations import ResultCache, ResultKey
from search.storage.own_studies import note_own
from search.storage.study_store import StudyStore
from search.storage.versions import StudyVersion
from search.study import StudySpec, expand_metrics
from search.study.layout import Layout
from search.study.percent import unlikely_metrics, whole_number_notes
from search.study.ranking import directions
from search.study.targets import goals_of
from search.study.values import Scalar
from search.system import interrupt
from search.views.text import counted
from search.workers import WorkerPool
from search.workers.cached import CachedPool
from search.workers.spool import Spool
from search.workers.unchanged_pool import UnchangedPool, reads_the_project

MAX_AUTO_BATCH = 64
INTERRUPTED = "interrupted"
APPRAISED = "appraised"
"""Study attribute: what was found out at the end, and for which winner."""


def batch_size(spec: StudySpec, workers: int) -> int:
    """Return how many candidates an iteration proposes.

    ``auto`` is a multiple of the workers, so that none idles at the end of a batch, and at
    least 4, so that an iteration learns something.
    """
    if spec.search.batch_size != "auto":
        return spec.search.batch_size
    lanes = max(workers, 1)
    return min(MAX_AUTO_BATCH, lanes * -(-4 // lanes))


class VersionRun:
    """Searches versions of one study.

    Args:
        spec: The study.
        layout: Where its results go.
        session: What is prepared.
        progress: Takes news for a person.
        max_new_iterations: Iterations that this run adds at most; None for no limit but the
            study's.
    """

    def __init__(
        self,
        spec: StudySpec,
        layout: Layout,
        session: Session,
        progress: Progress,
        max_new_iterations: int | None,
    ) -> None:
        self._spec = spec
        self._layout = layout
        self._session = session
        self._progress = progress
        self._max_new_iterations = max_new_iterations

    def search(
        self,
        version: StudyVersion,
        engine: Engine,
        first: Outcome | None,
        verifier: Verifier,
    ) -> RunResult:
        """Search one version of the study with one engine, and record how it ended."""
        spec = self._spec
        store = StudyStore.create_or_load(
            self._session.storage,
            version.name,
            directions=directions(goals_of(spec)),
            base_name=version.base_name,
        )
        choice = choose_sampler(spec)
        size = batch_size(spec, self._session.memory.workers)
        self._progress.note(
            f"study {store.name}: {counted(len(spec.parameters), 'parameter')}, "
            f"{counted(len(goals_of(spec)), 'target')}, sampler {choice.name} ({choice.why}), "
            f"batches of {size}, engine {engine.name} on {engine.isolation}"
        )
        run = run_record(spec, version, self._session, engine)
        with (
            self.results_cache(engine) as cache,
            StudyRecorder(
                folder=self._layout.folder,
                spec=spec,
                storage=self._session.storage,
                store=store,
                run=run,
            ) as recorder,
        ):
            for broken in recorder.breaks:
                self._progress.note(
                    f"warning: the audit trail was changed, which it records: {broken}"
                )
            read, watched = self._session.read, self._session.watched
            key = f"{store.name}/{self._session.fingerprints['scenario']}/{engine.name}"
            # What was spooled before a file was written anew may have read something else.
            key += f"/{read.mark}/{watched.mark}"
            spool = Spool(self._layout.spool.absolute(), key)
            pool: WorkerPool = self._session.pool
            pool = UnchangedPool(pool, read, lambda: spool.keep(()))
            # dbt reads the project for each step; a program does not once it is there.
            pool = UnchangedPool(pool, watched, lambda: spool.keep(()), reads_the_project)
            pool = CachedPool(pool, cache) if cache else pool
            document = spec.to_document()
            note_own(self._layout.own_studies, document)
            store.set_attributes(
                {
                    SPEC: document,
                    FINGERPRINTS: self._session.fingerprints,
                    INPUTS: self._session.inputs,
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
                    self._session.earlier,
                    limit=size,
                    is_known=lambda candidate: _is_known(spec, cache, candidate),
                ),
                scout=Scout(
                    spec, store, Futures(spec, store, pool, self._progress), self._progress
                ),
                max_new_iterations=self._max_new_iterations,
                spool=spool,
            )
            try:
                pool.open(spool.factory(engine.factory))
                end = driver.run(first)
                appraisal = self._appraise(end, store, pool)
                verification = self._verified(verifier, store, end)
                tables = verifier.tables(spec, store, end)
                appraisal |= {} if tables is None else {"tables": tables}
                moved = self._moved(store, cache)
                submitted = driver.first_submit_at or self._session.started
                result = RunResult(
                    study=store.name,
                    end=end,
                    memory=self._session.memory,
                    batch_size=size,
                    sampler=choice.name,
                    wall_seconds=time.monotonic() - self._session.started,
                    startup_seconds=submitted - self._session.started,
                    peak_memory_bytes=self._session.sampler.peak_bytes,
                    folder=self._layout.folder,
                    warnings=(*engine.warnings, *moved, *self._told_by_numbers(end)),
                    engine=engine.name,
                    isolation=engine.isolation,
                    verification=verification,
                    appraisal=appraisal,
                    prefer=spec.search.prefer,
                )
                spool.keep(())
                recorder.finish("finished", **ending(result))
            except (KeyboardInterrupt, Exception) as error:
                if isinstance(error, KeyboardInterrupt) or interrupt.is_requested():
                    self._save_interrupted(store, recorder, self._session.pool, driver.answer)
                    raise KeyboardInterrupt from error
                if isinstance(error, SearchError):
                    recorder.finish("failed", reason=str(error), reason_code=error.code)
                    self._write_report(store.name)
                raise
            result = replace(result, anchor=recorder.anchor.text)
        self._write_report(store.name)
        return result

    def _verified(
        self, verifier: Verifier, store: StudyStore, end: SearchEnd
    ) -> Verification | None:
        """Let dbt evaluate the winner; again when a file was written meanwhile.

        One that holds the same again may have held something else when dbt read it. What dbt makes
        of an edited project says nothing about trials that were computed before.
        """
        watched = self._session.watched
        watched.changed()
        writes = watched.writes
        verification = verifier.verify(store, end, self._spec)
        if not watched.changed() and watched.writes != writes:
            store.set_attributes({VERIFIED: {}})
            verification = verifier.verify(store, end, self._spec)
        edited = self._session.edited()
        if verification is None or not edited:
            return verification
        failure = f"{', '.join(edited)} changed while the study ran, so dbt read another content"
        return replace(verification, differences=(), failure=failure)

    def _moved(self, store: StudyStore, cache: ResultCache | None) -> tuple[str, ...]:
        """Tell what changed while the study ran: its trials may belong to either content.

        Neither they nor what was kept of them are gone on with.
        """
        edited = self._session.edited()
        read = changes(self._session.inputs, self._session.plan.inputs())
        changed = list(dict.fromkeys([*edited, *read]))
        if not changed:
            return ()
        store.set_attributes({FINGERPRINTS: {**self._session.fingerprints, "scenario": "changed"}})
        store.set_attributes({VERIFIED: {}})
        if cache is not None:
            cache.forget()
        text = (
            f"{', '.join(changed)} changed while the study ran, so its trials may belong to either "
            "content; start it again"
        )
        self._progress.note(f"warning: {text}")
        return (text,)

    def _save_interrupted(
        self, store: StudyStore, recorder: StudyRecorder, pool: WorkerPool, answer: int | None
    ) -> None:
        """Save the state. Who interrupts may kill what is left: what matters goes first.

        Args:
            store: The study in its storage.
            recorder: Of the trail.
            pool: What evaluates.
            answer: The trial that met every target before, if one did: it stays the answer.
        """
        reason = "interrupted by the user"
        if answer is not None:
            reason += f" after trial {answer} had met every target, not verified yet"
        with interrupt.answering():
            store.set_aside()
            recorder.finish(INTERRUPTED, reason=reason, reason_code=INTERRUPTED, best_trial=answer)
            if answer is not None:
                self._progress.note(f"trial {answer} stays the answer; the same command goes on")
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
    def results_cache(self, engine: Engine) -> Iterator[ResultCache | None]:
        """Yield the cache of results; None when it is not wanted or not usable."""
        spec = self._spec
        if not spec.resources.reuse_results:
            yield None
            return
        key = ResultKey(self._session.fingerprints["scenario"], spec.resources.threads_per_worker)
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

    def _appraise(self, end: SearchEnd, store: StudyStore, pool: WorkerPool) -> dict[str, Any]:
        """Find out about the end of the search, once for each winner."""
        best = end.best.number if end.best else None
        mark = [best, end.trials, self._spec.seeds_to_confirm, self._spec.search.sensitivity]
        known: Mapping[str, Any] = store.attributes().get(APPRAISED, {})
        if known.get("mark") == mark:
            return dict(known["appraisal"])
        appraisal = Appraiser(self._spec, end, store, pool, self._progress).appraise()
        units = {name: parameter.unit for name, parameter in self._spec.parameters.items()}
        document = appraisal.document(units) | {"order": _order(self._spec)}
        store.set_attributes({APPRAISED: {"mark": mark, "appraisal": document}})
        return document

    def _write_report(self, study: str) -> None:
        """Write the report; what the study found is safe in the trail when that fails."""
        try:
            write_report(self._layout.folder, study=study)
        except AuditError as error:
            self._progress.note(f"warning: {error}")


def _order(spec: StudySpec) -> dict[str, list[str]]:
    """Return the names of a study file in its order, which a trail of sorted keys does not keep."""
    order = {name: list(getattr(spec, name)) for name in ("parameters", "metrics", "targets")}
    return order | {"report": list(spec.report.tables)}


def _is_known(spec: StudySpec, cache: ResultCache | None, values: Mapping[str, Scalar]) -> bool:
    """Return whether every evaluation of a candidate is in the cache."""
    seeds: Sequence[Scalar | None] = spec.scenario.seeds
    return cache is not None and all(
        cache.find(EvaluationRequest(0, values, seed)) is not None for seed in seeds
    )
