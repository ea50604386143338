"""The fast engine as an evaluator: replays a program, and runs real dbt where there is none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from search.errors import RecordingError, SearchError
from search.scenario.belongings import Belonging
from search.scenario.compiled.divergence import first_divergence
from search.scenario.compiled.library import Library
from search.scenario.compiled.replay import Replay
from search.scenario.compiled.variants import Variants
from search.scenario.compiled.walls import BeyondRecording
from search.scenario.evaluator import Evaluator, StageClock
from search.scenario.outcome import EvaluationRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProgramEvaluatorFactory:
    """Makes a fast evaluator inside a worker process; travels there by pickle.

    Attributes:
        library: The scenario's programs.
        isolation: ``overlay`` or ``copy``.
        recorded_project: Where the dbt project was when it was recorded, if it is elsewhere now.
    """

    library: Library
    isolation: str
    recorded_project: Path | None = None

    def __call__(self) -> Evaluator:
        """Return a new evaluator, not opened yet."""
        return ProgramEvaluator(self)

    def belongings(self) -> tuple[Belonging, ...]:
        """Return what the evaluators read: the reference's belongings, and the programs."""
        mine = Belonging("programs", self.library.folder, self.library.files())
        return (*self.library.source.factory.belongings(), mine)

    def moved(self, folders: Mapping[str, Path]) -> ProgramEvaluatorFactory:
        """Return the factory with belongings in other folders."""
        source = self.library.source
        library = Library(
            folders.get("programs", self.library.folder),
            replace(source, factory=source.factory.moved(folders)),
            self.library.seal,
        )
        return ProgramEvaluatorFactory(
            library, self.isolation, self.recorded_project or source.factory.plan.project_dir
        )


class ProgramEvaluator(Evaluator):
    """Evaluates a candidate by replaying recorded SQL.

    A parameter that dbt's templates look at has a program for each of its values, compiled
    when a candidate first has that value. Where that fails, dbt itself evaluates those
    candidates, and their outcomes say so.

    Args:
        factory: The programs and the isolation.
    """

    def __init__(self, factory: ProgramEvaluatorFactory) -> None:
        self._library = factory.library
        self._asked_isolation = factory.isolation
        self._recorded_project = factory.recorded_project
        self.engine = "compiled"
        self.isolation = factory.isolation
        self._replays: dict[str, Replay] = {}
        self._reference: Evaluator | None = None
        self._beyond: set[str] = set()
        self._variants: Variants | None = None

    def open(self) -> None:
        """Do nothing yet: programs are loaded when a candidate needs them."""

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Replay the candidate's program and return its metrics.

        Raises:
            SearchError: If the scenario fails.
        """
        with stages.stage("program"):
            replay = self.replay_of(request)
        if replay is None:
            return self._by_dbt(request, stages)
        self.engine, self.isolation = "compiled", self._asked_isolation
        try:
            return replay.measure(request, stages)
        except BeyondRecording as beyond:
            logger.warning("dbt evaluates trial %s: %s", request.trial, beyond)
            return self._by_dbt(request, stages)

    def close(self) -> None:
        """Close every replay and remove this worker's folders."""
        for replay in self._replays.values():
            replay.close()
        self._replays.clear()
        if self._reference is not None:
            self._reference.close()
            self._reference = None

    def replay_of(self, request: EvaluationRequest) -> Replay | None:
        """Return what replays a candidate; None when dbt must evaluate it."""
        variants = self._variants = self._variants or self._library.variants() or Variants()
        variant = variants.name_of(request.values)
        if variant in self._beyond:
            return None
        if variant not in self._replays and not self._load(variant, variants, request):
            return None
        replay = self._replays[variant]
        return replay if replay.program.knows_literals_of(request.values) else None

    def _load(self, variant: str, variants: Variants, request: EvaluationRequest) -> bool:
        """Find or compile a program; whether there is one."""
        try:
            program, folder = self._library.find_or_compile(request.values, report=logger.info)
        except RecordingError as error:
            names = (*variants.fixed, *variants.typed)
            values = ", ".join(f"{name} = {request.values[name]}" for name in names)
            logger.warning("dbt evaluates %s: %s", values, error)
            self._beyond.add(variant)
            return False
        factory = self._library.source.factory
        written = factory.plan.setup_files
        if self._recorded_project is not None:
            program = program.moved(self._recorded_project, factory.plan.project_dir)
        if written is not None:
            program = program.moved(written.home, written.folder)
        self._replays[variant] = Replay(factory, program, folder, self._asked_isolation)
        return True

    def _by_dbt(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        if self._reference is None:
            self._reference = self._library.source.factory()
            self._reference.open()
        self.engine, self.isolation = self._reference.engine, self._reference.isolation
        return self._reference.measure(request, stages)


@dataclass(frozen=True)
class DivergenceFinder:
    """Finds out where a candidate's replay differs from dbt; travels by pickle.

    Attributes:
        library: The scenario's programs.
    """

    library: Library

    def __call__(self, request: EvaluationRequest) -> str | None:
        """Return the first difference in a sentence; None when every relation is the same."""
        program, folder = self.library.find_or_compile(request.values, report=lambda _: None)
        try:
            divergence = first_divergence(self.library.source.factory, program, folder, request)
        except (SearchError, BeyondRecording) as error:
            return f"where they part could not be found: {error}"
        return None if divergence is None else divergence.text()
