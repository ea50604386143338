"""Looks for what would stop or hurt a study, before any work: nothing is written, all is told."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from search.errors import LeaseError, SearchError, SpecError
from search.study import StudySpec
from search.study.budget import MemoryPlan, format_bytes
from search.system.child import Report, run_in_child
from search.system.packages import PACKAGE, fits
from search.views.checks import check_text

IMPORTED = ("duckdb", "dbt.adapters.duckdb", "dbt.cli.main", "optuna")
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "glusterfs", "lustre")

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: What was looked at, for example ``memory``.
        level: ``ok``, ``warning`` (a study may suffer) or ``error`` (it will not run).
        message: What was found.
        advice: What to do about it; empty when there is nothing to do.
    """

    check: str
    level: Level
    message: str
    advice: str = ""

    @property
    def is_error(self) -> bool:
        """Whether a study would not run."""
        return self.level == "error"

    def document(self) -> dict[str, str]:
        """Return the finding for programs."""
        return asdict(self)


def examine(load: Callable[[], StudySpec], results: Path) -> list[Finding]:
    """Return everything that was found, each mistake on its own.

    Args:
        load: Reads the study file.
        results: Folder of all results; it need not exist.
    """
    findings = [*_guarded("python", _python), *_guarded("packages", _packages)]
    findings += _guarded("machine", _machine)
    spec = None
    try:
        spec = load()
    except SearchError as error:
        findings += _spec_mistakes(error)
    except Exception as error:
        findings.append(
            Finding("study", "error", f"cannot be read: {type(error).__name__}: {error}")
        )
    needs_ray = spec is None or spec.resources.workers != 0
    findings += _guarded("imports", lambda: _imports(needs_ray=needs_ray))
    findings += _guarded("results", lambda: _results_folder(results))
    if spec is not None:
        findings += _examine_study(spec, results)
    return findings


def findings_text(findings: list[Finding]) -> str:
    """Return the findings for people, with a sum at the end."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        message = finding.message.replace("\n", "\n" + " " * (width + 11))
        lines.append(f"{finding.level:<7}  {finding.check:<{width}}  {message}")
        if finding.advice:
            lines.append(" " * (width + 11) + f"-> {finding.advice}")
    errors = sum(finding.is_error for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    end = "ready to run" if not errors else "not ready to run"
    counted = [f"{count} {word}{'s' if count != 1 else ''}" for count, word in
               ((errors, "error"), (warnings, "warning")) if count]  # fmt: skip
    return "\n".join([*lines, "", end + (f": {', '.join(counted)}" if counted else "")])


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return what a check finds; when the check itself fails, that is the finding."""
    found: list[Finding] = []
    try:
        for finding in look():
            found.append(finding)
    except SearchError as error:
        found.append(_of_error(check, error))
    except Exception as error:
        # A check must not keep the others from being made.
        text = f"could not be checked: {type(error).__name__}: {error}"
        found.append(Finding(check, "warning", " ".join(text.split())))
    return found


def _of_error(check: str, error: SearchError, advice: str = "") -> Finding:
    return Finding(check, "error", str(error), advice)


# --- the environment ------------------------------------------------------------


def _python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    given = platform.python_version()
    wanted = metadata.metadata(PACKAGE).json.get("requires_python") if _is_installed() else None
    if isinstance(wanted, str) and not SpecifierSet(wanted).contains(given):
        advice = f"make an environment with a Python {wanted} and install {PACKAGE} there"
        yield Finding("python", "error", f"Python must be {wanted}, but is {given}", advice)
    else:
        yield Finding("python", "ok", f"Python {given} at {sys.executable}")


def _is_installed() -> bool:
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def _packages() -> Iterator[Finding]:
    if not _is_installed():
        yield Finding(
            "packages", "warning", f"{PACKAGE} is not installed, so versions are not compared",
            "install it with pip into this environment",
        )  # fmt: skip
        return
    right = []
    for fit in fits():
        if fit.is_fitting:
            right.append(f"{fit.name} {fit.version}")
        else:
            advice = f"pip install '{fit.name}{fit.allowed}'"
            yield Finding("packages", "error", fit.mistake(), advice)
    if right:
        yield Finding("packages", "ok", ", ".join(right))


def _imports(*, needs_ray: bool) -> Iterator[Finding]:
    names = (*IMPORTED, "ray") if needs_ray else IMPORTED
    failed: dict[str, str] = run_in_child(import_failures, names, report=lambda line: None)
    for name, reason in failed.items():
        package = {"dbt.cli.main": "dbt-core", "dbt.adapters.duckdb": "dbt-duckdb"}.get(name, name)
        advice = f"install it anew: pip install --force-reinstall {package}"
        yield Finding("imports", "error", f"{name} cannot be imported: {reason}", advice)
    if not failed:
        yield Finding("imports", "ok", f"{', '.join(names)} can be imported")


def import_failures(names: tuple[str, ...], *, report: Report) -> dict[str, str]:
    """Return which modules cannot be imported, and why; made for a process of its own."""
    failed = {}
    for name in names:
        report(name)
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return failed


def _machine() -> Iterator[Finding]:
    import psutil

    from search.system.memory import available_memory_bytes, cores

    host_cores = os.cpu_count() or 1
    usable = cores()
    limited = f" (of {host_cores}; a container or affinity sets the limit)"
    shown = f"{usable} cores" + (limited if usable < host_cores else "")
    memory = psutil.virtual_memory()
    free = available_memory_bytes()
    least = min(free, memory.available)
    text = f"{shown}, {format_bytes(least)} of {format_bytes(memory.total)} memory free for use"
    if free < memory.available * 0.98:
        text += " (a container sets the limit)"
    yield Finding("machine", "ok", text)


# --- the study file -------------------------------------------------------------


def _spec_mistakes(error: SearchError) -> list[Finding]:
    """Return each mistake of a study file, which come in one error, a line each."""
    if not isinstance(error, SpecError):
        return [_of_error("study", error)]
    advice = "see `scenario-search schema` for what a study file may hold"
    lines = str(error).splitlines() or [str(error)]
    findings = [Finding("study", "error", line) for line in lines[:-1]]
    return [*findings, Finding("study", "error", lines[-1], advice)]


def _examine_study(spec: StudySpec, results: Path) -> list[Finding]:
    from search.workers.resources import memory_plan

    findings = [
        Finding(
            "study",
            "ok",
            f"{spec.study}: {len(spec.parameters)} parameters, {len(spec.metrics)} metrics, "
            f"{len(spec.targets)} targets",
        )
    ]
    plan: MemoryPlan | None = None
    try:
        plan = memory_plan(spec)
    except SearchError as error:
        findings.append(_of_error("memory", error))
    if plan is not None:
        known = plan
        findings += _guarded("memory", lambda: _memory(spec, known))
    findings += _guarded("storage", lambda: _storage(spec, results))
    findings += _guarded("lock", lambda: _lock(spec, results))
    findings += _guarded("scratch", lambda: _scratch(spec))
    check, found = _project(spec, results, plan)
    findings += found
    if plan is not None:
        known = plan
        findings += _guarded("disk", lambda: _disk(spec, results, known, check))
    return findings


def _memory(spec: StudySpec, plan: MemoryPlan) -> Iterator[Finding]:
    who = f"{plan.workers} worker{'s' if plan.workers > 1 else ''}"
    who = who if plan.workers else "the driver itself evaluates"
    yield Finding(
        "memory",
        "ok",
        f"budget {format_bytes(plan.budget_bytes)}: {who}, DuckDB memory_limit "
        f"{format_bytes(plan.duckdb_memory_limit_bytes)} and {spec.resources.threads_per_worker} "
        f"thread each, {format_bytes(plan.total_bytes)} at the peak: {_shares(plan)}",
    )
    wanted = spec.resources.memory_budget
    if plan.budget_bytes < wanted:
        yield Finding(
            "memory",
            "warning",
            f"resources.memory_budget is {format_bytes(wanted)}, but only "
            f"{format_bytes(plan.budget_bytes)} are free now; the study takes no more than that",
            "free memory or lower resources.memory_budget, so that every run is the same",
        )
    from search.system.memory import cores

    requested = spec.resources.workers
    lanes = max(1, cores() // spec.resources.threads_per_worker)
    if isinstance(requested, int) and requested > lanes:
        yield Finding(
            "memory",
            "warning",
            f"resources.workers is {requested}, but the cores feed only {lanes} of them",
            "use `workers: auto`",
        )
    if requested == "auto" and plan.workers < lanes:
        yield Finding(
            "memory",
            "warning",
            f"the cores would feed {lanes} workers, but the budget holds only {plan.workers}",
            "raise resources.memory_budget to search faster",
        )


def _shares(plan: MemoryPlan) -> str:
    """Return who may take what, and what happens to a worker that takes more."""
    from search.workers.watchdog import data_limit_bytes

    share = format_bytes(plan.per_worker_bytes)
    if plan.workers == 0:
        return f"{share} for evaluating, {format_bytes(plan.reserved_bytes)} for the rest"
    limit = format_bytes(data_limit_bytes(plan.per_worker_bytes))
    return (
        f"{share} a worker and {format_bytes(plan.reserved_bytes)} for driver and Ray; beyond the "
        f"budget the trial of the worker most beyond its share ends, and no worker may allocate "
        f"more than {limit}"
    )


# --- places -----------------------------------------------------------------------


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _results_folder(results: Path) -> Iterator[Finding]:
    place = _existing(results)
    if not place.is_dir():
        yield Finding(
            "results", "error", f"{results} must be a folder, but {place} is a file",
            "name another folder with --results",
        )  # fmt: skip
    elif not os.access(place, os.W_OK | os.X_OK):
        yield Finding(
            "results", "error", f"{place} must be writable, but is not",
            "change its permissions, or name another folder with --results",
        )  # fmt: skip
    elif (kind := _file_system(place)).startswith(NETWORK_FILE_SYSTEMS):
        yield Finding(
            "results", "warning", f"{place} is on a network file system ({kind}), where SQLite "
            "and locks are not dependable",
            "keep results on a local disk, or the study in PostgreSQL (`storage:`)",
        )  # fmt: skip
    else:
        made = "" if results.exists() else ", which a run creates"
        yield Finding("results", "ok", f"{results.absolute()}{made}, is writable")


def _file_system(path: Path) -> str:
    import psutil

    mounts = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    place = path.resolve()
    for folder in (place, *place.parents):
        if str(folder) in mounts:
            return mounts[str(folder)]
    return ""


def _storage(spec: StudySpec, results: Path) -> Iterator[Finding]:
    from search.storage.database import masked
    from search.storage.existing import existing_storage
    from search.storage.versions import latest_version
    from search.study.layout import Layout

    url = Layout(results, spec.study).storage_url(spec)
    prefix = "sqlite:///"
    if url.startswith(prefix):
        place = _existing(Path(url.removeprefix(prefix)).parent)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            message = f"{masked(url)} must be in a writable folder, but {place} is not one"
            advice = "name another file with `storage:`, or change the folder's permissions"
            yield Finding("storage", "error", message, advice)
            return
    with existing_storage(url) as storage:
        latest = latest_version(storage, spec.study) if storage is not None else None
        held = f"holds {latest.name}" if latest else "no study yet, a run creates it"
        yield Finding("storage", "ok", f"{masked(url)}: {held}")


def _lock(spec: StudySpec, results: Path) -> Iterator[Finding]:
    from search.storage.lock import StudyLock
    from search.study.layout import Layout

    try:
        holder = StudyLock(Layout(results, spec.study).lock).holder()
    except (OSError, LeaseError) as error:
        yield Finding("lock", "warning", f"the study's lock cannot be looked at: {error}")
        return
    if holder is not None:
        yield Finding(
            "lock",
            "warning",
            f"a driver runs this study now: pid {holder.get('pid')} on {holder.get('host')} since "
            f"{holder.get('since')}",
            "wait for it; `scenario-search status` shows how far it is",
        )


def _scratch(spec: StudySpec) -> Iterator[Finding]:
    from search.system.scratch import PREFIX, _has_live_owner
    from search.workers.resources import scratch_parent

    parent = scratch_parent(spec) or Path(tempfile.gettempdir())
    place = _existing(parent)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        message = f"{parent} must be a writable folder for temporary databases, but is not"
        advice = "name another folder with resources.scratch"
        yield Finding("scratch", "error", message, advice)
        return
    if _file_system(place) in ("tmpfs", "ramfs"):
        yield Finding(
            "scratch", "warning", f"{place} lies in memory (tmpfs), so temporary databases and "
            "spilled data take memory beside the budget",
            "name a folder on a disk with resources.scratch",
        )  # fmt: skip
    stale = [
        folder
        for folder in sorted(parent.glob(f"{PREFIX}*"))
        if folder.is_dir() and folder.stat().st_uid == os.getuid() and not _has_live_owner(folder)
    ]
    if stale:
        size = sum(_size(folder) for folder in stale)
        yield Finding(
            "scratch",
            "warning",
            f"{len(stale)} folders in {parent} were left by processes that were killed "
            f"({format_bytes(size)})",
            "nothing: the next run removes them",
        )
    else:
        yield Finding("scratch", "ok", f"{parent} is writable and holds nothing stale")


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total


# --- the dbt project ----------------------------------------------------------------


def _project(spec: StudySpec, results: Path, plan: MemoryPlan | None) -> tuple[Any, list[Finding]]:
    """Return the check of the dbt project, None when it could not be made, and its findings."""
    from search.scenario.at_work import patience
    from search.scenario.preparation import PreparationLimits, check_project
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
        return None, [*missing, _of_error("project", error)]
    except OSError as error:
        return None, [*missing, Finding("project", "error", f"cannot be checked: {error}")]
    findings = [_of_error("project", mistake, _advice(mistake)) for mistake in check.mistakes]
    if missing:
        # dbt's own words about missing packages say the same with less.
        findings = [one for one in findings if "dbt deps" not in one.message]
    findings = [*missing, *findings]
    findings += [Finding("project", "warning", text) for text in check.warnings]
    findings += [Finding("data", "ok", check_text(table.document())) for table in check.tables]
    if check.checks and check.baseline_bytes is None:
        count = f"{check.checks} check{'s' if check.checks != 1 else ''}"
        text = f"scenario.checks: {count} of the data, made by a run when it has built the baseline"
        findings.append(Finding("data", "ok", text))
    findings += [Finding("project", "warning", text) for text in _draws(spec)]
    if not any(finding.is_error for finding in findings):
        findings.append(
            Finding("project", "ok", f"{project.resolve()} parses; {check.nodes} nodes are used")
        )
    return check, findings


def _draws(spec: StudySpec) -> Iterator[str]:
    """Yield which files draw at random without a seed."""
    from search.scenario.compiled.chance import SEED_ADVICE, drawing_files
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


def _missing_packages(project: Path) -> list[Finding]:
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
    installed = [one for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    if len(installed) >= len(named):
        return []
    message = (
        f"{len(named)} dbt packages must be installed, but {folder} has {len(installed)} of them"
    )
    return [Finding("project", "error", message, f"run `dbt deps` in {project.resolve()}")]


def _install_folder(project: Path) -> str:
    import yaml

    try:
        document = yaml.safe_load((project / "dbt_project.yml").read_text(encoding="utf-8"))
        return str(document.get("packages-install-path") or "dbt_packages")
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return "dbt_packages"


# --- disk -----------------------------------------------------------------------------


def _disk(spec: StudySpec, results: Path, plan: MemoryPlan, check: Any) -> Iterator[Finding]:
    from search.study.layout import Layout
    from search.workers.resources import scratch_parent

    baseline = check.baseline_bytes if check is not None else None
    source = "the cached baseline"
    if baseline is None:
        baseline, source = _baseline_guess(spec, Layout(results, spec.study).baselines)
    workers = max(1, plan.workers)
    scratch = _existing(scratch_parent(spec) or Path(tempfile.gettempdir()))
    home = _existing(results)
    is_same = os.stat(scratch).st_dev == os.stat(home).st_dev
    copies = baseline * workers
    free = shutil.disk_usage(scratch).free
    needed = copies + (baseline if is_same else 0)
    sized = f"{workers + is_same} databases of {format_bytes(baseline)} each ({source})"
    sized = sized if baseline else f"{workers + is_same} databases ({source})"
    advice = "free space there, or name a folder on another disk with resources.scratch"
    if free < needed:
        message = f"{scratch} must hold {sized}, but has only {format_bytes(free)} free"
        yield Finding("disk", "error", message, advice)
        return
    spill = plan.max_temp_bytes * workers
    if free - needed < plan.duckdb_memory_limit_bytes * workers:
        yield Finding(
            "disk",
            "warning",
            f"{scratch} has {format_bytes(free)} free; beside {sized} that leaves little for "
            f"queries that do not fit in memory (they may spill up to {format_bytes(spill)})",
            advice,
        )
    else:
        yield Finding(
            "disk",
            "ok",
            f"{scratch} has {format_bytes(free)} free for {sized} and for spilled data "
            f"(at most {format_bytes(spill)})",
        )
    if not is_same and shutil.disk_usage(home).free < baseline:
        left = format_bytes(shutil.disk_usage(home).free)
        message = f"{home} must hold a baseline of {format_bytes(baseline)}, but has {left} free"
        yield Finding("disk", "error", message, "free space there, or use another --results")


def _baseline_guess(spec: StudySpec, cache: Path) -> tuple[int, str]:
    """Return what is known of the size of a baseline that is not built yet, in bytes."""
    if spec.scenario.database is not None:
        database = spec.resolve_path(spec.scenario.database)
        if database.is_file():
            return database.stat().st_size, "scenario.database; what setup adds is not known yet"
    sizes = []
    for record in cache.glob("*/baseline.json"):
        try:
            sizes.append(int(json.loads(record.read_text())["size_bytes"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if sizes:
        return max(sizes), "the largest one in the cache; this study's is not built yet"
    return 0, "not built yet, so its size is not known"
