"""Which version of a study a run goes on with, or starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from search.driver.progress import Progress
from search.errors import SpecError
from search.scenario.input_content import changes
from search.storage.attributes import FINGERPRINTS, INPUTS, SPEC
from search.storage.database import GroupingStorage
from search.storage.study_store import StudyStore
from search.storage.versions import StudyVersion, latest_version, next_version
from search.study import StudySpec, changed_keys

DECISIVE = ("parameters", "constraints", "metrics", "targets")
"""Sections of the study file that decide what a trial is: with others it is another study."""
FORMAT = "format"
"""Its key that says how they were made; version 0.1.0 had none."""

OnChange = Literal["branch", "continue", "refuse"]


def version_to_run(
    spec: StudySpec,
    storage: GroupingStorage | None,
    fingerprints: Mapping[str, str],
    *,
    earlier: Callable[[], Mapping[str, str] | None],
    inputs: Mapping[str, str],
    is_restart: bool,
    on_change: OnChange,
    progress: Progress,
) -> tuple[StudyVersion, bool]:
    """Return the version of the study to run, and whether it is new.

    The same inputs continue the newest version. Other inputs start the next one: trials under
    other inputs have other metrics, and a search must not mix them.

    Args:
        spec: The study.
        storage: Where it is stored; None when nothing is stored yet.
        fingerprints: Of what today's trials depend on.
        earlier: Returns the fingerprints as version 0.1.0 made them; None when the scenario
            reads what that version did not look at.
        inputs: What today's trials read beside study file and project, and what that holds.
        is_restart: Start the next version whatever is stored.
        on_change: What to do when the inputs changed.
        progress: Told what is gone on with, and why.

    Raises:
        SpecError: If the inputs changed and ``on_change`` refuses, or cannot continue.
    """
    latest = latest_version(storage, spec.study) if storage else None
    if storage is None or latest is None:
        return StudyVersion(spec.study, 1), True
    store = StudyStore.load(storage, latest.name)
    attributes = store.attributes()
    stored = attributes.get(FINGERPRINTS, {})
    has_trials = any(trial.state.is_finished() for trial in store.trials())
    is_same = stored in ({}, fingerprints) or (FORMAT not in stored and stored == earlier())
    if not is_restart and is_same:
        if has_trials:
            progress.note(f"going on with study {latest.name}")
        return latest, not has_trials
    why = "a restart was asked for"
    if not is_restart:
        keys = changed_keys(attributes.get(SPEC, {}), spec.to_document())
        keys_and_inputs = [*keys, *changes(attributes.get(INPUTS, {}), inputs)]
        what = ", ".join(keys_and_inputs) or "dbt project or data"
        why = f"its inputs changed ({what})"
        if on_change == "refuse":
            raise SpecError(
                f"study {latest.name} goes on only with the inputs that it began with, but "
                f"{what} changed; put it back, or give --on-change branch to start "
                "the next version beside it",
                file=str(spec.file),
            )
        if on_change == "continue":
            _require_comparable(spec, latest.name, keys)
            progress.note(f"{why}: going on with {latest.name} all the same")
            return latest, not has_trials
    following = next_version(storage, spec.study)
    progress.note(f"{why}: {latest.name} is kept, {following.name} starts")
    return following, True


def _require_comparable(spec: StudySpec, study: str, keys: Sequence[str]) -> None:
    """Refuse to go on with trials that stand for something else under today's study file."""
    decisive = [key for key in keys if key.split(".")[0] in DECISIVE]
    if decisive:
        raise SpecError(
            f"--on-change continue needs trials that mean the same today, but "
            f"{', '.join(decisive)} changed since {study} began; give --on-change branch to "
            "start the next version beside it",
            file=str(spec.file),
        )
