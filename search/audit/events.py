"""The append-only event log: one JSON line for each thing that happened, durable at once.

Each line carries the hash of its content and of the line before, so that none can be edited,
removed or moved unseen (``search.audit.integrity``). Lines of earlier versions have no hashes; the
first one with a hash covers all bytes before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
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
QUOTED_BYTES = 256 * 1024
"""How much of what is set aside an event quotes; of more, its digest tells."""


@dataclass(frozen=True)
class _End:
    """Where the log ends, for whoever appends to it.

    Attributes:
        offset: Bytes of it.
        sequence: Number of the last event.
        hash: What the next event follows.
    """

    offset: int
    sequence: int
    hash: str


class EventLog:
    """Appends to ``events.jsonl`` of a results folder. A context manager.

    An event that ``append`` returned is on disk. An exception of whatever kind, at whatever
    moment of an append (Ctrl-C, a full disk), leaves whole events only, and the log goes on.
    The writer must hold the study's lock: two writers would give the same number twice. What
    a crash left torn, or an earlier version wrote twice, behind the last event that is known
    to be whole is replaced, on opening, by an event ``torn`` that carries it.

    Args:
        results_folder: The study's results folder; created when missing.
        study: Name of the study in the storage; written to every event.
        run_id: The run that writes; written to every event.
        known_sequence: Number of the last event that the storage remembers: events up to it
            are left as they are, whatever became of them.

    Raises:
        AuditError: If the log cannot be opened, was written by a newer version, or is damaged
            up to the event that the storage remembers.
    """

    def __init__(
        self,
        results_folder: Path,
        *,
        study: str,
        run_id: str | None = None,
        known_sequence: int | None = None,
    ) -> None:
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
            self._end, rest = _sound(self._descriptor, self.path, known_sequence or 0)
            _sync_folder(results_folder)
            if rest:
                self._set_aside(rest, is_known=known_sequence is not None)
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
        before = self._end
        previous = before.hash
        for sequence, (kind, fields) in enumerate(events, before.sequence + 1):
            document = self._document(kind, fields, at=at, sequence=sequence)
            document[PREVIOUS] = previous
            document[HASH] = previous = digest_of(document)
            documents.append(document)
        lines = "".join(canonical.dumps(document) + "\n" for document in documents).encode()
        told = [_event(document) for document in documents]
        after = _End(before.offset + len(lines), before.sequence + len(documents), previous)
        try:
            files.write_at(self._descriptor, lines, before.offset)
            # One assignment: an exception comes before all of it or after all of it.
            self._end = after
        except OSError as error:
            self._cut_back(before)
            raise AuditError(
                f"an event must be written to {self.path}, but the disk refused ({error}); "
                "free space there, then start again"
            ) from error
        except BaseException:
            self._cut_back(before)
            raise
        return told

    @property
    def head(self) -> dict[str, Any]:
        """Number and hash of the last event, by which a log that was cut short is known."""
        end = self._end
        return {"sequence": end.sequence, HASH: end.hash}

    def close(self) -> None:
        """Close the log; it can be opened again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
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

    def _set_aside(self, rest: bytes, *, is_known: bool) -> None:
        """Put an event in the place of what follows the last sound one, and quote it there."""
        text = rest[:QUOTED_BYTES].decode("utf-8", errors="backslashreplace")
        whole = sum(_parsed(line) is not None for line in rest.split(b"\n"))
        noted: dict[str, Any] = {"text": text, "torn_bytes": len(rest)}
        if whole:
            digest = hashlib.sha256(rest).hexdigest()
            noted |= {"events_set_aside": whole, "sha256": digest, "is_behind_head": is_known}
        self.append(TORN, **noted)

    def _cut_back(self, before: _End) -> None:
        """Remove what an append left that did not come to its end.

        Where that fails as well, or is interrupted, the next append writes over it, or the
        next opening sets it aside.
        """
        if self._end is before:
            with suppress(OSError):
                os.ftruncate(self._descriptor, before.offset)


def _sync_folder(folder: Path) -> None:
    """Put the log's name on disk.

    Raises:
        AuditError: If the disk refuses.
    """
    try:
        files.sync_folder(folder)
    except OSError as error:
        raise AuditError(
            f"the name of the event log must be written to {folder}, but the disk refused "
            f"({error}); check the results folder"
        ) from error


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


def _sound(descriptor: int, path: Path, known: int) -> tuple[_End, bytes]:
    """Return where the log is whole up to, and what stands behind.

    Args:
        descriptor: The log.
        path: Its name, for messages.
        known: Events that are left as they are.
    """
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    lines = content.split(b"\n")
    lines.pop()
    end = _End(0, 0, "")
    if known:
        end = _known_end(content, lines[: min(known, len(lines))], path)
    is_chained = bool(end.hash)
    for line in lines[end.sequence :]:
        document = _parsed(line)
        if document is None:
            break
        _refuse_newer(document, path)
        if HASH in document:
            follows = end.hash if is_chained else prefix_hash(content[: end.offset])
            if not _follows(document, end.sequence + 1, follows):
                break
            is_chained = True
        elif is_chained or document["sequence"] != end.sequence + 1:
            break
        hashed = str(document.get(HASH, ""))
        end = _End(end.offset + len(line) + 1, end.sequence + 1, hashed)
    if not is_chained:
        end = _End(end.offset, end.sequence, prefix_hash(content[: end.offset]))
    return end, content[end.offset :]


def _known_end(content: bytes, lines: Sequence[bytes], path: Path) -> _End:
    """Return the end of the events that the storage remembers, as far as they are there."""
    if not lines:
        return _End(0, 0, "")
    document = _parsed(lines[-1])
    if document is None:
        raise AuditError(
            f"the last events of {path} must be readable, but are damaged; "
            "restore the file from a backup, or move it away to start a new log"
        )
    _refuse_newer(document, path)
    offset = sum(len(line) + 1 for line in lines)
    return _End(offset, len(lines), str(document.get(HASH, "")))


def _follows(document: Mapping[str, Any], sequence: int, previous: str) -> bool:
    """Whether an event is whole and the next of a chain."""
    return (
        document["sequence"] == sequence
        and document.get(PREVIOUS) == previous
        and digest_of(document) == document[HASH]
    )


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
