"""Notices what dbt reads while it works: environment variables, vars, files that DuckDB opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from search.scenario.file_log import collect_file_log, start_file_log
from search.scenario.python_reads import noticing_python
from search.scenario.read_log import ReadLog
from search.system.opened import threads_that_tell


class _WatchedEnv(Mapping[str, str]):
    """The environment as dbt keeps it; asking for a variable is noticed, listing all is not."""

    def __init__(self, env: Mapping[str, str], log: ReadLog) -> None:
        self._env = env
        self._log = log

    def __getitem__(self, name: str) -> str:
        self._log.env.add(name)
        return self._env[name]

    def __contains__(self, name: object) -> bool:
        self._log.env.add(str(name))
        return name in self._env

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)

    def items(self) -> Any:
        """Return all variables, as dbt asks for them when it looks for secrets to hide."""
        return self._env.items()


@contextmanager
def noticing_names(log: ReadLog) -> Iterator[None]:
    """Notice every ``env_var`` and every ``var`` that dbt looks up in the block.

    Names that Jinja computes are noticed like any other: dbt itself says them.
    """
    from dbt.context.base import Var
    from dbt.context.configured import ConfiguredVar
    from dbt_common.context import InvocationContext

    context: Any = InvocationContext
    plain: Any = Var
    configured: Any = ConfiguredVar
    env, has_var = context.env, plain.has_var
    calls = {reader: reader.__call__ for reader in (plain, configured)}

    def watched(kind: Any) -> Any:
        def call(self: Any, var_name: str, *default: Any, **named: Any) -> Any:
            log.saw_var(var_name, *default, *named.values())
            return calls[kind](self, var_name, *default, **named)

        return call

    def has(self: Any, var_name: str) -> bool:
        log.saw_var(var_name)
        return bool(has_var(self, var_name))

    context.env = property(lambda self: _WatchedEnv(env.fget(self), log))
    plain.has_var = has
    for kind in calls:
        kind.__call__ = watched(kind)
    try:
        yield
    finally:
        context.env = env
        plain.has_var = has_var
        for kind, call in calls.items():
            kind.__call__ = call


@contextmanager
def noticing_files(log: ReadLog) -> Iterator[None]:
    """Notice every file that dbt-duckdb's database or a Python model opens in the block."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.duckdb.environments import Environment

    environment: Any = Environment
    manager: Any = DuckDBConnectionManager
    opened = vars(environment)["initialize_db"]

    def watched(cls: Any, *args: Any, **named: Any) -> Any:
        with threads_that_tell():
            connection = opened.__func__(cls, *args, **named)
        start_file_log(connection)
        return connection

    environment.initialize_db = classmethod(watched)
    try:
        with noticing_python(log):
            yield
    finally:
        environment.initialize_db = opened
        connection = getattr(manager._ENV, "conn", None)
        if connection is not None:
            collect_file_log(connection.cursor(), log)
