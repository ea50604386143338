"""What a scenario reads beside its study file and its dbt project: remembered and watched.

Files that SQL reads, databases that it attaches, extensions and environment variables are noticed
while real dbt works (``read_log.py``), and remembered beside the baselines. The next start looks
at each of them (``input_content.py``) before it uses anything that was computed earlier: what
they hold joins the fingerprint.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import ProjectError
from search.scenario.clock import is_held
from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.held_clock import HeldClock
from search.scenario.input_content import InputContent, Kind
from search.scenario.read_log import ReadLog, places_of
from search.system import files

FORMAT_VERSION = 1

CLOCK_SET_BACK_SECONDS = 120.0
"""Clocks of file servers differ by less."""


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
class EngineJudgement:
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
        self._hashes, self._clock = hashes, clock
        self.key = key
        self.path = folder / f"{key[:32]}.json"
        self._content = InputContent(hashes, clock)

    def beside(self, what: str) -> World:
        """Return the world of something that follows from the same, and reads more.

        Args:
            what: All that it follows from beside this world's key.
        """
        key = hash_parts([self.key, what])
        return World(self.path.parent, key, self._hashes, self._clock)

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

    def places(self) -> list[str | Path]:
        """Return the files that are read, and the folders in which patterns start."""
        files, folders, _ = places_of(self.inputs())
        return [*files, *folders]

    def state(self) -> dict[str, str]:
        """Return what each input holds today, by its key."""
        return {
            key: self._content.of(known.kind, known.name) for key, known in self.inputs().items()
        }

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
                known[key] = Input(kind, name, self._content.of(kind, name), is_sealed, where)
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

    def judgement(self) -> EngineJudgement | None:
        """Return what was found out about compiling it; None when that is not known of today."""
        try:
            document = json.loads(self.path.with_suffix(".engine").read_text(encoding="utf-8"))
            if document["fingerprint"] == self.fingerprint():
                return EngineJudgement(document["refusal"])
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
        day = self._content.of("clock", "")
        if self._clock is None or len(loose) == len(reads):
            held = f"its numbers hold for today, {day}"
        else:
            held = f"for it the time stands still at {self._clock.text()}"
            if loose:
                held += f", but not for {', '.join(loose)}"
        return f"the scenario looks at the clock ({asked}): {held}; tomorrow's run starts anew"

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


def _require_settled(path: Path, since: float) -> None:
    # What is written into a file counts, not the time that a copy brought along. A change that is
    # to come later was made before the clock was set back.
    changed = path.stat().st_ctime
    if since < changed < time.time() + CLOCK_SET_BACK_SECONDS:
        raise ProjectError(
            f"{path} changed while the scenario was reading it, so its numbers may belong to "
            "neither content; start again when it is complete"
        )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
