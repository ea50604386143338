"""What a baseline is made from, and the fingerprint that addresses it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.errors import ProjectError
from search.scenario.duck_limits import RESOURCE_SETTINGS
from search.scenario.hashing import hash_file, hash_parts
from search.scenario.held_clock import HeldClock
from search.scenario.plan import Profile
from search.scenario.project import package_versions
from search.study.steps import ExpandedStep

FORMAT_VERSION = 1


@dataclass(frozen=True)
class BaselineRecipe:
    """What a baseline is made from.

    Attributes:
        project_dir: The dbt project.
        project_fingerprint: Hash of its files.
        profile: The resolved profile.
        vars: The scenario's vars.
        setup: Steps to run, loops unrolled.
        database: An existing database to start from, or None.
        inputs: Further files whose content counts (a census, say).
        allow_external_access: Whether SQL of the setup may read files.
        seed: What seeds DuckDB before each statement of the setup that draws, or None.
        clock: The clock that stands still while it is built; the real one when None.
    """

    project_dir: Path
    project_fingerprint: str
    profile: Profile
    vars: Mapping[str, Any]
    setup: tuple[ExpandedStep, ...]
    database: Path | None
    inputs: tuple[Path, ...]
    allow_external_access: bool = False
    seed: int | None = None
    clock: HeldClock | None = None

    @property
    def catalog(self) -> str:
        """DuckDB's name for the database: compiled SQL and views inside it carry it."""
        return self.profile.catalog

    def fingerprint(self) -> str:
        """Return a hash of all that the baseline's content is known to depend on."""
        return self.fingerprint_with(self.project_fingerprint)

    def fingerprint_with(self, project_fingerprint: str) -> str:
        """Return the hash with another fingerprint of the project."""
        output = {
            key: value
            for key, value in self.profile.output.items()
            if key not in ("path", "threads", "settings", "config_options")
        }
        for key in ("settings", "config_options"):
            settings = self.profile.output.get(key) or {}
            output[key] = {k: v for k, v in settings.items() if k not in RESOURCE_SETTINGS}
        return hash_parts(
            [
                f"baseline format {FORMAT_VERSION}",
                project_fingerprint,
                _canonical(package_versions()),
                _canonical(output),
                _canonical(dict(self.vars)),
                _canonical([_step_document(step) for step in self.setup]),
                hash_file(self.database) if self.database else "",
                *(f"{file.name} {hash_file(file)}" for file in self.inputs),
                *self._permission(),
                *([f"flags {_canonical(dict(self.profile.flags))}"] if self.profile.flags else []),
            ]
        )

    def _permission(self) -> Iterator[str]:
        """Yield what SQL of the setup may do, where it may more than by default.

        What was built with the permission is not taken for what is built without.
        """
        if self.allow_external_access and any(step.sql is not None for step in self.setup):
            yield "external access"
        if self.seed is not None and self.setup:
            yield f"seed {self.seed}"


def _step_document(step: ExpandedStep) -> dict[str, Any]:
    """Return a step as it stands in fingerprints; what says nothing new is left out."""
    return {key: value for key, value in asdict(step).items() if (key, value) != ("goes_on", False)}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def input_files(
    named: Iterable[Path], scenario_vars: Mapping[str, Any], project_dir: Path
) -> tuple[Path, ...]:
    """Return the files that a scenario reads beside its project.

    These are the ones that the study file names, and every var whose text is the path
    of an existing file, seen from the project's folder as dbt sees it.

    Raises:
        ProjectError: If a named file does not exist.
    """
    files = []
    for file in named:
        if not file.is_file():
            raise ProjectError(f"scenario.inputs must name existing files, but there is no {file}")
        files.append(file)
    for value in scenario_vars.values():
        if isinstance(value, str) and value and "\0" not in value and len(value) < 4096:
            candidate = project_dir / value
            if candidate.is_file():
                files.append(candidate)
    return tuple(dict.fromkeys(files))
