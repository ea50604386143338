"""Study files that this user ran here: what a results folder has may be somebody else's.

Trials keep the study file that they ran with, and who verifies or repeats one runs its SQL again,
under the permissions that it gives itself. So that a results folder from somebody else is data,
what differs from the study file in hand is run only where this user's seal says that it ran before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.errors import SpecError
from search.system.files import write_durably
from search.system.seal import users_seal

_PURPOSE = "study file"
_DATA_OF_SCENARIO = ("vars", "vars_file", "seed", "replications")
"""Keys below ``scenario`` that hold values, and nothing that runs."""
_TEXTS = ("unit", "description")


def note_own(file: Path, document: Mapping[str, Any]) -> None:
    """Remember that this user runs a study file.

    Args:
        file: The list of seals, in the study's folder.
        document: The study file.
    """
    seals, mark = _seals(file), _seal_of(document)
    if mark not in seals:
        write_durably(file, json.dumps([*seals, mark]).encode())


def require_own(file: Path, document: Mapping[str, Any], changed: Iterable[str]) -> None:
    """Refuse to run what a stored study file has instead of today's, unless this user ran it.

    Args:
        file: The list of seals, in the study's folder.
        document: The study file that trials ran with.
        changed: Dotted keys in which it differs from the one in hand.

    Raises:
        SpecError: If something that runs differs, and this user never ran it.
    """
    running = [key for key in changed if runs(key)]
    if running and _seal_of(document) not in _seals(file):
        raise SpecError(
            f"the results in {file.parent} are of a study file with another "
            f"{', '.join(running)} than this one, and nothing shows that you ran it: they come "
            "from somebody else or from an earlier version. What it holds is not run; give the "
            "study file that it ran with, or run the study again"
        )


def runs(key: str) -> bool:
    """Whether a dotted key of a study file holds something that runs, or that lets it.

    Example:
        >>> [runs(key) for key in ("metrics.cost.sql", "scenario.steps", "parameters.x.bind")]
        [True, True, True]
        >>> [runs(key) for key in ("targets.cost.value", "scenario.vars.year", "parameters.x.low")]
        [False, False, False]
    """
    section, *rest = key.split(".")
    if section == "scenario":
        return not rest or rest[0] not in _DATA_OF_SCENARIO
    if section == "parameters":
        return len(rest) < 2 or rest[1] == "bind"
    return section in ("metrics", "report") and (not rest or rest[-1] not in _TEXTS)


def _seal_of(document: Mapping[str, Any]) -> str:
    plain = json.dumps(document, sort_keys=True, default=str)
    return users_seal().for_purpose(_PURPOSE).of(plain)


def _seals(file: Path) -> list[str]:
    with suppress(OSError, ValueError):
        seals = json.loads(file.read_bytes())
        if isinstance(seals, list):
            return [seal for seal in seals if isinstance(seal, str)]
    return []
