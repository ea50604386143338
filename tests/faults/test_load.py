"""Under load and over time: the same trials by one seed, and no growth from study to study."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from studies import copy_project, search_command, stored_trials, tiny_document, write_study

pytestmark = [pytest.mark.fault, pytest.mark.dbt, pytest.mark.long]

NEVER = {"v": {"value": 1000.0, "tolerance": 0.0001}}
SEARCH = {"max_iterations": 3, "batch_size": 4, "sampler": "tpe", "early_stop": False}


@contextmanager
def loaded(processes: int) -> Iterator[None]:
    """Keep all cores busy, with processes that nobody made nice."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(100000))"])
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def story(results: Path) -> list[tuple[Any, ...]]:
    trials = stored_trials(results, "tiny")
    return [(one.number, one.state.name, one.params, one.values) for one in trials]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.ray)])
def test_five_runs_with_one_seed_under_load_have_the_same_trials(
    tmp_path: Path, workers: int
) -> None:
    document = tiny_document(targets=NEVER, search=SEARCH, resources={"memory_budget": "3GB"})
    file = write_study(copy_project("tiny", tmp_path / "project"), document)
    stories = []
    with loaded(2 * (os.cpu_count() or 2)):
        for number in range(5):
            results = tmp_path / f"results-{number}"
            words = search_command("run", file, "--results", results, "--workers", workers)
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
            assert done.returncode == 3, done.stderr
            stories.append(story(results))
    assert len(stories[0]) == 13
    assert all(other == stories[0] for other in stories)


STUDIES = 100
EVERY = 10

# One process that runs study after study, as Dagster and notebooks do, and reports on itself.
ONE_AFTER_ANOTHER = """
import json, os, sys, time
from pathlib import Path
import psutil
from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.study import load_study

first, last, results = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
for number in range(last):
    name = f"study{number}"
    file = first.with_name(f"{name}.yml")
    file.write_text(first.read_text().replace("study: tiny", f"study: {name}"))
    cpu, began = os.times(), time.monotonic()
    result = run_study(load_study(file), RunOptions(results=results), SilentProgress())
    spent = os.times()
    print(json.dumps({
        "study": number,
        "rss": psutil.Process().memory_info().rss,
        "open": psutil.Process().num_fds(),
        "threads": psutil.Process().num_threads(),
        "start": result.startup_seconds,
        "wall": time.monotonic() - began,
        "cpu": sum(spent[:4]) - sum(cpu[:4]),
        "temp": len(os.listdir(os.environ["TMPDIR"])),
        "beside": sum(1 for path in results.rglob("*") if f"study{number}" not in str(path)
                      and not any(p.startswith("study") for p in path.relative_to(results).parts)),
        "own": sum(1 for _ in (results / name).rglob("*")),
    }), flush=True)
"""


def test_a_hundred_studies_one_after_another_in_one_folder(tmp_path: Path) -> None:
    import json

    searched = {"max_iterations": 1, "batch_size": 2, "early_stop": False}
    document = tiny_document(targets=NEVER, search=searched)
    file = write_study(copy_project("tiny", tmp_path / "project"), document, name="first.yml")
    temp = tmp_path / "temp"
    temp.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER, str(file), str(STUDIES), str(tmp_path / "r")],
        cwd=tmp_path, env=os.environ | {"TMPDIR": str(temp)}, capture_output=True, text=True,
        timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == STUDIES
    if path := os.environ.get("FAULTS_REPORT"):
        Path(path).write_text("\n".join(json.dumps(line) for line in lines[::EVERY]))
    early, late = lines[5:15], lines[-10:]  # the first ones import and build the baseline

    def middle(of: list[dict[str, Any]], what: str) -> float:
        return median(line[what] for line in of)

    assert middle(late, "rss") < middle(early, "rss") * 1.25 + 32 * 2**20
    for what in ("open", "threads", "temp", "beside", "own"):
        # Python collects what a study opened some studies later.
        assert max(line[what] for line in late) <= max(line[what] for line in early), what
    assert middle(late, "cpu") < middle(early, "cpu") * 1.5 + 0.5
