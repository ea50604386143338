"""Publishing and reading: whole or not at all, and never in each other's way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from search.audit.publish import publish
from search.audit.reader import AuditReader
from search.audit.schema import TABLES, AuditTables
from search.errors import AuditError

HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
count = "SELECT count(*) FROM search_trials"
print(connection.execute(count).fetchall()[0][0], flush=True)
sys.stdin.readline()
print(connection.execute(count).fetchall()[0][0], flush=True)
"""


@pytest.fixture
def tables(assembled: Callable[[], AuditTables]) -> AuditTables:
    return assembled()


@pytest.fixture
def reader(folder: Path, tables: AuditTables) -> AuditReader:
    publish(folder, tables)
    return AuditReader(folder)


def test_what_is_published_is_read_back(reader: AuditReader, tables: AuditTables) -> None:
    assert reader.runs() == list(tables.runs)
    assert reader.trials() == list(tables.trials)
    assert reader.parameters() == list(tables.parameters)
    assert reader.metrics() == list(tables.metrics)
    assert reader.iterations() == list(tables.iterations)
    assert reader.best() == list(tables.best_parameters)
    assert reader.events() == list(tables.events)
    assert reader.parameter_sets() == []


def test_trials_are_found(reader: AuditReader) -> None:
    assert [trial.trial for trial in reader.trials(state="failed")] == [4]
    assert [trial.trial for trial in reader.trials(iteration=0)] == [0, 1]
    assert [trial.trial for trial in reader.trials(is_all_targets_met=True)] == [2]
    detail = reader.trial(2)
    assert detail.record.trial == 2
    assert [row.parameter for row in detail.parameters] == ["merit", "timing"]
    assert [row.metric for row in detail.metrics] == ["cost", "growth", "headcount"]
    assert [event.kind for event in reader.events(kind="run_started")] == ["run_started"]
    with pytest.raises(AuditError, match="trial 99 must be in"):
        reader.trial(99)


def test_a_reader_can_keep_to_one_study(folder: Path, tables: AuditTables) -> None:
    other = replace(
        tables, trials=[trial.model_copy(update={"study": "pay-v2"}) for trial in tables.trials]
    )
    publish(folder, tables.joined(other))
    assert len(AuditReader(folder).trials()) == 12
    assert {t.study for t in AuditReader(folder, study="pay-v2").trials()} == {"pay-v2"}


def test_views(reader: AuditReader) -> None:
    rows = reader.query("SELECT * FROM trial_summary")
    assert len(rows) == 6
    assert rows[2]["parameter_merit"] == 0.05
    assert rows[2]["parameter_timing"] == 'it\'s "late"'
    assert rows[2]["metric_cost"] == 50.5
    assert rows[2]["variance_cost"] == pytest.approx(0.01)
    assert rows[4]["metric_cost"] is None
    targets = reader.query("SELECT metric, is_met FROM best_targets ORDER BY metric")
    assert targets == [{"metric": "cost", "is_met": True}, {"metric": "growth", "is_met": True}]
    (repeat,) = reader.query("SELECT * FROM trial_repeat WHERE trial = ?", [2])
    assert (repeat["project_fingerprint"], repeat["duckdb_version"]) == ("p1", "2.0.0")


def test_columns_have_types_and_comments(reader: AuditReader) -> None:
    found = {
        (row["table_name"], row["column_name"]): (row["data_type"], row["comment"])
        for row in reader.query(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE database_name = 'audit' AND table_name NOT IN "
            "(SELECT view_name FROM duckdb_views())"
        )
    }
    assert found[("search_trials", "dispatched_at")][0] == "TIMESTAMP WITH TIME ZONE"
    assert found[("search_trials", "candidate")][0] == "JSON"
    assert found[("trial_metrics", "variance")][0] == "DOUBLE"
    for table in TABLES.values():
        for column in table.columns:
            assert found[(table.name, column.name)][1] == column.comment


def test_an_empty_trail_has_all_tables(folder: Path) -> None:
    publish(folder, AuditTables())
    reader = AuditReader(folder)
    for table in TABLES.values():
        assert reader.query(f"SELECT * FROM {table.name}") == []
    assert reader.query("SELECT * FROM trial_summary") == []


def test_parquet_copies_hold_the_same(reader: AuditReader, folder: Path) -> None:
    for table in TABLES.values():
        copy = pq.read_table(folder / "audit" / f"{table.name}.parquet")
        (count,) = reader.query(f"SELECT count(*) AS n FROM {table.name}")
        assert copy.num_rows == count["n"]
        assert copy.column_names == [column.name for column in table.columns]
    field = pq.read_schema(folder / "audit" / "trial_metrics.parquet").field("variance")
    assert field.metadata[b"description"].startswith(b"metric / target - 1")


def test_publishing_leaves_only_what_it_publishes(folder: Path, reader: AuditReader) -> None:
    for leftover in (".tmp-1-ab-audit.duckdb", ".tmp-1-ab-audit.duckdb.wal", "audit/.tmp-1-x"):
        (folder / leftover).write_text("left by a killed publisher")
    (folder / ".tmp-1-ab-audit.duckdb.tmp").mkdir()
    publish(folder, AuditTables())
    assert list(folder.rglob(".tmp-*")) == []
    assert not (folder / "audit.duckdb.wal").exists()


def test_a_reader_of_another_process_keeps_the_old_trail(
    folder: Path, reader: AuditReader, tables: AuditTables
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder / "audit.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "6\n"
    publish(folder, replace(tables, trials=tables.trials[:3]))
    assert len(reader.trials()) == 3
    after, _ = holder.communicate("\n")
    assert after == "6\n"


def test_a_reader_of_this_process_keeps_the_old_trail(
    folder: Path, reader: AuditReader, tables: AuditTables
) -> None:
    held = duckdb.connect(str(folder / "audit.duckdb"), read_only=True)
    publish(folder, replace(tables, trials=tables.trials[:3]))
    assert held.execute("SELECT count(*) FROM search_trials").fetchall() == [(6,)]
    assert len(reader.trials()) == 3
    held.close()


def test_a_failed_publication_keeps_the_earlier_one(
    folder: Path, reader: AuditReader, tables: AuditTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.raises(AuditError, match="No space left"):
            publish(folder, AuditTables())
    assert len(reader.trials()) == 6
    publish(folder, replace(tables, trials=()))
    assert reader.trials() == []
    assert list(folder.rglob(".tmp-*")) == []


def test_nothing_published_yet_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit trail at .* yet; start the study"):
        AuditReader(tmp_path).runs()


def test_a_damaged_trail_is_said(folder: Path) -> None:
    folder.mkdir()
    (folder / "audit.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(AuditError, match="cannot be read"):
        AuditReader(folder).trials()


def test_a_newer_trail_is_refused(folder: Path, tables: AuditTables) -> None:
    newer = [run.model_copy(update={"format_version": 99}) for run in tables.runs]
    publish(folder, replace(tables, runs=newer))
    with pytest.raises(AuditError, match="format version 1 or less, but has 99"):
        AuditReader(folder).runs()


def test_a_query_that_fails_says_so(reader: AuditReader) -> None:
    with pytest.raises(AuditError, match="nowhere"):
        reader.query("SELECT * FROM nowhere")
    with pytest.raises(AuditError, match="read-only"):
        reader.query("CREATE TABLE audit.mine (a INTEGER)")
