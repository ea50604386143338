"""The study file's ``report``: further tables and charts of today, the plan and the others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from search.study.mistakes import Mistake, wrongs
from search.study.scenario import StepSpec
from search.study.values import Identifier, Items, Model, SqlText


class TableSpec(Model):
    """A table that is read of each plan, after the scenario's steps."""

    sql: SqlText = Field(examples=["select year, payroll from {{ ref('fct_payroll') }} order by 1"])
    """A query over the plan's own database; `ref`, `source` and `var` as in metrics."""
    title: str | None = Field(default=None, min_length=1)
    """What the table shows, for people; its name when left out."""
    unit: str | None = Field(default=None, examples=["USD"])
    """Unit of `value`, for people."""
    by: Items[str] = Field(default=(), max_length=4, examples=[["fiscal_year"]])
    """Columns that say which row is which; with `value`, the plans stand side by side."""
    value: str | None = Field(default=None, min_length=1)
    """The column of numbers that is compared."""
    chart: Literal["lines", "bars", "walk"] | None = None
    """`lines` or `bars` over the last column of `by`, or `walk`: from the first row to the last,
    each row between them a part of the way."""

    @model_validator(mode="after")
    def _check(self) -> TableSpec:
        mistakes = []
        if bool(self.by) != (self.value is not None):
            missing, there = ("value", "by") if self.by else ("by", "value")
            text = f"`{missing}` is required with `{there}`: which column is compared, by which"
            mistakes.append(Mistake((missing,), text))
        elif self.chart is not None and not self.by:
            text = f"chart: {self.chart} draws `value` over `by`; name both columns"
            mistakes.append(Mistake(("chart",), text))
        if self.value is not None and self.value in self.by:
            text = f"must be another column than those of `by`, but got {self.value}"
            mistakes.append(Mistake(("value",), text))
        if mistakes:
            raise wrongs(mistakes)
        return self


class ReportSpec(Model):
    """What the report shows beside parameters and metrics."""

    steps: Annotated[Items[StepSpec], Field(max_length=100)] = ()
    """What is run before the tables are read, after the scenario's own steps."""
    tables: dict[Identifier, TableSpec] = Field(default={}, max_length=50)
    """The tables, by name, in order."""

    @model_validator(mode="after")
    def _check(self) -> ReportSpec:
        if self.steps and not self.tables:
            raise wrongs([Mistake(("tables",), "must have at least 1 table when there are steps")])
        return self
