"""Where a study keeps what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.errors import ResultsMissingError
from search.study import StudySpec

REPORT_NAME = "report.html"
"""File of a study's folder: one page for a browser."""


def places_of(spec: StudySpec, results: Path, *, is_default: bool) -> list[Path]:
    """Return the folders of results, absolute, in which a study may have left some."""
    places = [results.absolute()]
    if is_default:
        folder = spec.file.absolute().parent
        places += [parent / results for parent in (folder, *folder.parents)]
    return list(dict.fromkeys(places))


def find_results(
    spec: StudySpec, results: Path, *, is_default: bool, is_needed: bool = True
) -> Path:
    """Return the first folder of results that has some of a study; the given one if none has.

    Args:
        spec: The study.
        results: As given, or the default.
        is_default: Whether nobody named it, so that other places count as well.
        is_needed: Refuse when there is nothing anywhere.

    Raises:
        ResultsMissingError: If nothing is there; names every place that was looked at.
    """
    places = places_of(spec, results, is_default=is_default)
    for place in places:
        if (place / spec.study).is_dir():
            return results if place == results.absolute() else place
    if is_needed and spec.storage is None:
        looked = ", ".join(str(place / spec.study) for place in places)
        raise ResultsMissingError(
            f"study {spec.study} must have run, but there are no results of it in {looked}; run "
            f"`scenario-search run {spec.file}` first, or name their folder with --results"
        )
    return results


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

    @property
    def timeline(self) -> Path:
        """When the last run did what."""
        return self.folder / "timeline.json"

    @property
    def own_studies(self) -> Path:
        """Seals of the study files that this user ran."""
        return self.folder / "own-studies.json"

    def storage_url(self, spec: StudySpec) -> str:
        """Return the study file's storage, or the default in the study's folder."""
        return spec.storage or f"sqlite:///{self.folder / 'study.db'}"
