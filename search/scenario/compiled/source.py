"""What a program is compiled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.report_tables import TablesAside
from search.study.parameters import ParameterSpec
from search.study.values import Scalar

MAX_STATIC_VALUES = 12
"""Values of a parameter that are each recorded, when templates look at it."""


@dataclass(frozen=True)
class Source:
    """What a program is compiled from.

    Attributes:
        factory: Makes the reference evaluator.
        parameters: What the study's parameters may be.
        replication: First value of the replication variable, or None.
        recorders: Recordings that may run at the same time, and replays that check them, 1 or
            2; each takes a worker's memory.
        aside: Reads the report's tables of the first candidate while it is recorded; None where
            nobody asks.
    """

    factory: DbtEvaluatorFactory
    parameters: Mapping[str, ParameterSpec]
    replication: Scalar | None
    recorders: int = 1
    aside: TablesAside | None = None


def all_values(parameter: ParameterSpec) -> list[Scalar] | None:
    """Return every value of a parameter when they are few, else None."""
    if parameter.choices is not None:
        values: list[Scalar] = list(parameter.choices)
    elif parameter.kind == "integer":
        low, high = parameter.bounds
        whole = range(int(low), int(high) + 1, int(parameter.grid_step or 1))
        values = list(whole[: MAX_STATIC_VALUES + 1])
    else:
        return None
    return values if len(values) <= MAX_STATIC_VALUES else None
