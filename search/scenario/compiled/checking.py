"""Holds a program against dbt, and looks for parameters that move nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb

from search.errors import RecordingError, SearchError
from search.scenario.compiled.divergence import first_divergence
from search.scenario.compiled.program import Program
from search.scenario.compiled.replay import COPY, OVERLAY, Replay
from search.scenario.compiled.walls import BeyondRecording
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.verification import differing
from search.system.child import Report

EFFECT_CHECK_SECONDS = 10.0
"""What looking for parameters without effect may cost, in replays."""

Fault = tuple[EvaluationRequest, str]
"""A recorded candidate, and the metric in which its replay differs from dbt."""


def check(
    program: Program, factory: DbtEvaluatorFactory, folder: Path, *, lanes: int, report: Report
) -> tuple[str, ...]:
    """Replay every recorded candidate on both workspaces, and compare with what dbt made of it.

    Args:
        program: The program.
        factory: Makes the reference evaluator, and knows what one replay may take.
        folder: Where the program's hoisted tables are.
        lanes: Replays at the same time, 1 or 2; each takes a worker's memory.
        report: Takes a line of progress.

    Returns:
        A warning for each parameter that moves no metric between two of its values.

    Raises:
        RecordingError: If a replay fails, or differs; names the first relation that does.
    """
    with ThreadPoolExecutor(lanes) as pool:
        copied = pool.submit(_check_copy, program, factory, folder)
        overlaid = pool.submit(_check_overlay, program, factory, folder)
        (fault, warnings), fault_of_copy = overlaid.result(), copied.result()
    for isolation, wrong in ((OVERLAY, fault), (COPY, fault_of_copy)):
        if wrong is not None:
            request, difference = wrong
            # Only now, because dbt changes the working directory of the whole process.
            divergence = first_divergence(factory, program, folder, request)
            where = "" if divergence is None else f"; {divergence.text()}"
            raise RecordingError(f"on {isolation}, replay gives {difference}{where}")
    report(f"replay agrees with dbt at {len(program.checks)} points, on overlay and file copy")
    return warnings


def _check_copy(program: Program, factory: DbtEvaluatorFactory, folder: Path) -> Fault | None:
    with _replay(program, factory, folder, COPY) as replay:
        return _first_fault(replay, program, factory.threads)


def _check_overlay(
    program: Program, factory: DbtEvaluatorFactory, folder: Path
) -> tuple[Fault | None, tuple[str, ...]]:
    with _replay(program, factory, folder, OVERLAY) as replay:
        fault = _first_fault(replay, program, factory.threads)
        return fault, () if fault else tuple(_without_effect(replay, program))


@contextmanager
def _replay(
    program: Program, factory: DbtEvaluatorFactory, folder: Path, isolation: str
) -> Iterator[Replay]:
    replay = Replay(factory, program, folder, isolation)
    try:
        yield replay
    finally:
        replay.close()


def _first_fault(replay: Replay, program: Program, threads: int) -> Fault | None:
    for point in program.checks:
        request = EvaluationRequest(trial=0, values=point.values, replication=point.replication)
        try:
            metrics = replay.measure(request, StageClock())
        except BeyondRecording as beyond:
            raise RecordingError(
                f"a replay reaches only files that DuckDB names while it is recorded: {beyond}"
            ) from beyond
        except (SearchError, duckdb.Error) as error:
            raise RecordingError(
                f"a replayed statement fails where dbt's did not: {error}"
            ) from error
        differences = differing(point.metrics, metrics, threads=threads)
        if differences:
            return request, differences[0]
    return None


def _without_effect(replay: Replay, program: Program) -> Iterator[str]:
    """Yield a warning for each parameter that moves no metric between two recorded values."""
    first, second = program.checks[0], program.checks[1]
    spent = 0.0
    for name, value in second.values.items():
        if value == first.values[name] or spent > EFFECT_CHECK_SECONDS:
            continue
        clock = StageClock()
        request = EvaluationRequest(0, {**first.values, name: value}, first.replication)
        try:
            metrics = replay.measure(request, clock)
        except (SearchError, BeyondRecording):
            continue
        spent += sum(clock.seconds.values())
        if metrics == first.metrics:
            yield f"parameter {name} moves no metric between {first.values[name]} and {value}"
