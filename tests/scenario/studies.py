"""Study files, plans and evaluators for tests of the main job."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from search.errors import ScenarioError
from search.scenario.evaluator import DbtEvaluatorFactory, Evaluator, StageClock
from search.scenario.outcome import EvaluationRequest
from search.scenario.plan import PlannedMetric, Profile, ScenarioPlan, TableBind, VarBind
from search.scenario.relations import Relations, render_sql
from search.study import StudySpec, expand_metrics, load_study
from search.study.steps import expand

PROJECTS = Path(__file__).parents[1] / "projects"
MIB = 2**20

TINY = {
    "study": "tiny",
    "scenario": {
        "dbt_project": ".",
        "setup": [{"sql": "create table levers as select 'rate' as name, 1.0::double as value"}],
        "steps": [
            {
                "for_each": {"loop": [1, 2]},
                "sql": "create or replace table result as select {{ var('x') }} * 10"
                " + (select value from levers) as v, {{ loop }} as loop",
            }
        ],
    },
    "parameters": {
        "x": {"low": 0.0, "high": 10.0, "step": 0.5, "current": 1.0, "bind": {"var": "x"}},
        "rate": {
            "low": 0.0,
            "high": 10.0,
            "current": 1.0,
            "bind": {"table": "levers", "column": "value", "where": "name = 'rate'"},
        },
    },
    "metrics": {"v": {"sql": "select v from result"}},
    "targets": {"v": {"value": 55.0, "tolerance": 0.05}},
    "search": {"max_iterations": 4, "batch_size": 4, "seed": 7, "sampler": "random", "polish": 0},
    "resources": {"workers": 0, "engine": "dbt", "memory_budget": "2GB"},
}
"""v = 10 x + rate, computed by SQL alone: a study that needs dbt only to parse."""

DBT_STEPS = [{"dbt": {"command": "run"}}]
"""With these steps (and rate bound by var) dbt computes it, and fails for x above 8."""


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with changes merged in, mapping by mapping; None removes a key."""
    result = copy.deepcopy(dict(document))
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = changed(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def tiny_document(**changes: Any) -> dict[str, Any]:
    """Return the tiny study with changes."""
    return changed(TINY, changes)


def dbt_document(**changes: Any) -> dict[str, Any]:
    """Return the tiny study with its model run by dbt, and with changes."""
    document = tiny_document(
        scenario={"setup": None, "steps": DBT_STEPS},
        metrics={"v": {"sql": "select result from {{ ref('fct_result') }}"}},
    )
    document["parameters"]["rate"]["bind"] = {"var": "y"}
    return changed(document, changes)


def write_study(folder: Path, document: Mapping[str, Any], *, name: str = "study.yml") -> Path:
    """Write a study file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    return file


def load(folder: Path, document: Mapping[str, Any]) -> StudySpec:
    """Write a study file and load it."""
    return load_study(write_study(folder, document))


def copy_project(name: str, folder: Path) -> Path:
    """Copy a project of the tests to a folder and return that."""
    shutil.copytree(
        PROJECTS / name, folder, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages")
    )
    return folder


def plan_of(spec: StudySpec, baseline: Path) -> ScenarioPlan:
    """Return the plan of a study whose steps are all SQL, without asking dbt.

    Args:
        spec: The study.
        baseline: Where to make the baseline, by the SQL of the study's setup.
    """
    baseline.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(baseline)) as connection:
        for step in expand(spec.scenario.setup, kind="setup"):
            connection.execute(step.sql)
        connection.execute("checkpoint")
    binds = [(name, bind) for name, one in spec.parameters.items() for bind in one.bind]
    none = Relations()
    replications = spec.scenario.replications
    return ScenarioPlan(
        project_dir=spec.file.parent,
        profile=Profile("tiny", "dev", {"type": "duckdb"}, baseline.stem),
        baseline=baseline,
        vars=dict(spec.scenario.vars),
        steps=expand(spec.scenario.steps),
        relations=none,
        metrics=tuple(
            PlannedMetric(
                name=one.name,
                sql=render_sql(one.sql, none, scenario_vars={}, loop=one.loop),
                unit=one.unit,
                step=one.step,
                loop_value=one.loop[1] if one.loop and one.step is not None else None,
                combine=one.combine,
            )
            for one in expand_metrics(spec)
        ),
        var_binds=tuple(VarBind(name, bind.var) for name, bind in binds if bind.var),
        table_binds=tuple(
            TableBind(name, bind.table, f'"{bind.table}"', bind.column, bind.where)
            for name, bind in binds
            if bind.table
        ),
        replication_var=replications.var if replications else None,
        allow_external_access=spec.scenario.allow_external_access,
        fingerprints={},
    )


def factory_of(plan: ScenarioPlan, scratch: Path, **changes: Any) -> DbtEvaluatorFactory:
    """Return what makes a reference evaluator within small limits."""
    limits = {"memory_limit_bytes": 256 * MIB, "max_temp_bytes": 256 * MIB, "threads": 1}
    return DbtEvaluatorFactory(plan=plan, scratch_parent=scratch, **(limits | changes))


@dataclass(frozen=True)
class FormulaFactory:
    """Makes an evaluator without a database, for tests of many trials.

    Attributes:
        formula: Metrics from the candidate's values; may raise what a scenario may raise.
        log: Takes a line for each evaluation, when given.
    """

    formula: Callable[..., Mapping[str, float]]
    log: Path | None = None

    def __call__(self) -> Evaluator:
        """Return a new evaluator."""
        return FormulaEvaluator(self)


class FormulaEvaluator(Evaluator):
    """Computes metrics in Python; it keeps the contract of the real ones."""

    engine = "formula"
    isolation = "none"

    def __init__(self, factory: FormulaFactory) -> None:
        self._factory = factory

    def open(self) -> None:
        """Nothing to prepare."""

    def measure(self, request: EvaluationRequest, stages: StageClock) -> dict[str, float]:
        """Return the formula's metrics."""
        with stages.stage("steps[0]"):
            if self._factory.log is not None:
                with self._factory.log.open("a") as log:
                    log.write(f"{request.trial}\n")
            seed = {} if request.replication is None else {"seed": request.replication}
            return dict(self._factory.formula(**request.values, **seed))

    def close(self) -> None:
        """Nothing to release."""


def ten_x_and_rate(x: float, rate: float) -> dict[str, float]:
    """Compute what the tiny study computes, and fail where its dbt model fails."""
    if x > 8:
        raise ScenarioError(
            "x must be at most 8", stage="step", step="steps[0]", model="model.tiny.fct_result"
        )
    return {"v": 10 * x + rate}


def search_command(*args: object) -> list[str]:
    """Return the command line of a real process of ours."""
    return [sys.executable, "-m", "search", *map(str, args)]


def run_search(
    *args: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own and return what it said."""
    return subprocess.run(
        search_command(*args),
        cwd=cwd,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def stored_trials(results: Path, study: str) -> Sequence[Any]:
    """Return the trials of a study as Optuna has them: none before the study is made."""
    import optuna

    file = results / study / "study.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not file.exists():
        return []
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    if study not in optuna.get_all_study_names(storage):
        return []
    return optuna.load_study(study_name=study, storage=storage).trials


def read_migrations_once() -> None:
    """Let Optuna read its migrations, which are files of its package, once in this process.

    It reads and runs all of them for each storage that is opened or made, which takes about as
    long as everything else that a study of a few trials does.
    """
    from optuna.storages._rdb.storage import _VersionManager

    read = _VersionManager._create_alembic_script
    scripts: list[Any] = []

    def kept(self: Any) -> Any:
        if not scripts:
            scripts.append(read(self))
        return scripts[0]

    _VersionManager._create_alembic_script = kept
