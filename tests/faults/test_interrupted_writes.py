"""An exception at any byte code of a write: whole events, whole files, and the log goes on."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from interrupting import interrupted_at

from search.audit import canonical
from search.audit.events import FILE_NAME, EventLog, digest_of, read_events
from search.audit.integrity import verify_trail
from search.parameter_sets import commit as commit_module
from search.parameter_sets.commit import commit, exclusive
from search.parameter_sets.working_copy import FileChange
from search.system import files

pytestmark = pytest.mark.fault

IS_ALL = os.environ.get("FAULTS") == "all"
WRITING = ("search.audit.events", "search.system.files")
BATCH = [("trial_dispatched", {"trial": n, "note": "größer ✓" * 40}) for n in range(4)]


def steps(every: int, start: int) -> range:
    """Every step of a call with all faults, some of them otherwise; the caller stops at its end."""
    return range(start if not IS_ALL else 1, 1_000_000, 1 if IS_ALL else every)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("batch", [BATCH, [("run_started", {})]], ids=["batch", "event"])
def test_an_append_interrupted_at_any_byte_code(
    tmp_path: Path, error: type[BaseException], batch: list[tuple[str, dict[str, object]]]
) -> None:
    tried = 0
    for step in steps(every=17, start=1 + len(batch)):
        folder = tmp_path / str(step)
        with EventLog(folder, study="pay", run_id="r1") as log:
            first = log.append("run_started").sequence
            try:
                is_hit = interrupted_at(step, lambda: log.append_all(batch), WRITING, error)
            except Exception as found:  # what the log makes of an OSError
                assert "disk refused" in str(found)
                is_hit = True
            told = log.append("run_interrupted").sequence
        events = list(read_events(folder))
        assert events[0].sequence == first and events[-1].sequence == told
        # All of the batch, or nothing of it.
        assert [event.kind for event in events[1:-1]] in ([], [kind for kind, _ in batch])
        checked = verify_trail(folder, None, "pay")
        assert [one for one in checked.findings if one.place == FILE_NAME] == []
        with EventLog(folder, study="pay", known_sequence=1) as log:
            assert log.append("after").sequence == told + 1
        tried += is_hit
        if not is_hit:
            break
    assert tried > (1000 if IS_ALL and len(batch) > 1 else 10)


def test_an_interrupted_append_that_cannot_be_undone_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.fsync

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    def refused(*_: object) -> None:
        raise OSError("no")

    with EventLog(tmp_path, study="pay") as log:
        log.append("run_started")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "fsync", interrupted)
            patch.setattr(os, "ftruncate", refused)
            log.append_all(BATCH)
        assert os.fsync is whole
        log.append("run_interrupted")
    assert [event.kind for event in read_events(tmp_path)] == ["run_started", "run_interrupted"]


def test_a_batch_that_a_shorter_event_overwrote_is_repaired_on_opening(tmp_path: Path) -> None:
    """As versions before this one left it: Ctrl-C between writing and counting."""
    with EventLog(tmp_path, study="pay") as log:
        log.append("run_started")
        head = log.head
        end = (tmp_path / FILE_NAME).stat().st_size
        log.append_all(BATCH)
    content = (tmp_path / FILE_NAME).read_bytes()
    short = json.loads(content[end:].split(b"\n")[0])
    short |= {"kind": "run_interrupted", "fields": {}}
    short["hash"] = digest_of(short)
    line = (canonical.dumps(short) + "\n").encode()
    assert len(line) < len(content) - end
    (tmp_path / FILE_NAME).write_bytes(content[:end] + line + content[end + len(line) :])
    assert any("damaged" in one.text for one in verify_trail(tmp_path, None, "pay").findings)
    with EventLog(tmp_path, study="pay", known_sequence=head["sequence"]) as log:
        log.append("run_started")
    kinds = [event.kind for event in read_events(tmp_path)]
    assert kinds == ["run_started", "run_interrupted", "torn", "run_started"]
    aside = list(read_events(tmp_path))[2].fields
    assert aside["events_set_aside"] == 3 and aside["is_behind_head"]


def test_what_the_storage_remembers_is_never_set_aside(tmp_path: Path) -> None:
    with EventLog(tmp_path, study="pay") as log:
        for number in range(5):
            log.append("preflight", trial=number)
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"trial":1', b'"trial":7') + b"".join(lines[2:]))
    with EventLog(tmp_path, study="pay", known_sequence=4) as log:
        log.append("after")
    assert [event.kind for event in read_events(tmp_path)] == ["preflight"] * 5 + ["after"]
    assert any("was edited" in one.text for one in verify_trail(tmp_path, None, "pay").findings)


def test_a_file_is_the_old_or_the_new_one_at_any_byte_code(tmp_path: Path) -> None:
    target = tmp_path / "file"
    for step in steps(every=5, start=2):
        target.write_bytes(b"old")
        is_hit = interrupted_at(
            step, lambda: files.write_durably(target, b"newer"), ("search.system.files",)
        )
        assert target.read_bytes() in (b"old", b"newer")
        files.sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
        if not is_hit:
            assert target.read_bytes() == b"newer"
            return


def let_go_of(folder: Path) -> None:
    """Close what was opened and not yet noted when the exception came: the process would end."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == str(folder):
                os.close(int(name))


def test_several_files_are_all_old_or_all_new_at_any_byte_code(tmp_path: Path) -> None:
    """Interrupted anywhere, what was decided is finished by the next command."""
    folder = tmp_path / "parameter_sets"
    paths = [tmp_path / "one.yml", tmp_path / "two.csv"]
    for step in steps(every=37, start=3):
        for path in paths:
            path.write_bytes(b"old")
        changes = [FileChange(path=path, before=b"old", after=b"new") for path in paths]

        def apply(changes: list[FileChange] = changes) -> None:
            with exclusive(folder):
                commit(folder, changes)

        is_hit = interrupted_at(step, apply, ("search.system.files", commit_module.__name__))
        let_go_of(folder)
        with exclusive(folder):
            found = [path.read_bytes() for path in paths]
        assert found in ([b"old"] * 2, [b"new"] * 2)
        assert not folder.exists() or list(folder.iterdir()) == []
        if not is_hit:
            assert found == [b"new"] * 2
            return
