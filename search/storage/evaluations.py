"""Metrics of candidates that were evaluated before, by this study or another one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from search.errors import StorageError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.study.values import Scalar

FORMAT_VERSION = 1
BUSY_SECONDS = 60.0
CACHE = "cache"
"""Name of the worker in the trail of an evaluation that was not repeated."""

_TABLE = """
create table if not exists results (
    scenario text not null,
    candidate text not null,
    engine text not null,
    isolation text not null,
    metrics text not null,
    seconds real not null,
    started_at real not null,
    worker text not null,
    checksum text not null,
    primary key (scenario, candidate, engine)
)
"""

# A damaged row is replaced.
_INSERT = f"insert or replace into results values ({', '.join('?' * 9)})"


@dataclass(frozen=True)
class ResultKey:
    """What the metrics of a candidate follow from, beside the candidate.

    Attributes:
        scenario: Content hash of the scenario: project, baseline, steps, metrics, binds.
        threads: DuckDB threads of an evaluation; sums of floats may depend on them.
    """

    scenario: str
    threads: int

    def text(self) -> str:
        """Return the key as it stands in the table."""
        return f"{FORMAT_VERSION}/{self.scenario}/{self.threads}"


class ResultCache:
    """Complete evaluations by scenario and candidate, in one SQLite file. A context manager.

    Several drivers may use one file. Only exact repetitions are found: the same values of
    the same types, and the same replication.

    Args:
        path: The file; made when missing.
        key: The scenario.
        is_dbt_only: Whether only what dbt itself evaluated counts.

    A cache that fails later on, or whose row is damaged, finds nothing: the evaluation is
    done again.

    Attributes:
        fault: Why nothing is found or kept any more; None while all is well.

    Raises:
        StorageError: If the file is not a cache or cannot be written.
    """

    def __init__(self, path: Path, key: ResultKey, *, is_dbt_only: bool = False) -> None:
        self._path = path
        self._key = key.text()
        self._is_dbt_only = is_dbt_only
        self.fault: str | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = normal")
            self._connection.execute(_TABLE)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, request: EvaluationRequest) -> Outcome | None:
        """Return the outcome of the same evaluation, as an outcome of this request, or None."""
        if self.fault is not None:
            return None
        engines = ("dbt", "dbt") if self._is_dbt_only else ("dbt", "compiled")
        candidate = _candidate_text(request)
        try:
            row = self._connection.execute(
                "select engine, isolation, metrics, started_at, checksum from results "
                "where scenario = ? and candidate = ? and engine in (?, ?) order by engine desc",
                (self._key, candidate, *engines),
            ).fetchone()
        except sqlite3.Error as error:
            self.fault = str(self._error(error))
            return None
        if row is None:
            return None
        engine, isolation, metrics, started_at, checksum = row
        if checksum != _hash(self._key, candidate, engine, metrics):
            return None
        return Outcome(
            request=request,
            metrics=json.loads(metrics),
            started_at=started_at,
            worker=CACHE,
            engine=engine,
            isolation=isolation,
        )

    def keep(self, outcome: Outcome) -> None:
        """Keep a complete outcome; a failed one or one from the cache is passed over."""
        if outcome.failure is not None or outcome.worker == CACHE or self.fault is not None:
            return
        candidate, metrics = _candidate_text(outcome.request), json.dumps(dict(outcome.metrics))
        row = (
            self._key,
            candidate,
            outcome.engine,
            outcome.isolation,
            metrics,
            outcome.seconds,
            outcome.started_at,
            outcome.worker,
            _hash(self._key, candidate, outcome.engine, metrics),
        )
        try:
            self._connection.execute(_INSERT, row)
        except sqlite3.Error as error:
            self.fault = str(self._error(error))

    def forget_replayed(self) -> None:
        """Drop what the compiled engine evaluated of this scenario: it proved wrong.

        Raises:
            StorageError: If the file cannot be written.
        """
        try:
            self._connection.execute(
                "delete from results where scenario = ? and engine <> 'dbt'", (self._key,)
            )
        except sqlite3.Error as error:
            raise self._error(error) from error

    def forget(self) -> None:
        """Drop everything of this scenario: what it was evaluated on changed meanwhile.

        Raises:
            StorageError: If the file cannot be written.
        """
        try:
            self._connection.execute("delete from results where scenario = ?", (self._key,))
        except sqlite3.Error as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file. May be called twice."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _error(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"{self._path} must be the cache of results, but: {error}; "
            "it may be deleted, or left alone with resources.reuse_results: false"
        )


def _candidate_text(request: EvaluationRequest) -> str:
    """Return a hash of what is evaluated; 1, 1.0, true and '1' are different values."""
    values: Mapping[str, Scalar] = request.values
    typed = {name: [type(value).__name__, value] for name, value in values.items()}
    replication = [type(request.replication).__name__, request.replication]
    return _hash(json.dumps([typed, replication], sort_keys=True))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
