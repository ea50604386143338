"""The journal of applied parameter sets: one JSON line a set, each chained to the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from search.audit import canonical
from search.audit.records import ParameterSetRecord
from search.errors import AuditError
from search.study import StudySpec
from search.study.active import FOLDER, journal_path
from search.study.values import Scalar

FORMAT_VERSION = 1
FOUND = "found"
TRIAL = "trial"
VALUES = "values"
ROLLBACK = "rollback"


class Origin(BaseModel):
    """Where a set comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    """``found`` (in the files), ``trial``, ``values`` or ``rollback``."""
    study: str | None = None
    """The study in the storage that the trial belongs to."""
    run_id: str | None = None
    """The run that evaluated the trial."""
    trial: int | None = None
    """Number of the trial."""
    version: int | None = None
    """The set that a rollback returned to."""
    metrics: dict[str, float] | None = None
    """What the trial yielded."""
    anchor: str | None = None
    """Head of the study's audit trail then (``search.audit.anchor``)."""

    @property
    def text(self) -> str:
        """The origin in a few words.

        Example:
            >>> Origin(kind="trial", study="quick", trial=9).text
            'trial 9 of quick'
        """
        if self.kind == TRIAL:
            return f"trial {self.trial} of {self.study}"
        if self.kind == ROLLBACK:
            return f"rollback to {self.version}"
        return {FOUND: "as found in the files", VALUES: "values given"}.get(self.kind, self.kind)


class ParameterSet(BaseModel):
    """One version of a parameter set; the newest is the active one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: int = FORMAT_VERSION
    parameter_set: str
    """Its name: the study's."""
    version: int = Field(ge=0)
    """Counts up; 0 is what was found before the first set."""
    at: AwareDatetime
    """When it was applied (UTC)."""
    author: str
    """Who applied it."""
    reason: str
    """Why."""
    origin: Origin
    values: dict[str, Scalar]
    """Parameter name to value; a parameter without one value is left out."""
    images: dict[str, dict[str, list[str]]]
    """Parameter name, then place, to all that stands there with this set."""
    scenario_search_version: str | None = None
    previous: str = ""
    """Hash of the version before; empty for the first."""
    hash: str = ""
    """Hash of all of the above."""

    def sealed(self, previous: str) -> ParameterSet:
        """Return the set chained to the one before."""
        chained = self.model_copy(update={"previous": previous, "hash": ""})
        return chained.model_copy(update={"hash": chained.digest()})

    def digest(self) -> str:
        """Return the hash that the content gives."""
        return digest_of(self.model_dump())

    def line(self) -> bytes:
        """Return the journal's line."""
        return (canonical.dumps(self.model_dump()) + "\n").encode()


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the hash of a set's document; what a newer version adds to it counts as well."""
    content = {key: value for key, value in document.items() if key != "hash"}
    return hashlib.sha256(canonical.dumps(content).encode()).hexdigest()


class Journal:
    """The parameter sets of one study, oldest first.

    Args:
        path: The journal's file; need not exist.
        sets: What it holds.
    """

    def __init__(self, path: Path, sets: tuple[ParameterSet, ...]) -> None:
        self.path = path
        self.sets = sets

    @classmethod
    def of(cls, spec: StudySpec) -> Journal:
        """Return the journal of a study, checked from the first set to the last.

        Raises:
            AuditError: If it is damaged, was edited, or was written by a newer version.
        """
        path = journal_path(project_of(spec), spec.study)
        content = path.read_bytes() if path.exists() else b""
        return cls(path, tuple(_parsed(content, path)))

    @property
    def active(self) -> ParameterSet | None:
        """The set in force; None before the first."""
        return self.sets[-1] if self.sets else None

    def get(self, version: int) -> ParameterSet | None:
        """Return one version, or None."""
        return next((known for known in self.sets if known.version == version), None)

    def content_with(self, added: tuple[ParameterSet, ...]) -> bytes:
        """Return the file with further sets, each of them sealed."""
        return b"".join(known.line() for known in (*self.sets, *added))

    def records(self) -> list[ParameterSetRecord]:
        """Return the sets as rows of the audit trail."""
        return [
            ParameterSetRecord(
                study=known.origin.study or known.parameter_set,
                parameter_set=known.parameter_set,
                version=known.version,
                run_id=known.origin.run_id,
                trial=known.origin.trial,
                parameters=known.values,
                is_active=known is self.active,
                applied_at=known.at,
                applied_by=known.author,
                reason=known.reason,
                origin=known.origin.text,
            )
            for known in self.sets
        ]


def project_of(spec: StudySpec) -> Path:
    """Return the folder of the study's dbt project."""
    return spec.resolve_path(spec.scenario.dbt_project)


def sets_folder(spec: StudySpec) -> Path:
    """Return the folder of the journals."""
    return project_of(spec) / FOLDER


def now() -> datetime:
    """Return the present moment (UTC)."""
    return datetime.now(UTC)


def _parsed(content: bytes, path: Path) -> list[ParameterSet]:
    sets: list[ParameterSet] = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            document = json.loads(line)
            parsed = ParameterSet.model_validate(document)
        except (ValueError, ValidationError) as error:
            raise AuditError(f"{path}:{number}: must be a parameter set, but is not{_RESTORE}"
                             ) from error  # fmt: skip
        if parsed.format_version > FORMAT_VERSION:
            raise AuditError(
                f"{path}:{number}: must have format version {FORMAT_VERSION} or less, but has "
                f"{parsed.format_version}; install the scenario-search that wrote it"
            )
        previous = sets[-1].hash if sets else ""
        if parsed.hash != digest_of(document) or parsed.previous != previous:
            raise AuditError(f"{path}:{number}: the parameter set was edited or moved{_RESTORE}")
        sets.append(parsed)
    return sets


_RESTORE = "; restore the file from git or a backup"
