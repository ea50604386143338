"""What a run of the project wrote, and where that lies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from search.scenario.file_names import covers
from search.scenario.setup_files import SetupFiles


@dataclass(frozen=True)
class Written:
    """A file or folder that the project wrote.

    Attributes:
        node: dbt's id of who wrote it; None for a hook that dbt does not name.
        statement: The statement, as the project has it.
        is_read: Whether somebody has read it since.
        is_database: Whether it is a database that was attached.
        is_given: Whether the setup wrote it, and it lies where all candidates read it.
    """

    node: str | None
    statement: str
    is_read: bool = False
    is_database: bool = False
    is_given: bool = False


class WrittenFiles(Mapping[Path, Written]):
    """The files that one run wrote, by the path that the project gave.

    Args:
        project_dir: Where relative paths start.
        folder: Where the files lie; it is made when the first one is written.
        given: What the setup wrote, which is there before the run; only read where it lies.

    Attributes:
        on_reading: Told of a write once somebody reads the file again.
    """

    def __init__(self, project_dir: Path, folder: Path, given: SetupFiles | None) -> None:
        self.project_dir = project_dir
        self.folder = folder
        self.given = given
        self.on_reading: Callable[[Written], None] = lambda written: None
        self._by_path = self._of_setup()

    def __getitem__(self, path: Path) -> Written:
        return self._by_path[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._by_path)

    def __len__(self) -> int:
        return len(self._by_path)

    def claim(
        self, path: Path, node: str | None, statement: str, *, is_database: bool = False
    ) -> None:
        """Remember who is about to write a file; whoever wrote it before stays named."""
        self._by_path.setdefault(path, Written(node, statement, is_database=is_database))

    def rewrite(self, path: Path, node: str | None, statement: str) -> None:
        """Remember who wrote a file last."""
        self._by_path[path] = replace(self._by_path[path], node=node, statement=statement)

    def forget(self) -> None:
        """Begin anew: remove the files of the candidate before."""
        self._by_path = self._of_setup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of_setup(self) -> dict[Path, Written]:
        if self.given is None:
            return {}
        databases = self.given.databases
        return {
            Path(path): Written(node, "", is_database=path in databases, is_given=True)
            for path, node in self.given.writers.items()
        }

    def folders(self) -> tuple[Path, ...]:
        """Return where files lie that the project wrote."""
        return (self.folder, self.given.folder) if self.given else (self.folder,)

    def for_next(self) -> SetupFiles | None:
        """Return what was written so far, for whoever runs next; None when nothing was."""
        if not self._by_path:
            return None
        return SetupFiles(
            self.folder,
            self.folder,
            {str(path): written.node for path, written in self._by_path.items()},
            tuple(str(path) for path, written in self._by_path.items() if written.is_database),
        )

    def place(self, path: str) -> Path:
        """Return the absolute path that the project means."""
        plain = path.removeprefix("file://")
        place = Path(os.path.normpath(self.project_dir / Path(plain).expanduser()))
        for own in (self.given.folder, self.given.home) if self.given else ():
            if place.is_relative_to(own):  # as a view of the setup names it
                return Path("/") / place.relative_to(own)
        return place

    def here(self, path: Path) -> Path:
        """Return where the run's own file of that path lies."""
        return self.folder / path.relative_to("/")

    def there(self, path: Path) -> Path:
        """Return where what the setup wrote lies."""
        assert self.given is not None
        return self.given.folder / path.relative_to("/")

    def take_over(self, asked: Path) -> None:
        """Make what the setup wrote the candidate's own, before it changes."""
        for path, written in list(self._by_path.items()):
            if written.is_given and covers(asked, path):
                self.make_folders(path)
                here, there = self.here(path), self.there(path)
                if there.is_dir():
                    shutil.copytree(there, here, copy_function=shutil.copyfile)
                else:
                    shutil.copyfile(there, here)
                self._by_path[path] = replace(written, is_given=False)

    def make_folders(self, path: Path) -> None:
        """Make the folders that are there where the project points: DuckDB makes none."""
        there = next(parent for parent in path.parents if parent.is_dir())
        self.here(there).mkdir(parents=True, exist_ok=True)

    def tell_reading(self, path: Path) -> None:
        """Tell of the first reading of a file."""
        written = self._by_path[path]
        if written.is_database or written.is_read:
            return
        self._by_path[path] = replace(written, is_read=True)
        self.on_reading(written)
