"""One session: what a metric sees is what a model sees, whatever the profile sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from studies import MIB, copy_project

from search.errors import DatabaseError
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.duck_limits import DuckLimits
from search.scenario.plan import Profile
from search.scenario.session import attach_sql, dbts_connection

PLUGIN = """
from dbt.adapters.duckdb.plugins import BasePlugin


class Plugin(BasePlugin):
    def configure_connection(self, conn):
        conn.create_function("by_plugin", lambda x: x + 1, ["INTEGER"], "INTEGER")
"""
OUTPUT: dict[str, Any] = {
    "type": "duckdb",
    "path": "tiny.duckdb",
    "schema": "main",
    "settings": {
        "integer_division": True,
        "TimeZone": "America/New_York",
        "default_null_order": "nulls_first",
        "default_order": "desc",
        "threads": 8,
    },
    "config_options": {"preserve_insertion_order": False, "memory_limit": "64GB"},
    "attach": [{"path": "../other.db", "alias": "other"}, {"path": "../third.db"}],
    "plugins": [{"module": "our_plugin"}],
    "module_paths": ["plugins"],
}
ASKED = {
    "division": "select 7 / 2",
    "zone": "select current_setting('TimeZone')",
    "day": "select day(timestamptz '2026-01-01 02:00:00+00')",
    "nulls": "select first(a) from (select a from (values (1), (null)) as t(a) order by a)",
    "order": "select list(a) from (select a from (values (1), (2)) as t(a) order by a)",
    "option": "select current_setting('preserve_insertion_order')",
    "attached": "select max(a) from other.main.t",
    "attached by its own name": "select max(a) from third.t",
    "plugin": "select by_plugin(1)",
    "relative": "select max(a) from read_csv('../data.csv')",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = copy_project("tiny", tmp_path / "project")
    name = yaml.safe_load((folder / "dbt_project.yml").read_text())["profile"]
    (folder / "plugins").mkdir()
    (folder / "plugins" / "our_plugin.py").write_text(PLUGIN)
    output = OUTPUT | {"module_paths": [str(folder / "plugins")]}
    document = {name: {"target": "dev", "outputs": {"dev": output}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(document))
    for file in ("other.db", "third.db"):
        with duckdb.connect(str(tmp_path / file)) as connection:
            connection.execute("create table t as select 5 as a")
    (tmp_path / "data.csv").write_text("a\n9\n")
    columns = ", ".join(f'({sql}) as "{what}"' for what, sql in ASKED.items())
    (folder / "models" / "told.sql").write_text(
        f"{{{{ config(materialized='table') }}}} select {columns}"
    )
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return folder


@pytest.mark.dbt
def test_it_is_dbts_own_session(project: Path, tmp_path: Path) -> None:
    """Each question is asked by a model of dbt's, and again over a connection of ours."""
    profile = resolve_profile(project)
    limits = DuckLimits(256 * MIB, 1, tmp_path / "spill", 64 * MIB)
    database = tmp_path / "work" / "tiny.duckdb"
    database.parent.mkdir()
    DbtSession(
        project_dir=project,
        profile=profile,
        database=database,
        home=tmp_path / "home",
        limits=limits,
    ).run("run", select=["told"])
    with dbts_connection(database, profile, project_dir=project, limits=limits) as connection:
        described = connection.execute("select * from told")
        names = [column[0] for column in described.description]
        dbts = dict(zip(names, described.fetchone(), strict=True))
        ours = {what: connection.execute(sql).fetchone()[0] for what, sql in ASKED.items()}
        assert ours == dbts
        assert ours["division"] == 3 and ours["attached"] == 5 and ours["plugin"] == 2
        threads, memory = connection.execute(
            "select current_setting('threads'), current_setting('memory_limit')"
        ).fetchone()
        assert (threads, memory) == (1, "256.0 MiB")
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("insert into other.t values (6)")


@pytest.mark.parametrize(
    ("attachment", "sql"),
    [
        ({"path": "/x/o.db"}, "ATTACH IF NOT EXISTS '/x/o.db' (READ_ONLY)"),
        (
            {"path": "o.db", "alias": "o", "options": {"read_only": False}},
            "ATTACH IF NOT EXISTS '/p/o.db' AS o (READ_ONLY)",
        ),
        (
            {"path": "it's.db", "type": "sqlite", "read_only": True},
            "ATTACH IF NOT EXISTS '/p/it''s.db' (TYPE sqlite, READ_ONLY)",
        ),
        (
            {"path": "postgres:host=h", "secret": "s", "options": {"schema": "a"}},
            "ATTACH IF NOT EXISTS 'postgres:host=h' (SECRET s, READ_ONLY, SCHEMA 'a')",
        ),
    ],
)
def test_a_database_is_attached_for_reading(attachment: Mapping[str, Any], sql: str) -> None:
    assert attach_sql(attachment, Path("/p")) == sql


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ({"extensions": ["no_such_extension"]}, "no_such_extension"),
        ({"attach": [{"path": "no/such.db"}]}, "no/such.db"),
    ],
)
def test_what_cannot_be_had_is_named(output: dict[str, Any], named: str, tmp_path: Path) -> None:
    profile = Profile("p", "dev", {"type": "duckdb"} | output, "x")
    limits = DuckLimits(256 * MIB, 1, tmp_path, 0)
    with (
        pytest.raises(DatabaseError, match=named),
        dbts_connection(tmp_path / "x.db", profile, project_dir=tmp_path, limits=limits),
    ):
        pass
