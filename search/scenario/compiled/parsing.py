"""Statements that DuckDB parses once, not once a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.scenario.compiled.constants import with_constants
from search.scenario.compiled.lifting import Template

PARSED_TYPES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "ALTER"})
"""What may be kept. PIVOT is not: DuckDB names its helpers while parsing, once."""


class ParsedStatements:
    """Keeps what DuckDB's parser made of the statements that no parameter fills.

    Parsing does not look at the database. Names are bound and the query is planned at each
    execution, so a kept statement does what its text does, and saves a sixth of the processor time
    of a candidate whose tables are small. Constant calls in it are worked out once as well.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def of(self, template: Template, texts: Mapping[str, str], connection: Any) -> Any:
        """Return what a connection executes: a parsed statement, or SQL text.

        Args:
            template: The statement.
            texts: What fills its holes.
            connection: Any DuckDB connection; its parser is used.

        Raises:
            duckdb.Error: If the text cannot be parsed.
        """
        sql = template.fill(texts)
        if template.holes:
            return sql
        if sql not in self._kept:
            statements = connection.extract_statements(sql)
            is_plain = len(statements) == 1 and statements[0].type.name in PARSED_TYPES
            if is_plain:
                statements = connection.extract_statements(with_constants(sql, connection))
            self._kept[sql] = statements[0] if is_plain else sql
        return self._kept[sql]
