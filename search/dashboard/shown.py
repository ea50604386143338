"""A study's storage as the dashboard shows it: read only, live or a copy, in readable words."""

from __future__ import annotations

import contextlib
import copy
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
import yaml
from optuna.trial import FrozenTrial

from search.errors import StorageError
from search.storage.attributes import RUNS, SPEC
from search.storage.database import masked, open_storage
from search.storage.existing import SQLITE
from search.storage.trials import StoredTrial
from search.storage.vendor import ShownTrials, constraints_of, with_constraints
from search.system.scratch import create_scratch, remove_scratch

BUSY_SECONDS = 10
"""How long a look waits for a writer's commit before the page shows an error."""

_METRIC_NAMES = "study:metric_names"
_NOTE_VERSION, _NOTE_TEXT = "dashboard:note_ver", "dashboard:note_str:0"


class ShownStorage(ShownTrials):
    """A study's storage as people want to see it; it is read and never written.

    Metrics carry their units, feasibility is where dashboards look for it, and a note says
    what the study is after. Only what is handed out is changed.
    """

    def get_all_studies(self) -> list[Any]:
        """Return the studies, each with a note and named objectives."""
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = _study_attributes(study.user_attrs, study.system_attrs)
            study.user_attrs = _plain(study.user_attrs)
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the study's system attributes, with a note and named objectives."""
        return _study_attributes(
            self.get_study_user_attrs(study_id), super().get_study_system_attrs(study_id)
        )

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial as people want to see it."""
        units = _units(self.get_study_user_attrs(self.get_study_id_from_trial_id(trial_id)))
        return shown_trial(super().get_trial(trial_id), units)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the trial that the study calls its best; the least loss while none is said.

        The loss is 0 for every trial that meets all targets, and the study tells those apart.
        """
        runs: Mapping[str, Any] = self.get_study_user_attrs(study_id).get(RUNS, {})
        said = [run["best_trial"] for run in runs.values() if run.get("best_trial") is not None]
        if said:
            complete = self.get_all_trials(study_id, states=(optuna.trial.TrialState.COMPLETE,))
            best = [trial for trial in complete if trial.number == said[-1]]
            if best:
                return best[0]
        return super().get_best_trial(study_id)

    def get_study_id_from_trial_id(self, trial_id: int) -> int:
        """Return the study that a trial belongs to."""
        with self.engine.connect() as connection:
            query = sqlalchemy.text("select study_id from trials where trial_id = :trial")
            row = connection.execute(query, {"trial": trial_id}).first()
        if row is None:
            raise KeyError(trial_id)
        return int(row[0])

    def as_shown(self, study_id: int, trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
        """Yield trials as people want to see them."""
        units = _units(self.get_study_user_attrs(study_id))
        yield from (shown_trial(trial, units) for trial in trials)


def shown_trial(trial: FrozenTrial, units: Mapping[str, str]) -> FrozenTrial:
    """Return a trial with readable attributes, and its constraints where dashboards look.

    Args:
        trial: As stored; it is not changed.
        units: Unit of each metric and parameter that has one.
    """
    shown = copy.copy(trial)
    stored = StoredTrial(trial)
    outcome, failure = stored.outcome, stored.failure
    attributes: dict[str, Any] = {
        **{_named(name, units.get(name)): value for name, value in stored.metrics.items()},
        **{f"variance of {name}": value for name, value in stored.variances.items()},
        "all targets met": stored.is_all_targets_met,
        "loss": stored.loss,
        "iteration": stored.iteration,
        "proposed as": stored.lineage,
        "seconds": outcome.get("seconds"),
        "worker": outcome.get("worker"),
        "engine": outcome.get("engine"),
        "failed at": failure.stage,
        "failure": failure.message,
    }
    if peak := outcome.get("peak_memory_bytes"):
        attributes["peak memory [MB]"] = round(peak / 1e6)
    shown.user_attrs = {name: value for name, value in attributes.items() if value is not None}
    shown.params = {_named(n, units.get(n)): v for n, v in trial.params.items()}
    shown.distributions = {_named(n, units.get(n)): d for n, d in trial.distributions.items()}
    if missed := constraints_of(trial):
        with_constraints(shown, missed)
    return shown


@contextlib.contextmanager
def shown_storage(url: str, *, is_snapshot: bool) -> Iterator[ShownStorage]:
    """Open a storage for looking at it.

    Args:
        url: The study's storage; a SQLite file must exist.
        is_snapshot: Look at a consistent copy (SQLite only), which stays as it is now.

    Raises:
        StorageError: If it is missing, damaged, or cannot be copied.
    """
    if not url.startswith(SQLITE):
        if is_snapshot:
            raise StorageError(
                f"a snapshot is a copy of a SQLite file, but the study is in {masked(url)}; "
                "leave --snapshot out: the dashboard only reads"
            )
        open_storage(url).remove_session()  # says what is wrong with it, if anything is
        yield ShownStorage(url.replace("{", "{{").replace("}", "}}"), skip_table_creation=True)
        return
    file = Path(url.removeprefix(SQLITE))
    with contextlib.ExitStack() as stack:
        if is_snapshot:
            folder = create_scratch()  # one that a killed dashboard leaves is swept by the next
            stack.callback(remove_scratch, folder)
            file = copied(file, folder / "study.db")
        storage = _read_only(file)
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
            _take_log_files_along(file)


def _take_log_files_along(file: Path) -> None:
    """Let SQLite remove its log files, which a reader that may not write leaves behind."""
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(_uri(file, "rw"), uri=True, timeout=1)) as last,
    ):
        last.execute("select count(*) from sqlite_master").fetchone()


def copied(source: Path, target: Path) -> Path:
    """Copy a SQLite file while others write it, and return the copy.

    Source:
        https://www.sqlite.org/backup.html: the copy is the database at one moment.
    """
    with (
        contextlib.closing(sqlite3.connect(_uri(source), uri=True, timeout=BUSY_SECONDS)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy_of_it,
    ):
        try:
            live.backup(copy_of_it)
        except sqlite3.Error as error:
            raise StorageError(f"{source} must be readable, but: {error}") from error
    return target


def _read_only(file: Path) -> ShownStorage:
    url = f"{SQLITE}{_uri(file)}&uri=true"
    try:
        return ShownStorage(
            url.replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}},
            skip_table_creation=True,
        )
    except Exception as error:
        raise StorageError(
            f"{file} must be a readable study storage, but: {' '.join(str(error).split())[:300]}"
        ) from error


def _uri(file: Path, mode: str = "ro") -> str:
    return f"file:{quote(str(file.absolute()))}?mode={mode}"


def _study_attributes(user: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    spec = user.get(SPEC)
    shown = dict(system)
    if not isinstance(spec, Mapping):
        return shown
    shown.setdefault(_NOTE_VERSION, 1)
    shown.setdefault(_NOTE_TEXT, note_text(spec))
    shown.setdefault(_METRIC_NAMES, _objectives(spec))
    return shown


def _objectives(spec: Mapping[str, Any]) -> list[str]:
    """Return the names of the objectives: one for each metric to optimize, else the loss."""
    units = _units({SPEC: spec})
    aims = [
        f"{_named(name, units.get(name))} to {aim}"
        for name, target in spec.get("targets", {}).items()
        for aim in ("minimize", "maximize")
        if target.get(aim)
    ]
    return aims if len(aims) > 1 else ["loss (0: all targets met)"]


def note_text(spec: Mapping[str, Any]) -> str:
    """Return what a study is after, in Markdown.

    Args:
        spec: The study file, as the study keeps it.
    """
    document = yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True)
    return (
        f"{spec.get('description') or spec.get('study', '')}\n\n"
        "A trial is feasible when it meets every target. This dashboard only shows the study: "
        f"nothing can be changed here.\n\n```yaml\n{document}```"
    )


def _units(user_attributes: Mapping[str, Any]) -> dict[str, str]:
    spec = user_attributes.get(SPEC)
    if not isinstance(spec, Mapping):
        return {}
    parts: Sequence[Mapping[str, Any]] = (spec.get("parameters", {}), spec.get("metrics", {}))
    return {
        name: str(entry["unit"])
        for part in parts
        for name, entry in part.items()
        if isinstance(entry, Mapping) and entry.get("unit")
    }


def _named(name: str, unit: str | None) -> str:
    return f"{name} [{unit}]" if unit else name


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a study in a row each: what is wanted, what is allowed."""
    spec = attributes.get(SPEC)
    if not isinstance(spec, Mapping):
        return dict(attributes)
    units = _units(attributes)
    rows = {
        f"target {_named(name, units.get(name))}": _wanted(target)
        for name, target in spec.get("targets", {}).items()
    }
    rows |= {
        f"parameter {_named(name, units.get(name))}": (
            f"{_allowed(parameter)}, now {parameter.get('current')}"
        )
        for name, parameter in spec.get("parameters", {}).items()
    }
    return rows


def _wanted(target: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in target.items() if value is not None)


def _allowed(parameter: Mapping[str, Any]) -> str:
    choices = parameter.get("choices")
    if choices:
        return ", ".join(str(choice) for choice in choices)
    return f"{parameter.get('low')} to {parameter.get('high')}"
