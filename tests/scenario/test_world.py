"""What a scenario reads is noticed, remembered, and looked at before anything old is used."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from studies import write_study

from search.driver.engine import Engine, prepare_engine
from search.errors import ProjectError
from search.scenario.hashing import FileHashes
from search.scenario.input_content import env_content
from search.scenario.plan import ScenarioPlan
from search.scenario.preparation import prepare
from search.scenario.read_log import ReadLog
from search.scenario.world import World
from search.study import load_study
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits

PROJECT = {
    "name": "worldly",
    "profile": "worldly",
    "on-run-start": "attach if not exists '../data/hooked.duckdb' as hooked (read_only)",
}
PROFILE = {
    "worldly": {
        "target": "dev",
        "outputs": {
            "dev": {
                "type": "duckdb",
                "path": "worldly.duckdb",
                "attach": [{"path": "../data/attached.duckdb", "read_only": True}],
            }
        },
    }
}
MODELS = {
    "models/setup_only.sql": (
        "{{ config(materialized='table') }} select sum(v) as v from read_csv('../data/setup.csv')"
    ),
    "models/fct.sql": """
        {{ config(materialized="table") }}
        select {{ var('x') }} * (
            (select v from {{ ref('setup_only') }})
            + (select sum(v) from read_csv('../data/year_{{ var("year") }}.csv'))
            + (select sum(v) from read_csv('../data/parts/*.csv'))
            + (select sum(v) from '../data/link.csv')
            + (select sum(v) from read_csv('data/local.csv'))
            + {{ of_a_macro() }}
            + {{ env_var('WORLDLY_' ~ 'RATE', '1') }}
            + (select v from attached.main.t) + (select v from hooked.main.t)
        ) as v
    """,
    "macros/m.sql": (
        "{% macro of_a_macro() %}(select sum(v) from read_csv('../data/macro.csv')){% endmacro %}"
    ),
}
STUDY: dict[str, Any] = {
    "study": "worldly",
    "scenario": {
        "dbt_project": "project",
        "setup": [{"dbt": {"command": "run", "select": "setup_only"}}],
        "steps": [
            {"for_each": {"year": [1, 2]}, "dbt": {"command": "run", "select": "fct"}},
        ],
        "allow_external_access": True,
    },
    "parameters": {"x": {"low": 0.0, "high": 2.0, "current": 1.0, "bind": {"var": "x"}}},
    "metrics": {
        "v": {"sql": "select v + (select sum(v) from read_csv('../data/metric.csv')) from fct"}
    },
    "targets": {"v": {"value": 3.0}},
    "resources": {"workers": 0, "memory_budget": "2GB"},
}
READ = ("setup", "year_1", "year_2", "parts/a", "real", "macro", "metric")


@dataclass(frozen=True)
class Started:
    """A study whose project reads files of every kind, started once."""

    folder: Path
    engine: Engine

    @property
    def data(self) -> Path:
        """Where the files are that it reads."""
        return self.folder / "data"

    def plan(self) -> ScenarioPlan:
        """Prepare it as the next start does."""
        return _prepare(self.folder, [])

    def state(self) -> tuple[str, str]:
        """Return the fingerprints that decide what is used again."""
        plan = self.plan()
        return plan.fingerprints["baseline"], plan.fingerprints["scenario"]


def _prepare(folder: Path, lines: list[str]) -> ScenarioPlan:
    spec = load_study(folder / "study.yml")
    limits = preparation_limits(spec, memory_plan(spec))
    return prepare(spec, folder / "results/baselines", limits, report=lines.append).plan


def _write(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"v\n{value}\n")


def _database(file: Path, value: int) -> None:
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"create table t as select {value} as v")


@pytest.fixture(scope="module", params=["dbt", "auto"])
def started(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """The study after its first start, by each engine."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, text in MODELS.items():
        (folder / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / name).write_text(text)
    (folder / "project/dbt_project.yml").write_text(yaml.safe_dump(PROJECT))
    (folder / "project/profiles.yml").write_text(yaml.safe_dump(PROFILE))
    for name in READ:
        _write(folder / "data" / f"{name}.csv", 1)
    _write(folder / "project/data/local.csv", 1)
    (folder / "data/link.csv").symlink_to("real.csv")
    for name in ("attached", "hooked"):
        _database(folder / "data" / f"{name}.duckdb", 1)
    document = STUDY | {"resources": STUDY["resources"] | {"engine": request.param}}
    spec = load_study(write_study(folder, document))
    plan = _prepare(folder, [])
    factory = evaluator_factory(spec, plan, memory_plan(spec))
    engine = prepare_engine(factory, spec, folder / "results/programs", report=lambda _: None)
    return Started(folder, engine)


@pytest.mark.dbt
class TestInputs:
    """Whatever is read changes what is used again, in both engines alike."""

    def test_the_first_start_knows_them_all(self, started: Started) -> None:
        """What a second start works out before dbt runs is what the first found out by it."""
        assert started.engine.first is not None
        assert started.engine.first.metrics == {"v": 10.0}
        assert started.engine.plan is not None
        assert started.plan().fingerprints == started.engine.plan.fingerprints
        found = {key.rsplit("/", 1)[-1] for key in started.plan().inputs()}
        assert {"local.csv", "*.csv", "hooked.duckdb", "attached.duckdb"} <= found
        assert {f"{name.split('/')[-1]}.csv" for name in READ if name != "real"} <= found

    @pytest.mark.parametrize("name", [*READ, "../project/data/local"])
    def test_a_file_with_another_content(self, started: Started, name: str) -> None:
        """Of the setup, of one year of the loop, of a metric, a macro, through a link."""
        before, file = started.state(), started.data / f"{name}.csv"
        _write(file, 2)
        after = started.state()
        assert after != before
        assert (after[0] != before[0]) == (name == "setup")
        _write(file, 1)
        assert started.state() == before

    @pytest.mark.parametrize("name", ["attached", "hooked"])
    def test_a_database_with_another_content(self, started: Started, name: str) -> None:
        """Attached by the profile, and by a hook."""
        before, file = started.state(), started.data / f"{name}.duckdb"
        kept = file.read_bytes()
        _database(file, 2)
        assert started.state() != before
        file.write_bytes(kept)
        assert started.state() == before

    def test_a_new_file_that_a_pattern_matches(self, started: Started) -> None:
        """It would be read, so it counts."""
        before = started.state()
        _write(started.data / "parts/b.csv", 1)
        assert started.state() != before
        (started.data / "parts/b.csv").unlink()
        assert started.state() == before

    def test_a_file_that_nothing_reads(self, started: Started) -> None:
        """It does not count, wherever it lies."""
        before = started.state()
        for name in ("parts/notes.txt", "year_3.csv", "../project/run.log"):
            _write(started.data / name, 2)
        assert started.state() == before

    def test_a_variable_with_a_computed_name(
        self, started: Started, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It counts, set or not."""
        before = started.state()
        monkeypatch.setenv("WORLDLY_RATE", "2")
        assert started.state() != before

    def test_a_lost_memory_is_found_out_again(self, started: Started) -> None:
        """Without it nothing that was computed for other contents is taken for today's."""
        before = started.plan()
        assert before.world is not None
        memory = started.folder / "results/baselines/worlds"
        kept = memory.rename(memory.with_name("kept"))
        try:
            lines: list[str] = []
            plan = _prepare(started.folder, lines)
            assert plan.fingerprints["scenario"] != before.fingerprints["scenario"]
            assert any(line.startswith("building baseline") for line in lines)
        finally:
            memory.rename(memory.with_name("lost"))
            kept.rename(memory)


def _world(folder: Path) -> World:
    return World(folder / "worlds", "k" * 64, FileHashes())


def _log(folder: Path, *files: Path) -> ReadLog:
    return ReadLog(folder, files={str(file) for file in files})


def test_what_is_noticed_late_counts_once_it_changes(tmp_path: Path) -> None:
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    _write(early, 1)
    _write(late, 1)
    world = _world(tmp_path)
    assert world.fingerprint() == world.key
    world.learn(_log(tmp_path, early), since=time.time() + 1)
    first = world.fingerprint()
    assert first != world.key
    world.seal()
    world.learn(_log(tmp_path, early, late), since=time.time() + 1)
    assert world.fingerprint() == first
    _write(late, 2)
    assert world.fingerprint() != first
    _write(late, 1)
    assert world.fingerprint() == first


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    _write(file, 1)
    with pytest.raises(ProjectError, match=r"sales\.csv changed while"):
        _world(tmp_path).learn(_log(tmp_path, file), since=time.time() - 60)


def test_what_is_ours_or_written_is_no_input(tmp_path: Path) -> None:
    ours, out, data = tmp_path / "scratch/a.csv", tmp_path / "out.csv", tmp_path / "in.csv"
    for file in (ours, out, data):
        _write(file, 1)
    log = ReadLog(tmp_path, (tmp_path / "scratch",), files={"scratch/a.csv", "out.csv", "in.csv"})
    log.written.add("out.csv")
    log.files |= {"/dev/null", "gone.csv", "https://example.org/a.csv"}
    assert list(log.inputs()) == [("remote", "https://example.org/a.csv"), ("file", str(data))]


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"format_version": 1}'])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    world = _world(tmp_path)
    _write(tmp_path / "a.csv", 1)
    world.learn(_log(tmp_path, tmp_path / "a.csv"), since=time.time() + 1)
    (file,) = (tmp_path / "worlds").glob("*.json")
    file.write_text(damage)
    assert world.inputs() == {} and world.fingerprint() == world.key


def test_the_write_ahead_log_of_a_database_belongs_to_it(tmp_path: Path) -> None:
    database = tmp_path / "a.duckdb"
    _database(database, 1)
    world = _world(tmp_path)
    world.learn(_log(tmp_path, database), since=time.time() + 1)
    before = world.fingerprint()
    (tmp_path / "a.duckdb.wal").write_bytes(b"more")
    assert world.fingerprint() != before


def test_a_remote_file_is_told(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.learn(_log(tmp_path, Path("x")), since=time.time() + 1)
    world.learn(ReadLog(tmp_path, files={"s3://bucket/a.parquet"}), since=time.time() + 1)
    (text,) = world.warnings()
    assert "s3://bucket/a.parquet" in text


def test_an_env_var_is_told_apart_from_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("W_TOKEN", raising=False)
    unset = env_content("W_TOKEN")
    monkeypatch.setenv("W_TOKEN", "")
    assert env_content("W_TOKEN") != unset
    monkeypatch.setenv("W_TOKEN", "a")
    assert "a" != env_content("W_TOKEN") != unset


def test_files_that_are_only_listed_count(tmp_path: Path) -> None:
    """``glob()`` opens nothing; a file that is added later changes its answer all the same."""
    (tmp_path / "data").mkdir()
    log = ReadLog(tmp_path)
    log.saw_statement("select count(*) from GLOB( 'data/*.csv' ) where file <> 'a*'", "model.m.m")
    assert list(log.inputs()) == [("glob", f"{tmp_path}/data/*.csv")]
    world = World(tmp_path / "worlds", "k" * 64, FileHashes(tmp_path))
    world.learn(log, since=time.time() + 9)
    before = world.fingerprint()
    (tmp_path / "data" / "new.csv").write_text("a\n1\n")
    assert world.fingerprint() != before
