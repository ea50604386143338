"""What dbt and DuckDB look at while they work, noticed and sorted."""

from __future__ import annotations

import copy
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from search.scenario.clock import (
    ClockRead,
    clock_reads,
    python_reads,
    started_reads,
    that_count,
)
from search.scenario.input_content import Kind

STUDYS_OWN = "SQL of the study"
_TESTS = ("test.", "unit_test.")
_WORD = re.compile(r"\w+")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_GLOB = re.compile(r"\bglob\s*\(\s*'((?:[^']|'')*)'\s*\)", re.IGNORECASE)
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NOT_DATA = ("/proc/", "/sys/", "/dev/")


@dataclass
class ReadLog:
    """Collects what dbt and DuckDB look at while they work.

    Attributes:
        folder: Where relative paths start: the dbt project.
        private: Folders whose files are ours, and no input.
        files: Paths that DuckDB opened, as it named them.
        written: Those of them that it wrote to.
        texts: String literals of statements that may be patterns of files.
        listed: Patterns whose files are listed, and need not be opened for that.
        env: Names of environment variables.
        clock: Places that ask for the time.
        words: Words of all statements, lower case, by who sent them.
        vars: dbt vars, each with the defaults that were given where it was read.
        unseen: Whose files nobody can tell, because the kernel does not.
    """

    folder: Path
    private: tuple[Path, ...] = ()
    files: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    env: set[str] = field(default_factory=set)
    clock: set[ClockRead] = field(default_factory=set)
    words: dict[str, set[str]] = field(default_factory=dict)
    vars: dict[str, list[Any]] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Forget after a block what was read in it."""
        before = {one.name: copy.deepcopy(getattr(self, one.name)) for one in fields(self)}
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def saw_statement(
        self, sql: str, sender: str | None = None, *, is_confined: bool = False
    ) -> None:
        """Remember what of a statement asks for the time or may be a pattern of files.

        Args:
            sql: Its text.
            sender: dbt's node; None for SQL of the study.
            is_confined: Whether it may read only what dbt was seen to read: a pattern that it
                names is no input then, which would open the pattern's folder to it.
        """
        name = sender or STUDYS_OWN
        if name.startswith(_TESTS):
            return
        self.clock |= set(clock_reads(sql, name))
        self.words.setdefault(name, set()).update(_WORD.findall(sql.lower()))
        if not is_confined:
            self.saw_patterns(sql)

    def saw_patterns(self, sql: str, *, is_checked: bool = True) -> None:
        """Remember what of SQL may be a pattern of files.

        Args:
            sql: A statement, or a definition that the database keeps.
            is_checked: Whether DuckDB looked at the files; of a macro it does when that is called.
        """
        if is_checked:
            self.listed |= {literal.replace("''", "'") for literal in _GLOB.findall(sql)}
        if "*" in sql or "?" in sql or "[" in sql:
            self.texts |= {
                literal.replace("''", "'")
                for literal in _LITERAL.findall(sql)
                if glob.has_magic(literal)
            }

    def saw_var(self, name: str, *default: Any) -> None:
        """Remember that a var was looked up, and its default there."""
        known = self.vars.setdefault(str(name), [])
        known += [value for value in default if not any(_is_same(value, other) for other in known)]

    def saw_template(self, text: str, where: str) -> None:
        """Remember whether a template of the project asks when dbt started."""
        reads = python_reads if where.endswith(".py") else started_reads
        self.clock |= set(reads(text, where))

    def clock_places(self) -> dict[str, list[str]]:
        """Return what tells a time that a number may depend on, each with who asks."""
        if not self.clock:
            return {}
        words = [(sender, frozenset(asked)) for sender, asked in self.words.items()]
        places: dict[str, list[str]] = {}
        for read in that_count(self.clock, words):
            places.setdefault(read.what, []).append(read.where)
        return places

    def inputs(self) -> Iterator[tuple[Kind, str]]:
        """Yield each thing that was read and is not ours, by its kind and name."""
        yield from (("env", name) for name in sorted(self.env))
        opened: set[str] = set()
        written = {str(self._place(path)) for path in self.written}
        for path in sorted(self.files):
            if _REMOTE.match(path):
                yield "remote", path
                continue
            place = self._place(path)
            if str(place) not in written and self._is_input(place):
                opened.add(str(place))
                yield "file", str(place)
        for text in sorted(self.texts | self.listed):
            pattern = str(self._place(text))
            if text in self.listed or not opened.isdisjoint(glob.glob(pattern, recursive=True)):
                yield "glob", pattern
        yield from (("remote", f"files by {who}") for who in sorted(self.unseen))
        yield from (("clock", what) for what in sorted(self.clock_places()))

    def places(self) -> list[str | Path]:
        """Return the files that are inputs, and the folders in which patterns start."""
        files, folders, _ = places_of(f"{kind} {name}" for kind, name in self.inputs())
        return [*files, *folders]

    def _place(self, path: str) -> Path:
        return Path(os.path.normpath(self.folder / path.removeprefix("file:")))

    def _is_input(self, place: Path) -> bool:
        if str(place).startswith(_NOT_DATA) or not place.is_file():
            return False
        real = Path(os.path.realpath(place))
        return not any(
            spelling.is_relative_to(own) for spelling in (place, real) for own in self.private
        )


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def folder_of(pattern: str) -> Path:
    """Return the folder that a pattern of files starts in.

    Example:
        >>> str(folder_of("/data/parts/year=*/*.csv"))
        '/data/parts'
    """
    parts = Path(pattern).parts
    return Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts[:-1]))


def places_of(inputs: Iterable[str]) -> tuple[list[str], list[Path], list[str]]:
    """Return the files, the folders of patterns, and the patterns that inputs stand for.

    Args:
        inputs: Keys of inputs.
    """
    known = sorted(inputs)
    files = [key.partition(" ")[2] for key in known if key.startswith(("file ", "remote "))]
    patterns = [key.removeprefix("glob ") for key in known if key.startswith("glob ")]
    return files, [folder_of(pattern) for pattern in patterns], patterns
