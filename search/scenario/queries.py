"""The SQL that a study asks its database: metrics, steps, binds of tables, checks of the data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import SpecError
from search.scenario.baseline import Baseline
from search.scenario.data_checks import CheckTable, DataCheck, plan_check, run_check
from search.scenario.given_vars import Watched
from search.scenario.plan import PlannedMetric, Profile, TableBind
from search.scenario.relations import Relations, render_sql
from search.scenario.setting import Setting
from search.scenario.steps import authors_connection
from search.scenario.table_binds import check_table_bind, plan_table_bind
from search.study.metrics import ExpandedMetric, expand_metrics
from search.study.steps import ExpandedStep, place_of


class Queries:
    """Plans what a study asks, and asks what needs its baseline alone.

    Args:
        setting: The study, and where it is checked.
        relations: What ``ref`` and ``source`` lead to.
    """

    def __init__(self, setting: Setting, relations: Relations) -> None:
        self._setting = setting
        self._relations = relations

    def check_sql_steps(self, steps: Sequence[ExpandedStep]) -> None:
        """Refuse SQL of steps that cannot be rendered."""
        for step in steps:
            if step.sql is None:
                continue
            with self._setting.complaints.checking():
                render_sql(
                    step.sql,
                    self._relations,
                    scenario_vars={
                        **self._setting.project_vars,
                        **self._setting.vars_of_step(step),
                    },
                    loop=step.loop,
                    key=place_of(step),
                )

    def check_report(self) -> None:
        """Refuse a table of the report that does not render, before anything is searched."""
        names = {**self._setting.project_vars, **self._setting.current_vars}
        for name, table in self._setting.spec.report.tables.items():
            with self._setting.complaints.checking():
                self._render(table.sql, None, f"report.tables.{name}.sql", names)

    def plan_metrics(self) -> tuple[PlannedMetric, ...]:
        """Return the metrics with their SQL rendered."""
        planned = []
        for metric in expand_metrics(self._setting.spec):
            with self._setting.complaints.checking():
                planned.append(self._plan_metric(metric))
        return tuple(planned)

    def _plan_metric(self, metric: ExpandedMetric) -> PlannedMetric:
        names = Watched({**self._setting.project_vars, **self._setting.current_vars})
        key = f"metrics.{metric.key}.sql"
        if metric.step is not None and metric.loop is not None:
            names[metric.loop[0]] = metric.loop[1]
        sql = self._render(metric.sql, metric.loop, key, names)
        seed = self._setting.scenario.replication_var
        moved = {bind.var for bind in self._setting.var_binds}
        moved |= {seed} if seed is not None else set()
        vars_read = sorted(moved & names.read)
        return PlannedMetric(
            name=metric.name,
            sql=sql,
            unit=metric.unit,
            template=metric.sql if vars_read else None,
            vars=tuple(vars_read),
            loop=metric.loop if vars_read else None,
            step=metric.step,
            loop_value=metric.loop[1] if metric.loop and metric.step is not None else None,
            combine=metric.combine,
        )

    def _render(
        self,
        template: str,
        loop: tuple[str, Any] | None,
        key: str,
        names: Mapping[str, Any],
    ) -> str:
        try:
            return render_sql(template, self._relations, scenario_vars=names, loop=loop, key=key)
        except SpecError as error:
            raise self._setting.error(key, error.message) from error

    def _render_fixed(self, template: str, key: str) -> str:
        return self._render(template, None, key, self._setting.fixed_vars)

    def plan_table_binds(self, selected: Mapping[str, frozenset[str]]) -> tuple[TableBind, ...]:
        """Return the parameters that write into tables.

        Args:
            selected: The nodes that each step selects.
        """
        planned = []
        for name, parameter in self._setting.spec.parameters.items():
            for bind in parameter.bind:
                with self._setting.complaints.checking():
                    table_bind = plan_table_bind(
                        name,
                        bind,
                        relations=self._relations,
                        selected=selected,
                        render=self._render_fixed,
                        mistaken=self._setting.error,
                    )
                    planned += [table_bind] if table_bind else []
        return tuple(planned)

    def check_table_binds(
        self, baseline: Baseline, profile: Profile, binds: Sequence[TableBind]
    ) -> None:
        """Refuse binds whose cells the baseline does not have, or that would round."""
        if not binds:
            return
        with self._reading(baseline, profile) as connection:
            for bind in binds:
                with self._setting.complaints.checking():
                    parameter = self._setting.spec.parameters[bind.parameter]
                    told = check_table_bind(connection, bind, parameter, self._setting.error)
                    self._setting.complaints.warnings += [told] if told else []

    @contextlib.contextmanager
    def _reading(
        self, baseline: Baseline, profile: Profile, reads: Sequence[str | Path] = ()
    ) -> Iterator[Any]:
        written = baseline.files
        with authors_connection(
            baseline.path,
            profile,
            project_dir=self._setting.project.folder,
            limits=self._setting.duck_limits,
            allow_external_access=self._setting.scenario.allow_external_access,
            read_only=True,
            readable=[*([written.folder] if written else []), *reads],
            moment=self._setting.clock.at(0),
        ) as connection:
            yield connection

    def plan_data_checks(self) -> tuple[DataCheck, ...]:
        """Return the study's checks of its data with their SQL rendered."""
        planned = []
        for name, given in self._setting.scenario.checks.items():
            with self._setting.complaints.checking():
                planned.append(
                    plan_check(
                        name,
                        given,
                        render=self._render_fixed,
                        mistaken=self._setting.error,
                    )
                )
        return tuple(planned)

    def check_data(
        self,
        baseline: Baseline,
        profile: Profile,
        checks: Sequence[DataCheck],
        reads: Sequence[str | Path] = (),
    ) -> tuple[CheckTable, ...]:
        """Run the study's checks on its baseline; return what they show.

        Args:
            baseline: The baseline.
            profile: The profile.
            checks: The checks.
            reads: Files that the setup read, and folders of patterns: views may read them.
        """
        if not checks:
            return ()
        tables = []
        with self._reading(baseline, profile, reads) as connection:
            for check in checks:
                with self._setting.complaints.checking():
                    tables.append(run_check(connection, check, self._setting.error))
        return tuple(table for table in tables if table is not None)
