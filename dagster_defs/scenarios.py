"""Scenarios as partitions: one for each study file, and those that people add in the UI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from dagster_defs.locations import Places
from search.errors import SearchError, SpecError
from search.scenario.hashing import hash_file, hash_parts
from search.scenario.project import DbtProject
from search.study import StudySpec, load_study, study_fingerprint
from search.study.loader import StudyFile

SCENARIOS = dg.DynamicPartitionsDefinition(name="scenario")

STUDY_TAG = "scenario-search/study"
STORAGE_TAG = "scenario-search/storage"
FINGERPRINT_TAG = "scenario-search/fingerprint"
TAG_LENGTH = 63
"""Dagster shows longer tag values, but does not let people filter by them."""

SCENARIO_VAR = "scenario_id"
"""The var under which projects like the flagship keep the rows of several scenarios apart."""


def study_files(configs: Path) -> dict[str, Path]:
    """Return the study files of a folder by the name of their study, in order of names.

    A file that is no study is left out: the study file's own check says what is wrong with
    it, once somebody runs it by its path.
    """
    return dict(sorted(_found(configs)))


def _found(configs: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted([*configs.glob("*.yaml"), *configs.glob("*.yml")], reverse=True):
        try:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(document, dict) and isinstance(document.get("study"), str):
            yield document["study"], file


def load_scenario(
    places: Places, scenario: str, *, study_file: str | None = None, overrides: tuple[str, ...] = ()
) -> StudySpec:
    """Return the study of a scenario.

    Args:
        places: Where study files are.
        scenario: The partition's key.
        study_file: For a scenario that was added by hand: the study file, relative to the
            folder of study files, that it varies. The study takes its name, and
            ``scenario_id`` where the file sets that var.
        overrides: ``dotted.key=value`` texts, as for ``scenario-search run --set``.

    Raises:
        SpecError: If there is no such study, or its file breaks a rule.
    """
    if study_file is not None:
        # Its rows, results and trials must not be mixed with those of the file's own study.
        file = StudyFile(places.configs / study_file)
        named = [f"study={scenario}"]
        if SCENARIO_VAR in file.study(overrides).scenario.vars:
            named.append(f"scenario.vars.{SCENARIO_VAR}={scenario}")
        return file.study((*named, *overrides))
    files = study_files(places.configs)
    if scenario not in files:
        known = ", ".join(files) or "none"
        raise SpecError(
            f"scenario {scenario!r} must be a study of {places.configs} ({known}); give the "
            "run config `study_file: <name>.yaml` to make it a variant of one of them"
        )
    return load_study(files[scenario], overrides=overrides)


def inputs_fingerprint(spec: StudySpec) -> str:
    """Return a hash of what a study's winner depends on: its file, census, parameters, targets.

    Parameters and targets are seeds of the dbt project. Limits of the search are left out, so
    that a longer search is no reason to tune again.
    """
    project = spec.resolve_path(spec.scenario.dbt_project)
    seeds = [file for file in DbtProject(project).files() if file.suffix == ".csv"]
    inputs = [spec.resolve_path(path) for path in spec.scenario.inputs]
    census = spec.scenario.vars.get("census_path")
    if isinstance(census, str):
        inputs.append(project / census)  # relative to the project, as dbt reads it
    hashes = [hash_file(file) if file.is_file() else "missing" for file in [*seeds, *inputs]]
    return hash_parts([study_fingerprint(spec), *hashes])


def tags_of(places: Places, scenario: str) -> dict[str, str]:
    """Return the run tags that name a scenario's study, its storage and its inputs.

    Runs with the same storage tag wait for each other (``dagster.yaml``). A study file with
    mistakes is tagged by its name alone, so that its run starts and tells of them.
    """
    tags = {STUDY_TAG: scenario, STORAGE_TAG: scenario}
    try:
        spec = load_scenario(places, scenario)
        tags[FINGERPRINT_TAG] = inputs_fingerprint(spec)[:16]
    except SearchError:
        return tags
    if spec.storage is not None:
        tags[STORAGE_TAG] = hash_parts([spec.storage])[:16]  # the URL may hold a password
    return {name: value[:TAG_LENGTH] for name, value in tags.items()}


def scenario_config(
    places: Places, run_config: Mapping[str, Any] | None = None
) -> dg.PartitionedConfig[dg.DynamicPartitionsDefinition]:
    """Return a job's config: its default run config, and the tags of the scenario's study."""
    return dg.PartitionedConfig(
        partitions_def=SCENARIOS,
        run_config_for_partition_key_fn=lambda _: dict(run_config or {}),
        tags_for_partition_key_fn=lambda scenario: tags_of(places, scenario),
    )
