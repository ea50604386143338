"""The study file's ``scenario``: which dbt project, and which steps turn it into metrics."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from search.study.mistakes import given, wrong
from search.study.values import (
    Identifier,
    Items,
    Model,
    PathText,
    Scalar,
    ScalarValue,
    SqlText,
    Vars,
    value_text,
)

_STATISTIC = re.compile("mean|median|min|max|p[1-9][0-9]?")


def repeated(values: tuple[Scalar, ...]) -> str | None:
    """Return the text of the first value that stands twice, compared as text, or None."""
    seen: set[str] = set()
    for text in map(value_text, values):
        if text in seen:
            return text
        seen.add(text)
    return None


def _for_each(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        raise wrong(
            "for_each must have exactly one name with its list of values, such as "
            f"{{simulation_year: [2026, 2027]}}, but got {given(value)}"
        )
    ((name, values),) = value.items()
    if not isinstance(values, (list, tuple)) or not 1 <= len(values) <= 1000:
        raise wrong(f"must be a list of 1 to 1000 values, but got {given(values)}", str(name))
    return value


def check_loop(for_each: dict[str, tuple[Scalar, ...]] | None) -> None:
    """Refuse a loop whose values, as text, are not unique: their metrics would share a name."""
    for name, values in (for_each or {}).items():
        if (twice := repeated(values)) is not None:
            raise wrong(f"values must be unique, but {twice} stands twice", "for_each", name)


def _words(value: Any) -> Any:
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise wrong(f"must be dbt selection text or a list of it, but got {given(value)}")
    return tuple(word for item in items for word in item.split())


ForEach = Annotated[
    dict[Identifier, Items[ScalarValue]] | None,
    BeforeValidator(_for_each),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": {"type": "array", "minItems": 1},
            "examples": [{"simulation_year": [2026, 2027, 2028]}],
        }
    ),
]
Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class DbtSpec(Model):
    """One dbt invocation."""

    command: Literal["run", "build", "seed"]
    """dbt's command; `build` also runs the tests."""
    select: Words = Field(default=(), examples=["tag:simulation"])
    """dbt's --select, as one text or a list; everything when left out."""
    exclude: Words = ()
    """dbt's --exclude, as one text or a list."""
    vars: Vars = Field(default={})
    """dbt vars of this step alone; they come on top of `scenario.vars`."""
    full_refresh: bool = False
    """dbt's --full-refresh."""


class ActionSpec(Model):
    """What one repetition of a loop does, step by step: a dbt invocation or SQL."""

    dbt: DbtSpec | None = None
    """A dbt invocation; the loop's value becomes a var."""
    sql: SqlText | None = None
    """SQL statements; the loop's value is available as `{{ name }}`."""

    @model_validator(mode="after")
    def _check(self) -> ActionSpec:
        if (self.dbt is None) == (self.sql is None):
            count = "neither" if self.dbt is None else "both"
            raise wrong(f"a step must have exactly one of dbt and sql, but got {count}")
        return self


class StepSpec(Model):
    """One step of a scenario: a dbt invocation or SQL; a loop repeats one or several of them."""

    dbt: DbtSpec | None = None
    """A dbt invocation; the loop's value becomes a var."""
    sql: SqlText | None = None
    """SQL statements; the loop's value is available as `{{ name }}`."""
    for_each: ForEach = None
    """Repeat the step for each value of one name, in order."""
    steps: Annotated[Items[ActionSpec], Field(min_length=1, max_length=100)] | None = None
    """With `for_each`: what each repetition does, in order, in place of `dbt` or `sql`."""

    @model_validator(mode="after")
    def _check(self) -> StepSpec:
        given_ones = [key for key in ("dbt", "sql", "steps") if getattr(self, key) is not None]
        if len(given_ones) != 1:
            got = {0: "neither", 2: "both"}.get(len(given_ones), "all")
            what = "dbt and sql" if self.steps is None else "dbt, sql and steps"
            raise wrong(f"a step must have exactly one of {what}, but got {got}")
        if self.steps is not None and self.for_each is None:
            raise wrong("go only with for_each; write them into the list of steps itself", "steps")
        check_loop(self.for_each)
        return self

    def parts(self, place: str) -> list[tuple[str, ActionSpec | StepSpec]]:
        """Return the single actions of the step, each with its key.

        Args:
            place: Key of the step, for example ``scenario.steps[0]``.
        """
        if self.steps is None:
            return [(place, self)]
        return [(f"{place}.steps[{index}]", step) for index, step in enumerate(self.steps)]

    @property
    def loop(self) -> tuple[str, tuple[Scalar, ...]] | None:
        """The loop's name and its values, or None."""
        return next(iter(self.for_each.items())) if self.for_each else None


def _statistic(value: Any) -> Any:
    if isinstance(value, str) and _STATISTIC.fullmatch(value):
        return value
    raise wrong(f"must be mean, median, min, max or p1 to p99, but got {given(value)}")


Statistic = Annotated[
    str, BeforeValidator(_statistic), Field(pattern=f"^({_STATISTIC.pattern})$", examples=["p90"])
]


class SeedVar(Model):
    """A seed that the project itself takes."""

    var: Identifier = Field(examples=["random_seed"])
    """The dbt var that carries it."""


class ReplicationsSpec(Model):
    """Monte Carlo: each candidate runs once under each value; a statistic of its metrics counts."""

    var: Identifier | None = None
    """The dbt var that carries the value, most often a random seed; left out when
    `scenario.seed` says where the seed goes."""
    values: Items[ScalarValue] = Field(min_length=1, max_length=1000, examples=[[1, 2, 3]])
    """The values; each one is a full evaluation of the candidate."""
    statistic: Statistic = "mean"
    """What of a metric counts: the mean, the median, min, max, or a quantile such as p90."""

    @model_validator(mode="after")
    def _check(self) -> ReplicationsSpec:
        if (twice := repeated(self.values)) is not None:
            raise wrong(f"values must be unique, but {twice} stands twice", "values")
        return self


class CheckSpec(Model):
    """A check of the data after setup."""

    sql: SqlText
    """A query over the baseline; `ref`, `source` and `var` as in metrics."""
    show: bool = False
    """Show the rows before the search and in the report, instead of refusing them."""
    message: str | None = Field(default=None, min_length=1)
    """What the rows mean, for people."""


class ScenarioSpec(Model):
    """The dbt run that turns a candidate into metrics."""

    dbt_project: PathText = Field(examples=["../dbt"])
    """Folder of the dbt-duckdb project, relative to the study file."""
    profiles_dir: PathText | None = None
    """Folder of profiles.yml; found as dbt finds it when left out."""
    profile: str | None = Field(default=None, min_length=1)
    """dbt profile, when it is not the project's own."""
    target: str | None = Field(default=None, min_length=1)
    """dbt target within the profile, when it is not the default."""
    vars: Vars = Field(default={}, examples=[{"scenario_id": "baseline", "start_year": 2026}])
    """dbt vars of every step; parameters and loops come on top."""
    vars_file: PathText | None = Field(default=None, examples=["vars.yml"])
    """A YAML file of further dbt vars (name: value), relative to the study file; `vars` come on
    top. For long lists."""
    inputs: Items[PathText] = ()
    """Files outside the project that the baseline reads; their content joins its fingerprint."""
    database: PathText | None = None
    """A DuckDB file to start from; it is copied, never written."""
    setup: Items[StepSpec] = ()
    """Steps that build the baseline once (seeds, staging): the part that no parameter touches."""
    checks: dict[Identifier, CheckSpec] = Field(default={}, max_length=100)
    """Queries after setup that must return no row, or whose rows are shown, by name."""
    steps: Items[StepSpec] = Field(min_length=1, max_length=1000)
    """Steps that are evaluated for each candidate, in order."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] | SeedVar | None = Field(
        default=None, examples=[42, {"var": "random_seed"}]
    )
    """Makes chance repeatable. A whole number seeds DuckDB before each statement that draws
    (`random()`, samples), alike for every candidate; `{var: name}` is a seed that the project
    takes. With replications their values are the seeds."""
    replications: ReplicationsSpec | None = None
    """Run each candidate under several values of one var (random seeds)."""
    allow_external_access: bool = False
    """Whether SQL of the study may read files and load extensions; it may never write any."""

    @model_validator(mode="after")
    def _check_seed(self) -> ScenarioSpec:
        """One thing carries the seed: the replications' var, the seed's var, or the engine."""
        replications = self.replications
        if replications is None:
            if isinstance(self.seed, SeedVar) and type(self.vars.get(self.seed.var)) is not int:
                raise wrong(
                    "needs the seed that the search tunes on, a whole number: "
                    f"vars: {{{self.seed.var}: 42}}, or replications: {{values: [42]}}",
                    "seed",
                )
            return self
        place = ("replications", "var")
        if replications.var is None and self.seed is None:
            raise wrong(
                "`var` is required, or scenario.seed, which says what the values seed", *place
            )
        seeded = self.seed.var if isinstance(self.seed, SeedVar) else self.seed
        if replications.var is not None and seeded not in (None, replications.var):
            what = (
                f"scenario.seed names {seeded}" if isinstance(seeded, str) else "scenario.seed is"
            )
            what += "" if isinstance(seeded, str) else f" the engine's ({seeded})"
            raise wrong(
                f"must be left out, because {what}, but got {given(replications.var)}", *place
            )
        if self.engine_seed is not None and not all(
            type(value) is int for value in replications.values
        ):
            raise wrong(
                "must be whole numbers beside a seed of the engine's", "replications", "values"
            )
        return self

    @property
    def engine_seed(self) -> int | None:
        """The engine's own seed, or None."""
        return self.seed if isinstance(self.seed, int) else None

    @property
    def replication_var(self) -> str | None:
        """The dbt var that takes the replications' values; None when there are none, or no var."""
        if self.replications is not None and self.replications.var is not None:
            return self.replications.var
        return self.seed.var if isinstance(self.seed, SeedVar) else None

    @property
    def seeds(self) -> tuple[Scalar | None, ...]:
        """The values under which each candidate runs; None alone when nothing is seeded."""
        if self.replications is not None:
            return self.replications.values
        return (self.vars[self.seed.var] if isinstance(self.seed, SeedVar) else self.seed,)

    @property
    def has_chance(self) -> bool:
        """Whether the same candidate comes out otherwise under another random seed.

        `seed` says so; without it, a replication variable that is called a seed and takes whole
        numbers.
        """
        if self.seed is not None:
            return True
        replications = self.replications
        return (
            replications is not None
            and "seed" in (replications.var or "").lower()
            and all(type(value) is int for value in replications.values)
        )
