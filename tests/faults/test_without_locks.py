"""Results on a file system without locks: refused with the reason, nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from studies import copy_project, run_search, tiny_document, write_study

sys.path.insert(0, str(Path(__file__).parent))

from shims import compiled

pytestmark = pytest.mark.fault

SHIM = """
#include <errno.h>
int flock(int descriptor, int operation) { errno = ENOLCK; return -1; }
"""
"""What ``flock`` does on NFS without a lock daemon."""


@pytest.fixture
def without_locks(tmp_path: Path) -> dict[str, str]:
    """The environment of a process for which no file can be locked."""
    return {"LD_PRELOAD": str(compiled(SHIM, tmp_path, "without-locks"))}


def test_results_without_locks_are_refused(tmp_path: Path, without_locks: dict[str, str]) -> None:
    project = copy_project("tiny", tmp_path / "project")
    file = write_study(project, tiny_document())
    results = tmp_path / "results"
    done = run_search("run", file, "--results", results, cwd=tmp_path, env=without_locks)
    assert done.returncode == 2, done.stderr
    assert f"the file system of {results / 'tiny'} must know locks (flock)" in done.stderr
    assert "No locks available" in done.stderr and "--results" in done.stderr
    assert "Traceback" not in done.stderr
    written = {path.name for path in results.rglob("*") if path.is_file()}
    assert not {"study.db", "events.jsonl", "audit.duckdb"} & written
