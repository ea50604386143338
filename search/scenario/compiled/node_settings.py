"""Settings that a model or a hook makes: they hold for its own session, as in dbt."""

from __future__ import annotations

import re
from typing import Any

from search.scenario.compiled.recording import RecordedStatement
from search.scenario.duck_limits import setting_in
from search.system.sql_text import escaped

_HOOK = re.compile(r"^operation\..*-(on-run-(?:start|end))-\d+$")
_SETTING = "select value, scope from duckdb_settings() where lower(name) = ?"


class NodeSettings:
    """Takes a setting back where the session ends that dbt made it in.

    dbt gives each node a session of its own, all hooks of one kind in a command one together, and
    the study's SQL has others. A replay has one session for all.
    """

    def __init__(self) -> None:
        self._session: object = None
        self._before: dict[str, Any] = {}

    def enter(self, connection: Any, statement: RecordedStatement | None) -> None:
        """Begin with a statement, or with the metrics when None.

        Args:
            connection: The one session.
            statement: What runs next.
        """
        session = None if statement is None else _session_of(statement)
        if session != self._session:
            for changed, value in self._before.items():
                # What has no value of a session's own holds for the whole database, in dbt too.
                ((_, scope),) = connection.execute(_SETTING, [changed]).fetchall()
                if scope == "LOCAL":
                    connection.execute(
                        f"reset session {changed}"
                        if value is None
                        else f"set session {changed} = '{escaped(value)}'"
                    )
            self._before = {}
            self._session = session
        if statement is not None and statement.effect.kind == "setting":
            name = setting_in(statement.sql)
            if name is not None and name not in self._before:
                for value, _ in connection.execute(_SETTING, [name]).fetchall():
                    self._before[name] = value


def _session_of(statement: RecordedStatement) -> tuple[str, str | None]:
    hook = _HOOK.match(statement.node or "")
    return statement.step, hook[1] if hook else statement.node
