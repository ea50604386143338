"""A study's driver over a real storage, with candidates computed in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studies import FormulaFactory, load, ten_x_and_rate

from search.driver.loop import Driver
from search.driver.progress import SilentProgress
from search.driver.results import SearchEnd
from search.scenario.outcome import Outcome
from search.storage.database import open_storage
from search.storage.study_store import StudyStore
from search.study import StudySpec
from search.study.fingerprint import candidate_key
from search.study.ranking import directions
from search.study.space import canonical
from search.study.targets import goals_of
from search.workers import InlinePool, WorkerPool
from search.workers.spool import Spool

Formula = Callable[..., Mapping[str, float]]


class EventList:
    """Keeps events instead of writing them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.published = 0

    def event(self, kind: str, **fields: Any) -> None:
        """Take an event."""
        self.events.append((kind, fields))

    def event_batch(self, kind: str, found: Sequence[Mapping[str, Any]]) -> None:
        for fields in found:
            self.event(kind, **fields)

    def publish(self) -> None:
        """Count the publication."""
        self.published += 1


class Search:
    """A study's driver over a real storage, with candidates computed in Python."""

    def __init__(self, folder: Path, formula: Formula, document: Mapping[str, Any]) -> None:
        self.folder = folder
        self.formula = formula
        self.spec: StudySpec = load(folder, document)
        self.log = folder / "evaluations"
        self.recorder = EventList()
        self.store_class = StudyStore

    def run(
        self, preflight: Outcome | None = None, spool: Spool | None = None, **more: Any
    ) -> SearchEnd:
        with self._store() as store, InlinePool() as pool:
            factory = FormulaFactory(self.formula, self.log)
            pool.open(spool.factory(factory) if spool else factory)
            return self.driven(store, pool, preflight, spool=spool, **more)

    def driven(
        self, store: StudyStore, pool: WorkerPool, preflight: Outcome | None = None, **more: Any
    ) -> SearchEnd:
        """Search with a storage and a pool that the caller has opened."""
        driver = Driver(
            spec=self.spec,
            goals=goals_of(self.spec),
            store=store,
            pool=pool,
            batch_size=int(self.spec.search.batch_size),
            recorder=self.recorder,
            progress=SilentProgress(),
            details={"run_id": "r"},
            **more,
        )
        return driver.run(preflight)

    @contextmanager
    def _store(self) -> Iterator[StudyStore]:
        storage = open_storage(f"sqlite:///{self.folder / 'study.db'}")
        try:
            wanted = directions(goals_of(self.spec))
            yield self.store_class.create_or_load(storage, "tiny", directions=wanted)
        finally:
            storage.engine.dispose()

    def trials(self) -> list[Any]:
        with self._store() as store:
            return list(store.trials())

    def candidates(self) -> list[str]:
        return [candidate_key(canonical(self.spec, one.params)) for one in self.trials()]

    def evaluated(self) -> list[int]:
        """Numbers of the trials in the order in which they were evaluated."""
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []


class Died(BaseException):
    """Ends the driver as an interrupt would, but not pytest."""


class Stop:
    """Stops the driver in the middle of an evaluation, once."""

    def __init__(self, evaluation: int, formula: Formula = ten_x_and_rate) -> None:
        self._left = evaluation
        self._formula = formula

    def __call__(self, **values: Any) -> Mapping[str, float]:
        self._left -= 1
        if self._left == 0:
            raise Died
        return self._formula(**values)
