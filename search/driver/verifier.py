"""Verification of a study's winner by real dbt, in the process that prepared the study."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from search.driver.engine import Engine, divergence_finder
from search.driver.progress import Progress
from search.driver.results import SearchEnd
from search.driver.verified import TABLES, said_before, tables_before
from search.errors import SearchError
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.report_tables import SECONDS, PlanTables, read_tables, report_world
from search.scenario.verdict import VERIFIED, Verification
from search.scenario.verification import verify_and_read, warm_up
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.values import Scalar
from search.system import interrupt
from search.system.ahead import Ahead
from search.system.child import ChildProcess, Report, run_in_child

_Plans = Sequence[tuple[int, Mapping[str, Scalar]]]
"""Trials and their values."""


class Verifier:
    """Has dbt at hand by the time that the winner is known. A context manager.

    A process imports dbt and reads a project for the first time in 4 to 6 s. Where the study was
    recorded just now, the child has done that already; where the program came from the cache, it
    does so while workers start and evaluate.

    Args:
        child: The process that prepared the study; nobody else calls it from now on.
        reference: Makes the reference evaluator.
        engine: How candidates are evaluated; metrics that are dbt's own are not compared.
        current: The current candidate.
        progress: Takes news for a person.
        processes: How many may run dbt at the same time: with two, the report's tables of other
            plans are read while the winner is verified.
    """

    def __init__(
        self,
        child: ChildProcess,
        reference: DbtEvaluatorFactory,
        engine: Engine,
        current: EvaluationRequest,
        progress: Progress,
        processes: int = 1,
    ) -> None:
        self._child = child
        # Kept under the fingerprint of all that was seen to be read, as the next start finds it.
        self._reference = reference if engine.plan is None else replace(reference, plan=engine.plan)
        self._engine = engine
        self._current = current
        self._progress = progress
        self._processes = processes
        self._read: dict[int, PlanTables] = {}
        self._meanwhile = contextlib.ExitStack()
        self._others: Ahead[list[PlanTables]] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._warm_up, name="dbt warms up", daemon=True)

    def __enter__(self) -> Self:
        if self._engine.name != "dbt":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave_others()
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def verify(
        self, store: StudyStore, end: SearchEnd, spec: StudySpec | None = None
    ) -> Verification | None:
        """Let dbt evaluate the winner with its tests; None when there is nothing to find out.

        What is known of it is not asked again while the scenario is the same. Metrics that dbt
        computed are its own, so there only the tests count, where the project has any.

        Args:
            store: The study in its storage.
            end: How the search ended.
            spec: The study, whose report's tables :meth:`tables` then has of the winner.

        Raises:
            SearchError: If that cannot be found out.
        """
        if end.best is None:
            return None
        best = end.best
        stored = store.attributes().get(VERIFIED, {})
        known = stored.get(str(best.number))
        if known is not None:
            verification = Verification.of_document(known)
            if verification.scenario in (None, self._reference.plan.fingerprints.get("scenario")):
                return verification
        plan = self._reference.plan
        scenario = plan.fingerprints.get("scenario") if self._is_watched else None
        before = said_before(store, best, self._current.values, scenario)
        if before is not None:
            where, verification = before
            self._progress.note(f"trial {best.number} is {where}, so dbt is not asked again")
            store.set_attributes({VERIFIED: stored | {str(best.number): verification.document()}})
            return verification
        is_dbts_own = self._engine.name == "dbt"
        asked = spec.report if spec is not None and spec.report.tables else None
        self._read.clear()
        self._leave_others()
        if spec is not None and asked is not None:
            self._begin_with_others(spec, store, end)
        verdict: Verification
        verdict, of_plan = self._ask(
            verify_and_read,
            self._reference,
            [
                EvaluationRequest(trial=best.number, values=best.values, replication=seed)
                for seed, _ in best.evaluations
            ],
            None if is_dbts_own else [metrics for _, metrics in best.evaluations],
            self._current.values,
            None if is_dbts_own else divergence_finder(self._engine.factory),
            asked,
            report_world(self._reference.plan, asked) if asked is not None else None,
            report=self._progress.note,
        )
        if of_plan is not None:
            self._read[best.number] = of_plan
        if is_dbts_own and not (verdict.failure or verdict.tests.passed or verdict.tests.failing):
            return None
        self._progress.note(f"trial {best.number}: {verdict.text()}")
        store.set_attributes({VERIFIED: stored | {str(best.number): verdict.document()}})
        return verdict

    def tables(self, spec: StudySpec, store: StudyStore, end: SearchEnd) -> dict[str, Any] | None:
        """Return the tables of the study's report as a document; None when it has none.

        Those of today and of the winner are read however long that takes. What is known of the
        same plans is not read again while scenario and report are the same.

        Args:
            spec: The study.
            store: The study in its storage.
            end: How the search ended.

        Raises:
            SearchError: If a process that reads them ends.
        """
        needed = _needed(end)
        if not spec.report.tables or not needed:
            return None
        wanted = _wanted(end)
        asked = spec.report.model_dump(mode="json")
        scenario = self._reference.plan.fingerprints.get("scenario")
        mark = [[number for number, _ in wanted], scenario, asked]
        stored: Mapping[str, Any] = store.attributes().get(TABLES, {})
        if stored.get("mark") == mark:
            return dict(stored["document"])
        known = self._known(spec, store, wanted)
        left = [(number, values) for number, values in wanted if number not in known]
        if self._others is not None:
            if self._others.is_at_work:
                self._progress.note("reading the report's tables of other plans")
            known |= {of_plan.trial: of_plan for of_plan in self._others.result()}
            left = [(number, values) for number, values in left if number in needed - known.keys()]
        requests = _requests(spec, left)
        read = list(known.values())
        if requests:
            read += self._ask(
                read_tables, self._reference, spec.report, requests,
                sum(number in needed for number, _ in left), SECONDS,
                report_world(self._reference.plan, spec.report), report=self._progress.note,
            )  # fmt: skip
        places = {number: place for place, (number, _) in enumerate(wanted)}
        read.sort(key=lambda of_plan: places.get(of_plan.trial, len(places)))
        left_out = len(wanted) - len(read)
        document = {
            "tables": asked["tables"],
            "plans": [dataclasses.asdict(tables) for tables in read],
            "left_out": left_out,
        }
        for of_plan in read:
            if of_plan.failure:
                self._progress.note(
                    f"warning: the report's tables of trial {of_plan.trial}: {of_plan.failure}"
                )
        if left_out:
            self._progress.note(
                f"the report's tables of {left_out} other plans would have taken too long"
            )
        values = {str(number): dict(values) for number, values in wanted}
        key = self._tables_key(spec)
        kept = {"mark": mark, "key": key, "values": values, "document": document}
        store.set_attributes({TABLES: kept})
        return document

    def _begin_with_others(self, spec: StudySpec, store: StudyStore, end: SearchEnd) -> None:
        """Read in another process what beside the winner is to be read of the report's tables."""
        wanted = _wanted(end)
        known = self._known(spec, store, wanted)
        best = end.best.number if end.best is not None else None
        left = [(n, values) for n, values in wanted if n not in known and n != best]
        if self._processes < 2 or not left:
            return
        ahead = Ahead(
            read_tables,
            self._reference,
            spec.report,
            _requests(spec, left),
            sum(number in _needed(end) for number, _ in left),
            SECONDS,
            report_world(self._reference.plan, spec.report),
            patience=self._child.patience,
        )
        self._others = self._meanwhile.enter_context(ahead)

    def _leave_others(self) -> None:
        self._meanwhile.close()
        self._others = None

    def _known(self, spec: StudySpec, store: StudyStore, wanted: _Plans) -> dict[int, PlanTables]:
        """Return the report's tables that need not be read, by trial."""
        before = tables_before(store, self._tables_key(spec), wanted)
        return before | self._read | self._today_of(wanted)

    def _today_of(self, wanted: _Plans) -> dict[int, PlanTables]:
        """Return today's tables by trial, where they were read when the scenario was recorded."""
        today = self._engine.today
        if today is None:
            return {}
        return {
            number: replace(today, trial=number)
            for number, values in wanted
            if dict(values) == dict(self._current.values)
        }

    def _tables_key(self, spec: StudySpec) -> list[Any] | None:
        """Return what the tables follow from beside a candidate; None when nobody can tell."""
        recorded = self._reference.plan.recorded
        world = report_world(self._reference.plan, spec.report)
        if world is None or recorded is None or not self._is_watched:
            return None
        if any(known.kind == "remote" for known in world.inputs().values()):
            return None
        return [recorded.fingerprint(), world.fingerprint(), spec.scenario.seeds[0]]

    @property
    def _is_watched(self) -> bool:
        """Whether all that the scenario reads can be looked at again."""
        return not any(key.startswith("remote ") for key in self._reference.plan.inputs())

    def _ask(self, function: Callable[..., Any], *arguments: Any, report: Report) -> Any:
        """Call a function where dbt is at hand."""
        interrupt.wait_for(self._thread)
        # The system may have ended a process that only waited; another one does as well.
        if self._child.is_alive:
            return self._child.call(function, *arguments, report=report)
        return run_in_child(function, *arguments, report=report, patience=self._child.patience)

    def _warm_up(self) -> None:
        with contextlib.suppress(SearchError, KeyboardInterrupt):  # the verification will say it
            self._child.call(
                warm_up, self._reference, self._current, report=lambda _: None, stop=self._stop
            )


def _needed(end: SearchEnd) -> set[int]:
    """Return the plans whose tables a report cannot do without: today and the winner."""
    return {plan.number for plan in (end.current, end.best) if plan is not None}


def _wanted(end: SearchEnd) -> _Plans:
    """Return the plans whose tables a report shows, the most wanted first: trials and values."""
    wanted = {plan.number: plan.values for plan in (end.current, end.best) if plan is not None}
    others = {other.trial: other.values for other in end.alternatives}
    return list({**wanted, **others}.items())


def _requests(spec: StudySpec, plans: _Plans) -> list[EvaluationRequest]:
    return [EvaluationRequest(number, values, spec.scenario.seeds[0]) for number, values in plans]
