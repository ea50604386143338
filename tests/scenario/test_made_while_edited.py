"""A baseline or a program that is made while somebody edits what it is made from is not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from studies import MIB, copy_project, factory_of, load, plan_of, tiny_document

from search.errors import ProjectError
from search.scenario.baseline import ensure_baseline, world_of
from search.scenario.baseline_recipe import BaselineRecipe
from search.scenario.compiled.library import Library
from search.scenario.compiled.source import Source
from search.scenario.duck_limits import DuckLimits
from search.scenario.plan import Profile
from search.scenario.project import DbtProject
from search.scenario.relations import Relations
from search.study.steps import ExpandedStep
from search.system.unchanged import Untouched

Write = Callable[[], None]


def edited(file: Path) -> Write:
    return lambda: file.write_text("another")


def edited_and_restored(file: Path) -> Write:
    def write() -> None:
        before = file.read_text()
        file.write_text("another")
        file.write_text(before)

    return write


EDITS = pytest.mark.parametrize("edit", [edited, edited_and_restored])


def on(words: str, write: Write) -> Callable[[str], None]:
    """Return what takes news and writes once at some of it."""
    left = [write]

    def report(line: str) -> None:
        if words in line and left:
            left.pop()()

    return report


@EDITS
@pytest.mark.parametrize("what", ["census.csv", "model.sql"])
def test_a_baseline(tmp_path: Path, what: str, edit: Callable[[Path], Write]) -> None:
    for name in ("census.csv", "model.sql"):
        (tmp_path / name).write_text("a\n1\n")
    sql = "create table t as select 1 as a"
    profile = Profile("tiny", "dev", {"type": "duckdb"}, "tiny")
    setup = (ExpandedStep(name="setup[0]", index=0, kind="sql", sql=sql),)
    recipe = BaselineRecipe(tmp_path, "p", profile, {}, setup, None, (tmp_path / "census.csv",))
    cache = tmp_path / "cache"

    def ensure(report: Callable[[str], None]) -> Any:
        return ensure_baseline(
            recipe, cache=cache, relations=Relations(), report=report,
            limits=DuckLimits(256 * MIB, 1, tmp_path / "spill", 64 * MIB),
            untouched=Untouched(lambda: [tmp_path / "model.sql"]),
        )  # fmt: skip

    with pytest.raises(ProjectError, match=rf"{what} changed while the baseline was built"):
        ensure(on("building baseline", edit(tmp_path / what)))
    assert list(cache.rglob("*.duckdb")) == []
    # Started again it is built, and under what the file holds by now.
    built = ensure(lambda line: None)
    assert built.was_built and built.fingerprint == world_of(recipe, cache).fingerprint()
    assert not ensure(lambda line: None).was_built


@EDITS
def test_a_program(tmp_path: Path, edit: Callable[[Path], Write]) -> None:
    project = copy_project("tiny", tmp_path / "project")
    model = project / "models" / "fct_result.sql"
    step = {"sql": "create or replace table result as select {{ var('x') }} * 10 as v"}
    document = tiny_document(
        scenario={"steps": [step]}, metrics={"v": {"sql": "select max(v) from result"}}
    )
    spec = load(project, document)
    plan = plan_of(spec, tmp_path / "baseline" / "tiny.duckdb")
    plan = replace(
        plan,
        fingerprints={"scenario": "tiny"},
        files_fingerprint=DbtProject(project).fingerprint(),
    )
    source = Source(factory_of(plan, tmp_path / "scratch"), spec.parameters, None)
    library = Library.of(source, tmp_path / "programs")
    candidate = {"x": 1.0, "rate": 1.0}
    with pytest.raises(ProjectError, match=r"fct_result\.sql changed while dbt was recorded"):
        library.find_or_compile(candidate, report=on("recording dbt", edit(model)))
    assert library.find(candidate) is None
    if edit is edited:
        # Another project than the plan speaks of, edited before anything is recorded.
        with pytest.raises(ProjectError, match="changed since the study was prepared"):
            library.find_or_compile(candidate, report=lambda line: None)
    else:
        assert library.find_or_compile(candidate, report=lambda line: None)
