"""Outcomes on disk before a worker answers, so that a dead driver loses no evaluation.

A worker writes what it evaluated to a file of its own and only then answers. The driver removes
the file once the trial is told. What is left over when a driver starts was computed and never
told, and is taken from there in place of being evaluated again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from search.scenario.belongings import Belonging, belongings_of, moved
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.study.values import Scalar
from search.system import files, interrupt
from search.workers.contract import EvaluatorFactory, RequestEvaluator

FORMAT_VERSION = 1
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spool:
    """The spool of one study in its results folder.

    Attributes:
        folder: Where the files are; made when there is something to write.
        key: What outcomes depend on beside the candidate: study, scenario, engine.
    """

    folder: Path
    key: str

    def factory(self, inner: EvaluatorFactory) -> EvaluatorFactory:
        """Return what makes the evaluators, each writing its outcomes here first."""
        return SpoolingFactory(inner, self)

    def write(self, outcome: Outcome) -> None:
        """Put an outcome on disk; it is there, whole, when this returns."""
        content = _content(outcome, self.key)
        files.write_durably(self._path(outcome.request), content.encode())

    def begin(self, request: EvaluationRequest) -> None:
        """Note that an evaluation began, so that whoever finds it knows what a process died of."""
        self.folder.mkdir(exist_ok=True)
        self._path(request).with_suffix(".began").touch()

    def end(self, request: EvaluationRequest) -> None:
        """Note that the process outlived the evaluation."""
        self._path(request).with_suffix(".began").unlink(missing_ok=True)

    def begun(self) -> set[int]:
        """Return the trials that were being evaluated when a process died."""
        return {_trial(path) for path in self.folder.glob("*.began")}

    def outcomes(self, trial: int, values: Mapping[str, Scalar]) -> dict[Scalar | None, Outcome]:
        """Return the outcomes of a trial that need not be evaluated again, by replication.

        Damaged files and those of another scenario count as not there; so do failures that
        another attempt might mend.
        """
        spooled: dict[Scalar | None, Outcome] = {}
        for path in self.folder.glob(f"{trial}-*.json"):
            outcome = _parsed(path, self.key)
            if outcome is None or dict(outcome.request.values) != dict(values):
                continue
            if outcome.failure is None or not outcome.failure.is_retryable:
                spooled[outcome.request.replication] = outcome
        return spooled

    def forget(self, trial: int) -> None:
        """Remove the files of a trial that is told; one that stays does no harm."""
        for path in self.folder.glob(f"{trial}-*"):
            with contextlib.suppress(OSError):  # the next start sweeps it
                path.unlink(missing_ok=True)

    def keep(self, trials: Iterable[int]) -> None:
        """Remove the files of all trials but some, and what was never finished.

        A folder that cannot be written stays as it is: its files count for nothing.
        """
        with contextlib.suppress(OSError):
            self._keep(trials)

    def _keep(self, trials: Iterable[int]) -> None:
        if not self.folder.exists():
            return
        files.sweep(self.folder)
        kept = set(trials)
        for path in self.folder.iterdir():
            if _trial(path) not in kept:
                path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, request: EvaluationRequest) -> Path:
        seed = json.dumps([type(request.replication).__name__, request.replication])
        digest = hashlib.sha256(seed.encode()).hexdigest()[:12]
        return self.folder / f"{request.trial}-{digest}.json"


@dataclass(frozen=True)
class SpoolingFactory:
    """Makes evaluators that write their outcomes to a spool. Travels by pickle.

    Attributes:
        inner: Makes the evaluators that evaluate.
        spool: Takes the outcomes.
    """

    inner: EvaluatorFactory
    spool: Spool

    def __call__(self) -> RequestEvaluator:
        """Return a new evaluator."""
        return SpoolingEvaluator(self.inner(), self.spool)

    def belongings(self) -> tuple[Belonging, ...]:
        """Return what the evaluators read."""
        return belongings_of(self.inner)

    def moved(self, folders: Mapping[str, Path]) -> SpoolingFactory:
        """Return the factory with belongings in other folders."""
        return replace(self, inner=moved(self.inner, folders))


class SpoolingEvaluator:
    """Writes each outcome to the spool before it returns it.

    A spool that cannot be written (a full disk, a node without the results folder) is told
    in the log and stands in nobody's way: the outcome is returned all the same.
    """

    def __init__(self, inner: RequestEvaluator, spool: Spool) -> None:
        self._inner = inner
        self._spool = spool

    def open(self) -> None:
        """Prepare what all evaluations share."""
        self._inner.open()

    def evaluate(self, request: EvaluationRequest) -> Outcome:
        """Evaluate a candidate; its outcome is on disk when this returns.

        Another attempt takes what the one before it wrote: its worker died before it answered.
        """
        if request.attempt > 1:
            written = self._spool.outcomes(request.trial, request.values)
            if (known := written.get(request.replication)) is not None:
                return known
        try:
            self._spool.begin(request)
        except OSError as error:
            return self._unspooled(request, error)
        outcome = self._inner.evaluate(request)
        if outcome.failure is not None:
            interrupt.check()  # DuckDB and dbt make a failure of it
        try:
            self._spool.write(outcome)
            self._spool.end(request)
        except OSError as error:
            _logger.warning("an outcome could not be kept for a crash (%s)", error)
        return outcome

    def close(self) -> None:
        """Release everything."""
        self._inner.close()

    def _unspooled(self, request: EvaluationRequest, error: OSError) -> Outcome:
        if not isinstance(error, FileNotFoundError):  # another node has no such folder
            _logger.warning("outcomes cannot be kept for a crash (%s)", error)
        return self._inner.evaluate(request)


def _content(outcome: Outcome, key: str) -> str:
    body = json.dumps({"key": key, "outcome": asdict(outcome)}, sort_keys=True)
    checksum = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"format_version": FORMAT_VERSION, "checksum": checksum, "body": body})


def _parsed(path: Path, key: str) -> Outcome | None:
    """Return the outcome of a file; None when it is damaged or of something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        body = str(document["body"])
        if document["format_version"] != FORMAT_VERSION:
            return None
        if hashlib.sha256(body.encode()).hexdigest() != document["checksum"]:
            return None
        content: dict[str, Any] = json.loads(body)
        if content["key"] != key:
            return None
        packed = content["outcome"]
        failure = packed["failure"]
        outcome = Outcome(**{**packed, "request": EvaluationRequest(**packed["request"])})
        return replace(outcome, failure=Failure(**failure) if failure else None)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _trial(path: Path) -> int:
    head = path.name.split("-")[0]
    return int(head) if head.isdigit() else -1
