"""dbt's behaviour switches in the environment: not used, unless the study file asks for them.

A variable such as ``DBT_EMPTY`` that is left over in a shell makes dbt read no row. What a study
computes is decided by its file and its project, so dbt does not see switches here; a project that
reads such a variable itself, by ``env_var``, still does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

CHANGING = frozenset(
    "CACHE_SELECTED_ONLY DEFER DEFER_STATE DEFER_TO_STATE EMPTY EVENT_TIME_END EVENT_TIME_START"
    " EXCLUDE_RESOURCE_TYPES FAIL_FAST FAVOR_STATE FAVOR_STATE_MODE FULL_REFRESH"
    " INDIRECT_SELECTION INTROSPECT MACRO_DEBUGGING POPULATE_CACHE PROFILE PROJECT_DIR"
    " RESOURCE_TYPES SAMPLE SINGLE_THREADED SQLPARSE STATE STATIC_PARSER STORE_FAILURES TARGET"
    " USE_EXPERIMENTAL_PARSER USE_FAST_TEST_EDGES WARN_ERROR WARN_ERROR_OPTIONS"
    " ARTIFACT_STATE_PATH".split()
)
"""Switches (without ``DBT_`` or ``DBT_ENGINE_``) that may change what dbt computes."""
_PREFIXES = ("DBT_ENGINE_", "DBT_")
_RECORDER = ("DBT_RECORDER_", "DBT_ENGINE_RECORDER_")
"""dbt reads these past its command line, and writes a recording into the working folder."""
_ADVICE = {
    "TARGET": "scenario.target",
    "PROFILE": "scenario.profile",
    "PROJECT_DIR": "scenario.dbt_project",
    "FULL_REFRESH": "full_refresh of a step",
}


def unused_switches(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables that would change what dbt computes, and are not used.

    Example:
        >>> unused_switches({"DBT_EMPTY": "1", "DBT_PROFILES_DIR": "x", "DBT_ENGINE_SAMPLE": "1"})
        ['DBT_EMPTY', 'DBT_ENGINE_SAMPLE']
    """
    names = sorted(os.environ if environment is None else environment)
    return [name for name in names if _switch(name) in CHANGING or name.startswith(_RECORDER)]


def unused_text(names: list[str]) -> str:
    """Return what becomes of some variables, in a sentence.

    Example:
        >>> unused_text(["DBT_TARGET"])[:62]
        'DBT_TARGET in the environment would change what dbt computes; '
    """
    asked = [
        f"for {name} use {_ADVICE[_switch(name)]}" for name in names if _switch(name) in _ADVICE
    ]
    advice = f" ({'; '.join(asked)})" if asked else ""
    return (
        f"{' and '.join(names)} in the environment would change what dbt computes; it is not "
        f"used, because a study's numbers depend on its file and its project{advice}"
    )


@contextmanager
def switches_off() -> Iterator[None]:
    """Keep dbt from reading its switches in the environment, while it is at work.

    Its command line reads them through click, so they stay visible to ``env_var``.
    """
    import click

    parameter: Any = click.core.Parameter
    read = parameter.resolve_envvar_value
    recorder = {name: os.environ.pop(name) for name in list(os.environ) if _records(name)}
    parameter.resolve_envvar_value = lambda self, context: None
    try:
        yield
    finally:
        parameter.resolve_envvar_value = read
        os.environ.update(recorder)


def _records(name: str) -> bool:
    return name.startswith(_RECORDER)


def _switch(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), "")
