"""The event log: order, durability against torn lines, refusal of what was tampered with."""

from __future__ import annotations

import json
import os
from datetime import UTC
from pathlib import Path

import pytest

from search.audit import canonical
from search.audit.events import FILE_NAME, EventLog, read_events
from search.errors import AuditError


def opened(folder: Path) -> EventLog:
    return EventLog(folder, study="pay", run_id="r1")


def written(folder: Path, count: int) -> bytes:
    with opened(folder) as log:
        for number in range(count):
            log.append("trial_finished", trial=number, iteration=1, note="größer ✓")
    return (folder / FILE_NAME).read_bytes()


def test_events_come_back_in_order(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        first = log.append("run_started", host="here")
        batch = log.append_all([("trial_dispatched", {"trial": n, "iteration": 2}) for n in (0, 1)])
    events = list(read_events(tmp_path))
    assert events == [first, *batch]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert (events[2].trial, events[2].iteration, events[2].fields) == (1, 2, {})
    assert events[0].fields == {"host": "here"}
    assert events[0].run_id == "r1"
    assert events[0].at.tzinfo is not None and events[0].at.utcoffset() == UTC.utcoffset(None)


def test_a_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    written(tmp_path, 2)
    with opened(tmp_path) as log:
        assert log.append("run_started").sequence == 3
    assert [event.sequence for event in read_events(tmp_path)] == [1, 2, 3]


def test_a_missing_log_has_no_events(tmp_path: Path) -> None:
    assert list(read_events(tmp_path)) == []


def test_lines_are_canonical(tmp_path: Path) -> None:
    for line in written(tmp_path, 1).decode().splitlines():
        assert line == canonical.dumps(json.loads(line))


@pytest.mark.parametrize("kept", [1, 2, 40, -1, -2])
def test_a_torn_line_is_set_aside_and_kept(tmp_path: Path, kept: int) -> None:
    content = written(tmp_path, 3)
    start = content.rindex(b"\n", 0, -1) + 1
    torn = content[start:][:kept]
    (tmp_path / FILE_NAME).write_bytes(content[:start] + torn)
    assert len(list(read_events(tmp_path))) == 2
    with opened(tmp_path) as log:
        log.append("run_started")
    kinds = [event.kind for event in read_events(tmp_path)]
    assert kinds == ["trial_finished", "trial_finished", "torn", "run_started"]
    aside = list(read_events(tmp_path))[2]
    assert aside.fields["torn_bytes"] == len(torn)
    assert aside.fields["text"] == torn.decode("utf-8", errors="backslashreplace")


def test_every_place_a_crash_can_tear(tmp_path: Path) -> None:
    content = written(tmp_path, 1)
    for length in range(0, len(content), 5):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(content[:length])
        with opened(folder) as log:
            log.append("after")
        kinds = [event.kind for event in read_events(folder)]
        assert kinds == (["torn", "after"] if length else ["after"])


@pytest.mark.parametrize("rest", [b"\0" * 300, b"\0" * 30 + b"\n", b"\xff\xfe\n\xff"])
def test_blocks_that_a_power_cut_left_empty_are_set_aside(tmp_path: Path, rest: bytes) -> None:
    content = written(tmp_path, 2)
    (tmp_path / FILE_NAME).write_bytes(content + rest)
    opened(tmp_path).close()
    assert [event.kind for event in read_events(tmp_path)][2:] == ["torn"]


def test_lines_longer_than_a_look_at_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        for _ in range(3):
            log.append("preflight", text="x" * 200_000)
    with opened(tmp_path) as log:
        assert log.append("after").sequence == 4


def test_a_lost_line_is_noticed(tmp_path: Path) -> None:
    lines = written(tmp_path, 3).splitlines(keepends=True)
    (tmp_path / FILE_NAME).write_bytes(lines[0] + lines[2])
    with pytest.raises(AuditError, match="event 2 must follow"):
        list(read_events(tmp_path))


def test_a_damaged_line_is_noticed(tmp_path: Path) -> None:
    lines = written(tmp_path, 3).splitlines(keepends=True)
    (tmp_path / FILE_NAME).write_bytes(lines[0] + b"{]\n" + lines[2])
    with pytest.raises(AuditError, match="line 2 .* is damaged"):
        list(read_events(tmp_path))


def test_a_newer_log_is_refused_untouched(tmp_path: Path) -> None:
    line = b'{"format_version":2,"sequence":1,"surprise":true}\n'
    (tmp_path / FILE_NAME).write_bytes(line)
    with pytest.raises(AuditError, match="install the scenario-search that wrote it"):
        opened(tmp_path)
    with pytest.raises(AuditError, match="format version 1 or less"):
        list(read_events(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == line


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(tmp_path, 1)
    whole = os.pwrite
    with opened(tmp_path) as log:
        monkeypatch.setattr(os, "pwrite", lambda d, data, at: whole(d, data[:10], at))
        with pytest.raises(AuditError, match="free space"):
            log.append("too_much")
        assert (tmp_path / FILE_NAME).read_bytes() == before
        monkeypatch.setattr(os, "pwrite", whole)
        assert log.append("fits").sequence == 2


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="must be writable"):
        opened(tmp_path / "file" / "results")


def test_numbers_that_json_lacks_are_named(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.append("trial_finished", loss=float("inf"), path=Path("/x"))
    assert next(read_events(tmp_path)).fields == {"loss": "Infinity", "path": "/x"}
