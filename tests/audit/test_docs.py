"""The page on the audit trail: its queries run, its tables are the tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from search.audit.publish import publish
from search.audit.reader import AuditReader
from search.audit.schema import TABLES, AuditTables

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def reader(folder: Path, assembled: Callable[[], AuditTables]) -> AuditReader:
    publish(folder, assembled())
    return AuditReader(folder)


def test_every_query_of_the_page_answers(reader: AuditReader) -> None:
    assert len(QUERIES) == 7
    for query in QUERIES:
        assert reader.query(query.rstrip().removesuffix(";")), query


def test_the_page_lists_every_column() -> None:
    for table in TABLES.values():
        section = PAGE.split(f"### {table.name}\n")[1].split("\n### ")[0]
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", section, flags=re.MULTILINE)
        assert rows == [(c.name, c.duckdb_type, c.comment) for c in table.columns]
