"""`clean`: what a folder of results holds, and removing nothing that somebody uses."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

import search
from search.cli.main import main
from search.commands import clean
from search.errors import ArgumentError
from search.storage.lock import StudyLock

DAY = 86_400.0
PEOPLE = "create table p (employee_id int, annual_salary int)"


def made(results: Path, name: str, *, days: float = 1, size: int = 100_000, sql: str = "") -> Path:
    """Make a baseline, a recording (`programs/...`) or results that were used days ago."""
    folder = results / name
    folder.mkdir(parents=True)
    mark = {"baselines": "baseline.json", "programs": "index.json"}.get(
        name.split("/")[0], "events.jsonl"
    )
    (folder / mark).write_text("{}")
    (folder / "filling").write_bytes(os.urandom(size))
    if sql:
        database = folder / ("audit.duckdb" if mark == "events.jsonl" else "x.duckdb")
        with duckdb.connect(str(database)) as connection:
            connection.execute(sql)
    then = time.time() - days * DAY
    for file in folder.iterdir():
        os.utime(file, (then, then))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two baselines, a recording and a study."""
    folder = tmp_path / "results"
    made(
        folder, "baselines/old", days=40, sql="create table p (employee_id int, annual_salary int)"
    )
    made(folder, "baselines/new", days=2, sql="create table w (week int)")
    made(folder, "programs/old", days=50)
    made(folder, "plan", days=90)
    made(folder, ".dagster/home", days=90)
    return folder


def names(kept: list[clean.Kept]) -> list[str]:
    return [f"{one.path.parent.name}/{one.path.name}" for one in kept]


def test_what_is_there_is_told_with_people_and_age(results: Path) -> None:
    kept = clean.kept_in(results)
    by_name = {one.path.name: one for one in kept if one.kind == "baseline"}
    assert by_name["old"].people == ("annual_salary", "employee_id")
    assert by_name["new"].people == ()
    assert {one.kind for one in kept} == {"baseline", "recording", "results"} and len(kept) == 4
    text = clean.kept_text(kept, results)
    assert "annual_salary, employee_id" in text and "40 days ago" in text
    # A look is no use of it.
    assert [one.used_at for one in clean.kept_in(results)] == [one.used_at for one in kept]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"older_than_seconds": 30 * DAY, "down_to_bytes": None},
            ["programs/old", "baselines/old"],
        ),
        ({"older_than_seconds": 45 * DAY, "down_to_bytes": None}, ["programs/old"]),
        (
            {"older_than_seconds": None, "down_to_bytes": 0},
            ["programs/old", "baselines/old", "baselines/new"],
        ),
        ({"older_than_seconds": None, "down_to_bytes": 10**9}, []),
        ({"older_than_seconds": None, "down_to_bytes": None}, []),
    ],
)
def test_the_longest_unused_go_first(
    results: Path, options: dict[str, Any], expected: list[str]
) -> None:
    assert names(clean.chosen(clean.kept_in(results), **options)) == expected


def test_what_was_used_just_now_stays(results: Path) -> None:
    os.utime(results / "programs" / "old" / "index.json")
    kept = clean.kept_in(results)
    assert "programs/old" not in names(clean.chosen(kept, older_than_seconds=0, down_to_bytes=0))


def test_while_a_study_runs_nothing_that_it_may_use_is_removed(results: Path) -> None:
    made(results, "other", days=90)
    options: dict[str, Any] = {
        "older_than_seconds": 0, "down_to_bytes": 0,
        "kinds": (*clean.CACHES, "results"),
    }  # fmt: skip
    before = clean.kept_in(results)
    with StudyLock(results / "plan" / "study.lock"):
        assert names(clean.chosen(clean.kept_in(results), **options)) == ["results/other"]
        # Chosen before it began to run: found out when it is to be removed.
        gone = clean.remove(clean.chosen(before, **options))
        assert names(gone) == ["results/other"]
        assert (results / "plan" / "events.jsonl").exists()
        assert (results / "baselines" / "old" / "baseline.json").exists()
    assert len(clean.remove(clean.chosen(before[:0], **options))) == 0


def test_the_command_asks_before_it_removes(results: Path) -> None:
    words = ["clean", "--results", str(results), "--older-than", "30d"]
    refused = CliRunner().invoke(main, words, input="n\n")
    assert refused.exit_code != 0 and (results / "baselines" / "old").exists()
    shown = CliRunner().invoke(main, [*words, "--dry-run"])
    assert "to remove" in shown.output and (results / "baselines" / "old").exists()
    done = CliRunner().invoke(main, words, input="y\n", standalone_mode=False)
    assert done.exit_code == 0, done.output
    assert sorted(one.name for one in (results / "baselines").iterdir()) == ["new"]
    assert (results / "plan").exists()
    told = CliRunner().invoke(main, [*words, "--with-results", "--json", "--yes"])
    assert [Path(one["path"]).name for one in json.loads(told.output)["removed"]] == ["plan"]


@pytest.mark.parametrize("option", [("--older-than", "soon"), ("--down-to", "much")])
def test_an_option_that_is_no_size_or_time(results: Path, option: tuple[str, str]) -> None:
    done = CliRunner().invoke(main, ["clean", "--results", str(results), *option])
    assert done.exit_code == 2 and option[0] in done.output and "Traceback" not in done.output


def test_an_empty_place(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["clean", "--results", str(tmp_path / "nowhere")])
    assert "holds no baselines" in done.output


def test_a_limit_that_is_none_is_told() -> None:
    with pytest.raises(ArgumentError, match=clean.LIMIT_VARIABLE):
        clean.cache_limit({clean.LIMIT_VARIABLE: "lots"})
    assert clean.cache_limit({clean.LIMIT_VARIABLE: "1GB"}) == 10**9
    assert clean.cache_limit({}) is None


@pytest.mark.dbt
def test_a_run_keeps_within_the_limit(
    results: Path,
    tiny: Callable[..., Path],
    without_children: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the run itself used stays, however small the limit is."""
    monkeypatch.setenv(clean.LIMIT_VARIABLE, "1MB")
    made(results, "baselines/big", days=3, size=2_000_000)
    lines: list[str] = []
    study = search.load_study(tiny(), set={"search.max_trials": 2})
    search.run_study(study, results=results, on_progress=lines.append)
    assert any("removed" in line and "1.00 MB" in line for line in lines), lines
    left = {one.name for one in (results / "baselines").iterdir()}
    assert "big" not in left and len(left - {"answers", "worlds", "new"}) >= 1
