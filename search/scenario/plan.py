"""The prepared scenario: all that a worker needs to evaluate candidates, without the study file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search.scenario.held_clock import HeldClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.read_log import places_of
from search.scenario.relations import Relations, render_sql
from search.scenario.setup_files import SetupFiles
from search.scenario.world import World
from search.study.steps import ExpandedStep
from search.study.values import Scalar
from search.system.sql_text import quoted

StatementObserver = Callable[[str, Any, str | None, str | None], None]
"""Takes SQL text, bound values, dbt's node id and the id of dbt's invocation."""


@dataclass(frozen=True)
class Profile:
    """A dbt profile, resolved and rendered as dbt does it.

    Attributes:
        name: Name of the profile.
        target: Name of the target.
        output: The target's settings, rendered; ``path`` is replaced for every workspace.
        catalog: DuckDB's name for the database, which compiled SQL and views carry.
        flags: dbt's own settings that stand beside the profiles, under ``config``.
    """

    name: str
    target: str
    output: Mapping[str, Any]
    catalog: str
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VarBind:
    """A parameter that reaches dbt as a var."""

    parameter: str
    var: str


@dataclass(frozen=True)
class TableBind:
    """A parameter that reaches the scenario as a cell of a table.

    Attributes:
        parameter: The parameter's name.
        table: The table as the study file names it.
        relation: Its quoted SQL name.
        column: Name of the column, not quoted.
        where: The study author's condition; picks the rows.
    """

    parameter: str
    table: str
    relation: str
    column: str
    where: str

    def update_sql(self) -> str:
        """Return the UPDATE with the value as its one SQL parameter."""
        return f"update {self.relation} set {quoted(self.column)} = ? where {self.where}"


@dataclass(frozen=True)
class PlannedMetric:
    """A metric with its SQL rendered for this project.

    Attributes:
        name: As in the study file; ``growth@2026`` for one of several repetitions.
        sql: A query that yields one row with one number.
        unit: For people; may be None.
        step: Index of the looping step after whose repetitions it is read, or None
            when it is read once at the end.
        loop_value: With ``step``: only after this repetition (``combine: each``).
        combine: With ``step``: ``mean``, ``last``, ``max``, ``min``, ``sum`` or ``each``.
        template: Its SQL before it was rendered, when it reads vars that candidates differ in.
        vars: Those vars.
        loop: With ``template``: name and value that it repeats for.
    """

    name: str
    sql: str
    unit: str | None = None
    step: int | None = None
    loop_value: Scalar | None = None
    combine: str | None = None
    template: str | None = None
    vars: Sequence[str] = ()
    loop: Sequence[Any] | None = None

    def rendered(self, relations: Relations, names: Mapping[str, Any]) -> PlannedMetric:
        """Return the metric with its SQL for a candidate.

        Args:
            relations: Where ``ref`` and ``source`` look.
            names: What ``var`` looks up.
        """
        if self.template is None:
            return self
        loop = None if self.loop is None else (str(self.loop[0]), self.loop[1])
        # A loop over steps sets a var for dbt; a metric that repeats by itself does not.
        names = {**names, loop[0]: loop[1]} if loop and self.step is not None else names
        return replace(
            self, sql=render_sql(self.template, relations, scenario_vars=names, loop=loop)
        )


@dataclass(frozen=True)
class ScenarioPlan:
    """A scenario that is ready to be evaluated, on any machine that sees its files.

    Attributes:
        project_dir: The dbt project's folder.
        profile: The resolved profile.
        baseline: The baseline's database file.
        vars: The scenario's own vars; parameters come on top.
        steps: Steps of one candidate, loops unrolled, in order.
        relations: What ``ref`` and ``source`` mean in the author's own SQL.
        metrics: What to read, in the study file's order.
        var_binds: Parameters that travel as vars.
        table_binds: Parameters that travel as table cells.
        replication_var: The var that carries a replication's random seed, or None.
        allow_external_access: Whether the author's own SQL may read files.
        fingerprints: ``project``, ``baseline`` and ``scenario`` content hashes.
        project_files: The project's files, seen from its folder.
        project_vars: What the project itself gives its vars, for the author's own SQL.
        world: Remembers what the scenario reads beside all that; nobody asks when None.
        recorded: Remembers the same for what dbt sends, whatever the metrics; None where nothing
            recorded is looked for.
        baseline_inputs: What the baseline was built from beside the project: key to content.
        seed: What seeds DuckDB before each statement that draws, or None.
        has_replications: Whether a candidate runs under several seeds.
        setup_files: What the setup wrote beside its database, or None.
        seen: Keys of all inputs that were noticed when the plan was made.
        clock: The clock that stands still for candidates; the real one when None.
    """

    project_dir: Path
    profile: Profile
    baseline: Path
    vars: Mapping[str, Any]
    steps: tuple[ExpandedStep, ...]
    relations: Relations
    metrics: tuple[PlannedMetric, ...]
    var_binds: tuple[VarBind, ...]
    table_binds: tuple[TableBind, ...]
    replication_var: str | None
    allow_external_access: bool
    fingerprints: Mapping[str, str]
    project_files: tuple[str, ...] = ()
    project_vars: Mapping[str, Any] = field(default_factory=dict)
    world: World | None = None
    recorded: World | None = None
    baseline_inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    has_replications: bool = False
    setup_files: SetupFiles | None = None
    seen: tuple[str, ...] = ()
    clock: HeldClock | None = None
    files_fingerprint: str = ""

    def with_world(self) -> ScenarioPlan:
        """Return the plan with the fingerprint of what its world holds now."""
        if self.world is None:
            return self
        scenario = self.world.fingerprint()
        return replace(
            self,
            fingerprints={**self.fingerprints, "scenario": scenario},
            seen=tuple(sorted({*self.baseline_inputs, *self.world.inputs()})),
        )

    def may_read(self) -> tuple[list[str], list[Path], list[str]]:
        """Return the files, the folders of patterns, and the patterns that were noticed so far.

        Whoever reads another one gives a number that no fingerprint speaks for.
        """
        known = set(self.seen)
        for world in (self.world, self.recorded):
            known |= world.inputs().keys() if world else set()
        files, folders, patterns = places_of(known)
        if self.setup_files is not None:
            folders.append(self.setup_files.folder)
        return files, folders, patterns

    def inputs(self) -> dict[str, str]:
        """Return what the scenario reads beside study file and project, and what that holds."""
        return {**self.baseline_inputs, **(self.world.state() if self.world else {})}

    def engine_seed(self, request: EvaluationRequest) -> Scalar | None:
        """Return what seeds DuckDB in an evaluation: the replication's value, or the seed."""
        if self.seed is None:
            return None
        return self.seed if request.replication is None else request.replication

    def metrics_of(self, request: EvaluationRequest) -> tuple[PlannedMetric, ...]:
        """Return the metrics as they are read of a candidate."""
        names = {**self.project_vars, **self.vars_of(request)}
        return tuple(metric.rendered(self.relations, names) for metric in self.metrics)

    def vars_of(self, request: EvaluationRequest) -> dict[str, Any]:
        """Return the vars of a candidate: the scenario's, the parameters', the replication's."""
        bound = {bind.var: request.values[bind.parameter] for bind in self.var_binds}
        if self.replication_var is not None and request.replication is not None:
            bound[self.replication_var] = request.replication
        return dict(self.vars) | bound
