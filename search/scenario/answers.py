"""What dbt says about a project: asked once, kept until something that it depends on changes.

Parsing takes seconds and importing dbt takes more; a study that was prepared before needs
neither. Nothing here imports dbt.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search.scenario.hashing import hash_parts
from search.scenario.input_content import env_content
from search.scenario.plan import Profile
from search.scenario.project import DbtProject, package_versions
from search.scenario.relations import Relations
from search.system import files
from search.system.seal import users_seal

FORMAT_VERSION = 4
Selection = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A dbt command, its select and its exclude words."""

_SECRET = re.compile(r"secret|token|password|key", re.IGNORECASE)


@dataclass(frozen=True)
class DbtAnswers:
    """What a study has to ask dbt before it can run.

    Attributes:
        profile: The profile, rendered.
        relations: What ``ref`` and ``source`` mean.
        selected: For each selection of a step, the ids of the nodes that it selects.
        env: Environment variables that were read, each with a hash of what it held.
        vars: dbt vars that were looked up, each with the defaults that were given there.
    """

    profile: Profile
    relations: Relations
    selected: Mapping[Selection, frozenset[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def env_parts(self) -> tuple[str, ...]:
        """Return the environment that was read, as part of a fingerprint."""
        return tuple(f"{name}={content}" for name, content in sorted(self.env.items()))


ANSWERS = "answers"
"""The folder of the answers, beside the baselines."""


class AnswerCache:
    """Keeps answers in one file each, addressed by the content of what was asked about.

    A file that is damaged or cannot be written is as good as none. Profiles that hold
    credentials are not written to disk.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seal = users_seal().for_purpose("answers")

    def find(self, key: str) -> DbtAnswers | None:
        """Return the answers of that key; None when they are not known, or not today's."""
        try:
            document = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            answers = document["answers"]
            # A profile names extensions and plugins, so it counts from this user alone.
            if not self._seal.is_on(document["seal"], key, _text(answers)):
                return None
            if any(env_content(name) != was for name, was in answers["env"].items()):
                return None
            return _of_document(answers)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: str, answers: DbtAnswers) -> None:
        """Keep the answers, if they survive being written."""
        if _has_credentials(answers.profile.output):
            return
        document = _document(answers)
        try:
            text = _text(document)
            if _of_document(json.loads(text)) != answers:
                return
            whole = json.dumps({"seal": self._seal.of(key, text), "answers": document})
            self._folder.mkdir(parents=True, exist_ok=True)
            files.write_durably(self._folder / f"{key}.json", whole.encode())
        except (OSError, ValueError, TypeError):
            return


class KnownAnswers(AnswerCache):
    """The same answers, only read."""

    def keep(self, key: str, answers: DbtAnswers) -> None:
        """Leave the cache as it is."""


def answers_key(
    project: DbtProject,
    *,
    project_fingerprint: str,
    profiles_dir: Path,
    asked: Mapping[str, Any],
) -> str:
    """Return the hash of all that dbt's answers depend on.

    Args:
        project: The dbt project.
        project_fingerprint: Hash of its files.
        profiles_dir: Where its profile is.
        asked: Profile, target, vars and selections, JSON-safe.
    """
    # The profiles may lie outside the project.
    profiles = DbtProject(profiles_dir).fingerprint_of((profiles_dir / "profiles.yml",))
    parts = [str(project.folder), project_fingerprint, profiles, _text(asked)]
    return hash_parts([f"answers {FORMAT_VERSION}", _text(package_versions()), *parts])[:32]


def default_profiles_dir(project_dir: Path) -> Path:
    """Return where dbt looks for profiles.yml, in its order."""
    if os.environ.get("DBT_PROFILES_DIR"):
        return Path(os.environ["DBT_PROFILES_DIR"])
    return project_dir if (project_dir / "profiles.yml").exists() else Path.home() / ".dbt"


def _has_credentials(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            (_SECRET.search(str(key)) and inner) or _has_credentials(inner)
            for key, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return any(map(_has_credentials, value))
    return False


def _document(answers: DbtAnswers) -> dict[str, Any]:
    return {
        "profile": asdict(answers.profile),
        "relations": asdict(answers.relations),
        "selected": [
            [[command, list(select), list(exclude)], sorted(nodes)]
            for (command, select, exclude), nodes in answers.selected.items()
        ],
        "env": dict(answers.env),
        "vars": {name: list(defaults) for name, defaults in answers.vars.items()},
    }


def _of_document(document: Mapping[str, Any]) -> DbtAnswers:
    return DbtAnswers(
        profile=Profile(**document["profile"]),
        relations=Relations(**document["relations"]),
        selected={
            (command, tuple(select), tuple(exclude)): frozenset(nodes)
            for (command, select, exclude), nodes in document["selected"]
        },
        env=document["env"],
        vars=document["vars"],
    )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
