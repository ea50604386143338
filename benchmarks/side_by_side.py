"""The same search by us and by what one would write instead, side by side on the real simulation.

Every contender gets the same parameters, the same targets (the metrics of a hidden candidate), the
same built baseline, the same number of processes and the same time; ours also records the scenario
in that time. They run one after the other.

    python benchmarks/side_by_side.py --employees 10000 --years 2 --minutes 6
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import time
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from evaluation import scratch, study

from search.audit.reader import AuditReader
from search.driver.engine import RECORDING
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.study import StudySpec
from search.system.child import run_in_child
from search.system.memory import MemorySampler
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

PEERS = Path(__file__).resolve().parent / "peers"
TOLERANCE = 0.005
SHARES = {
    "merit_budget": 0.65,
    "cola_rate": 0.3,
    "target_growth_rate": 0.7,
    "new_hire_salary_adjustment": 0.3,
}
"""The hidden candidate, as shares of the ranges."""

COLUMNS = (
    "how",
    "trials",
    "all targets met after",
    "first evaluation after",
    "trials an hour from there",
    "s a trial",
    "s a trial beside evaluating",
    "peak MB",
    "lines written",
)
NAMES = {
    "ours": "scenario-search",
    "ray_tune": "Ray Tune, OptunaSearch, dbt commands",
    "optuna_processes": "Optuna in processes over SQLite, dbt commands",
    "proportional_loop": "proportional loop, dbt commands",
}


@dataclass
class Course:
    """How a contender did.

    Attributes:
        began: When it was started, seconds since the epoch.
        seconds: Until it ended.
        lanes: Evaluations that it runs at the same time.
        trials: Begin and end of each evaluation, and whether all targets were met.
        prepared: Trials whose metrics were a by-product of preparing; not in the pace.
        peak_bytes: Most that its processes took together, proportional set size.
        lines: Lines that its user writes.
    """

    began: float
    seconds: float
    lanes: int
    peak_bytes: int
    lines: int
    trials: list[tuple[float, float, bool]] = field(default_factory=list)
    prepared: int = 0

    def row(self, name: str) -> str:
        """Return the line of the table."""
        met = min((end for _, end, is_met in self.trials if is_met), default=None)
        spent = sum(end - begin for begin, end, _ in self.trials)
        count = len(self.trials)
        cells = [name, f"{count + self.prepared}"]
        cells.append("not met" if met is None else f"{met - self.began:.0f} s")
        if count:
            first, last = min(t[0] for t in self.trials), max(t[1] for t in self.trials)
            idle = (last - first) * self.lanes - spent
            cells.append(f"{first - self.began:.0f} s")
            cells.append(f"{count / (last - first) * 3600:,.0f}")
            cells += [f"{spent / count:.2f}", f"{max(0.0, idle) / count:.2f}"]
        else:
            cells += ["-", "-", "-", "-"]
        cells += [f"{self.peak_bytes / 1e6:,.0f}", f"{self.lines}"]
        return f"| {' | '.join(cells)} |"


def hidden_candidate(spec: StudySpec) -> dict[str, float]:
    """Return the candidate whose metrics are the targets, on the grid of each parameter."""
    found = {}
    for name, one in spec.parameters.items():
        low, high = (float(bound) for bound in one.bounds)
        step = float(one.grid_step or 1e-9)
        found[name] = round(low + step * round(SHARES[name] * (high - low) / step), 10)
    return found


def metrics_of(factory: Any, candidate: Mapping[str, float], *, report: Any) -> dict[str, float]:
    """Return a candidate's metrics by real dbt."""
    evaluator = factory()
    evaluator.open()
    try:
        outcome = evaluator.evaluate(EvaluationRequest(0, dict(candidate)))
    finally:
        evaluator.close()
    if outcome.failure is not None:
        raise SystemExit(f"the hidden candidate fails: {outcome.failure.message}")
    return dict(outcome.metrics)


def written(*files: Path) -> int:
    """Return the lines of programs or YAML that somebody wrote, without comments."""
    count = 0
    for file in files:
        text = file.read_text()
        if file.suffix == ".py":
            skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT)
            used: set[int] = set()
            previous = tokenize.NEWLINE
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                is_docstring = token.type == tokenize.STRING and previous in skipped
                if token.type not in skipped and token.string.strip() and not is_docstring:
                    used.update(range(token.start[0], token.end[0] + 1))
                previous = token.type
            count += len(used)
        else:
            lines = (line.strip() for line in text.splitlines())
            count += sum(bool(line) and not line.startswith("#") for line in lines)
    return count


def run_peer(name: str, problem: dict[str, Any], workers: int, folder: Path) -> Course:
    """Let a peer search."""
    file = folder / f"{name}.json"
    log = folder / f"{name}.jsonl"
    file.write_text(json.dumps(problem | {"log": str(log)}))
    program = PEERS / f"{name}.py"
    course = timed([sys.executable, str(program), str(file), str(workers)], problem["seconds"])
    course.lanes = 1 if name == "proportional_loop" else workers
    course.lines = written(program, PEERS / "candidate.py")
    if log.exists():
        for line in log.read_text().splitlines():
            trial = json.loads(line)
            course.trials.append((trial["began"], trial["ended"], trial["met"]))
    return course


def run_ours(document: dict[str, Any], workers: int, seconds: float, folder: Path) -> Course:
    """Let scenario-search search, cold: nothing is recorded yet."""
    file = folder / "study.yaml"
    document["search"] = {"seed": 7, "timeout": f"{seconds:.0f}s", "batch_size": 4}
    document["search"] |= {"max_iterations": 100, "sensitivity": "none"}
    document["resources"] = {"workers": workers, "memory_budget": "8GB"}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    program = [str(Path(sys.executable).with_name("scenario-search")), "run", str(file)]
    course = timed([*program, "--results", str(folder / "results")], seconds)
    course.lanes = workers
    # As one would write it: the part of the flagship's file that defines this search.
    course.lines = written(Path(__file__).parents[1] / "configs" / "compensation-2026.yaml")
    for trial in AuditReader(folder / "results" / document["study"]).trials():
        if trial.worker == RECORDING:
            course.prepared += 1
        elif trial.started_at is not None and trial.finished_at is not None:
            span = trial.started_at.timestamp(), trial.finished_at.timestamp()
            course.trials.append((*span, bool(trial.is_all_targets_met)))
    return course


def timed(command: Sequence[str], seconds: float) -> Course:
    """Run a contender, with its output out of the way, and take its memory.

    Nobody joins a cluster that runs on the machine. What one printed is shown when it fails.
    """
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    began, started = time.time(), time.monotonic()
    with MemorySampler(interval_seconds=0.25) as sampler:
        before = sampler.look()
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds * 2 + 300,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"").decode(errors="replace")
            raise SystemExit(f"{command} did not end:\n{said[-5000:]}") from error
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout[-5000:]}")
    return Course(began, time.monotonic() - started, 1, sampler.peak_bytes - before, 0)


def main() -> None:
    """Let all contenders search, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--employees", type=int, default=2000)
    parser.add_argument("--years", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each contender")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--contenders", nargs="+", choices=list(NAMES), default=list(NAMES))
    options = parser.parse_args()
    spec = study(options.employees, options.years)
    seconds = options.minutes * 60

    def report(line: str) -> None:
        print(line, file=sys.stderr)

    with scratch() as folder:
        memory = memory_plan(spec)
        limits = preparation_limits(spec, memory)
        prepared = run_in_child(prepare, spec, folder / "baselines", limits, report=report)
        factory = evaluator_factory(spec, prepared.plan, memory)
        hidden = hidden_candidate(spec)
        environment = {"PYTHONPATH": str(Path(__file__).parent)}
        reached = run_in_child(metrics_of, factory, hidden, report=report, env=environment)
        report(f"hidden: {hidden}, {reached}")
        document = spec.to_document()
        document["scenario"]["dbt_project"] = str(prepared.plan.project_dir)
        document["targets"] = {
            name: {"value": value, "tolerance": TOLERANCE} for name, value in reached.items()
        }
        problem = {
            "project": str(prepared.plan.project_dir),
            "baseline": str(prepared.plan.baseline),
            "years": list(range(2026, 2026 + options.years)),
            "vars": dict(spec.scenario.vars),
            "ranges": {
                name: [*map(float, one.bounds), float(one.grid_step or 0.0005)]
                for name, one in spec.parameters.items()
            },
            "current": {name: one.current for name, one in spec.parameters.items()},
            "targets": {name: [value, TOLERANCE] for name, value in reached.items()},
            "seconds": seconds,
        }
        courses = {}
        for name in options.contenders:
            report(f"{NAMES[name]} ...")
            if name == "ours":
                courses[name] = run_ours(document, options.workers, seconds, folder)
            else:
                courses[name] = run_peer(name, problem, options.workers, folder)
            report(courses[name].row(NAMES[name]))
    print(
        f"{options.employees:,} employees, {options.years} years, 4 parameters, "
        f"{len(problem['targets'])} targets within {TOLERANCE:.1%}, {options.workers} processes, "
        f"{options.minutes:g} minutes each; {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, {platform.system()}"
    )
    print()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name, course in courses.items():
        print(course.row(NAMES[name]))


if __name__ == "__main__":
    # Child processes find the functions by the module's name.
    from side_by_side import main as _main  # type: ignore[import-not-found]

    _main()
