"""The trail's tables: their columns, types and comments, all from the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import AwareDatetime

from search.audit import canonical
from search.audit.records import (
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
from search.errors import ResultsMissingError

if TYPE_CHECKING:
    import pyarrow as pa

DATABASE_NAME = "audit.duckdb"
PARQUET_FOLDER = "audit"
MEMORY_LIMIT = "256MB"
"""For building and reading the database; 1,000 trials need far less."""

JSON = "JSON"
DUCKDB_TYPES: Mapping[Any, str] = {
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    str: "VARCHAR",
    AwareDatetime: "TIMESTAMPTZ",
    Any: JSON,
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name, unit included where there is one.
        duckdb_type: For example ``DOUBLE``.
        is_required: Whether it is never null.
        comment: What it holds, with its unit.
    """

    name: str
    duckdb_type: str
    is_required: bool
    comment: str


@dataclass(frozen=True)
class Table:
    """One table of the trail; a row is one record.

    Attributes:
        name: Its name in the database and of its Parquet file.
        record: The record's class.
        comment: What a row is.
    """

    name: str
    record: type[Record]
    comment: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns: the study first, the format's version last."""
        names = [name for name in self.record.model_fields if name != "format_version"]
        return tuple(self._column(name) for name in [*names, "format_version"])

    def arrow(self, records: Sequence[Record]) -> pa.Table:
        """Return the records as an Arrow table; nested values as canonical JSON text."""
        import pyarrow as pa  # late: who reads the trail's records alone needs none

        kinds = {
            "BIGINT": pa.int64(),
            "DOUBLE": pa.float64(),
            "BOOLEAN": pa.bool_(),
            "VARCHAR": pa.string(),
            "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
            JSON: pa.string(),
        }
        arrays, schema = [], []
        for column in self.columns:
            values: Iterable[Any] = (getattr(record, column.name) for record in records)
            if column.duckdb_type == JSON:
                values = (None if item is None else canonical.dumps(item) for item in values)
            kind = kinds[column.duckdb_type]
            arrays.append(pa.array(list(values), kind))
            schema.append(pa.field(column.name, kind, metadata={"description": column.comment}))
        return pa.Table.from_arrays(
            arrays, schema=pa.schema(schema, metadata={"description": self.comment})
        )

    def _column(self, name: str) -> Column:
        field = self.record.model_fields[name]
        kind = field.annotation
        if get_origin(kind) is UnionType:
            kind = next(item for item in get_args(kind) if item is not type(None))
        is_required = field.is_required() or field.default is not None
        return Column(name, DUCKDB_TYPES[kind], is_required, field.description or "")


TABLES = {
    "runs": Table("search_runs", RunRecord, "One start of the driver; keyed by study, run_id"),
    "trials": Table("search_trials", TrialRecord, "One evaluated candidate; keyed by study, trial"),
    "parameters": Table(
        "trial_parameters",
        TrialParameter,
        "A parameter's value in a trial; study, trial, parameter",
    ),
    "metrics": Table(
        "trial_metrics", TrialMetric, "A metric's value in a trial; keyed by study, trial, metric"
    ),
    "events": Table(
        "trial_events", TrialEvent, "What happened, in order; keyed by study, sequence"
    ),
    "best_parameters": Table(
        "best_parameters", BestParameter, "A parameter's value in the best trial; study, parameter"
    ),
    "iterations": Table(
        "iterations", IterationRecord, "A batch of trials and its best; keyed by study, iteration"
    ),
    "parameter_sets": Table(
        "parameter_sets",
        ParameterSetRecord,
        "An applied choice of values; keyed by parameter_set, version",
    ),
    "futures": Table(
        "plan_futures",
        PlanFuture,
        "A metric of the best trial under one random seed; study, seed, metric",
    ),
    "alternatives": Table(
        "plan_alternatives",
        PlanAlternative,
        "A parameter's value in another plan that meets every target; "
        "study, alternative, parameter",
    ),
    "frontiers": Table(
        "target_frontier",
        FrontierPlan,
        "A parameter's or metric's value in the plan at a point of a frontier; "
        "study, frontier, point, kind, name",
    ),
}
"""Field of ``AuditTables`` to the table that holds its records."""


@dataclass(frozen=True)
class AuditTables:
    """Everything that is published, as records."""

    runs: Sequence[RunRecord] = ()
    trials: Sequence[TrialRecord] = ()
    parameters: Sequence[TrialParameter] = ()
    metrics: Sequence[TrialMetric] = ()
    events: Sequence[TrialEvent] = ()
    best_parameters: Sequence[BestParameter] = ()
    iterations: Sequence[IterationRecord] = ()
    parameter_sets: Sequence[ParameterSetRecord] = ()
    alternatives: Sequence[PlanAlternative] = ()
    futures: Sequence[PlanFuture] = ()
    frontiers: Sequence[FrontierPlan] = ()

    def joined(self, other: AuditTables) -> AuditTables:
        """Return both together, for example of two versions of a study."""
        return AuditTables(
            **{
                field.name: (*getattr(self, field.name), *getattr(other, field.name))
                for field in fields(self)
            }
        )


def not_there(place: Path) -> ResultsMissingError:
    """Return the error of who looks for a trail before there is one."""
    return ResultsMissingError(
        f"there is no audit trail at {place} yet; start the study with `scenario-search run`, "
        "it is published after the first iteration"
    )
