"""Who breaks the budget is found by exact measurement, and a limit holds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from search.system.memory import pss_bytes
from search.workers.watchdog import MemoryWatchdog

MIB = 2**20
CHILD = "import sys; b = bytearray(int(sys.argv[1])); print(len(b), flush=True); sys.stdin.read()"
LIMITED = """
from search.workers.watchdog import limit_data
limit_data(200 * 2**20)
first = bytearray(100 * 2**20)
try:
    bytearray(400 * 2**20)
except MemoryError:
    print("refused")
"""


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process of 20 MiB and one of 120 MiB, beside what Python takes."""
    started = []
    try:
        for size in (20, 120):
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(size * MIB)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            started.append(child)
            assert child.stdout is not None and child.stdout.readline()
        yield started
    finally:
        for child in started:
            child.kill()
            child.communicate()


def test_the_biggest_beyond_its_share_is_named(children: list[subprocess.Popen[bytes]]) -> None:
    small, big = (child.pid for child in children)
    watchdog = MemoryWatchdog(budget_bytes=100 * MIB, share_bytes=80 * MIB)
    assert watchdog.offender([small, big]) is None, "nothing was measured yet"
    total = watchdog.look()
    excess = watchdog.offender([small, big])
    assert excess is not None and excess.pid == big
    assert excess.worker_bytes == pytest.approx(pss_bytes(big), rel=0.05)
    assert excess.total_bytes == pytest.approx(total, rel=0.05)
    message = excess.message("host:1")
    assert "104.86 MB together" in message and "of 83.89 MB" in message
    assert watchdog.offender([]) is None


def test_nobody_is_blamed_within_the_budget_or_within_its_share(
    children: list[subprocess.Popen[bytes]],
) -> None:
    workers = [child.pid for child in children]
    roomy = MemoryWatchdog(budget_bytes=2**40, share_bytes=MIB)
    roomy.look()
    assert roomy.offender(workers) is None
    fair = MemoryWatchdog(budget_bytes=MIB, share_bytes=2**40)
    fair.look()
    assert fair.offender(workers) is None


def test_a_glance_that_errs_blames_nobody(children: list[subprocess.Popen[bytes]]) -> None:
    watchdog = MemoryWatchdog(budget_bytes=2**40, share_bytes=MIB)
    watchdog.current_bytes = 2**41
    assert watchdog.offender([children[1].pid]) is None


def test_an_adopted_process_counts_until_it_is_gone() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    watchdog = MemoryWatchdog(budget_bytes=2**40, share_bytes=MIB)
    without = set(watchdog._watched())
    assert child.pid in without, "a descendant counts by itself"
    watchdog.adopt(1)
    assert 1 in watchdog._watched() and watchdog._watched().count(child.pid) == 1
    watchdog.adopt(child.pid)
    assert watchdog._watched().count(child.pid) == 1
    child.kill()
    child.communicate()
    assert child.pid not in watchdog._watched()
    watchdog.adopt(child.pid)
    assert child.pid not in watchdog._watched()


def test_a_limit_refuses_what_is_beyond() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"
