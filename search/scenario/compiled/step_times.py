"""What the time is while a program runs: that of the step which each statement comes from."""

from __future__ import annotations

from typing import Any

from search.scenario.clock import clock_reads, is_held
from search.scenario.compiled.emission import Action
from search.scenario.compiled.program import Program
from search.scenario.held_clock import HeldClock, move_clock
from search.scenario.plan import ScenarioPlan


class StepTimes:
    """Moves the clock of a session that stands still from step to step, as dbt's runs have it.

    Args:
        plan: Has the clock and the steps.
        program: What runs.

    Attributes:
        clock: The clock; None where nothing in the program asks for the time.
    """

    def __init__(self, plan: ScenarioPlan, program: Program) -> None:
        self._operations = program.flow.operations
        texts = [" ".join(template.pieces) for _, template in program.statements]
        texts += [relation.sql or "" for relation in program.baseline]
        texts += [metric.sql for metric in program.metrics]
        is_asked = any(is_held(read.what) for text in texts for read in clock_reads(text, ""))
        self.clock: HeldClock | None = plan.clock if is_asked else None
        self._places = {step.name: place for place, step in enumerate(plan.steps)}
        self._marked: dict[tuple[int, object], int] = {
            (step.index, None if step.loop is None else step.loop[1]): place
            for place, step in enumerate(plan.steps)
        }
        self._last = len(plan.steps) - 1
        self._now = 0

    def begin(self) -> None:
        """Begin with the first step."""
        self._now = 0

    def of_action(self, action: Action) -> int:
        """Return the place of the step that an action belongs to; the one before when to none."""
        if self.clock is None:
            return self._now
        if action.kind == "read":
            return self._last if action.marker is None else self._marked[action.marker]
        if action.operation is None:
            return self._now
        return self._places.get(self._operations[action.operation].statement.step, self._now)

    def move(self, connection: Any, place: int) -> None:
        """Let a session's time be that of a step."""
        if self.clock is not None and place != self._now:
            self._now = place
            move_clock(connection, self.clock.at(place))
