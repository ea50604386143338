"""Files that format version 1 wrote stay readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from search.audit.events import EventLog, read_events
from search.audit.reader import AuditReader

VERSION_1 = Path(__file__).parent / "formats" / "v1"


def test_events_of_version_1() -> None:
    events = list(read_events(VERSION_1))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "run_started"
    assert [event.trial for event in events if event.kind == "trial_finished"] == [0, 1, 2, 3]


def test_a_log_of_version_1_goes_on(tmp_path: Path) -> None:
    shutil.copy(VERSION_1 / "events.jsonl", tmp_path)
    before = len(list(read_events(tmp_path)))
    with EventLog(tmp_path, study="pay") as log:
        assert log.append("run_started").sequence == before + 1


def test_the_trail_of_version_1() -> None:
    reader = AuditReader(VERSION_1)
    assert [run.run_id for run in reader.runs()] == ["r1"]
    assert len(reader.trials()) == 6
    assert reader.trials()[2].candidate == {"merit": 0.05, "timing": 'it\'s "late"'}
    assert reader.trial(2).metrics[0].is_met is True
    assert [row.value for row in reader.best()] == [0.05, None]
    assert [row.best_trial for row in reader.iterations()] == [1, 2]
    assert len(reader.events()) == len(list(read_events(VERSION_1)))
    assert reader.parameter_sets() == []


def test_a_trail_that_lacks_a_table_and_columns(tmp_path: Path) -> None:
    connection = duckdb.connect(str(tmp_path / "audit.duckdb"))
    connection.execute(
        "CREATE TABLE search_trials AS SELECT 'pay' AS study, 0 AS trial, "
        "'complete' AS state, 1 AS format_version"
    )
    connection.close()
    reader = AuditReader(tmp_path)
    assert reader.trials()[0].candidate is None
    assert reader.iterations() == []
