"""The image of driver and workers: what goes into it, and that it is built where docker runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"
]
LET_IN = {line[1:] for line in IGNORED if line.startswith("!")}


def copied() -> set[str]:
    """Return what the image takes from the context."""
    return {name for line in LINES if line.startswith("COPY ") for name in line.split()[1:-1]}


def test_the_context_is_what_the_image_takes_and_nothing_else() -> None:
    """The rest stays out by the first line: results, databases, keys, whatever lies here."""
    assert IGNORED[0] == "*"
    assert copied() == LET_IN
    assert all((ROOT / name).exists() for name in LET_IN)


def test_what_may_lie_inside_what_is_let_in_stays_out() -> None:
    again = IGNORED[IGNORED.index("!dagster_defs") + 1 :]
    assert {"**/__pycache__", "**/target", "**/results", "**/*.duckdb", "**/.env"} <= set(again)
    assert not [line for line in again if line.startswith("!")]


def test_the_package_is_built_from_what_is_let_in() -> None:
    """Files that pyproject.toml names are there."""
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'^(?:readme = |license-files = \[)"([^"]+)"', text, re.MULTILINE)
    assert set(named) <= LET_IN and {"search", "dagster_defs"} <= LET_IN


def test_the_image_runs_the_locks_python_and_not_as_root() -> None:
    base = next(line for line in LINES if line.startswith("FROM "))
    makefile = (ROOT / "Makefile").read_text()
    assert base.split()[1].startswith("python:3.11") and "(3, 11)" in makefile
    assert "USER study" in LINES
    install = next(line for line in LINES if "pip install" in line)
    assert "--constraint constraints.txt" in install
    assert not re.search(r"index-url|--index|find-links|trusted-host|https?:", install)


@pytest.mark.long
def test_the_image_is_built() -> None:
    docker = shutil.which("docker")
    words = [docker or "docker", "info"]
    if docker is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("no docker runs on this machine")
    words = [docker, "build", "--quiet", "-t", "scenario-search-test", str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stderr[-2000:]
