"""What all checks of a study against its dbt project share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from search.errors import SearchError, SpecError
from search.scenario import input_content
from search.scenario.answers import AnswerCache, default_profiles_dir
from search.scenario.baseline import WORLDS
from search.scenario.duck_limits import DuckLimits
from search.scenario.given_vars import project_vars
from search.scenario.hashing import FileHashes
from search.scenario.held_clock import HeldClock
from search.scenario.plan import Profile, VarBind
from search.scenario.project import DbtProject
from search.study import StudySpec
from search.study.scenario import ScenarioSpec
from search.study.space import current_candidate
from search.study.steps import ExpandedStep
from search.system.child import Report
from search.system.unchanged import Untouched


@dataclass(frozen=True)
class PreparationLimits:
    """What preparing may take.

    Attributes:
        memory_limit_bytes: DuckDB's limit while the baseline is built.
        max_temp_bytes: The most it may spill.
        threads: DuckDB threads while the baseline is built.
        scratch_parent: Where to make the scratch folder; the temp folder when None.
    """

    memory_limit_bytes: int
    max_temp_bytes: int
    threads: int
    scratch_parent: Path | None = None


class Complaints:
    """What is said of a study while it is checked; a mistake ends the checks.

    Attributes:
        warnings: What the user should know, one sentence each.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Run a check whose mistake need not keep the others from being looked for."""
        yield


class GatheredComplaints(Complaints):
    """All that is said: a mistake is noted, and the checks go on behind it.

    Attributes:
        mistakes: What a run would refuse, in the order in which it looks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mistakes: list[SearchError] = []

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Note the mistake of the block and go on behind it."""
        try:
            yield
        except SearchError as error:
            self.mistakes.append(error)


@dataclass(frozen=True)
class Setting:
    """A study that is being checked, and where.

    Attributes:
        spec: The study.
        cache: Folder of all baselines.
        limits: What preparing may take.
        scratch: A folder for what is needed only now.
        report: Takes a line of progress.
        complaints: Takes what there is to say.
        answers: What dbt said before.
    """

    spec: StudySpec
    cache: Path
    limits: PreparationLimits
    scratch: Path
    report: Report
    complaints: Complaints
    answers: AnswerCache

    @property
    def scenario(self) -> ScenarioSpec:
        """The study's scenario."""
        return self.spec.scenario

    @cached_property
    def project(self) -> DbtProject:
        """The dbt project, without the folders of ours that may lie in it."""
        ours = [self.cache.parent, self.limits.scratch_parent or self.scratch]
        return DbtProject(
            self.spec.resolve_path(self.scenario.dbt_project).resolve(),
            not_of_it=tuple(folder.resolve() for folder in ours),
            hashes=FileHashes(self.cache),
        )

    @cached_property
    def untouched(self) -> Untouched:
        """Whether the project and its profile stayed as they are when this is first asked for."""
        folder = self.scenario.profiles_dir
        profiles = (
            self.spec.resolve_path(folder) if folder else default_profiles_dir(self.project.folder)
        )

        def files() -> list[Path]:
            return [*(file for _, file in self.project.read_files()), profiles / "profiles.yml"]

        return Untouched(files)

    @cached_property
    def clock(self) -> HeldClock:
        """The clock that stands still today."""
        is_kept = not isinstance(self.complaints, GatheredComplaints)  # checking writes nothing
        return HeldClock.of_day(self.cache / WORLDS, input_content.today(), is_kept=is_kept)

    @cached_property
    def project_vars(self) -> dict[str, Any]:
        """The vars that the project's own file gives."""
        return project_vars(self.project.folder)

    @property
    def database(self) -> Path | None:
        """The database to start from, if there is one."""
        database = self.scenario.database
        return self.spec.resolve_path(database).resolve() if database else None

    @property
    def duck_limits(self) -> DuckLimits:
        """What DuckDB may take meanwhile."""
        return DuckLimits(
            memory_limit_bytes=self.limits.memory_limit_bytes,
            threads=self.limits.threads,
            temp_directory=self.scratch / "spill",
            max_temp_bytes=self.limits.max_temp_bytes,
        )

    def with_catalog(self, profile: Profile) -> Profile:
        """Return the profile with the name that views inside the starting database carry."""
        if self.database is None:
            return profile
        return replace(profile, catalog=self.database.name.lstrip(".").split(".")[0])

    @property
    def var_binds(self) -> list[VarBind]:
        """The parameters that set a var."""
        return [
            VarBind(parameter=name, var=bind.var)
            for name, parameter in self.spec.parameters.items()
            for bind in parameter.bind
            if bind.var is not None
        ]

    @property
    def fixed_vars(self) -> dict[str, Any]:
        """The vars that are the same for every candidate."""
        return {**self.project_vars, **self.scenario.vars}

    @property
    def current_vars(self) -> dict[str, Any]:
        """The vars of the current candidate that the study gives."""
        name = self.scenario.replication_var
        seed = {} if name is None else {name: self.scenario.seeds[0]}
        return {**self.scenario.vars, **self._bound_vars, **seed}

    def vars_of_step(self, step: ExpandedStep) -> dict[str, Any]:
        """Return the vars that the study gives a step for the current candidate."""
        return dict(self.scenario.vars) | self._bound_vars | dict(step.vars)

    @property
    def _bound_vars(self) -> dict[str, Any]:
        current = current_candidate(self.spec)
        return {bind.var: current[bind.parameter] for bind in self.var_binds}

    def error(self, key: str, message: str) -> SpecError:
        """Return the mistake of a key of the study file."""
        return SpecError(message, file=str(self.spec.file), key=key)
