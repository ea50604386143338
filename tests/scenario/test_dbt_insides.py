"""Canaries for what is used of dbt's insides; ``docs/vendors.md`` is the ledger."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from search.errors import ScenarioError
from search.scenario.dbt_insides import Sender, process_state
from search.scenario.own_files import OwnFiles
from search.scenario.read_log import ReadLog

pytestmark = pytest.mark.dbt


def test_everything_is_put_back_and_a_plugin_stores_nothing(tmp_path: Path) -> None:
    import tempfile

    from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper, LocalEnvironment
    from dbt.graph.queue import GraphQueue
    from dbt.graph.thread_pool import DbtThreadPool
    from dbt_common.dataclass_schema import dbtClassMixin

    owners: tuple[Any, ...] = (
        DuckDBCursorWrapper,
        LocalEnvironment,
        DbtThreadPool,
        GraphQueue,
        dbtClassMixin,
    )
    before = [dict(vars(owner)) for owner in owners], tempfile.tempdir, Path.cwd()
    sender = Sender(None, ReadLog(tmp_path), OwnFiles(tmp_path, tmp_path / "own"))
    with process_state(sender, tmp_path / "tmp"):
        assert [dict(vars(owner)) for owner in owners] != before[0]
        target = SimpleNamespace(relation="main.sales")
        environment: Any = LocalEnvironment
        with pytest.raises(ScenarioError, match="plugin excel would store main.sales outside"):
            environment.store_relation(object(), "excel", target)
    assert ([dict(vars(owner)) for owner in owners], tempfile.tempdir, Path.cwd()) == before


def test_a_setting_that_the_search_decides_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path, tmp_path / "own")
    sender = Sender(None, ReadLog(tmp_path), files)
    with duckdb.connect() as connection:
        for sql in ("select current_setting('TimeZone')", "select current_setting( 'Threads' )"):
            sender.send(connection, sql, None, lambda cursor, text, _: cursor.execute(text))
    (told,) = files.notes
    assert "asks for DuckDB's setting threads, which is the search's to decide" in told
