"""A driver that is killed, starved or disturbed anywhere: nothing lost, repeated or corrupt.

``make test-faults`` (FAULTS=all) runs all cases, ``make test`` a few of each kind.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.fault

HARNESS = Path(__file__).with_name("harness.py")
IS_ALL = os.environ.get("FAULTS") == "all"
STEPS = 230
"""Steps of an undisturbed run that touch the disk, about."""
KILLED, REFUSED, LEASED = -9, 3, 4

SEED = 20260101
_random = random.Random(SEED)


def steps() -> list[int]:
    """Return where to kill: 100 random steps, or one of each stage of a run."""
    return sorted(_random.sample(range(1, STEPS), 100)) if IS_ALL else [3, 45, 95, 170]


CASES: dict[str, list[dict[str, Any]]] = {
    "killed once": [{"fault": "kill", "values": [n]} for n in steps()],
    "killed again and again": [
        {"fault": "kill", "values": [_random.randrange(20, 120) for _ in range(4)]}
        for _ in range(20 if IS_ALL else 1)
    ],
    "disk full": [
        {"fault": "full", "values": [_random.randrange(10, 700) * 1024]}
        for _ in range(30 if IS_ALL else 2)
    ],
    "folder turned read-only": [
        {"fault": "read-only", "values": [_random.randrange(1, 120)]}
        for _ in range(20 if IS_ALL else 1)
    ],
    "storage locked": [
        {"fault": "locked", "values": [seconds]} for seconds in ([2, 5, 60] if IS_ALL else [2])
    ],
    "storage locked for longer than a driver waits": [
        {"fault": "locked too long", "values": [4]} for _ in range(3 if IS_ALL else 1)
    ],
    "two drivers at once": [{"fault": "two drivers"} for _ in range(20 if IS_ALL else 2)],
    "clock set back": [{"fault": "clock", "values": [1, 1]}],
}
ENDS = {
    "killed once": {KILLED, 0},
    "killed again and again": {KILLED, 0},
    "disk full": {REFUSED, 0},
    "folder turned read-only": {REFUSED, 0},
    "storage locked": {0},
    "storage locked for longer than a driver waits": {REFUSED},
    "two drivers at once": {0, LEASED},
    "clock set back": {0},
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What became of each case, by kind; all of them in one process of the harness."""
    root = tmp_path_factory.mktemp("faults")
    cases = [case for kind in CASES.values() for case in kind]
    done = subprocess.run(
        [sys.executable, str(HARNESS), str(root / "runs")],
        input=json.dumps(cases), capture_output=True, text=True, check=False, timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = iter([json.loads(line) for line in done.stdout.splitlines()])
    found = {kind: [next(lines) for _ in own] for kind, own in CASES.items()}
    assert next(lines, None) is None
    assert "unexpected" not in done.stderr, done.stderr[-3000:]
    if path := os.environ.get("FAULTS_REPORT"):
        Path(path).write_text(json.dumps(found, indent=1))
    return found


@pytest.mark.timeout(3700)
@pytest.mark.parametrize("kind", CASES)
def test_nothing_is_lost_repeated_or_corrupt(
    reports: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    wrong = [report for report in reports[kind] if report["wrong"]]
    assert wrong == []
    assert {code for report in reports[kind] for code in report["codes"]} <= ENDS[kind]


@pytest.mark.timeout(3700)
def test_the_faults_did_happen(reports: dict[str, list[dict[str, Any]]]) -> None:
    for kind in ("killed once", "killed again and again"):
        codes = [code for report in reports[kind] for code in report["codes"]]
        assert codes.count(KILLED) >= 0.8 * len(reports[kind])
    assert all(sorted(report["codes"]) == [0, LEASED] for report in reports["two drivers at once"])
    acknowledged = {report["acknowledged"] for report in reports["killed once"]}
    assert len(acknowledged) > 2, "runs were killed at different trials"
    if IS_ALL:
        assert any(report["spooled"] for report in reports["killed once"])
        assert any(REFUSED in report["codes"] for report in reports["disk full"])
