"""From a study file to a plan that workers can run; mistakes are found before any trial."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from search.errors import DatabaseError, ProjectError, SearchError, SpecError
from search.scenario.answers import ANSWERS, AnswerCache, KnownAnswers
from search.scenario.baseline import (
    WORLDS,
    Baseline,
    check_database,
    ensure_baseline,
    known_baseline,
    world_of,
)
from search.scenario.baseline_recipe import BaselineRecipe, input_files
from search.scenario.data_checks import CheckTable, DataCheck
from search.scenario.dbt_questions import DbtQuestions
from search.scenario.dbt_switches import unused_switches, unused_text
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.extensions import missing_extensions
from search.scenario.hashing import hash_parts
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.scenario.plan import PlannedMetric, ScenarioPlan, TableBind
from search.scenario.queries import Queries
from search.scenario.relations import Relations
from search.scenario.setting import Complaints, GatheredComplaints, PreparationLimits, Setting
from search.scenario.var_checks import VarChecks
from search.scenario.world import EngineJudgement, World
from search.study import StudySpec, recording_fingerprint, scenario_fingerprint
from search.study.space import current_candidate
from search.study.steps import ExpandedStep, expand
from search.system.child import Report
from search.system.scratch import create_scratch, remove_scratch

FINGERPRINT_FORMAT = "2"
"""Goes up with the way in which fingerprints are made; see ``earlier_fingerprints``."""


@dataclass(frozen=True)
class Prepared:
    """A scenario that is ready to search.

    Attributes:
        plan: What workers run.
        baseline: The baseline that they start from.
        warnings: What the user should know, one sentence each.
        recipe: What the baseline was made from.
        not_of_it: Folders that may lie in the project and are no part of it.
        tables: What the study's checks show of its data.
    """

    plan: ScenarioPlan
    baseline: Baseline
    warnings: tuple[str, ...]
    recipe: BaselineRecipe
    not_of_it: tuple[Path, ...] = ()
    tables: tuple[CheckTable, ...] = ()


@dataclass(frozen=True)
class ProjectCheck:
    """What can be said about a study's dbt project without building anything.

    Attributes:
        mistakes: What a run would refuse, in the order in which it looks.
        warnings: What the user should know, one sentence each.
        nodes: dbt nodes that the setup and the steps select, each counted once.
        baseline_bytes: Size of the baseline; None when it is not in the cache yet.
        checks: Checks of the data that the study has.
        tables: What they show; empty when the baseline is not in the cache yet.
        judgement: Whether the scenario could be compiled; None when nobody tried it as it is.
        python_models: Models in Python among what the steps select.
    """

    mistakes: tuple[SearchError, ...]
    warnings: tuple[str, ...]
    nodes: int
    baseline_bytes: int | None
    checks: int = 0
    tables: tuple[CheckTable, ...] = ()
    judgement: EngineJudgement | None = None
    python_models: tuple[str, ...] = ()


def check_project(
    spec: StudySpec, cache: Path, limits: PreparationLimits, *, report: Report
) -> ProjectCheck:
    """Check a study against its dbt project as ``prepare`` does, but for every mistake.

    Nothing is built. What needs the baseline's data is checked when it is in the cache.

    Args:
        spec: The study.
        cache: Folder of all baselines; it is only read.
        limits: What checking may take.
        report: Takes a line of progress.
    """
    scratch = create_scratch(limits.scratch_parent)
    complaints, answers = GatheredComplaints(), KnownAnswers(cache / ANSWERS)
    try:
        setting = Setting(spec, cache, limits, scratch, report, complaints, answers)
        return _check_all(setting, complaints)
    finally:
        remove_scratch(scratch)


def prepare(spec: StudySpec, cache: Path, limits: PreparationLimits, *, report: Report) -> Prepared:
    """Check a study against its dbt project, build its baseline, and return the plan.

    Args:
        spec: The study.
        cache: Folder of all baselines.
        limits: What preparing may take.
        report: Takes a line of progress.

    Raises:
        SpecError: If the study names what the project does not have.
        ProjectError: If the project does not parse or its setup fails.
        DatabaseError: If the database to start from cannot be used.
    """
    scratch = create_scratch(limits.scratch_parent)
    answers = AnswerCache(cache / ANSWERS)
    try:
        setting = Setting(spec, cache, limits, scratch, report, Complaints(), answers)
        return _prepare(setting)
    finally:
        remove_scratch(scratch)


def preflight(factory: DbtEvaluatorFactory, spec: StudySpec, *, report: Report) -> Outcome:
    """Evaluate the current candidate once, so that a broken scenario is told before the search.

    Raises:
        SpecError: If a metric is at fault.
        ProjectError: If a step of the scenario fails.
    """
    report("evaluating the current parameters")
    replication = spec.scenario.seeds[0]
    evaluator = factory()
    evaluator.open()
    try:
        outcome = evaluator.evaluate(
            EvaluationRequest(trial=0, values=current_candidate(spec), replication=replication)
        )
    finally:
        evaluator.close()
    if outcome.failure is not None:
        raise scenario_problem(outcome.failure, spec)
    return outcome


def scenario_problem(failure: Failure, spec: StudySpec) -> SearchError:
    """Return the error for a scenario that fails at the current parameters."""
    if failure.stage == "metric" and failure.model:
        name = failure.model.split("@")[0]
        return SpecError(failure.message, file=str(spec.file), key=f"metrics.{name}")
    where = ", ".join(part for part in (failure.step, failure.model) if part)
    return ProjectError(
        f"the scenario fails at the current parameters ({where or failure.stage}): "
        f"{failure.message}"
    )


@dataclass(frozen=True)
class _Checked:
    """What the checks before the baseline yield."""

    queries: Queries
    recipe: BaselineRecipe
    files_fingerprint: str
    steps: tuple[ExpandedStep, ...]
    relations: Relations
    selected: Mapping[str, frozenset[str]]
    metrics: tuple[PlannedMetric, ...]
    table_binds: tuple[TableBind, ...]
    data_checks: tuple[DataCheck, ...]


def _prepare(setting: Setting) -> Prepared:
    checked = _checks_of_the_project(setting)
    recipe, queries, scenario = checked.recipe, checked.queries, setting.scenario
    baseline = ensure_baseline(
        recipe,
        cache=setting.cache,
        relations=checked.relations,
        limits=setting.duck_limits,
        report=setting.report,
        untouched=setting.untouched,
    )
    world, recorded = _worlds(setting, baseline)
    setup_world = world_of(recipe, setting.cache)
    if setup_world.fingerprint() != baseline.fingerprint:
        raise ProjectError("what the setup reads changed while it was prepared; start again")
    queries.check_table_binds(baseline, recipe.profile, checked.table_binds)
    tables = queries.check_data(baseline, recipe.profile, checked.data_checks, setup_world.places())
    fingerprints = {
        "format": FINGERPRINT_FORMAT,
        "project": recipe.project_fingerprint,
        "baseline": baseline.fingerprint,
        "scenario": world.key,
    }
    setting.complaints.warnings += setup_world.warnings()
    project = setting.project
    plan = ScenarioPlan(
        project_dir=project.folder,
        profile=recipe.profile,
        baseline=baseline.path.resolve(),
        vars=dict(scenario.vars),
        steps=checked.steps,
        relations=checked.relations,
        metrics=checked.metrics,
        var_binds=tuple(setting.var_binds),
        table_binds=checked.table_binds,
        replication_var=scenario.replication_var,
        seed=scenario.engine_seed,
        has_replications=scenario.replications is not None,
        allow_external_access=scenario.allow_external_access,
        fingerprints=fingerprints,
        project_files=tuple(str(file.relative_to(project.folder)) for file in project.files()),
        project_vars=setting.project_vars,
        world=world,
        recorded=recorded,
        clock=setting.clock,
        files_fingerprint=checked.files_fingerprint,
        baseline_inputs=setup_world.state(),
        setup_files=baseline.files,
    ).with_world()
    return Prepared(
        plan=plan,
        baseline=baseline,
        warnings=tuple(setting.complaints.warnings),
        recipe=recipe,
        not_of_it=project.not_of_it,
        tables=tables,
    )


def _check_all(setting: Setting, complaints: GatheredComplaints) -> ProjectCheck:
    """Check all that can be checked without building the baseline."""
    nodes: set[str] = set()
    size = None
    judgement = None
    tables: tuple[CheckTable, ...] = ()
    with complaints.checking():
        checked = _checks_of_the_project(setting)
        profile = checked.recipe.profile
        for extension in missing_extensions(profile, setting.scratch):
            if extension.is_mistake:
                complaints.mistakes.append(DatabaseError(extension.text))
            else:
                complaints.warnings.append(extension.text)
        nodes = nodes.union(*checked.selected.values())
        if not complaints.mistakes:
            world = world_of(checked.recipe, setting.cache)
            known = known_baseline(checked.recipe, setting.cache, world.fingerprint())
            if known is not None:
                size = known.size_bytes
                checked.queries.check_table_binds(known, profile, checked.table_binds)
                tables = checked.queries.check_data(
                    known, profile, checked.data_checks, world.places()
                )
                scenario = _worlds(setting, known)[0]
                judgement = scenario.judgement()
                told = (*world.warnings(), *scenario.warnings())
                complaints.warnings += dict.fromkeys(told)
    return ProjectCheck(
        *(tuple(complaints.mistakes), tuple(complaints.warnings), len(nodes), size),
        checks=len(setting.scenario.checks),
        tables=tables,
        judgement=judgement,
        python_models=_python_models(setting, nodes),
    )


def _worlds(setting: Setting, baseline: Baseline) -> tuple[World, World]:
    """Return what the scenario reads beside its files, and what its recording reads."""
    written = ["files of the setup"] if baseline.files else []
    scenario, recorded = (
        World(
            setting.cache / WORLDS,
            hash_parts([fingerprint, baseline.fingerprint, *written]),
            setting.project.hashes,
            setting.clock,
        )
        for fingerprint in (scenario_fingerprint(setting.spec), recording_fingerprint(setting.spec))
    )
    return scenario, recorded


def _python_models(setting: Setting, nodes: Collection[str]) -> tuple[str, ...]:
    """Return the models in Python among selected nodes, by their files."""
    names = {node.rsplit(".", 1)[-1] for node in nodes if node.startswith("model.")}
    stems: set[str] = set()
    with setting.complaints.checking():
        files = setting.project.read_files()
        stems = {file.stem for _, file in files if file.suffix == ".py"}
    return tuple(sorted(names & stems))


def _checks_of_the_project(setting: Setting) -> _Checked:
    """Look for mistakes in this order: cheap before dear, files before dbt, dbt before data."""
    scenario, project, complaints = setting.scenario, setting.project, setting.complaints
    if unused := unused_switches():
        complaints.warnings.append(unused_text(unused))
    _require_project_folder(setting)
    reads = project.var_reads()
    var_checks = VarChecks(setting, reads)
    if not reads.has_dynamic:
        var_checks.check_binds({})
    setting.untouched  # noqa: B018 # from here on
    files_fingerprint = project.fingerprint()
    steps = expand(scenario.steps)
    setup = expand(scenario.setup, kind="setup")
    inputs = _inputs(setting)

    told = expand(setting.spec.report.steps, kind="report.steps")
    questions = DbtQuestions(setting, [*setup, *steps], steps[0], told)
    answers = questions.answers(files_fingerprint)
    if reads.has_dynamic:
        var_checks.check_binds(answers.vars)
    var_checks.check_given(answers)
    var_checks.compare_current(answers)
    selected = questions.selected(answers)
    queries = Queries(setting, answers.relations)
    metrics = queries.plan_metrics()
    queries.check_sql_steps([*setup, *steps, *told])
    queries.check_report()
    table_binds = queries.plan_table_binds(selected)
    data_checks = queries.plan_data_checks()
    recipe = BaselineRecipe(
        project_dir=project.folder,
        project_fingerprint=hash_parts([files_fingerprint, *answers.env_parts()]),
        profile=setting.with_catalog(answers.profile),
        vars=dict(scenario.vars),
        setup=setup,
        database=setting.database,
        inputs=inputs,
        seed=scenario.engine_seed,
        clock=setting.clock,
        allow_external_access=scenario.allow_external_access,
    )
    return _Checked(
        *(queries, recipe, files_fingerprint, steps, answers.relations, selected),
        *(metrics, table_binds, data_checks),
    )


def _require_project_folder(setting: Setting) -> None:
    if not (setting.project.folder / "dbt_project.yml").is_file():
        raise setting.error(
            "scenario.dbt_project",
            "must be a folder with a dbt_project.yml (relative to the study file), "
            f"but there is none in {setting.project.folder}",
        )


def _inputs(setting: Setting) -> tuple[Path, ...]:
    """Return the files that the study names as inputs; they and its database must be there."""
    inputs: tuple[Path, ...] = ()
    with setting.complaints.checking():
        if setting.database is not None:
            check_database(setting.database)
    with setting.complaints.checking():
        inputs = input_files(
            [setting.spec.resolve_path(path) for path in setting.scenario.inputs],
            setting.scenario.vars,
            setting.project.folder,
        )
    return inputs
