"""Where a study keeps what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.study import StudySpec


@dataclass(frozen=True)
class Layout:
    """Where a study keeps what it writes.

    Attributes:
        results: Folder of all results.
        study: Name in the study file.
    """

    results: Path
    study: str

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.results / self.study

    @property
    def baselines(self) -> Path:
        """The cache of baselines, shared by all studies."""
        return self.results / "baselines"

    @property
    def programs(self) -> Path:
        """The cache of compiled programs, shared by all studies."""
        return self.results / "programs"

    @property
    def evaluations(self) -> Path:
        """The cache of evaluated candidates, shared by all studies."""
        return self.results / "evaluations.db"

    @property
    def spool(self) -> Path:
        """Where outcomes wait that the driver has not stored yet."""
        return self.folder / "spool"

    @property
    def lock(self) -> Path:
        """The file that keeps a second driver out."""
        return self.folder / "study.lock"

    def storage_url(self, spec: StudySpec) -> str:
        """Return the study file's storage, or the default in the study's folder."""
        return spec.storage or f"sqlite:///{self.folder / 'study.db'}"
