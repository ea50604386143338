"""What workers and memory are good for: candidates an hour and peak memory of the real simulation.

Every line is one search of the same random candidates, started as a user starts it. The pace is
that of the time in which all workers are at work: from the moment when the last of them begins to
the end of the last candidate. Memory is that of all of its processes together (proportional set
size), looked at from outside; what DuckDB spilled is the most that lay on disk at once.

    python benchmarks/capacity.py --employees 10000 --years 2 --workers 1 2
    python benchmarks/capacity.py --employees 1000000 --years 5 --budgets 8GB 3GB --candidates 6
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from evaluation import scratch, study

from search.audit.reader import AuditReader
from search.audit.records import TrialRecord
from search.system.memory import MemorySampler, process_tree

LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Course:
    """How one search went.

    Attributes:
        budget: The memory budget, as given.
        workers: Worker processes.
        candidates: Those that began when all workers were at work.
        seconds: From then to the end of the last.
        each: Mean seconds of one evaluation.
        failed: Candidates that failed.
        peak_bytes: Most that its processes took together.
        spilled_bytes: Most that DuckDB had on disk for want of memory.
    """

    budget: str
    workers: int
    candidates: int
    seconds: float
    each: float
    failed: int
    peak_bytes: int
    spilled_bytes: int

    @property
    def an_hour(self) -> float:
        """Candidates an hour."""
        return self.candidates / self.seconds * 3600

    def row(self, first: Course) -> str:
        """Return the line of the table."""
        cells = [
            self.budget,
            f"{self.workers}",
            f"{self.peak_bytes / 1e9:.2f}",
            f"{self.spilled_bytes / 1e9:.2f}",
            f"{self.each:.2f}",
            f"{self.an_hour:,.0f}",
            f"{self.an_hour / first.an_hour:.2f}",
            f"{self.failed}",
        ]
        return f"| {' | '.join(cells)} |"


def spilled(folder: Path) -> int:
    """Return the bytes that DuckDB spilled below a folder."""
    found = 0
    for file in folder.glob("**/spill/*"):
        with suppress(OSError):  # gone meanwhile
            found += file.stat().st_blocks * 512
    return found


def watched(command: list[str], places: Path) -> tuple[int, int]:
    """Run a search, and return its peak memory and the most that it spilled, in bytes."""
    with (places / "output.txt").open("w+") as output:
        began = subprocess.Popen(command, stdout=output, stderr=output)
        most_spilled = 0
        with MemorySampler(partial(process_tree, began.pid), interval_seconds=LOOK_SECONDS) as seen:
            while began.poll() is None:
                most_spilled = max(most_spilled, spilled(places / "scratch"))
                time.sleep(LOOK_SECONDS)
        if began.returncode not in (0, 3):
            output.seek(0)
            raise SystemExit(f"{command} ended with {began.returncode}:\n{output.read()[-3000:]}")
    return seen.peak_bytes, most_spilled


def search(document: dict[str, Any], budget: str, workers: int, folder: Path) -> Course:
    """Search with so many workers within a budget."""
    places = folder / f"{budget}-{workers}"
    (places / "scratch").mkdir(parents=True)
    document["resources"] |= {
        "workers": workers or "auto",
        "memory_budget": budget,
        "scratch": str(places / "scratch"),
    }
    file = places / "study.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    program = str(Path(sys.executable).with_name("scenario-search"))
    # Results of its own: what another search found would not be evaluated again.
    command = [program, "run", str(file), "--results", str(places / "results")]
    peak, most_spilled = watched(command, places)
    reader = AuditReader(places / "results" / document["study"])
    trials = reader.trials()
    many = reader.runs()[-1].workers or 1
    spans = at_work(trials, many)
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    each = sum(end - begin for begin, end in spans) / len(spans)
    failed = sum(trial.state == "failed" for trial in trials)
    return Course(budget, many, len(spans), seconds, each, failed, peak, most_spilled)


def at_work(trials: Sequence[TrialRecord], workers: int) -> list[tuple[float, float]]:
    """Return begin and end of the evaluations that began when all workers were at work."""
    found: dict[str, list[tuple[float, float]]] = {}
    for trial in trials:
        if trial.worker and trial.started_at and trial.finished_at and trial.iteration:
            span = (trial.started_at.timestamp(), trial.finished_at.timestamp())
            found.setdefault(trial.worker, []).append(span)
    # The driver evaluates while Ray starts; its candidates are none of the workers'.
    busiest = sorted(found.values(), key=len, reverse=True)[:workers]
    full = max(min(begin for begin, _ in spans) for spans in busiest)
    return [span for spans in busiest for span in spans if span[0] >= full]


def main() -> None:
    """Measure every budget and worker count, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--employees", type=int, default=2000)
    parser.add_argument("--years", type=int, default=2)
    parser.add_argument("--workers", nargs="+", type=int, default=[0], help="0 for what fits")
    parser.add_argument("--budgets", nargs="+", default=["8GB"])
    parser.add_argument("--candidates", type=int, default=80, help="for each search")
    options = parser.parse_args()
    document = study(options.employees, options.years).to_document()
    document["scenario"]["dbt_project"] = str(Path(__file__).parents[1] / "dbt")
    document["targets"] = {
        name: {"value": -1.0, "tolerance": 1e-6} for name in document["targets"]
    }  # out of reach, so that every search goes on to its last candidate
    document["search"] = {
        "seed": 7, "sampler": "random", "batch_size": 8, "max_iterations": 10_000,
        "max_trials": options.candidates, "early_stop": False, "sensitivity": "none",
    }  # fmt: skip
    print(
        f"{options.employees:,} employees, {options.years} years, {options.candidates} random "
        f"candidates, 1 thread a worker; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{platform.system()}\n"
    )
    print(
        "| budget | workers | peak GB | spilled GB | s a candidate | candidates an hour "
        "| against the first | failed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    first: Course | None = None
    with scratch() as folder:
        for budget in options.budgets:
            for workers in options.workers:
                found = search(document, budget, workers, folder)
                first = first or found
                print(found.row(first))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
