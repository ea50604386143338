"""The dbt project: what a run would refuse, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commands.doctor.check_result import CheckResult, Level, finding_of
from search.errors import SearchError, SpecError
from search.study import StudySpec
from search.study.budget import MemoryPlan
from search.system.child import run_in_child
from search.views.checks import check_text

if TYPE_CHECKING:
    from search.scenario.preparation import ProjectCheck


def dbt_project(
    spec: StudySpec, results: Path, plan: MemoryPlan | None
) -> tuple[Any, list[CheckResult]]:
    """Return the check of the dbt project, None when it could not be made, and its findings."""
    from search.scenario.at_work import patience
    from search.scenario.preparation import check_project
    from search.scenario.setting import PreparationLimits
    from search.study.layout import Layout
    from search.workers.resources import preparation_limits

    small = 512 * 1024**2
    limits = (
        preparation_limits(spec, plan)
        if plan is not None
        else PreparationLimits(memory_limit_bytes=small, max_temp_bytes=small, threads=1)
    )
    project = spec.resolve_path(spec.scenario.dbt_project)
    missing = _missing_packages(project)
    cache = Layout(results, spec.study).baselines.absolute()
    try:
        check = run_in_child(
            check_project, spec, cache, limits, report=lambda line: None,
            patience=patience(spec.search.prepare_timeout),
        )  # fmt: skip
    except SearchError as error:
        return None, [*missing, finding_of("project", error)]
    except OSError as error:
        return None, [*missing, CheckResult("project", "error", f"cannot be checked: {error}")]
    findings = [finding_of("project", mistake, _advice(mistake)) for mistake in check.mistakes]
    if missing:
        # dbt's own words about missing packages say the same with less.
        findings = [finding for finding in findings if "dbt deps" not in finding.message]
    findings = [*missing, *findings]
    findings += [CheckResult("project", "warning", text) for text in check.warnings]
    findings += [CheckResult("data", "ok", check_text(table.document())) for table in check.tables]
    if check.checks and check.baseline_bytes is None:
        count = f"{check.checks} check{'s' if check.checks != 1 else ''}"
        text = f"scenario.checks: {count} of the data, made by a run when it has built the baseline"
        findings.append(CheckResult("data", "ok", text))
    findings += [CheckResult("project", "warning", text) for text in _draws(spec)]
    findings.append(who_evaluates(spec, check))
    if not any(finding.is_error for finding in findings):
        findings.append(
            CheckResult(
                "project", "ok", f"{project.resolve()} parses; {check.nodes} nodes are used"
            )
        )
    return check, findings


def who_evaluates(spec: StudySpec, check: ProjectCheck) -> CheckResult:
    """Say who evaluates candidates, as far as that is known without recording anything."""
    asked = spec.resources.engine
    explain = "`scenario-search explain` records the scenario and says what becomes of it"
    if asked == "dbt":
        return CheckResult("engine", "ok", "dbt evaluates every candidate, as the study asks")
    judgement = check.judgement
    if judgement is not None and judgement.refusal is None:
        return CheckResult("engine", "ok", "compiled, as the scenario is now", explain)
    if judgement is not None:
        text = f"dbt evaluates every candidate, because {judgement.refusal}"
        level: Level = "error" if asked == "compiled" else "warning"
        return CheckResult("engine", level, text, explain)
    if check.python_models:
        named = ", ".join(check.python_models)
        text = f"dbt evaluates every candidate if a metric needs what is in Python: {named}"
        return CheckResult("engine", "warning", text, explain)
    text = "whether the scenario can be compiled shows when it is recorded"
    return CheckResult("engine", "ok", text, explain)


def _draws(spec: StudySpec) -> Iterator[str]:
    """Yield which files draw at random without a seed."""
    from search.scenario.compiled.draws import SEED_ADVICE, drawing_files
    from search.scenario.project import DbtProject

    if spec.scenario.engine_seed is None:
        project = DbtProject(spec.resolve_path(spec.scenario.dbt_project).resolve())
        names = (name for name, _ in project.read_files())
        for text in drawing_files(project.folder, names):
            yield f"{text}; {SEED_ADVICE}"


def _advice(mistake: SearchError) -> str:
    if isinstance(mistake, SpecError):
        return "correct that key of the study file, or what it names in the dbt project"
    return ""


def _missing_packages(project: Path) -> list[CheckResult]:
    """Return the packages that the project names and that are not installed in it."""
    import yaml

    named = []
    for name in ("packages.yml", "dependencies.yml"):
        try:
            document = yaml.safe_load((project / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        named += list((document or {}).get("packages") or []) if isinstance(document, dict) else []
    if not named:
        return []
    folder = project / _install_folder(project)
    installed = (
        [package for package in folder.iterdir() if package.is_dir()] if folder.is_dir() else []
    )
    if len(installed) >= len(named):
        return []
    message = (
        f"{len(named)} dbt packages must be installed, but {folder} has {len(installed)} of them"
    )
    return [CheckResult("project", "error", message, f"run `dbt deps` in {project.resolve()}")]


def _install_folder(project: Path) -> str:
    import yaml

    try:
        document = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
        return str(document.get("packages-install-path") or "dbt_packages")
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return "dbt_packages"
