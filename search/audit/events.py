"""The append-only event log: one JSON line for each thing that happened, durable at once.

Each line carries the hash of its content and of the line before, so that none can be edited,
removed or moved unseen (``search.audit.verify``). Lines of earlier versions have no hashes; the
first one with a hash covers all bytes before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from search.audit import canonical
from search.audit.records import FORMAT_VERSION, TrialEvent
from search.errors import AuditError
from search.system import files

FILE_NAME = "events.jsonl"
TORN = "torn"
HASH = "hash"
PREVIOUS = "previous"
TAIL_BYTES = 64 * 1024


class EventLog:
    """Appends to ``events.jsonl`` of a results folder. A context manager.

    An event that ``append`` returned is on disk. The writer must hold the study's lock:
    two writers would give the same sequence number twice. A line that a crash left torn
    is replaced, on opening, by an event ``torn`` that carries what was left of it.

    Args:
        results_folder: The study's results folder; created when missing.
        study: Name of the study in the storage; written to every event.
        run_id: The run that writes; written to every event.

    Raises:
        AuditError: If the log cannot be opened, or was written by a newer version.
    """

    def __init__(self, results_folder: Path, *, study: str, run_id: str | None = None) -> None:
        self.path = results_folder / FILE_NAME
        self._study = study
        self._run_id = run_id
        try:
            results_folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise AuditError(
                f"the event log {self.path} must be writable, but is not ({error.strerror}); "
                "check the results folder"
            ) from error
        try:
            self._end, self._sequence, torn = _tail(self._descriptor, self.path)
            self._hash = _last_hash(self._descriptor, self._end)
            files.sync_folder(results_folder)
            if torn:
                text = torn.decode("utf-8", errors="backslashreplace")
                self.append(TORN, text=text, torn_bytes=len(torn))
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, kind: str, **fields: Any) -> TrialEvent:
        """Write one event; it is on disk when this returns.

        Args:
            kind: What happened: ``run_started``, ``preflight``, ``iteration_proposed``,
                ``trial_dispatched``, ``trial_finished``, ``trial_retried``,
                ``iteration_completed``, ``run_finished``, ``run_interrupted`` ...
            fields: What to note; ``trial`` and ``iteration`` become columns of their own.

        Raises:
            AuditError: If it could not be written; the log is as before then.
        """
        return self.append_all([(kind, fields)])[0]

    def append_all(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[TrialEvent]:
        """Write several events with one write and one sync, as a batch is dispatched.

        Raises:
            AuditError: If they could not be written; the log is as before then.
        """
        at = datetime.now(UTC)
        documents: list[dict[str, Any]] = []
        previous = self._hash
        for sequence, (kind, fields) in enumerate(events, self._sequence + 1):
            document = self._document(kind, fields, at=at, sequence=sequence)
            document[PREVIOUS] = previous
            document[HASH] = previous = digest_of(document)
            documents.append(document)
        lines = "".join(canonical.dumps(document) + "\n" for document in documents).encode()
        try:
            # A torn tail is shorter than the event that quotes it, hence fully overwritten.
            written = os.pwrite(self._descriptor, lines, self._end)
            if written != len(lines):
                raise OSError(f"only {written} of {len(lines)} bytes fit")
            os.fsync(self._descriptor)
        except OSError as error:
            self._undo()
            raise AuditError(
                f"an event must be written to {self.path}, but the disk refused ({error}); "
                "free space there, then start again"
            ) from error
        self._end += len(lines)
        self._sequence += len(documents)
        self._hash = previous
        return [_event(document) for document in documents]

    @property
    def head(self) -> dict[str, Any]:
        """Number and hash of the last event, by which a log that was cut short is known."""
        return {"sequence": self._sequence, HASH: self._hash}

    def close(self) -> None:
        """Close the log; it can be opened again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _document(
        self, kind: str, fields: Mapping[str, Any], *, at: datetime, sequence: int
    ) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "sequence": sequence,
            "at": at.isoformat(timespec="microseconds"),
            "study": self._study,
            "run_id": self._run_id,
            "kind": kind,
            "fields": dict(fields),
        }

    def _undo(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError:
            # The next opening finds the torn line and sets it aside.
            return


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the hash of an event's document, everything in it but the hash itself."""
    content = {key: value for key, value in document.items() if key != HASH}
    return hashlib.sha256(canonical.dumps(content).encode()).hexdigest()


def prefix_hash(content: bytes) -> str:
    """Return what the first event with a hash carries as the hash of all before it."""
    return hashlib.sha256(content).hexdigest() if content else ""


def read_events(path: Path) -> Iterator[TrialEvent]:
    """Yield the events of a log in order; a torn last line (a crash, a live writer) is skipped.

    Args:
        path: The log, or the results folder that holds it. A missing log has no events.

    Raises:
        AuditError: If a line is damaged, a sequence number is missing or repeated, or the
            log was written by a newer version.
    """
    path = path / FILE_NAME if path.is_dir() else path
    if not path.exists():
        return
    with path.open("rb") as file:
        expected = 1
        for line in file:
            if not line.endswith(b"\n"):
                return
            document = _parsed(line)
            if document is None:
                # A crash damages the last line only, which nobody was told is there.
                if not file.read(1):
                    return
                raise AuditError(
                    f"line {expected} of {path} must be an event, but is damaged; "
                    "restore the file from a backup, or move it away to start a new log"
                )
            _refuse_newer(document, path)
            if document["sequence"] != expected:
                raise AuditError(
                    f"event {expected} must follow in {path}, but {document['sequence']} does; "
                    "the log was edited or had two writers: restore it from a backup"
                )
            try:
                event = _event(document)
            except ValidationError as error:
                raise AuditError(f"event {expected} of {path} is not complete: {error}") from error
            yield event
            expected += 1


def _event(document: Mapping[str, Any]) -> TrialEvent:
    fields = dict(document.get("fields") or {})
    columns = {name: fields.pop(name, None) for name in ("iteration", "trial")}
    return TrialEvent(**{**document, **columns, "fields": fields})


def _tail(descriptor: int, path: Path) -> tuple[int, int, bytes]:
    """Return where the last whole event ends, its sequence number, and the torn rest."""
    size = os.fstat(descriptor).st_size
    length = TAIL_BYTES
    while True:
        start = max(0, size - length)
        tail = os.pread(descriptor, size - start, start)
        lines = tail.split(b"\n")
        torn = lines.pop()
        if lines and _parsed(lines[-1]) is None:
            torn = lines.pop() + b"\n" + torn
        # The first piece may begin in the middle of a line.
        whole = lines if start == 0 else lines[1:]
        if whole or start == 0:
            break
        length *= 2
    if not whole:
        return 0, 0, torn
    document = _parsed(whole[-1])
    if document is None:
        raise AuditError(
            f"the last events of {path} must be readable, but are damaged; "
            "restore the file from a backup, or move it away to start a new log"
        )
    _refuse_newer(document, path)
    return size - len(torn), int(document["sequence"]), torn


def _last_hash(descriptor: int, end: int) -> str:
    """Return the hash that the next event follows: the last event's, or that of the whole log."""
    start = max(0, end - TAIL_BYTES)
    last = os.pread(descriptor, end - start, start).rstrip(b"\n").rsplit(b"\n", 1)[-1]
    document = _parsed(last)
    if document is not None and isinstance(document.get(HASH), str):
        return str(document[HASH])
    content = os.pread(descriptor, end, 0)
    document = _parsed(content.rstrip(b"\n").rsplit(b"\n", 1)[-1])
    if document is not None and isinstance(document.get(HASH), str):
        return str(document[HASH])  # a line longer than the tail
    return prefix_hash(content)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the event's document, or None when the line is none."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    # No more than a newer version keeps: its lines must be refused, not taken for damage.
    is_event = isinstance(document, dict) and all(
        isinstance(document.get(key), int) for key in ("format_version", "sequence")
    )
    return document if is_event else None


def _refuse_newer(document: Mapping[str, Any], path: Path) -> None:
    if document["format_version"] > FORMAT_VERSION:
        raise AuditError(
            f"{path} must have format version {FORMAT_VERSION} or less, but has "
            f"{document['format_version']}; install the scenario-search that wrote it"
        )
