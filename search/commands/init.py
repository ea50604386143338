"""A first study file for a dbt project that nobody has described yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from search.commands.draft import Draft
from search.commands.evaluate import evaluate_all
from search.commands.examples import PROJECT_FILE, SCHEMA_FILE
from search.commands.suggestions import (
    MOST_PARAMETERS,
    Aim,
    Movable,
    aims_of,
    chosen_aim,
    chosen_movables,
    chosen_target,
    identifier,
    movables_of,
    suggested_target,
    suited,
)
from search.commands.workbench import open_workbench, requests_of
from search.driver.progress import Progress
from search.errors import ProjectError, SpecError
from search.scenario.survey import Survey, survey_project
from search.study import json_schema, load_study
from search.study.figures import number_text
from search.study.loader import study_from_document
from search.system.child import run_in_child
from search.system.memory import cores

LOOKED_DEEP = 3
"""How many folders deep a project is looked for, to say where one is."""


def look_at(project: Path, file: Path, progress: Progress) -> Survey:
    """Return what a dbt project has that a study could move and aim at.

    Args:
        project: Its folder.
        file: Where the study is going to be written.
        progress: Takes news for a person.

    Raises:
        ProjectError: If there is no project, it does not build, or has nothing to move or aim at.
        SpecError: If the study file is there already.
    """
    require_new(file)
    _require_project(project)
    survey: Survey = run_in_child(survey_project, project.resolve(), cores(), report=progress.note)
    if not movables_of(survey):
        raise ProjectError(
            f"the dbt project {project} must have something to move: a number that SQL reads as a "
            "var ({{ var('price', 1.0) }}), or a seed with numbers; it has neither"
        )
    if not aims_of(survey):
        raise ProjectError(
            f"the dbt project {project} must have a model with a number to aim at, but none of its "
            f"{survey.models} models has a numeric column with values"
        )
    return survey


def require_new(file: Path) -> None:
    """Refuse to write over a file.

    Raises:
        SpecError: If it is there.
    """
    if file.exists():
        raise SpecError(
            "must not be there yet, but is; name another with --to, or remove it", file=str(file)
        )


def suggested(
    survey: Survey, *, parameters: Sequence[str], metric: str | None
) -> tuple[Aim, list[Movable]]:
    """Return what to aim at and what to move: as asked, and where nothing is, as it looks best.

    Raises:
        SpecError: If what is asked for is not there.
    """
    movables = movables_of(survey)
    asked = chosen_movables(movables, parameters)
    aims = aims_of(survey) if metric is None else [chosen_aim(survey, metric)]
    for aim in aims:
        reached = suited(asked or movables, aim)
        likely = [parameter for parameter in reached if parameter.is_likely]
        if asked and len(reached) == len(asked):
            return aim, asked
        if not asked and reached:
            return aim, (likely or reached)[:MOST_PARAMETERS]
    moved = ", ".join(parameter.name for parameter in asked) or "any number of the project"
    aimed = aims[0].text if metric else "any model with numbers"
    raise SpecError(f"--parameter and --metric must go together, but {aimed} does not read {moved}")


def tried(draft: Draft, results: Path, progress: Progress) -> Draft:
    """Return a draft with what its parameters do to the metric; idle ones are set aside.

    Args:
        draft: The draft; an empty target is replaced by one that can be met.
        results: Folder of all results: the baseline that is built here serves the first run.
        progress: Takes news for a person.

    Raises:
        SpecError: If nothing that was tried moves the metric.
        ProjectError: If the scenario fails.
    """
    provisional = replace(draft, target=draft.target or {"change": 0.01})
    spec = study_from_document(provisional.document(), file=draft.file)
    today = {movable.name: movable.current for movable in draft.movables}
    ends = {
        movable.name: movable.low if movable.current == movable.high else movable.high
        for movable in draft.movables
    }
    candidates = [today, *(today | {name: end} for name, end in ends.items())]
    progress.note(f"trying {len(ends)} parameters, one evaluation each")
    with open_workbench(spec, results, progress) as bench:
        outcomes = bench.call(
            evaluate_all, bench.reference, spec, bench.programs,
            requests_of(spec, list(enumerate(candidates))), "dbt",
        )  # fmt: skip
    for outcome in outcomes:
        if outcome.failure is not None:
            raise ProjectError(f"the scenario fails: {outcome.failure.message}")
    now, *moved = (outcome.metrics[draft.aim.name] for outcome in outcomes)
    reached = {
        name: (ends[name], metric)
        for name, metric in zip(ends, moved, strict=True)
        if metric != now
    }
    if not reached:
        raise SpecError(
            f"something must move {draft.aim.text}, but it stays {number_text(now)} when "
            f"{', '.join(ends)} change; choose others with --parameter, or another --metric"
        )
    return replace(
        draft,
        movables=tuple(movable for movable in draft.movables if movable.name in reached),
        idle=tuple(movable for movable in draft.movables if movable.name not in reached),
        today=now,
        ends=reached,
        target=draft.target or suggested_target(now, reached),
    )


def drafted(
    survey: Survey,
    project: Path,
    file: Path,
    *,
    name: str | None,
    aim: Aim,
    movables: Sequence[Movable],
    target: str | None,
) -> Draft:
    """Return the draft of what was chosen."""
    return Draft(
        survey=survey,
        project=project,
        file=file,
        name=name or identifier(survey.name),
        aim=aim,
        movables=tuple(movables),
        target=chosen_target(target) if target else {},
    )


def write(draft: Draft) -> list[Path]:
    """Write the study file, and beside it the schema that editors complete it by.

    Raises:
        SpecError: If the file is there already.
    """
    require_new(draft.file)
    draft.file.parent.mkdir(parents=True, exist_ok=True)
    written = [draft.file]
    schema = draft.file.with_name(SCHEMA_FILE)
    if not schema.exists():
        schema.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
        written.append(schema)
    draft.file.write_text(draft.text(), encoding="utf-8")
    load_study(draft.file)
    return written


def _require_project(project: Path) -> None:
    if (project / PROJECT_FILE).is_file():
        return
    there = [] if not project.is_dir() else sorted(_projects_below(project))
    hint = f"; there is one in {there[0]}" if there else ""
    raise ProjectError(
        f"PROJECT must be a folder with a {PROJECT_FILE}, but {project} is none{hint}; a bundled "
        "example: scenario-search init --example pricing"
    )


def _projects_below(folder: Path) -> list[Path]:
    levels = ["*/" * depth + PROJECT_FILE for depth in range(1, LOOKED_DEEP + 1)]
    return [
        file.parent
        for level in levels
        for file in folder.glob(level)
        if "dbt_packages" not in file.parts and not any(p.startswith(".") for p in file.parts[:-1])
    ]
