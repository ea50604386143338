"""Where a run comes from: versions of what it uses, the commit of its study file, and who."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("scenario-search", "dbt-core", "dbt-duckdb", "duckdb", "optuna", "ray")
GIT_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class GitState:
    """The state of a repository.

    Attributes:
        commit: Full hash of the checked-out commit.
        is_dirty: Whether tracked files differ from it, or the asked file is not tracked.
    """

    commit: str
    is_dirty: bool


@dataclass(frozen=True)
class Person:
    """Who runs, and where.

    Attributes:
        user_name: The account's name, or its number when it has no name.
        host: The machine's name.
        pid: The process.
    """

    user_name: str
    host: str
    pid: int


def versions() -> dict[str, str | None]:
    """Return the ``RunRecord`` fields of versions; None for what is not installed.

    Example:
        >>> sorted(versions())[:2]
        ['dbt_core_version', 'dbt_duckdb_version']
    """
    known = {f"{name.replace('-', '_')}_version": _installed(name) for name in PACKAGES}
    return {**known, "python_version": platform.python_version()}


def git_state(path: Path) -> GitState | None:
    """Return the state of the repository that holds ``path``; None when there is none.

    Args:
        path: The study file, or its folder.
    """
    folder = path if path.is_dir() else path.parent
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    own = _git(folder, "status", "--porcelain", "--", path.name) if path.is_file() else ""
    return GitState(commit=commit, is_dirty=bool(changes or own))


def who() -> Person:
    """Return who runs this process, and where."""
    try:
        user_name = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no account has.
        user_name = str(os.getuid())
    return Person(user_name=user_name, host=socket.gethostname(), pid=os.getpid())


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's answer; None without git, without a repository or when git is stuck."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=True,
            # Reading must not take the index lock from the person who works there.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
