"""A first study of a dbt project: what is suggested, what was chosen, and its file. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search.commands.examples import SCHEMA_FILE
from search.commands.suggestions import (
    MOST_OTHERS,
    Aim,
    Movable,
    aims_of,
    flow,
    movables_of,
    suited,
)
from search.scenario.survey import Survey
from search.study.figures import number_text


@dataclass(frozen=True)
class Draft:
    """A study that is to be written.

    Attributes:
        survey: What was seen of the project.
        project: The dbt project's folder.
        file: Where the study goes.
        name: The study's name.
        aim: What it aims at.
        movables: What it moves.
        target: The target, as the study file has it.
        today: What the metric is today; None before it was evaluated.
        ends: What the metric is at one end of each parameter's range: the value there, the metric.
        idle: Parameters that were tried and did not move the metric.
    """

    survey: Survey
    project: Path
    file: Path
    name: str
    aim: Aim
    movables: tuple[Movable, ...]
    target: Mapping[str, float]
    today: float | None = None
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    idle: tuple[Movable, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the study as its file holds it."""
        return dict(yaml.safe_load(self.text()))

    def text(self) -> str:
        """Return the file: the study with a comment on everything that may be changed."""
        return "\n".join(_lines(self)) + "\n"


def _text(sql: str) -> str:
    """Return SQL as YAML takes it, in double quotes: it holds braces and single ones."""
    return json.dumps(sql, ensure_ascii=False)


def _lines(draft: Draft) -> Iterator[str]:
    survey, aim = draft.survey, draft.aim
    yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
    yield f"# A first study of the dbt project {survey.name}, written by `scenario-search init`."
    yield "# Check it with `scenario-search doctor`, run it with `scenario-search run`; change"
    yield "# anything: the next run says what that does to earlier results."
    yield f"study: {flow(draft.name)}"
    yield from (
        "",
        "# What one candidate needs. The project is not changed, its database not written.",
    )
    yield "scenario:"
    yield f"  dbt_project: {flow(_relative(draft.project, draft.file))}"
    if survey.database is not None:
        yield "  # The project's sources are in here; it is copied, never written."
        yield f"  database: {flow(_relative(survey.database, draft.file))}"
    if survey.has_seeds:
        yield "  setup: [{dbt: {command: seed}}]  # once, before all candidates"
    step = {"command": survey.command, "select": f"+{aim.mart.name}"}
    step |= {"exclude": "resource_type:seed"} if survey.command == "build" else {}
    yield f"  steps: [{{dbt: {flow(step)}}}]  # for every candidate"
    yield "  # Year by year: `for_each: {simulation_year: [2026, 2027]}` beside `dbt` in a step."
    yield from ("", "# What may be moved: set `low` and `high` to what you could decide.")
    yield "parameters:"
    for movable in draft.movables:
        yield f"  # {movable.where}{_end_text(draft, movable)}"
        yield f"  {movable.line}"
    yield from _other_movables(draft)
    yield from ("", "# What is read at the end: SQL with one number.", "metrics:")
    yield f"  {aim.name}: {{sql: {_text(aim.sql)}}}{_today_text(draft)}"
    others = [
        other for other in aims_of(survey) if other.mart == aim.mart and other.name != aim.name
    ]
    for other in others[:MOST_OTHERS]:
        yield f"  # {other.name}: {{sql: {_text(other.sql)}}}"
    yield from ("", "# What should come out; also `value: 120000`, `at_least:`, `between: [a, b]`.")
    yield "targets:"
    yield f"  {aim.name}: {flow(dict(draft.target))}"
    yield from ("", "search: {max_iterations: 15, seed: 1}")
    yield "resources: {memory_budget: 8GB}  # of everything together; workers: 0 does without Ray"


def _other_movables(draft: Draft) -> Iterator[str]:
    """Yield what else could be moved, as comments."""
    for movable in draft.idle:
        yield f"  # did not move {draft.aim.name} when tried:"
        yield f"  # {movable.line}"
    used = {movable.name for movable in (*draft.movables, *draft.idle)}
    others = [parameter for parameter in movables_of(draft.survey) if parameter.name not in used]
    reached = [other for other in others if other in suited(others, draft.aim)]
    for movable in reached[:MOST_OTHERS]:
        yield f"  # {movable.line}"
    if len(reached) > MOST_OTHERS:
        yield f"  # and {len(reached) - MOST_OTHERS} more numbers that {draft.aim.mart.name} reads"


def _end_text(draft: Draft, movable: Movable) -> str:
    if movable.name not in draft.ends:
        return ""
    value, metric = draft.ends[movable.name]
    return f"; at {number_text(value)}: {draft.aim.name} {number_text(metric)}"


def _today_text(draft: Draft) -> str:
    return "" if draft.today is None else f"  # today {number_text(draft.today)}"


def _relative(path: Path, file: Path) -> str:
    return os.path.relpath(path.resolve(), file.absolute().parent)
