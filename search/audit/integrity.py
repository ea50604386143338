"""Checks that nothing of a trail was edited, removed or moved since it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from search.audit import canonical
from search.audit.anchor import Anchor
from search.audit.completion import DISPATCHED, FINISHED, ending
from search.audit.events import FILE_NAME, HASH, PREVIOUS, TORN, digest_of, prefix_hash
from search.audit.reader import AuditReader
from search.audit.records import Record, TrialEvent
from search.audit.schema import DATABASE_NAME, PARQUET_FOLDER, TABLES, Table, not_there
from search.audit.trail import EVENTS, PUBLISHED, digest, line_of
from search.errors import AuditError
from search.storage.attributes import HEAD
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.storage.trials import StoredTrial
from search.storage.versions import versions

MAX_FINDINGS = 50
BROKEN = "trail_broken"
"""Kind of the event by which a run records that the trail was changed before it."""
LOG_MISSING = "the log is missing: the storage or an anchor knows of its events"
RUN_ENDS = ("run_finished", "run_interrupted", "run_failed")


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        place: Where: the log, the storage, a published file.
        text: What, in a sentence.
        is_problem: Whether it breaks the trail; otherwise it is worth knowing.
        kind: ``trail_broken`` for what an earlier run recorded; else empty.
    """

    place: str
    text: str
    is_problem: bool = True
    kind: str = ""

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"place": self.place, "text": self.text, "problem": self.is_problem}


@dataclass(frozen=True)
class Checked:
    """What a check of a trail found.

    Attributes:
        findings: All that is not in order, in order of the checks.
        events: Events that were read.
        trials: Trials of the storage that were compared with them.
        tables: Published tables whose content was compared.
    """

    findings: tuple[Finding, ...]
    events: int
    trials: int
    tables: int

    @property
    def is_intact(self) -> bool:
        """Whether nothing was edited, removed or moved."""
        return not any(finding.is_problem for finding in self.findings)


def verify_trail(
    folder: Path,
    storage: GroupingStorage | None,
    base_study: str,
    anchors: Sequence[Anchor] = (),
) -> Checked:
    """Check a study's log, storage and publication against each other.

    Args:
        folder: The study's results folder.
        storage: The study's storage; None when there is none.
        base_study: The study's name in the study file.
        anchors: Heads of the log that were kept elsewhere.

    Raises:
        ResultsMissingError: If there is no trail, and no anchor that says that there was one.
    """
    stored = versions(storage, base_study) if storage else []
    stores = [StudyStore.load(storage, version.name) for version in stored] if storage else []
    heads = [store.attributes().get(HEAD) for store in stores]
    if not (folder / FILE_NAME).exists() and not any(heads) and not anchors:
        raise not_there(folder)
    check = _Check(folder)
    check.log()
    if storage is None:
        check.add("storage", "the study's storage must be there, but is not")
    for store, head in zip(stores, heads, strict=True):
        check.head(head)
        check.trials(store.name, store.trials())
    check.anchors(anchors)
    check.publication()
    return Checked(
        tuple(check.findings[:MAX_FINDINGS]),
        len(check.events),
        check.compared_trials,
        check.compared_tables,
    )


class _Check:
    """The checks of one trail; each adds what it finds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.findings: list[Finding] = []
        self.events: list[dict[str, Any]] = []
        self.compared_trials = 0
        self.compared_tables = 0
        self._remembered = 0

    def add(self, place: str, text: str, *, is_problem: bool = True, kind: str = "") -> None:
        """Note something."""
        self.findings.append(Finding(place, text, is_problem, kind))

    # --- the log ------------------------------------------------------------------

    def log(self) -> None:
        """Check number, hash and predecessor of each event."""
        path = self._folder / FILE_NAME
        if not path.exists():
            self.add(FILE_NAME, LOG_MISSING)
            return
        content = path.read_bytes()
        lines = content.split(b"\n")
        torn = lines.pop()
        if torn:
            self.add(FILE_NAME, "the last line is torn: a driver was killed", is_problem=False)
        before, offset, is_chained = "", 0, False
        for number, line in enumerate(lines, 1):
            document = _document(line)
            if document is None:
                self.add(FILE_NAME, f"line {number} is damaged")
            else:
                before, is_chained = self._event(
                    number, document, before, prefix=content[:offset], is_chained=is_chained
                )
                self.events.append(document)
            offset += len(line) + 1
        unchained = sum(HASH not in event for event in self.events)
        if unchained:
            text = f"{unchained} events are of a version that wrote no hashes"
            self.add(FILE_NAME, text, is_problem=False)
        for event in self.events:
            self._told(event)

    def _told(self, event: Mapping[str, Any]) -> None:
        """Note what earlier runs recorded about the trail itself."""
        fields, number = event["fields"], event["sequence"]
        if event["kind"] == BROKEN:
            what = "; ".join(str(text) for text in fields.get("findings", ()))
            text = f"the run of event {number} found the trail changed: {what}"
            self.add(FILE_NAME, text, kind=BROKEN)
        elif event["kind"] == TORN and fields.get("events_set_aside"):
            text = (
                f"{fields['events_set_aside']} events that followed none were set aside at event "
                f"{number}, which quotes them"
            )
            # An earlier version could write an event twice when it was interrupted; behind what
            # the storage remembers nothing else is lost.
            self.add(FILE_NAME, text, is_problem=not fields.get("is_behind_head"))

    def _event(
        self, number: int, document: Mapping[str, Any], before: str, *, prefix: bytes,
        is_chained: bool,
    ) -> tuple[str, bool]:  # fmt: skip
        if document.get("sequence") != number:
            sequence = document.get("sequence")
            self.add(FILE_NAME, f"event {number} must stand on line {number}, but {sequence} does")
        if HASH not in document:
            if is_chained:
                self.add(FILE_NAME, f"event {number} has lost its hash")
            return before, is_chained
        if digest_of(document) != document[HASH]:
            self.add(FILE_NAME, f"event {number} was edited")
        follows = before if is_chained else prefix_hash(prefix)
        if document.get(PREVIOUS) != follows:
            text = f"event {number} does not follow the one before: something was removed or moved"
            self.add(FILE_NAME, text)
        return str(document[HASH]), True

    def head(self, head: Mapping[str, Any] | None) -> None:
        """Check that the log reaches as far as the storage remembers."""
        if head is None:
            return
        sequence = int(head["sequence"])
        self._remembered = max(self._remembered, sequence)
        if sequence > len(self.events):
            text = f"events {len(self.events) + 1} to {sequence} are missing at the end"
            self.add(FILE_NAME, text)
        elif self.events[sequence - 1].get(HASH) != head[HASH]:
            text = f"event {sequence} is not the one that the storage remembers"
            self.add(FILE_NAME, text)

    def anchors(self, anchors: Sequence[Anchor]) -> None:
        """Check that the log still has the events that anchors were taken of."""
        for anchor in anchors:
            if anchor.sequence > len(self.events):
                text = f"event {anchor.sequence}, of which there is an anchor, is missing"
            elif self.events[anchor.sequence - 1].get(HASH) != anchor.hash:
                text = (
                    f"event {anchor.sequence} is not the one of the anchor: it or an event before "
                    "it was edited, and all hashes since"
                )
            else:
                continue
            self.add(FILE_NAME, text)

    # --- the storage --------------------------------------------------------------

    def trials(self, study: str, trials: Sequence[FrozenTrial]) -> None:
        """Compare the storage's trials with what was written when they began and ended."""
        own = [event for event in self.events if event.get("study") == study]
        dispatched = {_number(event): event for event in own if event["kind"] == DISPATCHED}
        finished = {_number(event): event for event in own if event["kind"] == FINISHED}
        stored = {trial.number: trial for trial in trials}
        for number in sorted({*dispatched, *finished} - set(stored) - {-1}):
            self.add("storage", f"trial {number} of {study} is missing, but the log has it")
        is_cut_off = _is_cut_off(own)
        for number, trial in stored.items():
            if not trial.state.is_finished():
                if number in finished:
                    text = f"trial {number} of {study} is not finished, but the log says it is"
                    self.add("storage", text)
                continue
            self.compared_trials += 1
            if number not in finished:
                text = f"the end of trial {number} of {study} is missing"
                self.add(FILE_NAME, text, is_problem=not is_cut_off)
                continue
            self._compare(f"trial {number} of {study}", trial, finished[number], dispatched)

    def _compare(
        self,
        name: str,
        trial: FrozenTrial,
        finished: Mapping[str, Any],
        dispatched: Mapping[int, Mapping[str, Any]],
    ) -> None:
        now, then = ending(trial), finished["fields"]
        for key in ("metrics", "failure", "iteration"):
            if not _same(now[key], then.get(key)):
                text = f"{name} has {key} {now[key]}, but the log says {then.get(key)}"
                self.add("storage", text)
        began = dispatched.get(trial.number)
        values = StoredTrial(trial).candidate
        if began is not None and not _same(values, began["fields"].get("candidate")):
            text = f"{name} has candidate {values}, but the log says "
            self.add("storage", text + str(began["fields"].get("candidate")))

    # --- the publication ----------------------------------------------------------

    def publication(self) -> None:
        """Compare the published tables with the digests that the log has of them."""
        path = self._folder / DATABASE_NAME
        kinds = [event["kind"] for event in self.events]
        if PUBLISHED not in kinds:
            return
        if not path.exists():
            is_cut_off = 0 < self._remembered <= kinds.index(PUBLISHED)
            why = "the first publication was cut off: a driver was killed"
            gone = "it must be there, since it was published, but is not"
            self.add(DATABASE_NAME, why if is_cut_off else gone, is_problem=not is_cut_off)
            return
        reader = AuditReader(self._folder)
        try:
            events = sorted(reader.events(), key=lambda event: event.sequence)
            rows = [line_of(event) for event in events]
        except AuditError as error:
            self.add(DATABASE_NAME, str(error))
            return
        log = [line_of(event) for event in self._records()][: len(rows)]
        if rows != log:
            pairs = enumerate(zip(rows, log, strict=False), 1)
            at = next((number for number, (left, right) in pairs if left != right), len(log) + 1)
            self.add(DATABASE_NAME, f"event {at} in trial_events is not that of the log")
            return
        newest = max(number for number, kind in enumerate(kinds, 1) if kind == PUBLISHED)
        if len(rows) < newest:
            text = f"it was published at event {len(rows)}, and a newer one at {newest} is missing"
            # The storage remembers a publication once all of it is there.
            self.add(DATABASE_NAME, text, is_problem=newest <= self._remembered)
        if not rows or kinds[len(rows) - 1] != PUBLISHED:
            return
        if len(rows) > self._remembered > 0:
            text = f"the publication at event {len(rows)} was cut off: a driver was killed"
            self.add(PARQUET_FOLDER, text, is_problem=False)
            return
        wanted = self.events[len(rows) - 1]["fields"]["tables"]
        for key, table in TABLES.items():
            if key != EVENTS and table.name in wanted:
                self._table(table, wanted[table.name], reader)

    def _table(self, table: Table, wanted: str, reader: AuditReader) -> None:
        self.compared_tables += 1
        sources: list[tuple[str, Iterator[Record]]] = [
            (f"{DATABASE_NAME}, table {table.name}", iter(reader.records(table.record)))
        ]
        parquet = self._folder / PARQUET_FOLDER / f"{table.name}.parquet"
        if parquet.exists():
            rows = _parquet_records(parquet, table)
            sources.append((f"{PARQUET_FOLDER}/{parquet.name}", rows))
        else:
            self.add(f"{PARQUET_FOLDER}/{parquet.name}", "it must be there, but is not")
        for place, records in sources:
            try:
                actual = digest(records)
            except (AuditError, ValidationError, OSError, ValueError) as error:
                self.add(place, f"it cannot be read: {str(error).splitlines()[0]}")
                continue
            if actual != wanted:
                self.add(place, "a row was edited, added or removed since it was published")

    def _records(self) -> Iterator[TrialEvent]:
        for document in self.events:
            fields = dict(document.get("fields") or {})
            columns = {name: fields.pop(name, None) for name in ("iteration", "trial")}
            yield TrialEvent(**{**document, **columns, "fields": fields})


def _parquet_records(path: Path, table: Table) -> Iterator[Record]:
    for row in pq.read_table(path).to_pylist():
        yield table.record.model_validate(row)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    needed = {"sequence": int, "kind": str, "fields": dict}
    is_event = isinstance(document, dict) and all(
        isinstance(document.get(key), kind) for key, kind in needed.items()
    )
    return document if is_event else None


def _number(event: Mapping[str, Any]) -> int:
    number = event["fields"].get("trial")
    return number if isinstance(number, int) else -1


def _is_cut_off(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last run has no end: its driver runs, or was killed."""
    kinds = [event["kind"] for event in events if str(event["kind"]).startswith("run_")]
    return bool(kinds) and kinds[-1] not in RUN_ENDS


def _same(left: Any, right: Any) -> bool:
    return canonical.dumps(left) == canonical.dumps(right)
