"""Bundled examples: small dbt projects with a study each, which run at once."""

from __future__ import annotations

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from search.errors import SpecError
from search.study import json_schema
from search.study.mistakes import did_you_mean

SCHEMA_FILE = "study.schema.json"
STUDY_FILE = "study.yaml"
PROJECT_FILE = "dbt_project.yml"

_NOT_OF_IT = shutil.ignore_patterns("target", "logs", "*.duckdb", "__pycache__", ".user.yml")


def example_names() -> list[str]:
    """Return the names of the bundled examples."""
    place = files("search") / "examples"
    return sorted(path.name for path in place.iterdir() if (path / PROJECT_FILE).is_file())


def unpack_example(name: str, folder: Path) -> Path:
    """Copy a bundled example into a new folder, and return its study file.

    Args:
        name: The example.
        folder: Where it goes; must not be there, or be empty.

    Raises:
        SpecError: If there is no such example, or the folder holds something.
    """
    names = example_names()
    if name not in names:
        known = ", ".join(names)
        raise SpecError(
            f"--example must be one of {known}, but got {name!r}{did_you_mean(name, names)}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(
            "must not be there yet, but is; name another folder: "
            f"scenario-search init OTHER --example {name}",
            file=str(folder),
        )
    with as_file(files("search") / "examples" / name) as example:
        shutil.copytree(example, folder, ignore=_NOT_OF_IT, dirs_exist_ok=True)
    schema = json.dumps(json_schema(), indent=2)
    (folder / SCHEMA_FILE).write_text(schema + "\n", encoding="utf-8")
    return folder / STUDY_FILE
