"""Runs once what no parameter reaches, and reads what the baseline holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from search.errors import RecordingError
from search.scenario.compiled.emission import HOISTED, hoist_actions
from search.scenario.compiled.flow import BaselineRelation
from search.scenario.compiled.lifting import hole_texts
from search.scenario.compiled.node_settings import NodeSettings
from search.scenario.compiled.program import HOISTED_FILE, Program
from search.scenario.compiled.replay import author_schema, perform
from search.scenario.compiled.step_times import StepTimes
from search.scenario.duck_limits import connect
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.own_files import OwnFiles
from search.scenario.plan import ScenarioPlan
from search.scenario.seeds import set_seed
from search.scenario.session import dbts_connection
from search.system.confinement import run_confined
from search.system.sql_text import escaped, quoted


def read_baseline(plan: ScenarioPlan) -> tuple[BaselineRelation, ...]:
    """Return what the baseline's database holds."""
    own = "database_name = current_database()"
    files = OwnFiles(plan.project_dir, plan.baseline.parent, given=plan.setup_files)
    with connect(plan.baseline, read_only=True) as connection:
        constrained = set(
            connection.execute(
                f"select schema_name, table_name from duckdb_constraints() where {own} union"
                f" select schema_name, table_name from duckdb_columns() where {own} and"
                " column_default is not null union"
                f" select schema_name, table_name from duckdb_indexes() where {own} and is_unique"
            ).fetchall()
        )
        tables = connection.execute(
            "select schema_name, table_name, concat(t.sql, (select string_agg(i.sql, '') from"
            f" duckdb_indexes() i where {own} and i.is_unique and i.schema_name = t.schema_name"
            " and i.table_name = t.table_name)) from duckdb_tables() t"
            f" where {own} and not internal order by all"
        ).fetchall()
        views = connection.execute(
            "select schema_name, view_name, sql from duckdb_views()"
            f" where {own} and not internal order by all"
        ).fetchall()
    return (
        *(
            BaselineRelation(schema, name, "table", sql if (schema, name) in constrained else None)
            for schema, name, sql in tables
        ),
        *(
            BaselineRelation(schema, name, "view", files.absolute(sql))
            for schema, name, sql in views
        ),
    )


def hoist(program: Program, factory: DbtEvaluatorFactory, content: Path, scratch: Path) -> None:
    """Run once what no parameter touches, and keep what candidates read of it.

    Raises:
        RecordingError: If a statement fails here that did not fail in dbt.
    """
    run_confined(lambda: _hoist(program, factory, content, scratch), [content, scratch])


def _hoist(program: Program, factory: DbtEvaluatorFactory, content: Path, scratch: Path) -> None:
    database = scratch / factory.plan.baseline.name
    shutil.copyfile(factory.plan.baseline, database)
    texts = hole_texts({})
    plan = factory.plan
    times = StepTimes(plan, program)
    with dbts_connection(
        database,
        plan.profile,
        project_dir=plan.project_dir,
        limits=factory.limits(scratch),
        moment=None if times.clock is None else times.clock.at(0),
    ) as connection:
        times.begin()
        settings = NodeSettings()
        for sql in program.attachments:
            connection.execute(sql)
        connection.execute(f"attach '{escaped(content / HOISTED_FILE)}' as {HOISTED}")
        for schema in program.schemas:
            connection.execute(f"create schema if not exists {quoted(schema)}")
        for action in hoist_actions(program.flow, program.split):
            operation = (
                None if action.operation is None else program.flow.operations[action.operation]
            )
            statement = None if operation is None else operation.statement
            is_authors_own = statement is not None and statement.node is None
            times.move(connection, times.of_action(action))
            try:
                if statement is not None:
                    settings.enter(connection, statement)
                with author_schema(connection, factory.plan, is_authors_own):
                    if plan.seed is not None and statement is not None and statement.place:
                        connection.execute(set_seed(plan.seed, statement.place))
                    perform(connection, action, lambda template: template.fill(texts))
            except duckdb.Error as error:
                raise RecordingError(f"a hoisted statement fails in replay: {error}") from error
        connection.execute(f"checkpoint {HOISTED}")
        connection.execute(f"detach {HOISTED}")
