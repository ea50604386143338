"""Steps with their loops unrolled, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from search.study.scenario import ActionSpec, StepSpec
from search.study.values import Scalar, value_text


@dataclass(frozen=True)
class ExpandedStep:
    """One dbt invocation or one piece of SQL.

    Attributes:
        name: As messages and audit name it, for example ``steps[0] simulation_year=2027``.
        index: Position of the step in its list in the study file, from 0.
        kind: ``dbt`` or ``sql``.
        command: With ``dbt``: ``run``, ``build`` or ``seed``; else None.
        select: With ``dbt``: selection words; empty selects everything.
        exclude: With ``dbt``: words left out.
        vars: With ``dbt``: the step's own vars with the loop's value on top.
        full_refresh: With ``dbt``: whether incremental models are built anew.
        sql: With ``sql``: the text, in which ``{{ name }}`` is the loop's value; else None.
        loop: The loop's name and this repetition's value, or None.
        is_last_of_loop: Whether this is the last repetition of a loop; False without a loop.
        goes_on: Whether another step of the same repetition follows.
    """

    name: str
    index: int
    kind: Literal["dbt", "sql"]
    command: Literal["run", "build", "seed"] | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    full_refresh: bool = False
    sql: str | None = None
    loop: tuple[str, Scalar] | None = None
    is_last_of_loop: bool = False
    goes_on: bool = False

    @property
    def ends_repetition(self) -> bool:
        """Whether a repetition of a loop ends with this step."""
        return self.loop is not None and not self.goes_on


def place_of(step: ExpandedStep) -> str:
    """Return where a step stands in the study file.

    Example:
        >>> place_of(ExpandedStep("steps[0]", 0, "sql"))
        'scenario.steps[0]'
        >>> place_of(ExpandedStep("report.steps[0]", 0, "sql"))
        'report.steps[0]'
    """
    return step.name if step.name.startswith("report.") else f"scenario.{step.name}"


def expand(
    steps: Sequence[StepSpec], *, kind: Literal["steps", "setup", "report.steps"] = "steps"
) -> tuple[ExpandedStep, ...]:
    """Return the steps in running order, each loop unrolled.

    Args:
        steps: ``scenario.steps``, ``scenario.setup`` or ``report.steps``.
        kind: Key of that list, for the names.
    """
    expanded: list[ExpandedStep] = []
    for index, step in enumerate(steps):
        name = f"{kind}[{index}]"
        if step.loop is None:
            expanded.append(_one(step, name, index, None, is_last=False))
            continue
        loop_name, values = step.loop
        parts = step.parts(name)
        for position, value in enumerate(values, start=1):
            is_last = position == len(values)
            for number, (place, part) in enumerate(parts, start=1):
                full_name = f"{place} {loop_name}={value_text(value)}"
                step_once = _one(part, full_name, index, (loop_name, value), is_last=is_last)
                expanded.append(replace(step_once, goes_on=number < len(parts)))
    return tuple(expanded)


def _one(
    step: StepSpec | ActionSpec,
    name: str,
    index: int,
    loop: tuple[str, Scalar] | None,
    *,
    is_last: bool,
) -> ExpandedStep:
    if step.dbt is None:
        return ExpandedStep(
            name=name, index=index, kind="sql", sql=step.sql, loop=loop,
            is_last_of_loop=is_last,
        )  # fmt: skip
    return ExpandedStep(
        name=name,
        index=index,
        kind="dbt",
        command=step.dbt.command,
        select=step.dbt.select,
        exclude=step.dbt.exclude,
        vars={**step.dbt.vars, **dict([loop] if loop else [])},
        full_refresh=step.dbt.full_refresh,
        loop=loop,
        is_last_of_loop=is_last,
    )
