"""Measuring memory, and reading what cgroups allow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from search.system import memory
from search.system.memory import (
    MemorySampler,
    available_memory_bytes,
    cores,
    process_tree,
    pss_bytes,
)

CHILD = "import sys; b = bytearray(80 * 2**20); print(len(b), flush=True); sys.stdin.read()"


def test_the_peak_counts_a_child_that_is_gone_again() -> None:
    sampler = MemorySampler()
    before = sampler.look()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        assert child.pid in process_tree()
        sampler.look()
        child.stdin.close()
        child.wait()
    assert sampler.look() < sampler.peak_bytes
    assert sampler.peak_bytes - before > 80 * 2**20


def test_a_glance_follows_growth_since_the_last_look() -> None:
    sampler = MemorySampler()
    before = sampler.look()
    block = bytearray(60 * 2**20)
    assert sampler.glance() - before == pytest.approx(len(block), rel=0.15)
    assert sampler.look() - before == pytest.approx(len(block), rel=0.15)


def test_the_thread_looks_at_least_once_and_stops() -> None:
    with MemorySampler(interval_seconds=60) as sampler:
        pass
    assert sampler.peak_bytes > 0
    sampler.stop()


def test_a_process_that_is_gone_takes_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert pss_bytes(child.pid) == 0
    assert process_tree(child.pid) == []


def lay(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "mount")
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def test_without_cgroups_the_host_decides(cgroups: Path) -> None:
    assert 0 < available_memory_bytes() <= psutil.virtual_memory().total
    assert cores() == len(psutil.Process().cpu_affinity() or [])


def test_the_tightest_v2_group_decides(cgroups: Path) -> None:
    (cgroups / "membership").write_text("0::/slice/job\n")
    lay(cgroups / "mount/slice", {"memory.max": "300000\n", "memory.current": "250000\n"})
    lay(
        cgroups / "mount/slice/job",
        {
            "memory.max": "200000\n",
            "memory.current": "190000\n",
            "memory.stat": "anon 1\ninactive_file 180000\n",
            "cpu.max": "50000 100000\n",
        },
    )
    assert available_memory_bytes() == 50000
    assert cores() == 1


def test_a_v1_limit_counts_and_a_huge_one_is_none(cgroups: Path) -> None:
    (cgroups / "membership").write_text("4:memory:/docker/abc\n1:cpu,cpuacct:/\n")
    lay(
        cgroups / "mount/memory",  # a container sees its own group at the root of the mount
        {"memory.limit_in_bytes": "90000\n", "memory.usage_in_bytes": "20000\n"},
    )
    lay(
        cgroups / "mount/cpu,cpuacct", {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}
    )
    assert available_memory_bytes() == 70000
    lay(cgroups / "mount/memory", {"memory.limit_in_bytes": f"{2**63 - 4096}\n"})
    assert available_memory_bytes() > 90000
    assert cores() == len(psutil.Process().cpu_affinity() or [])
