"""Folders and processes for tests of the definitions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dagster_defs.places import ROOT

BUILT = shutil.ignore_patterns("target", "logs", "data", "*.duckdb", "*.wal")


def copy_of_project(folder: Path) -> Path:
    """Copy the simulation without anything that was built, and return its folder."""
    shutil.copytree(ROOT / "dbt", folder, ignore=BUILT)
    return folder


def start_python(
    code: str, folder: Path, *, project: Path, path: str | None = None
) -> subprocess.Popen[str]:
    """Start Python with definitions over folders of its own."""
    environment = os.environ | {
        "SCENARIO_SEARCH_CONFIGS": str(ROOT / "configs"),
        "SCENARIO_SEARCH_DBT_PROJECT": str(project),
        "SCENARIO_SEARCH_RESULTS": str(folder / "results"),
        "PATH": os.pathsep.join(one for one in (path, os.environ["PATH"]) if one),
    }
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(code: str, folder: Path, *, project: Path, path: str | None = None) -> str:
    """Run Python with definitions over folders of its own, and return what it prints."""
    process = start_python(code, folder, project=project, path=path)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out
