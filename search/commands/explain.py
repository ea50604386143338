"""``scenario-search explain``: what a candidate's evaluation consists of, and where time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.commands.workbench import open_workbench
from search.driver.engine import dead_parameters, judge, source_of
from search.driver.progress import Progress
from search.errors import RecordingError
from search.scenario.compiled.explanation import HOISTED, REPLAYED, SLICED, Explained, explain
from search.scenario.compiled.library import Library
from search.scenario.compiled.replay import OVERLAY, Replay
from search.scenario.evaluator import DbtEvaluatorFactory, StageClock
from search.scenario.outcome import EvaluationRequest
from search.study import StudySpec
from search.study.space import current_candidate
from search.system.child import Report
from search.views.text import table_text

REPEATS = 3


@dataclass(frozen=True)
class Explanation:
    """How a study's scenario is evaluated.

    Attributes:
        statements: The fate of every recorded statement; empty when not compiled.
        dbt_seconds: Wall time of dbt's own evaluation while it was recorded.
        replay_seconds: Wall time of a replay, the median of three.
        fixed: Parameters with a program for each of their values.
        dead: Parameters that reach no metric, with the var or table they are bound to.
        why_not: Why the scenario is not compiled; None when it is.
    """

    statements: tuple[Explained, ...]
    dbt_seconds: float
    replay_seconds: float
    fixed: tuple[str, ...]
    dead: dict[str, str]
    why_not: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the explanation as JSON-safe values."""
        return asdict(self)


def explain_study(spec: StudySpec, results: Path, progress: Progress) -> Explanation:
    """Prepare and compile a study, replay the current candidate, and say what happens.

    Raises:
        SearchError: If the study or its scenario is wrong.
    """
    with open_workbench(spec, results, progress) as bench:
        explanation: Explanation = bench.call(explain_plan, bench.reference, spec, bench.programs)
    return explanation


def explain_plan(
    factory: DbtEvaluatorFactory, spec: StudySpec, programs: Path, *, report: Report
) -> Explanation:
    """Compile a prepared scenario, replay the current candidate, and say what happens."""
    library = Library.of(source_of(factory, spec), programs)
    candidate = current_candidate(spec)
    try:
        program, folder = library.find_or_compile(candidate, report=report)
    except RecordingError as error:
        judge(factory, str(error))
        return Explanation((), 0.0, 0.0, (), {}, why_not=str(error))
    judge(factory, None)
    replay = Replay(factory, program, folder, OVERLAY)
    request = EvaluationRequest(0, candidate, source_of(factory, spec).replication)
    runs = []
    try:
        for _ in range(REPEATS):
            clock = StageClock()
            replay.measure(request, clock)
            runs.append((sum(clock.seconds.values()), dict(replay.operation_seconds)))
    finally:
        replay.close()
    seconds, operations = sorted(runs, key=lambda run: run[0])[REPEATS // 2]
    fixed = library.fixed() or ()
    return Explanation(
        statements=tuple(explain(program, operations)),
        dbt_seconds=program.checks[0].seconds,
        replay_seconds=seconds,
        fixed=fixed,
        dead=dead_parameters(program, fixed, factory),
    )


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation for people: one line a model, the dearest first."""
    if explanation.why_not is not None:
        return f"dbt evaluates every candidate: {explanation.why_not}"
    parts = [_models_table(explanation.statements), ""]
    counts = {
        fate: sum(statement.fate == fate for statement in explanation.statements)
        for fate in (REPLAYED, HOISTED, SLICED)
    }
    parts.append(", ".join(f"{count} statements {fate}" for fate, count in counts.items()))
    parts.append(
        f"a candidate takes {explanation.replay_seconds:.3f} s replayed, "
        f"{explanation.dbt_seconds:.1f} s through dbt"
    )
    if explanation.fixed:
        names = ", ".join(explanation.fixed)
        parts.append(f"templates look at {names}: one program for each value")
    for name, place in explanation.dead.items():
        parts.append(f"parameter {name} ({place}) reaches no metric")
    return "\n".join(parts)


def _models_table(statements: Sequence[Explained]) -> str:
    groups: dict[tuple[str, str], list[Explained]] = {}
    for statement in statements:
        if statement.fate in (REPLAYED, HOISTED, SLICED):
            groups.setdefault((statement.node, statement.fate), []).append(statement)
    total = sum(statement.seconds for statement in statements) or 1.0
    rows = []
    for (node, fate), alike in groups.items():
        seconds = sum(statement.seconds for statement in alike)
        whys = list(dict.fromkeys(statement.why for statement in alike))
        rows.append(
            (
                seconds,
                [
                    node,
                    fate,
                    str(len(alike)),
                    f"{seconds * 1000:.1f}" if seconds else "-",
                    f"{seconds / total * 100:.1f}" if seconds else "-",
                    whys[0] if len(whys) == 1 else f"{whys[0]}; {len(whys) - 1} more",
                ],
            )
        )
    rows.sort(key=lambda row: -row[0])
    header = ["model", "fate", "statements", "ms", "% of time", "why"]
    return table_text(header, [row for _, row in rows])
