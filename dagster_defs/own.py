"""Studies in a code location of one's own: functions that make assets, a job, a schedule, a sensor.

Nothing here knows the simulation of this repository: a study file names the dbt project, and the
caller says which of its own assets the study follows.
"""

# Without postponed annotations: Dagster reads those of the functions below.
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_defs import metadata
from dagster_defs.assets.tuning import TUNING_POOL, tuning_metadata
from dagster_defs.config import StudyConfig
from dagster_defs.failures import search_failures
from dagster_defs.progress import StudyObserver
from dagster_defs.scenarios import inputs_fingerprint
from dagster_defs.study_process import run_study_in_child
from search.api.results import open_results
from search.commands.run import RunOptions
from search.driver.results import RunResult
from search.errors import ArgumentError, SpecError
from search.parameter_sets.in_force import require_active
from search.report.gathering import read_facts
from search.study import StudySpec, load_study

TARGETS_MET = "targets_met"
"""The asset check of a study."""


def study_assets(
    study: str | Path,
    *,
    results: str | Path = "results",
    key: str | Sequence[str] | dg.AssetKey | None = None,
    deps: Sequence[Any] = (),
    group_name: str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[dg.AssetsDefinition]:
    """Return a study as assets: the study itself with its check, and the parameters it found.

    The study runs in a process of its own, goes on where it stopped, and ends when the run is
    terminated. ``<key>_best_parameters`` yields a dict from names to values, for assets that use
    them.

    Args:
        study: The study file.
        results: Folder of all results, as ``--results`` of the command line.
        key: Key of the study's asset; the study's name when None.
        deps: Assets that the study follows, in any form that ``dg.asset`` takes: those of your dbt
            models too (``get_asset_key_for_model([my_dbt_assets], "stg_products")``).
        group_name: Group of the assets.
        overrides: Keys of the study file to other values: ``{"resources.workers": 2}``.

    Raises:
        ArgumentError: If something is of the wrong kind.
        SpecError: If the study file breaks a rule.
    """
    file = _file(study)
    fixed = _overrides(overrides)
    spec = _load(file, fixed)
    folder = Path(str(results)).absolute()
    own = _key(key, spec.study)
    best = dg.AssetKey([*own.path[:-1], f"{own.path[-1]}_best_parameters"])

    @dg.asset(
        key=own,
        deps=list(deps),
        group_name=group_name,
        pool=TUNING_POOL,
        kinds={"optuna", "duckdb"},
        description=spec.description or f"The study {spec.study} ({file.name}).",
        metadata={"study file": dg.MetadataValue.path(str(file))},
        retry_policy=dg.RetryPolicy(max_retries=2, delay=10),
        check_specs=[dg.AssetCheckSpec(TARGETS_MET, asset=own, description="All targets are met.")],
    )
    def tune(context: dg.AssetExecutionContext, config: StudyConfig) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with search_failures():
            if config.study_file is not None:
                raise SpecError("study_file must be left out: this asset has one", key="study_file")
            asked = _load(file, (*fixed, *config.texts()))
            # A retry goes on with what the attempt before it started anew.
            is_restart = config.is_restart and context.retry_number == 0
            result = run_study_in_child(
                asked,
                RunOptions(results=folder, is_restart=is_restart),
                StudyObserver(context).take,
            )
            facts = read_facts(result.folder, study=result.study)
        return dg.MaterializeResult(
            metadata=metadata.present(tuning_metadata(facts, result)),
            data_version=dg.DataVersion(f"{result.study}/{facts.best}/{len(facts.trials)}"),
            check_results=[_check(result, own)],
        )

    @dg.asset(key=best, deps=[own], group_name=group_name)
    def best_parameters() -> dg.Output[dict[str, Any]]:
        """The winner's parameters, by name."""
        with search_failures():
            results = open_results(folder / spec.study)
            winner = results.best
            if winner is None:
                raise SpecError(f"study {results.study} has no complete trial", file=str(file))
        values = dict(winner.parameters)
        shown: dict[str, Any] = {
            "parameters": dg.MetadataValue.json(values),
            "trial": winner.trial,
            "targets met": results.is_converged,
        }
        return dg.Output(values, metadata=shown)

    return [tune, best_parameters]


def study_definitions(
    study: str | Path,
    *,
    schedule: str | None = None,
    retune: bool = False,
    **options: Any,
) -> dg.Definitions:
    """Return a study's assets with a job, and with a schedule and a sensor where asked for.

    Args:
        study: The study file.
        schedule: A cron expression: the job is started then, once the schedule is switched on.
        retune: Whether to have a sensor (off at first) that starts the job when the study file,
            the dbt project's inputs or a seed changes.
        **options: As for ``study_assets``.

    Raises:
        ArgumentError: If something is of the wrong kind.
        SpecError: If the study file breaks a rule.
    """
    assets = study_assets(study, **options)
    name = assets[0].key.to_python_identifier()
    job = dg.define_asset_job(f"tune_{name}", selection=dg.AssetSelection.assets(*assets))
    schedules = []
    if schedule is not None:
        schedules = [
            dg.ScheduleDefinition(name=f"{name}_schedule", job=job, cron_schedule=schedule)
        ]
    sensors = (
        [_retune(_file(study), _overrides(options.get("overrides")), name, job)] if retune else []
    )
    return dg.Definitions(assets=assets, jobs=[job], schedules=schedules, sensors=sensors)


def _retune(file: Path, fixed: tuple[str, ...], name: str, job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{name}_retune",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Starts the study again when what it starts from changes; the state at its "
        "first look counts as tuned.",
    )
    def changed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with search_failures():
            now = inputs_fingerprint(_load(file, fixed))
        is_other = bool(context.cursor) and context.cursor != now
        # Without a run key: inputs may go back to what they were before.
        return dg.SensorResult(
            run_requests=[dg.RunRequest()] if is_other else [],
            skip_reason=None if is_other else dg.SkipReason("no input has changed"),
            cursor=now,
        )

    return changed


def _check(result: RunResult, key: dg.AssetKey) -> dg.AssetCheckResult:
    """Return whether targets are met; to miss them is a result, and a warning."""
    return dg.AssetCheckResult(
        check_name=TARGETS_MET,
        asset_key=key,
        passed=result.is_converged,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reason": result.reason},
    )


def _file(study: object) -> Path:
    if not isinstance(study, str | Path):
        raise ArgumentError(f"study must be the path of a study file, but got {study!r:.80}")
    return Path(study).absolute()


def _load(file: Path, overrides: Sequence[str]) -> StudySpec:
    return require_active(lambda: load_study(file, overrides=overrides))


def _overrides(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ArgumentError(f"overrides must be a dict from keys to values, but got {given!r:.80}")
    return tuple(f"{key}={value}" for key, value in given.items())


def _key(key: object, study: str) -> dg.AssetKey:
    """Return the study's key; by its name, in the letters that Dagster takes."""
    if key is None:
        return dg.AssetKey([re.sub(r"\W", "_", study, flags=re.ASCII)])
    if isinstance(key, dg.AssetKey):
        return key
    if isinstance(key, str):
        return dg.AssetKey(key.split("/"))
    if isinstance(key, Sequence) and key and all(isinstance(part, str) for part in key):
        return dg.AssetKey(list(key))
    raise ArgumentError(f"key must be a text, a list of texts or an AssetKey, but got {key!r:.80}")
