"""From a study file to a plan that workers can run; mistakes are found before any trial."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.errors import DatabaseError, ProjectError, SearchError, SpecError
from search.scenario.answers import (
    AnswerCache,
    DbtAnswers,
    Selection,
    answers_key,
    default_profiles_dir,
)
from search.scenario.baseline import (
    WORLDS,
    Baseline,
    BaselineRecipe,
    check_database,
    ensure_baseline,
    input_files,
    known_baseline,
    world_of,
)
from search.scenario.data_checks import CheckTable, DataCheck, plan_check, run_check
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.dbt_switches import unused_switches, unused_text
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.extensions import missing_extensions
from search.scenario.given_vars import (
    Watched,
    is_same,
    is_single,
    project_vars,
    unread_text,
    unread_vars,
)
from search.scenario.hashing import FileHashes, hash_parts
from search.scenario.limits import DuckLimits
from search.scenario.outcome import EvaluationRequest, Failure, Outcome
from search.scenario.plan import PlannedMetric, Profile, ScenarioPlan, TableBind, VarBind
from search.scenario.project import DbtProject, VarReads
from search.scenario.relations import Relations, render_sql
from search.scenario.steps import authors_connection
from search.scenario.table_binds import check_table_bind, plan_table_bind
from search.scenario.world import ReadLog, World, env_content
from search.study import StudySpec, scenario_fingerprint
from search.study.metrics import ExpandedMetric, expand_metrics
from search.study.space import current_candidate
from search.study.steps import ExpandedStep, expand
from search.system.child import Report
from search.system.scratch import create_scratch, remove_scratch

FINGERPRINT_FORMAT = "2"
"""Goes up with the way in which fingerprints are made; see ``earlier_fingerprints``."""


@dataclass(frozen=True)
class PreparationLimits:
    """What preparing may take.

    Attributes:
        memory_limit_bytes: DuckDB's limit while the baseline is built.
        max_temp_bytes: The most it may spill.
        threads: DuckDB threads while the baseline is built.
        scratch_parent: Where to make the scratch folder; the temp folder when None.
    """

    memory_limit_bytes: int
    max_temp_bytes: int
    threads: int
    scratch_parent: Path | None = None


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
    """

    mistakes: tuple[SearchError, ...]
    warnings: tuple[str, ...]
    nodes: int
    baseline_bytes: int | None
    checks: int = 0
    tables: tuple[CheckTable, ...] = ()


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
    try:
        return _Preparation(spec, cache, limits, scratch, report, mistakes=[]).check()
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
    try:
        return _Preparation(spec, cache, limits, scratch, report).run()
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

    recipe: BaselineRecipe
    steps: tuple[ExpandedStep, ...]
    relations: Relations
    selected: Mapping[str, frozenset[str]]
    metrics: tuple[PlannedMetric, ...]
    table_binds: tuple[TableBind, ...]
    data_checks: tuple[DataCheck, ...]


class _Preparation:
    """The order of the checks: cheap before dear, files before dbt, dbt before data.

    Args:
        spec: The study.
        cache: Folder of all baselines.
        limits: What preparing may take.
        scratch: A folder for what is needed only now.
        report: Takes a line of progress.
        mistakes: Takes the mistakes, so that the checks go on; the first is raised when None.
    """

    def __init__(
        self,
        spec: StudySpec,
        cache: Path,
        limits: PreparationLimits,
        scratch: Path,
        report: Report,
        *,
        mistakes: list[SearchError] | None = None,
    ) -> None:
        self._spec = spec
        self._scenario = spec.scenario
        self._cache = cache
        self._limits = limits
        self._scratch = scratch
        self._report = report
        ours = [cache.parent, limits.scratch_parent or scratch]
        self._project = DbtProject(
            spec.resolve_path(self._scenario.dbt_project).resolve(),
            not_of_it=tuple(folder.resolve() for folder in ours),
            hashes=FileHashes(cache),
        )
        self._project_vars = project_vars(self._project.folder)
        self._warnings: list[str] = []
        self._mistakes = mistakes

    @contextlib.contextmanager
    def _checking(self) -> Iterator[None]:
        """Note a mistake and go on behind the block, when mistakes are taken."""
        try:
            yield
        except SearchError as error:
            if self._mistakes is None:
                raise
            self._mistakes.append(error)

    def run(self) -> Prepared:
        checked = self._checks()
        recipe = checked.recipe
        baseline = ensure_baseline(
            recipe,
            cache=self._cache,
            relations=checked.relations,
            limits=self._duck_limits(),
            report=self._report,
        )
        setup_world = world_of(recipe, self._cache)
        if setup_world.fingerprint() != baseline.fingerprint:
            raise ProjectError("what the setup reads changed while it was prepared; start again")
        self._check_table_binds(baseline, recipe.profile, checked.table_binds)
        tables = self._check_data(baseline, recipe.profile, checked.data_checks)
        fingerprints = {
            "format": FINGERPRINT_FORMAT,
            "project": recipe.project_fingerprint,
            "baseline": baseline.fingerprint,
            "scenario": hash_parts(
                [
                    *(scenario_fingerprint(self._spec), baseline.fingerprint),
                    *(["files of the setup"] if baseline.files else []),
                ]
            ),
        }
        self._warnings += setup_world.warnings()
        plan = ScenarioPlan(
            project_dir=self._project.folder,
            profile=recipe.profile,
            baseline=baseline.path.resolve(),
            vars=dict(self._scenario.vars),
            steps=checked.steps,
            relations=checked.relations,
            metrics=checked.metrics,
            var_binds=tuple(self._var_binds()),
            table_binds=checked.table_binds,
            replication_var=self._scenario.replication_var,
            seed=self._scenario.engine_seed,
            has_replications=self._scenario.replications is not None,
            allow_external_access=self._scenario.allow_external_access,
            fingerprints=fingerprints,
            project_files=tuple(
                str(file.relative_to(self._project.folder)) for file in self._project.files()
            ),
            project_vars=self._project_vars,
            world=World(self._cache / WORLDS, fingerprints["scenario"], self._project.hashes),
            baseline_inputs=setup_world.state(),
            setup_files=baseline.files,
        ).with_world()
        return Prepared(
            plan=plan,
            baseline=baseline,
            warnings=tuple(self._warnings),
            recipe=recipe,
            not_of_it=self._project.not_of_it,
            tables=tables,
        )

    def check(self) -> ProjectCheck:
        """Check all that can be checked without building the baseline."""
        mistakes = self._mistakes if self._mistakes is not None else []
        nodes: set[str] = set()
        size = None
        tables: tuple[CheckTable, ...] = ()
        with self._checking():
            checked = self._checks()
            for told in missing_extensions(checked.recipe.profile, self._scratch):
                if told.is_mistake:
                    mistakes.append(DatabaseError(told.text))
                else:
                    self._warnings.append(told.text)
            nodes = nodes.union(*checked.selected.values())
            if not mistakes:
                world = world_of(checked.recipe, self._cache)
                known = known_baseline(checked.recipe, self._cache, world.fingerprint())
                if known is not None:
                    size = known.size_bytes
                    profile = checked.recipe.profile
                    self._check_table_binds(known, profile, checked.table_binds)
                    tables = self._check_data(known, profile, checked.data_checks)
        return ProjectCheck(
            *(tuple(mistakes), tuple(self._warnings), len(nodes), size),
            checks=len(self._scenario.checks),
            tables=tables,
        )

    def _checks(self) -> _Checked:
        if unused := unused_switches():
            self._warnings.append(unused_text(unused))
        self._check_project_folder()
        reads = self._project.var_reads()
        if not reads.has_dynamic:
            self._check_var_binds(reads, {})
        files_fingerprint = self._project.fingerprint()
        steps = expand(self._scenario.steps)
        setup = expand(self._scenario.setup, kind="setup")
        database = self._database()
        with self._checking():
            if database is not None:
                check_database(database)
        inputs: tuple[Path, ...] = ()
        with self._checking():
            inputs = input_files(
                [self._spec.resolve_path(one) for one in self._scenario.inputs],
                self._scenario.vars,
                self._project.folder,
            )

        answers = self._answers(files_fingerprint, [*setup, *steps], steps[0])
        if reads.has_dynamic:
            self._check_var_binds(reads, answers.vars)
        self._check_given_vars(reads, answers)
        self._compare_current(answers)
        relations = answers.relations
        selected = self._check_selections(answers, [*setup, *steps])
        metrics = self._plan_metrics(relations)
        self._check_sql_steps(relations, setup, steps)
        table_binds = self._plan_table_binds(relations, selected)
        data_checks = self._plan_data_checks(relations)
        recipe = BaselineRecipe(
            project_dir=self._project.folder,
            project_fingerprint=hash_parts([files_fingerprint, *answers.env_parts()]),
            profile=self._with_catalog(answers.profile),
            vars=dict(self._scenario.vars),
            setup=setup,
            database=database,
            inputs=inputs,
            seed=self._scenario.engine_seed,
            allow_external_access=self._scenario.allow_external_access,
        )
        return _Checked(
            recipe, steps, relations, selected, metrics, tuple(table_binds), data_checks
        )

    def _check_project_folder(self) -> None:
        if not (self._project.folder / "dbt_project.yml").is_file():
            raise self._error(
                "scenario.dbt_project",
                "must be a folder with a dbt_project.yml (relative to the study file), "
                f"but there is none in {self._project.folder}",
            )

    # --- what dbt knows -------------------------------------------------------

    def _answers(
        self, files_fingerprint: str, steps: Sequence[ExpandedStep], first: ExpandedStep
    ) -> DbtAnswers:
        """Return what dbt says about the project; it is asked when that is not known yet."""
        # A selection is asked for with the vars of the first step that has it.
        selections = {
            _selection(step): step for step in reversed(steps) if step.command is not None
        }
        folder = self._scenario.profiles_dir
        profiles_dir = self._spec.resolve_path(folder) if folder else None
        cache = AnswerCache(self._cache / "answers")
        key = None
        with contextlib.suppress(ProjectError):  # dbt says better what is wrong with a profile
            key = answers_key(
                self._project,
                project_fingerprint=files_fingerprint,
                profiles_dir=profiles_dir or default_profiles_dir(self._project.folder),
                asked={
                    "profile": self._scenario.profile,
                    "target": self._scenario.target,
                    "vars": dict(self._scenario.vars),
                    "parse_vars": self._vars_of_step(first),
                    "selections": [
                        [*one, self._vars_of_step(step)] for one, step in selections.items()
                    ],
                    "database": str(self._database()),
                },
            )
        known = cache.find(key) if key is not None else None
        if known is not None:
            return known
        self._report("parsing the dbt project")
        reads = ReadLog(self._project.folder, (self._scratch,))
        profile = resolve_profile(
            self._project.folder,
            profiles_dir=profiles_dir,
            profile=self._scenario.profile,
            target=self._scenario.target,
            cli_vars=self._scenario.vars,
            reads=reads,
        )
        session = self._session(self._with_catalog(profile), reads)
        relations = Relations.of_manifest(session.parse(self._vars_of_step(first)))
        selected = {}
        for selection, step in selections.items():
            command, select, exclude = selection
            with self._checking():
                selected[selection] = frozenset(
                    session.list_selected(
                        command,
                        select=select,
                        exclude=exclude,
                        dbt_vars=self._vars_of_step(step),
                    )
                )
        answers = DbtAnswers(
            profile,
            relations,
            selected,
            env={name: env_content(name) for name in sorted(reads.env)},
            vars={name: _plain(defaults) for name, defaults in sorted(reads.vars.items())},
        )
        if key is not None and self._mistakes is None:
            cache.keep(key, answers)
        return answers

    def _with_catalog(self, profile: Profile) -> Profile:
        """Return the profile with the name that views inside the starting database carry."""
        database = self._database()
        if database is None:
            return profile
        catalog = database.name.lstrip(".").split(".")[0]
        return replace(profile, catalog=catalog)

    def _database(self) -> Path | None:
        database = self._scenario.database
        return self._spec.resolve_path(database).resolve() if database else None

    def _duck_limits(self) -> DuckLimits:
        return DuckLimits(
            memory_limit_bytes=self._limits.memory_limit_bytes,
            threads=self._limits.threads,
            temp_directory=self._scratch / "spill",
            max_temp_bytes=self._limits.max_temp_bytes,
        )

    def _session(self, profile: Profile, reads: ReadLog) -> DbtSession:
        # Parsing and selecting open no database of the project; this file is never made.
        return DbtSession(
            project_dir=self._project.folder,
            profile=profile,
            database=self._scratch / "parse" / f"{profile.catalog}.duckdb",
            home=self._scratch / "dbt",
            limits=self._duck_limits(),
            reads=reads,
        )

    # --- vars -----------------------------------------------------------------

    def _var_binds(self) -> list[VarBind]:
        return [
            VarBind(parameter=name, var=bind.var)
            for name, parameter in self._spec.parameters.items()
            for bind in parameter.bind
            if bind.var is not None
        ]

    def _check_var_binds(self, reads: VarReads, looked_up: Collection[str]) -> None:
        texts = [metric.sql for metric in self._spec.metrics.values()]
        for step in (*self._scenario.setup, *self._scenario.steps):
            texts += [one.sql for _, one in step.parts("") if one.sql is not None]
        for bind in self._var_binds():
            with self._checking():
                if bind.var not in looked_up:
                    self._check_var_bind(bind, reads, "\n".join(texts))

    def _check_given_vars(self, reads: VarReads, answers: DbtAnswers) -> None:
        """Refuse slips of the pen among the vars that the study gives; tell of unread ones."""
        unread = unread_vars(self._spec, reads, answers.vars, self._project_vars)
        for one in unread:
            if one.is_mistake:
                with self._checking():
                    raise self._error(one.given.key, one.text())
        told = unread_text(one for one in unread if not one.is_mistake)
        self._warnings += [told] if told else []

    def _compare_current(self, answers: DbtAnswers) -> None:
        """Tell where ``current`` is not what the project itself gives the bound var today."""
        for bind in self._var_binds():
            current = self._spec.parameters[bind.parameter].current
            defaults = answers.vars.get(bind.var, ())
            if bind.var in self._project_vars:
                today, where = self._project_vars[bind.var], "dbt_project.yml"
            elif len(defaults) == 1:
                today, where = defaults[0], "the default where it is read"
            else:
                continue
            if is_single(today) and not is_same(today, current):
                self._warnings.append(
                    f"parameters.{bind.parameter}.current is {current!r}, but var {bind.var} "
                    f"is {today!r} today ({where})"
                )

    def _check_var_bind(self, bind: VarBind, reads: VarReads, sql_text: str) -> None:
        if bind.var in reads.places or f"'{bind.var}'" in sql_text or f'"{bind.var}"' in sql_text:
            return
        if reads.has_dynamic:
            self._warnings.append(
                f"parameter {bind.parameter} is bound to var {bind.var}, which no file of the "
                "dbt project reads by that name; some var is read by a computed name"
            )
            return
        nearest = reads.nearest(bind.var)
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        raise self._error(
            f"parameters.{bind.parameter}.bind.var",
            f"must be a var that the dbt project reads, but no file reads {bind.var!r}{hint}",
        )

    def _vars_of_step(self, step: ExpandedStep) -> dict[str, Any]:
        current = current_candidate(self._spec)
        bound = {bind.var: current[bind.parameter] for bind in self._var_binds()}
        return dict(self._scenario.vars) | bound | dict(step.vars)

    def _fixed_vars(self) -> dict[str, Any]:
        """Return the vars that are the same for every candidate."""
        return {**self._project_vars, **self._scenario.vars}

    def _current_vars(self) -> dict[str, Any]:
        """Return the vars of the current candidate."""
        current = current_candidate(self._spec)
        bound = {bind.var: current[bind.parameter] for bind in self._var_binds()}
        name = self._scenario.replication_var
        seed = {} if name is None else {name: self._scenario.seeds[0]}
        return {**self._scenario.vars, **bound, **seed}

    # --- steps ----------------------------------------------------------------

    def _check_selections(
        self, answers: DbtAnswers, steps: Sequence[ExpandedStep]
    ) -> dict[str, frozenset[str]]:
        """Refuse a step that selects nothing; return the nodes that the steps select."""
        told: set[Selection] = set()
        selected: dict[str, frozenset[str]] = {}
        for step in steps:
            if step.command is None:
                continue
            selection = _selection(step)
            found = answers.selected.get(selection)
            selected[step.name] = found or frozenset()
            if found == frozenset() and selection not in told:
                # A selection that is a mistake is told once, for the first step that has it.
                told.add(selection)
                with self._checking():
                    raise self._nothing_selected(step)
        return selected

    def _nothing_selected(self, step: ExpandedStep) -> SpecError:
        return self._error(
            f"scenario.{step.name.split(' ')[0]}.dbt",
            f"must select something, but dbt {step.command} finds no node for "
            f"select {' '.join(step.select) or '(all)'!r}"
            + (f", exclude {' '.join(step.exclude)!r}" if step.exclude else ""),
        )

    def _check_sql_steps(
        self, relations: Relations, setup: Sequence[ExpandedStep], steps: Sequence[ExpandedStep]
    ) -> None:
        for step in (*setup, *steps):
            if step.sql is None:
                continue
            with self._checking():
                render_sql(
                    step.sql,
                    relations,
                    scenario_vars={**self._project_vars, **self._vars_of_step(step)},
                    loop=step.loop,
                    key=f"scenario.{step.name}",
                )

    # --- metrics --------------------------------------------------------------

    def _plan_metrics(self, relations: Relations) -> tuple[PlannedMetric, ...]:
        planned = []
        for metric in expand_metrics(self._spec):
            with self._checking():
                planned.append(self._plan_metric(metric, relations))
        return tuple(planned)

    def _plan_metric(self, metric: ExpandedMetric, relations: Relations) -> PlannedMetric:
        names = Watched({**self._project_vars, **self._current_vars()})
        key = f"metrics.{metric.key}.sql"
        if metric.step is not None and metric.loop is not None:
            names[metric.loop[0]] = metric.loop[1]
        sql = self._render(metric.sql, relations, metric.loop, key, names)
        seed = self._scenario.replication_var
        moved = {bind.var for bind in self._var_binds()}
        moved |= {seed} if seed is not None else set()
        vars_read = sorted(moved & names.read)
        return PlannedMetric(
            name=metric.name,
            sql=sql,
            unit=metric.unit,
            template=metric.sql if vars_read else None,
            vars=tuple(vars_read),
            loop=metric.loop if vars_read else None,
            step=metric.step,
            loop_value=metric.loop[1] if metric.loop and metric.step is not None else None,
            combine=metric.combine,
        )

    def _render(
        self,
        template: str,
        relations: Relations,
        loop: tuple[str, Any] | None,
        key: str,
        names: Mapping[str, Any],
    ) -> str:
        try:
            return render_sql(template, relations, scenario_vars=names, loop=loop, key=key)
        except SpecError as error:
            raise self._error(key, error.message) from error

    # --- table binds ----------------------------------------------------------

    def _plan_table_binds(
        self, relations: Relations, selected: Mapping[str, frozenset[str]]
    ) -> list[TableBind]:
        planned = []
        for name, parameter in self._spec.parameters.items():
            for bind in parameter.bind:
                with self._checking():
                    found = plan_table_bind(
                        name,
                        bind,
                        relations=relations,
                        selected=selected,
                        render=lambda text, key: self._render(
                            text, relations, None, key, self._fixed_vars()
                        ),
                        mistaken=self._error,
                    )
                    planned += [found] if found else []
        return planned

    def _check_table_binds(
        self, baseline: Baseline, profile: Profile, binds: Sequence[TableBind]
    ) -> None:
        if not binds:
            return
        with self._reading(baseline, profile) as connection:
            for bind in binds:
                with self._checking():
                    parameter = self._spec.parameters[bind.parameter]
                    told = check_table_bind(connection, bind, parameter, self._error)
                    self._warnings += [told] if told else []

    @contextlib.contextmanager
    def _reading(self, baseline: Baseline, profile: Profile) -> Iterator[Any]:
        written = baseline.files
        with authors_connection(
            baseline.path,
            profile,
            project_dir=self._project.folder,
            limits=self._duck_limits(),
            allow_external_access=self._scenario.allow_external_access,
            read_only=True,
            own_files=[written.folder] if written else [],
        ) as connection:
            yield connection

    # --- the data -------------------------------------------------------------

    def _plan_data_checks(self, relations: Relations) -> tuple[DataCheck, ...]:
        planned = []
        for name, given in self._scenario.checks.items():
            with self._checking():
                planned.append(
                    plan_check(
                        name,
                        given,
                        render=lambda text, key: self._render(
                            text, relations, None, key, self._fixed_vars()
                        ),
                        mistaken=self._error,
                    )
                )
        return tuple(planned)

    def _check_data(
        self, baseline: Baseline, profile: Profile, checks: Sequence[DataCheck]
    ) -> tuple[CheckTable, ...]:
        """Run the study's checks on its baseline; return what they show."""
        if not checks:
            return ()
        tables = []
        with self._reading(baseline, profile) as connection:
            for check in checks:
                with self._checking():
                    tables.append(run_check(connection, check, self._error))
        return tuple(table for table in tables if table is not None)

    def _error(self, key: str, message: str) -> SpecError:
        return SpecError(message, file=str(self._spec.file), key=key)


def _selection(step: ExpandedStep) -> Selection:
    return (step.command or "", step.select, step.exclude)


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return the values that JSON keeps as they are."""
    return [one for one in values if isinstance(one, str | int | float | bool) or one is None]
