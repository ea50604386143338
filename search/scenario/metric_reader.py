"""Reading metrics: one row, one finite number, or an error that says which metric and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb

from search.errors import ScenarioError
from search.scenario.duckdb_errors import first_paragraph
from search.scenario.plan import PlannedMetric
from search.scenario.seeds import metric_place, set_seed
from search.scenario.session import ACCESS_ADVICE
from search.scenario.writes import outside_writes
from search.study.values import Scalar


def read_metric(connection: Any, metric: PlannedMetric) -> float:
    """Run a metric's query and return its number.

    Raises:
        ScenarioError: If the query fails, or yields anything but one row with one
            finite number; the stage is ``metric``.
    """
    for write in outside_writes(metric.sql):
        raise _wrong(metric, f"its SQL may only read, but {write.text()}")
    try:
        rows = connection.execute(metric.sql).fetchmany(2)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.PermissionException as error:
        raise _wrong(metric, f"{first_paragraph(error)}; {ACCESS_ADVICE}") from error
    except duckdb.Error as error:
        raise _wrong(metric, f"its SQL fails: {first_paragraph(error)}") from error
    if len(rows) != 1:
        count = "two or more" if rows else "none"
        raise _wrong(metric, f"its SQL must yield one row, but yields {count}")
    if len(rows[0]) != 1:
        raise _wrong(metric, f"its SQL must yield one column, but yields {len(rows[0])}")
    value = rows[0][0]
    if value is None:
        raise _wrong(metric, "its SQL must yield a number, but yields NULL")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _wrong(metric, f"its SQL must yield a number, but yields {value!r}")
    number = float(value)
    if not math.isfinite(number):
        raise _wrong(metric, f"its SQL must yield a finite number, but yields {number}")
    return number


def combine(readings: Sequence[float], how: str) -> float:
    """Combine the readings of a repeated metric, in the order of the repetitions.

    Args:
        readings: At least one finite number.
        how: ``mean``, ``last``, ``max``, ``min`` or ``sum``.

    Example:
        >>> combine([1.0, 2.0, 6.0], "mean")
        3.0
    """
    if how == "last":
        return readings[-1]
    if how == "mean":
        return math.fsum(readings) / len(readings)
    if how == "sum":
        return math.fsum(readings)
    return max(readings) if how == "max" else min(readings)


class MetricReader:
    """Collects a candidate's metrics while its steps run.

    Args:
        metrics: What to read.
        seed: What seeds DuckDB before each of them, or None.
        led: Leads SQL to files that the candidate's project wrote; takes SQL and who asks.
        guard: Refuses SQL that says something else for each candidate; None where the session
            itself is closed.
    """

    def __init__(
        self,
        metrics: Sequence[PlannedMetric],
        seed: Scalar | None = None,
        led: Callable[[str, str], str] = lambda sql, who: sql,
        guard: Callable[[str], None] | None = None,
    ) -> None:
        self._metrics = metrics
        self._seed = seed
        self._led = led
        self._guard = guard
        self._readings: dict[str, list[float]] = {}

    def is_due(self, step_index: int) -> bool:
        """Whether some metric is read after each repetition of this step."""
        return any(metric.step == step_index for metric in self._metrics)

    def read_after(self, connection: Any, step_index: int, loop_value: Any) -> None:
        """Read the metrics that belong to this repetition of a step."""
        for metric in self._metrics:
            if metric.step == step_index and metric.loop_value in (None, loop_value):
                reading = self._read(connection, metric, loop_value)
                self._readings.setdefault(metric.name, []).append(reading)

    def finish(self, connection: Any) -> Mapping[str, float]:
        """Read the metrics of the end and return all, in the study file's order."""
        return {
            metric.name: (
                self._read(connection, metric, None)
                if metric.step is None
                else combine(self._readings[metric.name], _reduction(metric))
            )
            for metric in self._metrics
        }

    def _read(self, connection: Any, metric: PlannedMetric, loop_value: Any) -> float:
        if self._seed is not None:
            connection.execute(set_seed(self._seed, metric_place(metric.name, loop_value)))
        if self._guard is not None and metric.template is not None:
            self._guard(metric.sql)
        sql = self._led(metric.sql, f"metric {metric.name}")
        return read_metric(connection, metric if sql == metric.sql else replace(metric, sql=sql))


def _reduction(metric: PlannedMetric) -> str:
    return "last" if metric.combine is None or metric.combine == "each" else metric.combine


def _wrong(metric: PlannedMetric, message: str) -> ScenarioError:
    return ScenarioError(f"{message} ({metric.sql})", stage="metric", model=metric.name)
