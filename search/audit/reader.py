"""Reading the published trail: never writes, and never in a publisher's way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from pydantic import ValidationError

from search.audit.records import (
    FORMAT_VERSION,
    BestParameter,
    FrontierPlan,
    IterationRecord,
    ParameterSetRecord,
    PlanAlternative,
    PlanFuture,
    Record,
    RunRecord,
    TrialEvent,
    TrialMetric,
    TrialParameter,
    TrialRecord,
)
from search.audit.schema import DATABASE_NAME, MEMORY_LIMIT, TABLES, Table, not_there
from search.errors import AuditError
from search.system.sql_text import literal

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True)
class TrialDetail:
    """All that the trail says about one trial.

    Attributes:
        record: The trial itself.
        parameters: Its parameter values.
        metrics: Its metrics, with their targets.
    """

    record: TrialRecord
    parameters: tuple[TrialParameter, ...]
    metrics: tuple[TrialMetric, ...]


class AuditReader:
    """Answers from the trail last published in a results folder.

    Each call opens the database anew and closes it, so it sees the newest publication.
    Reads files that an earlier version wrote: fields they lack have their default.

    Args:
        results_folder: The study's results folder.
        study: Name of the study in the storage; None reads every version there.
    """

    def __init__(self, results_folder: Path, *, study: str | None = None) -> None:
        self.path = results_folder / DATABASE_NAME
        self._study = study

    def runs(self) -> list[RunRecord]:
        """Return the runs, oldest first."""
        return self._records(RunRecord, order="started_at")

    def trials(
        self,
        *,
        state: str | None = None,
        iteration: int | None = None,
        is_all_targets_met: bool | None = None,
    ) -> list[TrialRecord]:
        """Return the trials that fit, in order of their numbers."""
        return self._records(
            TrialRecord,
            order="trial",
            state=state,
            iteration=iteration,
            is_all_targets_met=is_all_targets_met,
        )

    def trial(self, number: int) -> TrialDetail:
        """Return one trial; of the newest version when the reader reads several.

        Raises:
            AuditError: If the trail has no such trial.
        """
        records = self._records(TrialRecord, order="trial", trial=number)
        if not records:
            raise AuditError(
                f"trial {number} must be in {self.path}, but is not; `trials()` lists them"
            )
        record = max(records, key=lambda item: (item.dispatched_at is not None, item.dispatched_at))
        return TrialDetail(
            record=record,
            parameters=tuple(
                self._records(TrialParameter, order="parameter", trial=number, study=record.study)
            ),
            metrics=tuple(
                self._records(TrialMetric, order="metric", trial=number, study=record.study)
            ),
        )

    def best(self) -> list[BestParameter]:
        """Return the best trial's parameters; empty while no trial is complete."""
        return self._records(BestParameter, order="parameter")

    def iterations(self) -> list[IterationRecord]:
        """Return the iterations in order."""
        return self._records(IterationRecord, order="iteration")

    def metrics(self) -> list[TrialMetric]:
        """Return every trial's metrics, in order of trials and names."""
        return self._records(TrialMetric, order="trial, metric")

    def parameters(self) -> list[TrialParameter]:
        """Return every trial's parameters, in order of trials and names."""
        return self._records(TrialParameter, order="trial, parameter")

    def events(self, *, kind: str | None = None) -> list[TrialEvent]:
        """Return the events, oldest first."""
        return self._records(TrialEvent, order="sequence", kind=kind)

    def alternatives(self) -> list[PlanAlternative]:
        """Return the other plans that meet every target, a row for each parameter."""
        return self._records(PlanAlternative, order="alternative, parameter")

    def frontiers(self) -> list[FrontierPlan]:
        """Return the plans of every frontier that was asked for, number by number."""
        return self._records(FrontierPlan, order="frontier, point, kind, name")

    def futures(self) -> list[PlanFuture]:
        """Return the best trial's metrics under each random seed that was evaluated."""
        return self._records(PlanFuture, order="seed, metric")

    def parameter_sets(self) -> list[ParameterSetRecord]:
        """Return the applied parameter sets, oldest first."""
        return self._records(ParameterSetRecord, order="version")

    def records(self, record: type[AnyRecord]) -> list[AnyRecord]:
        """Return every row of the table that holds such records, in no particular order."""
        return self._records(record, order="1")

    def trials_relation(self) -> duckdb.DuckDBPyRelation:
        """Return every trial as a relation, with a column for each parameter and metric.

        The rows are copied into memory, so the relation lives as long as its owner and stays as
        it is while the study goes on. A name that two things share has its kind in front:
        ``parameter_cost``, ``metric_cost``.

        Raises:
            AuditError: If nothing is published yet.
        """
        with self._connection() as connection:
            parameters = _names(connection, "trial_parameters", "parameter")
            metrics = _names(connection, "trial_metrics", "metric")
            taken = [*_TRIAL_COLUMNS, *parameters, *metrics]
            columns = [f"t.{name}" for name in _TRIAL_COLUMNS]
            for kind, names in (("parameter", parameters), ("metric", metrics)):
                for name, is_number in names.items():
                    title = name if taken.count(name) == 1 else f"{kind}_{name}"
                    value = "value" if is_number else "value_text"
                    columns.append(
                        f"(SELECT {value} FROM trial_{kind}s v WHERE v.study = t.study AND "
                        f"v.trial = t.trial AND v.{kind} = {_quoted(name, chr(39))}) "
                        f"AS {_quoted(title, chr(34))}"
                    )
            where = "" if self._study is None else f"WHERE study = {_quoted(self._study, chr(39))}"
            rows = connection.sql(
                f"SELECT {', '.join(columns)} FROM search_trials t {where} ORDER BY study, trial"
            ).to_arrow_table()
        return duckdb.connect(":memory:", config={"threads": 1}).from_arrow(rows)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query over the trail's tables and views.

        Raises:
            AuditError: If nothing is published yet, or the query fails.
        """
        with self._connection() as connection:
            relation = connection.sql(sql, params=list(parameters))
            return [] if relation is None else list(relation.to_arrow_table().to_pylist())

    def _records(
        self, record: type[AnyRecord], *, order: str, study: str | None = None, **equal: Any
    ) -> list[AnyRecord]:
        table = _table(record)
        given = {"study": study or self._study, **equal}
        given = {name: value for name, value in given.items() if value is not None}
        condition = " AND ".join(f"{name} = ?" for name in given) or "true"
        sql = f"SELECT * FROM {table.name} WHERE {condition} ORDER BY study, {order}"
        with self._connection() as connection:
            if not _exists(connection, table):
                return []
            rows = connection.sql(sql, params=list(given.values())).to_arrow_table().to_pylist()
        return [self._parsed(record, row) for row in rows]

    def _parsed(self, record: type[AnyRecord], row: dict[str, Any]) -> AnyRecord:
        if row.get("format_version", FORMAT_VERSION) > FORMAT_VERSION:
            raise AuditError(
                f"{self.path} must have format version {FORMAT_VERSION} or less, but has "
                f"{row['format_version']}; install the scenario-search that wrote it"
            )
        try:
            return record.model_validate(row)
        except ValidationError as error:
            raise AuditError(
                f"{self.path} must hold whole records, but a {record.__name__} is not one: {error}"
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self.path.exists():
            raise not_there(self.path)
        # Attached rather than connected to: within one process DuckDB hands out the instance
        # that already has this path open, even when the file there has been replaced since.
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": 1,
                "memory_limit": MEMORY_LIMIT,
                "autoinstall_known_extensions": False,
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH {literal(self.path)} AS audit (READ_ONLY)")
            connection.execute("USE audit")
            # The file may be somebody else's: its views reach no other file.
            connection.execute("SET enable_external_access = false")
            yield connection
        except duckdb.Error as error:
            raise AuditError(f"the audit trail {self.path} cannot be read: {error}") from error
        finally:
            connection.close()


def _table(record: type[Record]) -> Table:
    return next(table for table in TABLES.values() if table.record is record)


def _exists(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Return whether the file has the table; one of an earlier version may lack it."""
    row = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'audit' AND table_name = ?",
        [table.name],
    ).fetchall()
    return bool(row)


_TRIAL_COLUMNS = (
    *("study", "trial", "iteration", "state", "loss", "is_all_targets_met", "seconds", "engine"),
)


def _names(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> dict[str, bool]:
    """Return the names in a table, in order, and whether all their values are numbers."""
    rows = connection.execute(
        f"SELECT {column}, min(trial), bool_and(value IS NOT NULL) FROM {table} "
        f"GROUP BY {column} ORDER BY 2, 1"
    ).fetchall()
    # A metric is a number or missing; a parameter that is text has no ``value``.
    return {name: bool(is_number) or table == "trial_metrics" for name, _, is_number in rows}


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark
