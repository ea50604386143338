"""The environment: Python, packages, what can be imported, the machine."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from search.commands.doctor.check_result import CheckResult
from search.study.budget import format_bytes
from search.system.child import Report, run_in_child
from search.system.packages import PACKAGE, fits

IMPORTED = ("duckdb", "dbt.adapters.duckdb", "dbt.cli.main", "optuna")


def python() -> Iterator[CheckResult]:
    from packaging.specifiers import SpecifierSet

    given = platform.python_version()
    wanted = metadata.metadata(PACKAGE).json.get("requires_python") if _is_installed() else None
    if isinstance(wanted, str) and not SpecifierSet(wanted).contains(given):
        advice = f"make an environment with a Python {wanted} and install {PACKAGE} there"
        yield CheckResult("python", "error", f"Python must be {wanted}, but is {given}", advice)
    else:
        yield CheckResult("python", "ok", f"Python {given} at {sys.executable}")


def _is_installed() -> bool:
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def packages() -> Iterator[CheckResult]:
    if not _is_installed():
        yield CheckResult(
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
            yield CheckResult("packages", "error", fit.mistake(), advice)
    if right:
        yield CheckResult("packages", "ok", ", ".join(right))


def imports(*, needs_ray: bool) -> Iterator[CheckResult]:
    names = (*IMPORTED, "ray") if needs_ray else IMPORTED
    failed: dict[str, str] = run_in_child(import_failures, names, report=lambda line: None)
    for name, reason in failed.items():
        package = {"dbt.cli.main": "dbt-core", "dbt.adapters.duckdb": "dbt-duckdb"}.get(name, name)
        advice = f"install it anew: pip install --force-reinstall {package}"
        yield CheckResult("imports", "error", f"{name} cannot be imported: {reason}", advice)
    if not failed:
        yield CheckResult("imports", "ok", f"{', '.join(names)} can be imported")


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


def machine() -> Iterator[CheckResult]:
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
    yield CheckResult("machine", "ok", text)
