"""The files of a dbt project that a parameter set is written to, changed in memory first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search.errors import ProjectError
from search.parameter_sets.project_file import NAME, ProjectFile
from search.parameter_sets.seed_file import SeedFile
from search.study.mistakes import did_you_mean


@dataclass(frozen=True)
class FileChange:
    """A file before and after.

    Attributes:
        path: Which.
        before: Its content; None when it is not there yet.
        after: What it is to hold.
    """

    path: Path
    before: bytes | None
    after: bytes


class WorkingCopy:
    """The project's files as they are, and as they are to become.

    Args:
        folder: The dbt project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: dict[Path, bytes] = {}
        self._seeds: dict[str, SeedFile] = {}
        self._project: ProjectFile | None = None

    @property
    def project(self) -> ProjectFile:
        """``dbt_project.yml``."""
        if self._project is None:
            path = self.folder / NAME
            self._project = ProjectFile(path, self._read(path))
        return self._project

    def seed(self, name: str) -> SeedFile:
        """Return a seed by its name.

        Raises:
            ProjectError: If the project has no such seed, or its file cannot be read.
        """
        if name not in self._seeds:
            files = self._seed_files()
            if name.lower() not in files:
                raise ProjectError(
                    f"a value can be applied to a seed of the project, but {name} is none of "
                    f"{self.folder}{did_you_mean(name, files)}"
                )
            path = files[name.lower()]
            self._seeds[name] = SeedFile(path, self._read(path))
        return self._seeds[name]

    def changes(self) -> list[FileChange]:
        """Return the files whose content differs from what was read."""
        files: list[SeedFile | ProjectFile] = [*self._seeds.values()]
        files += [self._project] if self._project else []
        return [
            FileChange(file.path, self._before[file.path], file.content)
            for file in files
            if file.content != self._before[file.path]
        ]

    def _seed_files(self) -> dict[str, Path]:
        seeds: dict[str, Path] = {}
        for folder in self.project.seed_paths:
            for path in sorted((self.folder / folder).rglob("*.csv")):
                seeds.setdefault(path.stem.lower(), path)
        return seeds

    def _read(self, path: Path) -> bytes:
        try:
            self._before[path] = path.read_bytes()
        except OSError as error:
            raise ProjectError(f"{path} must be readable, but: {error.strerror}") from error
        return self._before[path]
