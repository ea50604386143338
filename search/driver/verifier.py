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
from search.driver.results import CompleteTrial, SearchEnd
from search.driver.verified import TABLES, said_before, tables_before
from search.errors import SearchError
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.report_tables import SECONDS, PlanTables, read_tables, report_world
from search.scenario.verdict import VERIFIED, Verification
from search.scenario.verification import verify_and_read, warm_up
from search.scenario.world import World
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.report import ReportSpec
from search.study.values import Scalar
from search.system import interrupt
from search.system.child import ChildProcess, Report, run_in_child


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
    """

    def __init__(
        self,
        child: ChildProcess,
        reference: DbtEvaluatorFactory,
        engine: Engine,
        current: EvaluationRequest,
        progress: Progress,
    ) -> None:
        self._child = child
        # Kept under the fingerprint of all that was seen to be read, as the next start finds it.
        self._reference = reference if engine.plan is None else replace(reference, plan=engine.plan)
        self._engine = engine
        self._current = current
        self._progress = progress
        self._read: dict[int, PlanTables] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._warm_up, name="dbt warms up", daemon=True)

    def __enter__(self) -> Self:
        if self._engine.name != "dbt":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def verify(
        self, store: StudyStore, end: SearchEnd, asked: ReportSpec | None = None
    ) -> Verification | None:
        """Let dbt evaluate the winner with its tests; None when there is nothing to find out.

        What is known of it is not asked again while the scenario is the same. Metrics that dbt
        computed are its own, so there only the tests count, where the project has any.

        Args:
            store: The study in its storage.
            end: How the search ended.
            asked: The report's tables, which :meth:`tables` then has of the winner.

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
            asked if asked is not None and asked.tables else None,
            report_world(self._reference.plan, asked)
            if asked is not None and asked.tables
            else None,
            report=self._progress.note,
        )
        if of_plan is not None:
            self._read[best.number] = of_plan
        if is_dbts_own and not (verdict.failure or verdict.tests.passed or verdict.tests.failing):
            return None
        self._progress.note(f"trial {best.number}: {verdict.text()}")
        store.set_attributes({VERIFIED: stored | {str(best.number): verdict.document()}})
        return verdict

    def tables(
        self, spec: StudySpec, store: StudyStore, end: SearchEnd, needed: Sequence[CompleteTrial]
    ) -> dict[str, Any] | None:
        """Return the tables of the study's report as a document; None when it has none.

        What is known of the same plans is not read again while scenario and report are the same.

        Args:
            spec: The study.
            store: The study in its storage.
            end: How the search ended.
            needed: Plans whose tables are read however long that takes.

        Raises:
            SearchError: If the process that reads them ends.
        """
        if not spec.report.tables or not needed:
            return None
        wanted = [(plan.number, plan.values) for plan in needed]
        numbers = {plan.number for plan in needed}
        wanted += [
            (alternative.trial, alternative.values)
            for alternative in end.alternatives
            if alternative.trial not in numbers
        ]
        asked = spec.report.model_dump(mode="json")
        scenario = self._reference.plan.fingerprints.get("scenario")
        mark = [[number for number, _ in wanted], scenario, asked]
        stored: Mapping[str, Any] = store.attributes().get(TABLES, {})
        if stored.get("mark") == mark:
            return dict(stored["document"])
        seed = spec.scenario.seeds[0]
        world = report_world(self._reference.plan, spec.report)
        known = (
            tables_before(store, self._tables_key(world, seed), wanted)
            | self._read
            | self._today_of(wanted)
        )
        left = [(number, values) for number, values in wanted if number not in known]
        requests = [EvaluationRequest(number, values, seed) for number, values in left]
        read = list(known.values())
        if requests:
            read += self._ask(
                read_tables, self._reference, spec.report, requests,
                sum(number in numbers for number, _ in left), SECONDS, world,
                report=self._progress.note,
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
        key = self._tables_key(world, seed)
        kept = {"mark": mark, "key": key, "values": values, "document": document}
        store.set_attributes({TABLES: kept})
        return document

    def _today_of(
        self, wanted: Sequence[tuple[int, Mapping[str, Scalar]]]
    ) -> dict[int, PlanTables]:
        """Return today's tables by trial, where they were read when the scenario was recorded."""
        today = self._engine.today
        if today is None:
            return {}
        return {
            number: replace(today, trial=number)
            for number, values in wanted
            if dict(values) == dict(self._current.values)
        }

    def _tables_key(self, world: World | None, seed: Scalar | None) -> list[Any] | None:
        """Return what the tables follow from beside a candidate; None when nobody can tell."""
        recorded = self._reference.plan.recorded
        if world is None or recorded is None or not self._is_watched:
            return None
        if any(known.kind == "remote" for known in world.inputs().values()):
            return None
        return [recorded.fingerprint(), world.fingerprint(), seed]

    @property
    def _is_watched(self) -> bool:
        """Whether all that the scenario reads can be looked at again."""
        return not any(key.startswith("remote ") for key in self._reference.plan.inputs())

    def _ask(self, function: Callable[..., Any], *arguments: Any, report: Report) -> Any:
        """Call a function where dbt is at hand."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # in slices, so that an interrupt arrives
            interrupt.check()
        # The system may have ended a process that only waited; another one does as well.
        if self._child.is_alive:
            return self._child.call(function, *arguments, report=report)
        return run_in_child(function, *arguments, report=report, patience=self._child.patience)

    def _warm_up(self) -> None:
        with contextlib.suppress(SearchError):  # the verification will say it
            self._child.call(
                warm_up, self._reference, self._current, report=lambda _: None, stop=self._stop
            )
