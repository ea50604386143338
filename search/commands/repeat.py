"""A stored trial under its own inputs, and which of them are others today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from search.driver.progress import Progress
from search.errors import SpecError
from search.parameter_sets.candidates import StoredStudy
from search.storage.attributes import FINGERPRINTS, SPEC
from search.storage.own_studies import require_own
from search.study import StudySpec, changed_keys, study_from_document
from search.study.layout import Layout

_OF_THE_MACHINE = ("resources", "storage", "apply", "search")
"""Sections that decide how and where to evaluate, and not what comes out."""
_INPUTS = {
    "project": "the dbt project's files",
    "baseline": "the baseline: setup, database or data",
    "scenario": "versions of dbt or DuckDB",
}


def spec_of_trials(
    spec: StudySpec,
    stored: StoredStudy,
    overrides: Sequence[str],
    progress: Progress,
    *,
    results: Path,
) -> StudySpec:
    """Return the study as its trials ran, vars and options of that run included.

    Memory, workers and storage are today's.

    Args:
        spec: The study as its file has it today, with the options of this call.
        stored: The study in its storage.
        overrides: The options of this call; they go on top.
        progress: Told in what the trials' study differs from the file.
        results: Folder of all results.

    Raises:
        SpecError: If something that runs differs, and this user never ran it.
    """
    document = stored.attributes.get(SPEC)
    if not document:
        return spec
    changed = _changed_keys(stored, spec)
    if not changed:
        return spec
    require_own(Layout(results, spec.study).own_studies, document, changed)
    today = spec.to_document()
    kept = {key: value for key, value in document.items() if key not in _OF_THE_MACHINE}
    own = {key: value for key, value in today.items() if key in _OF_THE_MACHINE}
    own |= {"storage": spec.storage} if spec.storage else {}
    try:
        as_stored = study_from_document(kept | own, file=spec.file, overrides=overrides)
    except SpecError as error:
        progress.note(f"warning: the study of the trials cannot be read any more: {error}")
        return spec
    progress.note(
        f"{stored.name} ran with other values of {', '.join(changed)} than the study file has "
        "now; they are used"
    )
    return as_stored


def with_vars_of_trials(
    spec: StudySpec, stored: StoredStudy, overrides: Sequence[str], progress: Progress
) -> StudySpec:
    """Return the study with the vars that its trials ran with, which a command line may have given.

    All else is today's.

    Args:
        spec: The study as its file has it today, with the options of this call.
        stored: The study in its storage.
        overrides: The options of this call; they go on top.
        progress: Told which vars differ from the file's.
    """
    document = stored.attributes.get(SPEC)
    if not document:
        return spec
    today = spec.to_document()
    then = document["scenario"].get("vars", {})
    differing = changed_keys(then, today["scenario"].get("vars", {}))
    if not differing:
        return spec
    today["scenario"]["vars"] = then
    today |= {"storage": spec.storage} if spec.storage else {}
    with_vars = study_from_document(today, file=spec.file, overrides=overrides)
    if with_vars.scenario.vars != spec.scenario.vars:
        progress.note(
            f"{stored.name} ran with other values of {', '.join(differing)} (scenario.vars) than "
            "are given now; they are used"
        )
    return with_vars


def changed_inputs(
    spec: StudySpec, stored: StoredStudy, fingerprints: Mapping[str, str]
) -> list[str]:
    """Return which inputs are others than when the trials ran: keys, or in words.

    Args:
        spec: The study that was evaluated now.
        stored: The study in its storage.
        fingerprints: Of today's inputs.
    """
    then = stored.attributes.get(FINGERPRINTS) or {}
    keys = _changed_keys(stored, spec)
    differing = [
        name
        for name in _INPUTS
        if name in then and name in fingerprints and then[name] != fingerprints[name]
    ]
    if keys or "project" in differing:
        # The others follow from these.
        return [*keys, *(_INPUTS[name] for name in differing if name == "project")]
    return [_INPUTS[name] for name in differing[:1]]


def _changed_keys(stored: StoredStudy, spec: StudySpec) -> list[str]:
    """Return the keys of the study file that decide metrics and differ from the trials' study."""
    return [key for key in stored.edited(spec) if key.split(".")[0] not in _OF_THE_MACHINE]
