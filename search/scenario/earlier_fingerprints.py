"""The fingerprints of version 0.1.0, so that a study that it began goes on.

That version took every file in the project's folder for part of it, and the environment
variables that a text pattern found. Where they are what they were, nothing that it knew of has
changed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from search.scenario.baseline_recipe import BaselineRecipe
from search.scenario.hashing import hash_parts
from search.scenario.project import STUDY_FILE, TEXT_SUFFIXES
from search.study import StudySpec, scenario_fingerprint

_IGNORED = frozenset(
    {"target", "logs", ".git", "__pycache__", ".venv", "node_modules", "parameter_sets"}
)
_DATABASES = (".duckdb", ".wal", ".db", ".lock")
_ENV_VAR = re.compile(r"\benv_var\(\s*['\"](?P<name>\w+)['\"]")
_PIECE_BYTES = 2**20


def earlier_fingerprints(
    spec: StudySpec,
    recipe: BaselineRecipe,
    not_of_it: tuple[Path, ...],
    inputs: Iterable[str],
) -> Mapping[str, str] | None:
    """Return what version 0.1.0 would have written down for today's inputs.

    Args:
        spec: The study.
        recipe: Of its baseline.
        not_of_it: Folders that may lie in the project and are no part of it.
        inputs: Keys of what the scenario reads beside study file and project.

    Returns:
        None when it reads what that version did not look at, so that it may have changed.
    """
    if any(not _was_known(key, recipe) for key in inputs):
        return None
    project = _project(recipe.project_dir, not_of_it)
    baseline = recipe.fingerprint_with(project)
    scenario = hash_parts([scenario_fingerprint(spec), baseline])
    return {"project": project, "baseline": baseline, "scenario": scenario}


def _was_known(key: str, recipe: BaselineRecipe) -> bool:
    kind, name = key.split(" ", 1)
    place = Path(name)
    return kind == "env" or (
        kind == "file" and (place.is_relative_to(recipe.project_dir) or place in recipe.inputs)
    )


def _project(folder: Path, not_of_it: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    names: set[str] = set()
    for file in _files(folder, not_of_it):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
        if file.suffix in TEXT_SUFFIXES:
            names |= set(_ENV_VAR.findall(file.read_bytes().decode("utf-8", "replace")))
    for name in sorted(names):
        digest.update(f"{name}={os.environ.get(name)!r}\0".encode())
    return digest.hexdigest()


def _files(folder: Path, not_of_it: tuple[Path, ...]) -> Iterator[Path]:
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        kept = [
            name for name in folders if name not in _IGNORED and Path(root) / name not in not_of_it
        ]
        folders[:] = sorted(kept)
        for name in sorted(names):
            file = Path(root) / name
            if name.endswith(_DATABASES) or name == ".user.yml" or not file.is_file():
                continue
            if file.suffix in (".yml", ".yaml") and STUDY_FILE.search(file.read_bytes()):
                continue
            yield file
