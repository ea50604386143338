"""What a scenario reads beside its study file and its dbt project: found, remembered, watched.

Files that SQL reads, databases that it attaches, extensions and environment variables are noticed
while real dbt works, and remembered beside the baselines. The next start looks at each of them
before it uses anything that was computed earlier: what they hold joins the fingerprint.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from search.errors import ProjectError
from search.scenario.clock import (
    ClockRead,
    clock_reads,
    is_held,
    python_reads,
    started_reads,
    that_count,
)
from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.held_clock import HeldClock
from search.system import files

FORMAT_VERSION = 1
Kind = Literal["file", "glob", "env", "clock", "remote"]

STUDYS_OWN = "SQL of the study"
_TESTS = ("test.", "unit_test.")
_WORD = re.compile(r"\w+")
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_SECRET = re.compile(r"secret|token|password|key", re.IGNORECASE)
_NOT_DATA = ("/proc/", "/sys/", "/dev/")
MISSING = "missing"


@dataclass
class ReadLog:
    """Collects what dbt and DuckDB look at while they work.

    Attributes:
        folder: Where relative paths start: the dbt project.
        private: Folders whose files are ours, and no input.
        files: Paths that DuckDB opened, as it named them.
        written: Those of them that it wrote to.
        texts: String literals of statements that may be patterns of files.
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
    env: set[str] = field(default_factory=set)
    clock: set[ClockRead] = field(default_factory=set)
    words: dict[str, set[str]] = field(default_factory=dict)
    vars: dict[str, list[Any]] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)

    def saw_statement(self, sql: str, sender: str | None = None) -> None:
        """Remember what of a statement asks for the time or may be a pattern of files.

        Args:
            sql: Its text.
            sender: dbt's node; None for SQL of the study.
        """
        name = sender or STUDYS_OWN
        if name.startswith(_TESTS):
            return
        self.clock |= set(clock_reads(sql, name))
        self.words.setdefault(name, set()).update(_WORD.findall(sql.lower()))
        self.saw_patterns(sql)

    def saw_patterns(self, sql: str) -> None:
        """Remember what of SQL may be a pattern of files."""
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
        for text in sorted(self.texts):
            pattern = str(self._place(text))
            if not opened.isdisjoint(glob.glob(pattern, recursive=True)):
                yield "glob", pattern
        yield from (("remote", f"files by {who}") for who in sorted(self.unseen))
        yield from (("clock", what) for what in sorted(self.clock_places()))

    def _place(self, path: str) -> Path:
        return Path(os.path.normpath(self.folder / path.removeprefix("file:")))

    def _is_input(self, place: Path) -> bool:
        if str(place).startswith(_NOT_DATA) or not place.is_file():
            return False
        real = Path(os.path.realpath(place))
        return not any(
            spelling.is_relative_to(own) for spelling in (place, real) for own in self.private
        )


@dataclass(frozen=True)
class Input:
    """One thing that a scenario depends on.

    Attributes:
        kind: ``file``, ``glob`` (the files that a pattern matches), ``env``, ``clock``, or
            ``remote`` for what cannot be watched.
        name: Absolute path, pattern, name of the variable, or function.
        content: Hash of what it held when it was noticed.
        is_late: Whether it was noticed after the first evaluation. What it held then is part of
            what had been computed, so it counts once it changes.
        where: Models that ask, when they are known.
    """

    kind: Kind
    name: str
    content: str
    is_late: bool = False
    where: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name with its kind, which is unique."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Judgement:
    """Whether a scenario could be compiled when that was tried last.

    Attributes:
        refusal: Why not; None when it could.
    """

    refusal: str | None


class World:
    """The inputs of one scenario, remembered in one file.

    A file that is damaged or missing means that nothing is known yet.

    Args:
        folder: Where worlds are remembered.
        key: Hash of all that is known without them: study file, dbt project, profile.
        hashes: Hashes files.
        clock: The clock that stands still for the scenario; the real one when None.
    """

    def __init__(
        self, folder: Path, key: str, hashes: FileHashes, clock: HeldClock | None = None
    ) -> None:
        self._clock = clock
        self.key = key
        self.path = folder / f"{key[:32]}.json"
        self._hashes = hashes

    @property
    def is_sealed(self) -> bool:
        """Whether something was computed and kept under the world's fingerprint."""
        return bool((self._document() or {}).get("is_sealed"))

    def inputs(self) -> dict[str, Input]:
        """Return what is known to be read, by key."""
        try:
            document = self._document() or {"inputs": []}
            read = [
                Input(**entry | {"where": tuple(entry["where"])}) for entry in document["inputs"]
            ]
        except (KeyError, TypeError):
            return {}
        return {known.key: known for known in read}

    def _document(self) -> dict[str, Any] | None:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            is_ours = document["format_version"] == FORMAT_VERSION and document["key"] == self.key
            return dict(document) if is_ours else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def state(self) -> dict[str, str]:
        """Return what each input holds today, by its key."""
        return {key: self._content(known.kind, known.name) for key, known in self.inputs().items()}

    def fingerprint(self) -> str:
        """Return a hash of the key and of what the inputs hold today; the key without inputs."""
        state = self.state()
        known = self.inputs()
        counted = {
            key: content
            for key, content in state.items()
            if not known[key].is_late or content != known[key].content
        }
        return hash_parts([self.key, _text(counted)]) if counted else self.key

    def seal(self) -> None:
        """Say that from now on things are computed and kept under the fingerprint.

        What is noticed later does not change it, until it changes itself.
        """
        if not self.is_sealed:
            with self._locked():
                self._write(self.inputs().values(), is_sealed=True)

    def learn(self, log: ReadLog, *, since: float) -> None:
        """Remember what was read.

        Args:
            log: What was noticed.
            since: When reading began, in seconds since the epoch.

        Raises:
            ProjectError: If a file changed after reading began: nobody knows what was read.
        """
        read = list(log.inputs())
        known = self.inputs()
        if all(f"{kind} {name}" in known for kind, name in read):
            return
        with self._locked():
            places = log.clock_places()
            known, is_sealed = self.inputs(), self.is_sealed
            for kind, name in read:
                key = f"{kind} {name}"
                if key in known:
                    continue
                if kind == "file":
                    _require_settled(Path(name), since)
                where = tuple(sorted(places.get(name, ()))) if kind == "clock" else ()
                known[key] = Input(kind, name, self._content(kind, name), is_sealed, where)
            self._write(known.values(), is_sealed=is_sealed)

    def take_over(self, other: World) -> None:
        """Remember as well all that another scenario reads, which does the same and more."""
        mine, others = self.inputs(), other.inputs()
        if not others.keys() <= mine.keys():
            with self._locked():
                self._write({**others, **self.inputs()}.values(), is_sealed=self.is_sealed)
        self.note(other._notes())

    def note(self, sentences: Iterable[str]) -> None:
        """Remember what became of what the project writes, for ``warnings``."""
        new = [sentence for sentence in sentences if sentence not in self._notes()]
        if new:
            with self._locked():
                lines = dict.fromkeys([*self._notes(), *new])
                files.write_durably(self.path.with_suffix(".notes"), "\n".join(lines).encode())

    @property
    def has_notes(self) -> bool:
        """Whether something is remembered of what the project writes."""
        return bool(self._notes())

    def _notes(self) -> list[str]:
        try:
            return self.path.with_suffix(".notes").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return []

    def judge(self, refusal: str | None) -> None:
        """Remember whether the scenario, as the world is now, could be compiled.

        Args:
            refusal: Why not; None when it could.
        """
        document = {"fingerprint": self.fingerprint(), "refusal": refusal}
        with self._locked():
            files.write_durably(self.path.with_suffix(".engine"), json.dumps(document).encode())

    def judgement(self) -> Judgement | None:
        """Return what was found out about compiling it; None when that is not known of today."""
        try:
            document = json.loads(self.path.with_suffix(".engine").read_text(encoding="utf-8"))
            if document["fingerprint"] == self.fingerprint():
                return Judgement(document["refusal"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def warnings(self) -> tuple[str, ...]:
        """Return what its user should know of the inputs, one sentence each."""
        inputs = self.inputs().values()
        remote = [source.name for source in inputs if source.kind == "remote"]
        told = [
            f"the scenario reads {name}, whose content cannot be watched: when it changes, start "
            "again with --restart"
            for name in remote
        ]
        clock = [source for source in inputs if source.kind == "clock"]
        if clock:
            told.append(self._clock_text(clock))
        return (*told, *self._notes())

    def _clock_text(self, reads: list[Input]) -> str:
        asked = "; ".join(f"{known.name} in {', '.join(known.where)}" for known in reads)
        loose = [known.name for known in reads if not is_held(known.name)]
        day = self._content("clock", "")
        if self._clock is None or len(loose) == len(reads):
            held = f"its numbers hold for today, {day}"
        else:
            held = f"for it the time stands still at {self._clock.text()}"
            if loose:
                held += f", but not for {', '.join(loose)}"
        return f"the scenario looks at the clock ({asked}): {held}; tomorrow's run starts anew"

    def _content(self, kind: Kind, name: str) -> str:
        if kind == "env":
            return env_content(name)
        if kind == "clock":
            return self._clock.day if self._clock else today()
        if kind == "remote":
            return "remote"
        if kind == "file":
            return self._file_content(Path(name))
        matched = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        return hash_parts(f"{path} {self._file_content(Path(path))}" for path in matched)

    def _file_content(self, path: Path) -> str:
        if not path.is_file():
            return MISSING
        log = path.with_name(path.name + ".wal")  # of a database, it holds the latest commits
        with contextlib.suppress(OSError):
            if log.stat().st_size:
                return hash_parts([self._hashes.of(path), self._hashes.of(log)])
        return self._hashes.of(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(self.path.with_suffix(".lock")):
            yield

    def _write(self, inputs: Iterable[Input], *, is_sealed: bool) -> None:
        document = {
            "format_version": FORMAT_VERSION,
            "key": self.key,
            "is_sealed": is_sealed,
            "inputs": [
                vars(read_input) for read_input in sorted(inputs, key=lambda known: known.key)
            ],
        }
        files.write_durably(self.path, json.dumps(document).encode())


def env_content(name: str) -> str:
    """Return a hash of an environment variable's value, or that it is not set.

    The name of a secret's variable gives no cheap way to try values out.
    """
    value = os.environ.get(name)
    if value is None:
        return MISSING
    if _SECRET.search(name):
        return hashlib.pbkdf2_hmac("sha256", value.encode(), name.encode(), 50_000).hex()
    return hash_parts([value])


def today() -> str:
    """Return today's date (UTC) as it stands in fingerprints and warnings."""
    return datetime.now(UTC).date().isoformat()


def input_files(inputs: Iterable[str]) -> Iterator[Path]:
    """Yield the files that inputs stand for, with the logs of databases, as they are now.

    Args:
        inputs: Keys of inputs.
    """
    for key in inputs:
        kind, name = key.split(" ", 1)
        if kind == "file":
            yield from (Path(name), Path(f"{name}.wal"))
        elif kind == "glob":
            yield from (Path(path) for path in glob.glob(name, recursive=True))


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return which inputs hold something else than before, in words.

    Example:
        >>> changes({"file /data/sales.csv": "a"}, {"file /data/sales.csv": "b"})
        ['/data/sales.csv']
        >>> changes({"clock now()": "2026-01-01"}, {"clock now()": "2026-01-02"})
        ['the day: 2026-01-01 became 2026-01-02']
    """
    words = []
    for key in sorted(before):
        if key not in after or before[key] == after[key]:
            continue
        kind, name = key.split(" ", 1)
        if kind == "clock":
            words.append(f"the day: {before[key]} became {after[key]}")
        else:
            words.append({"env": f"env var {name}", "glob": f"files {name}"}.get(kind, name))
    return list(dict.fromkeys(words))


def _require_settled(path: Path, since: float) -> None:
    state = path.stat()
    if max(state.st_mtime, state.st_ctime) > since:  # a copy may bring an old time along
        raise ProjectError(
            f"{path} changed while the scenario was reading it, so its numbers may belong to "
            "neither content; start again when it is complete"
        )


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
