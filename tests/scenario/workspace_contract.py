"""What every isolated database promises, as tests; each kind overrides the fixture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest


class Sandbox(Protocol):
    """One isolated database over a baseline, as the contract sees it."""

    def begin(self) -> Any:
        """Bring it into the baseline's state and return a connection to it."""

    def end(self) -> None:
        """Forget what was done in it."""

    def baseline_name(self, relation: str) -> str:
        """Return how its SQL names a relation of the baseline, given as ``schema.name``."""


MakeSandbox = Callable[[str], Sandbox]
"""Makes a sandbox in a folder of that name under ``tmp_path``; its files are only there."""


def hash_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class WorkspaceContract:
    """Runs on a baseline with two schemas, a table and a view that carries the catalog's name."""

    @pytest.fixture
    def make(self, baseline: Path, tmp_path: Path) -> MakeSandbox:
        raise NotImplementedError

    @pytest.fixture
    def baseline(self, tmp_path: Path) -> Path:
        path = tmp_path / "baseline" / "shop.duckdb"
        path.parent.mkdir()
        with duckdb.connect(str(path)) as connection:
            connection.execute("create schema side")
            connection.execute("create table items as select range as id from range(1000)")
            connection.execute("create table side.labels as select 'a' as label")
            connection.execute("create view many as select count(*) as n from shop.main.items")
            connection.execute("checkpoint")
        path.chmod(0o444)
        return path

    def test_it_starts_as_the_baseline(self, make: MakeSandbox) -> None:
        sandbox = make("one")
        connection = sandbox.begin()
        name = sandbox.baseline_name
        assert connection.execute(f"select count(*) from {name('main.items')}").fetchone() == (
            1000,
        )
        assert connection.execute(f"select label from {name('side.labels')}").fetchone() == ("a",)
        sandbox.end()

    def test_its_catalog_has_the_baselines_name(self, make: MakeSandbox) -> None:
        sandbox = make("one")
        connection = sandbox.begin()
        assert connection.execute("select current_database()").fetchone() == ("shop",)
        connection.execute("create table shop.main.own as select 1 as one")
        assert connection.execute("select one from own").fetchone() == (1,)
        sandbox.end()

    def test_what_is_done_in_it_reaches_neither_the_baseline_nor_another(
        self, make: MakeSandbox, baseline: Path
    ) -> None:
        before = hash_of(baseline)
        one, two = make("one"), make("two")
        first, second = one.begin(), two.begin()
        first.execute("create or replace table main.scribble as select 1 as one")
        first.execute("create or replace table main.more as select range as n from range(100000)")
        assert not _has(second, "scribble")
        one.end()
        two.end()
        assert hash_of(baseline) == before

    def test_begun_anew_it_remembers_nothing(self, make: MakeSandbox) -> None:
        sandbox = make("one")
        for _ in range(3):
            connection = sandbox.begin()
            assert not _has(connection, "scribble")
            connection.execute("create table scribble as select 1 as one")
            connection.execute("create temp table fleeting as select 1 as one")
            connection.execute("drop table fleeting")
            sandbox.end()

    def test_ended_it_leaves_nothing_and_may_be_ended_again(
        self, make: MakeSandbox, tmp_path: Path
    ) -> None:
        sandbox = make("one")
        sandbox.begin().execute("create table scribble as select range from range(100000)")
        sandbox.end()
        sandbox.end()
        left = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
        assert left == []


def _has(connection: Any, table: str) -> bool:
    found = connection.execute(
        "select count(*) from duckdb_tables() where table_name = ? and database_name = 'shop'",
        [table],
    ).fetchone()
    return bool(found[0])
