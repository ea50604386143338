"""Reads what a storage holds, without Optuna where it is a SQLite file.

Importing Optuna and SQLAlchemy takes longer than all that ``status`` or ``compare`` do. Optuna's
tables are read here as Optuna reads them; whatever is not as expected (another schema, a
distribution of an earlier version, a database that is locked or damaged) is read by Optuna.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import quote

from search.storage.trials import Trial
from search.storage.versions import StudyVersion, versions_among

SQLITE = "sqlite:///"
TABLES_FORMAT = (12, "v3.2.0.a")
"""Of Optuna's tables as read here: its schema's version and its newest migration."""
_TIMEOUT_SECONDS = 10.0
_INFINITE = {"INF_POS": inf, "INF_NEG": -inf}


@dataclass(frozen=True)
class StudyRecord:
    """One version of a study as it is stored.

    Attributes:
        version: Which one.
        attributes: What was stored with the study itself.
        trials: Its trials, in order of their numbers.
    """

    version: StudyVersion
    attributes: Mapping[str, Any]
    trials: Sequence[Trial]


class ReadState(Enum):
    """A trial's state, under Optuna's names."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4


@dataclass(frozen=True)
class Distribution:
    """What a parameter could be: numbers, or choices."""

    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class PlainTrial:
    """A trial with what ``StoredTrial`` reads of it."""

    number: int
    state: ReadState
    values: list[float] | None
    datetime_start: datetime | None
    datetime_complete: datetime | None
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


def read_study(url: str, base_name: str, *, is_newest_only: bool = False) -> list[StudyRecord]:
    """Return the versions of a study in a storage, oldest first; nothing is created.

    Args:
        url: The storage.
        base_name: Name in the study file.
        is_newest_only: Leave out all versions but the newest.

    Raises:
        StorageError: If the storage is there and cannot be read.
    """
    if url.startswith(SQLITE):
        file = Path(url.removeprefix(SQLITE))
        if not file.exists() or file.stat().st_size == 0:
            return []
        try:
            return _read_file(file, base_name, is_newest_only)
        except (sqlite3.Error, _NotAsExpected, ValueError, KeyError, TypeError):
            pass  # Optuna reads it, or says what is wrong
    return _read_by_optuna(url, base_name, is_newest_only)


class _NotAsExpected(Exception):
    """The tables hold what is not read here."""


def _read_by_optuna(url: str, base_name: str, is_newest_only: bool) -> list[StudyRecord]:
    from search.storage.existing import existing_storage
    from search.storage.study_store import StudyStore
    from search.storage.versions import versions

    with existing_storage(url) as storage:
        if storage is None:
            return []
        there = versions(storage, base_name)
        stores = [
            (version, StudyStore.load(storage, version.name))
            for version in _wanted(there, is_newest_only)
        ]
        return [
            StudyRecord(version, store.attributes(), store.trials()) for version, store in stores
        ]


def _wanted(there: list[StudyVersion], is_newest_only: bool) -> list[StudyVersion]:
    return there[-1:] if is_newest_only else there


def _read_file(file: Path, base_name: str, is_newest_only: bool) -> list[StudyRecord]:
    """Return what a file holds at one moment, whoever writes to it.

    Opened for writing, since the last reader to leave takes SQLite's log files with it.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?mode=rw",
        uri=True,
        timeout=_TIMEOUT_SECONDS,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise _NotAsExpected
        written = "SELECT schema_version, version_num FROM version_info, alembic_version"
        if connection.execute(written).fetchall() != [TABLES_FORMAT]:
            raise _NotAsExpected
        return _read_tables(connection, base_name, is_newest_only)
    finally:
        connection.close()


def _read_tables(
    connection: sqlite3.Connection, base_name: str, is_newest_only: bool
) -> list[StudyRecord]:
    ids = dict(connection.execute("SELECT study_name, study_id FROM studies"))
    attributes: dict[int, dict[str, Any]] = {study_id: {} for study_id in ids.values()}
    rows = connection.execute("SELECT study_id, key, value_json FROM study_user_attributes")
    for study_id, key, text in rows:
        attributes[study_id][key] = json.loads(text)
    by_name = {name: attributes[study_id] for name, study_id in ids.items()}
    return [
        StudyRecord(version, by_name[version.name], _read_trials(connection, ids[version.name]))
        for version in _wanted(versions_among(by_name, base_name), is_newest_only)
    ]


def _read_trials(connection: sqlite3.Connection, study_id: int) -> list[PlainTrial]:
    of_study = "JOIN trials USING (trial_id) WHERE study_id = ?"
    values: dict[int, dict[int, float]] = defaultdict(dict)
    for trial_id, objective, value, kind in connection.execute(
        f"SELECT trial_id, objective, value, value_type FROM trial_values {of_study}", [study_id]
    ):
        values[trial_id][objective] = value if kind == "FINITE" else _INFINITE[kind]
    attributes: dict[int, dict[str, Any]] = defaultdict(dict)
    for trial_id, key, text in connection.execute(
        f"SELECT trial_id, key, value_json FROM trial_user_attributes {of_study}"
        " ORDER BY trial_user_attribute_id",
        [study_id],
    ):
        attributes[trial_id][key] = json.loads(text)
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    spaces: dict[int, dict[str, Distribution]] = defaultdict(dict)
    for trial_id, name, value, text in connection.execute(
        f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params {of_study}"
        " ORDER BY param_id",
        [study_id],
    ):
        params[trial_id][name], spaces[trial_id][name] = _param(value, json.loads(text))
    return [
        PlainTrial(
            number=number,
            state=ReadState[state],
            values=[values[trial_id][n] for n in sorted(values[trial_id])] or None,
            datetime_start=_moment(start),
            datetime_complete=_moment(end),
            params=params[trial_id],
            distributions=spaces[trial_id],
            user_attrs=attributes[trial_id],
        )
        for trial_id, number, state, start, end in connection.execute(
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"
            " WHERE study_id = ? ORDER BY number",
            [study_id],
        )
    ]


def _param(value: float, document: Mapping[str, Any]) -> tuple[Any, Distribution]:
    """Return a parameter's value and what it could be, of Optuna's present three kinds."""
    kind, given = document["name"], document["attributes"]
    if kind == "CategoricalDistribution":
        choices = tuple(given["choices"])
        return choices[int(value)], Distribution(choices=choices)
    if kind not in ("FloatDistribution", "IntDistribution"):
        raise _NotAsExpected
    of_kind = int if kind == "IntDistribution" else float
    return of_kind(value), Distribution(given["low"], given["high"], given["step"])


def _moment(text: str | None) -> datetime | None:
    """Return a moment as Optuna hands it out: in local time, without its zone."""
    if text is None:
        return None
    return datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
