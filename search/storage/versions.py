"""Names of a study's versions: a study whose inputs changed goes on under a new name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.storage.database import GroupingStorage
    from search.storage.vendor import FrozenStudy

BASE_NAME = "base_name"


@dataclass(frozen=True)
class StudyVersion:
    """One version of a study.

    Attributes:
        base_name: The name in the study file, for example ``compensation-2026``.
        version: From 1.
        name: What Optuna calls it: ``compensation-2026``, ``compensation-2026-v2`` ...
    """

    base_name: str
    version: int

    @property
    def name(self) -> str:
        """The study's name in the storage."""
        return self.base_name if self.version == 1 else f"{self.base_name}-v{self.version}"


def versions(storage: GroupingStorage, base_name: str) -> list[StudyVersion]:
    """Return the versions of the study in the storage, oldest first."""
    known = {study.study_name: study.user_attrs for study in _studies(storage)}
    return versions_among(known, base_name)


def versions_among(studies: Mapping[str, Mapping[str, Any]], base_name: str) -> list[StudyVersion]:
    """Return the versions of a study among all of a storage, oldest first.

    Args:
        studies: Name of each study in the storage to its attributes.
        base_name: Name in the study file.
    """
    known = []
    for name, attributes in studies.items():
        version = _version(name, base_name)
        # A study file may itself be named ``budget-v2``: that is no version of ``budget``.
        if version and attributes.get(BASE_NAME, name) in _owners(base_name, name, version):
            known.append(StudyVersion(base_name, version))
    return sorted(known, key=lambda item: item.version)


def latest_version(storage: GroupingStorage, base_name: str) -> StudyVersion | None:
    """Return the study's newest version in the storage, or None when there is none."""
    known = versions(storage, base_name)
    return known[-1] if known else None


def next_version(storage: GroupingStorage, base_name: str) -> StudyVersion:
    """Return the version after the newest one, under a name that nobody uses yet."""
    latest = latest_version(storage, base_name)
    names = {study.study_name for study in _studies(storage)}
    candidate = StudyVersion(base_name, latest.version + 1 if latest else 1)
    while candidate.name in names:
        candidate = StudyVersion(base_name, candidate.version + 1)
    return candidate


def _studies(storage: GroupingStorage) -> list[FrozenStudy]:
    with storage.translated():
        return list(storage.get_all_studies())


def _owners(base_name: str, study_name: str, version: int) -> set[str]:
    return {base_name, study_name} if version == 1 else {base_name}


def _version(study_name: str, base_name: str) -> int:
    """Return which version of the study the name stands for; 0 when of none."""
    if study_name == base_name:
        return 1
    match = re.fullmatch(re.escape(base_name) + r"-v([1-9]\d*)", study_name)
    number = int(match.group(1)) if match else 0
    return number if number > 1 else 0
