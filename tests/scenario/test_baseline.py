from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from studies import MIB
from workspace_contract import hash_of

from search.errors import DatabaseError, ProjectError
from search.scenario import baseline as room
from search.scenario import baseline_recipe as recipe_module
from search.scenario.baseline import Baseline, check_database, ensure_baseline
from search.scenario.baseline_recipe import BaselineRecipe, input_files
from search.scenario.duck_limits import DuckLimits
from search.scenario.plan import Profile
from search.scenario.relations import Relations
from search.study.steps import ExpandedStep


def sql_step(sql: str) -> ExpandedStep:
    return ExpandedStep(name="setup[0]", index=0, kind="sql", sql=sql)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An existing database of a hundred relations, one of them a view with the catalog's name."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        for number in range(99):
            connection.execute(f"create table t{number} as select {number} as n")
        connection.execute("create view last as select n from warehouse.main.t98")
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> BaselineRecipe:
    return BaselineRecipe(
        project_dir=tmp_path,
        project_fingerprint="p1",
        profile=Profile("tiny", "dev", {"type": "duckdb", "settings": {"threads": 8}}, "tiny"),
        vars={"year": 2026},
        setup=(sql_step("create table first as select {{ var('year') }} as year"),),
        database=None,
        inputs=(),
    )


@pytest.fixture
def build(tmp_path: Path) -> Callable[[BaselineRecipe], Baseline]:
    limits = DuckLimits(128 * MIB, 1, tmp_path / "spill", 128 * MIB)

    def ensure(recipe: BaselineRecipe) -> Baseline:
        return ensure_baseline(
            recipe,
            cache=tmp_path / "cache",
            relations=Relations(),
            limits=limits,
            report=lambda line: None,
        )

    return ensure


Build = Callable[[BaselineRecipe], Baseline]


def test_it_is_built_once_and_used_again(build: Build, recipe: BaselineRecipe) -> None:
    first = build(recipe)
    again = build(recipe)
    assert first.was_built and not again.was_built
    assert (first.path, first.content_sha256) == (again.path, again.content_sha256)
    assert first.path.name == "tiny.duckdb"
    assert hash_of(first.path) == first.content_sha256
    assert [path.name for path in first.path.parent.iterdir() if path.suffix == ".wal"] == []
    with duckdb.connect(str(first.path), read_only=True) as connection:
        assert connection.execute("select year from first").fetchone() == (2026,)


def _other_vars(recipe: BaselineRecipe) -> BaselineRecipe:
    return replace(recipe, vars={"year": 2027})


def _other_project(recipe: BaselineRecipe) -> BaselineRecipe:
    return replace(recipe, project_fingerprint="p2")


def _other_setup(recipe: BaselineRecipe) -> BaselineRecipe:
    return replace(recipe, setup=(sql_step("create table first as select 1 as year"),))


def _other_schema(recipe: BaselineRecipe) -> BaselineRecipe:
    output = dict(recipe.profile.output) | {"schema": "elsewhere"}
    return replace(recipe, profile=replace(recipe.profile, output=output))


@pytest.mark.parametrize("change", [_other_vars, _other_project, _other_setup, _other_schema])
def test_whatever_it_depends_on_makes_another(
    build: Build, recipe: BaselineRecipe, change: Callable[[BaselineRecipe], BaselineRecipe]
) -> None:
    first = build(recipe)
    other = build(change(recipe))
    assert other.was_built and other.path != first.path
    assert not build(recipe).was_built


def test_the_content_of_inputs_and_of_the_database_counts(
    build: Build, recipe: BaselineRecipe, database: Path, tmp_path: Path
) -> None:
    census = tmp_path / "census.csv"
    census.write_text("id\n1\n")
    recipe = replace(recipe, inputs=(census,), database=database)
    first = build(recipe)
    assert not build(recipe).was_built
    census.write_text("id\n2\n")
    second = build(recipe)
    assert second.was_built and second.path != first.path
    with duckdb.connect(str(database)) as connection:
        connection.execute("insert into t0 values (7)")
    assert build(recipe).was_built


def test_the_versions_of_what_computes_count(
    build: Build, recipe: BaselineRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(recipe)
    monkeypatch.setattr(recipe_module, "package_versions", lambda: {"duckdb": "99.0"})
    assert build(recipe).was_built


def test_threads_memory_and_place_of_the_profile_do_not_count(recipe: BaselineRecipe) -> None:
    output = {
        "type": "duckdb",
        "path": "/elsewhere/tiny.duckdb",
        "threads": 16,
        "settings": {"threads": 1, "memory_limit": "64GB"},
    }
    other = replace(recipe, profile=replace(recipe.profile, output=output))
    assert other.fingerprint() == recipe.fingerprint()
    other = replace(recipe, profile=replace(recipe.profile, output=output | {"schema": "s"}))
    assert other.fingerprint() != recipe.fingerprint()


def test_a_database_of_a_hundred_relations_is_copied_not_written(
    build: Build, recipe: BaselineRecipe, database: Path
) -> None:
    before = hash_of(database)
    profile = replace(recipe.profile, catalog="warehouse")
    built = build(replace(recipe, database=database, profile=profile))
    assert hash_of(database) == before
    with duckdb.connect(str(built.path), read_only=True) as connection:
        tables = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'main'"
        ).fetchone()
        assert tables == (101,)
        assert connection.execute("select n from last").fetchone() == (98,)


def _truncate(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-4096])


def _flip(file: Path) -> None:
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _delete(file: Path) -> None:
    file.unlink()


def _tear_record(file: Path) -> None:
    record = file.with_name(room.RECORD_FILE)
    record.chmod(0o644)
    record.write_text(record.read_text()[:20])


@pytest.mark.parametrize("damage", [_truncate, _flip, _delete, _tear_record])
def test_a_damaged_one_is_built_anew(
    build: Build, recipe: BaselineRecipe, damage: Callable[[Path], None]
) -> None:
    first = build(recipe)
    damage(first.path)
    again = build(recipe)
    assert again.was_built and again.path == first.path
    with duckdb.connect(str(again.path), read_only=True) as connection:
        assert connection.execute("select year from first").fetchone() == (2026,)
    assert not build(recipe).was_built


def test_one_that_another_user_made_is_left_alone_and_not_used(
    build: Build, recipe: BaselineRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = build(recipe)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody"))
    mine = build(recipe)
    assert mine.was_built and mine.path != theirs.path and theirs.path.exists()
    shutil.rmtree(mine.path.parent)
    shutil.copytree(theirs.path.parent, mine.path.parent)  # named as mine
    assert build(recipe).was_built


def test_a_step_that_fails_leaves_nothing_and_is_named(
    build: Build, recipe: BaselineRecipe, tmp_path: Path
) -> None:
    broken = replace(recipe, setup=(sql_step("create table first as select * from nowhere"),))
    with pytest.raises(ProjectError, match=r"cannot be built: setup\[0\].*nowhere"):
        build(broken)
    assert list((tmp_path / "cache").iterdir()) == []


def test_limits_hold_while_it_is_built(build: Build, recipe: BaselineRecipe) -> None:
    sql = (
        "set threads = 32; set memory_limit = '64GB'; create table first as select"
        " current_setting('threads') as threads, current_setting('memory_limit') as memory"
    )
    built = build(replace(recipe, setup=(sql_step(sql),)))
    with duckdb.connect(str(built.path), read_only=True) as connection:
        assert connection.execute("select * from first").fetchall() == [(1, "128.0 MiB")]


BUILDER = """
import pickle, sys
from pathlib import Path
from search.scenario.baseline import ensure_baseline
from search.scenario.relations import Relations
recipe, limits = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
sys.stdin.readline()
built = ensure_baseline(
    recipe, cache=Path(sys.argv[2]), relations=Relations(), limits=limits, report=lambda line: None
)
print(built.content_sha256, built.path, flush=True)
"""


def test_two_processes_that_build_at_once_agree(recipe: BaselineRecipe, tmp_path: Path) -> None:
    slow = "create table first as select hash(range) as h from range(2000000) order by h"
    recipe = replace(recipe, setup=(sql_step(slow),))
    limits = DuckLimits(256 * MIB, 1, tmp_path / "spill", 256 * MIB)
    (tmp_path / "call").write_bytes(pickle.dumps((recipe, limits)))
    command = [sys.executable, "-c", BUILDER, str(tmp_path / "call"), str(tmp_path / "cache")]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    builders = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for one in builders:
        assert one.stdout.readline() == "ready\n"
    for one in builders:
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate(timeout=120)[0] for one in builders]
    assert [one.returncode for one in builders] == [0, 0]
    assert said[0] == said[1] and said[0]
    sha, path = said[0].split()
    assert hash_of(Path(path)) == sha
    assert [folder.name for folder in (tmp_path / "cache").iterdir()] == [Path(path).parent.name]


def test_what_dead_builders_left_is_swept(
    build: Build, recipe: BaselineRecipe, tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(30)
    left = tmp_path / "cache" / f".building-{dead.pid}-x"
    alive = tmp_path / "cache" / ".building-1-x"
    for folder in (left, alive):
        folder.mkdir(parents=True)
    build(recipe)
    assert not left.exists() and alive.exists()
    shutil.rmtree(alive)


def test_a_database_beside_a_wal_is_refused(database: Path) -> None:
    check_database(database)
    wal = database.with_name("warehouse.duckdb.wal")
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        " c.execute('set checkpoint_threshold = \\'1GB\\'');"
        " c.execute('insert into t0 values (1)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)
    assert wal.exists()
    before = (hash_of(database), hash_of(wal))
    with pytest.raises(DatabaseError, match=r"has commits in warehouse.duckdb.wal .* CHECKPOINT"):
        check_database(database)
    assert (hash_of(database), hash_of(wal)) == before


def test_a_missing_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="must be a DuckDB file, but there is none at"):
        check_database(tmp_path / "none.duckdb")


def test_inputs_are_named_files_and_vars_that_are_paths(tmp_path: Path) -> None:
    (tmp_path / "census.csv").write_text("id")
    (tmp_path / "rates.csv").write_text("rate")
    scenario_vars = {"census": "census.csv", "year": 2026, "label": "none.csv", "empty": ""}
    found = input_files([tmp_path / "rates.csv"], scenario_vars, tmp_path)
    assert found == (tmp_path / "rates.csv", tmp_path / "census.csv")
    with pytest.raises(ProjectError, match="must name existing files, but there is no .*absent"):
        input_files([tmp_path / "absent.csv"], {}, tmp_path)


def test_the_record_says_what_it_was_built_with(build: Build, recipe: BaselineRecipe) -> None:
    built = build(recipe)
    record = json.loads((built.path.parent / room.RECORD_FILE).read_text())
    assert record["versions"]["duckdb"] == duckdb.__version__
    assert record["fingerprint"] == recipe.fingerprint()
