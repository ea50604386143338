"""`init`: what is suggested for an unknown project, and the study file that comes of it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from studies import copy_project, run_search

from search.cli.main import main
from search.commands import draft, init, suggestions
from search.commands.examples import example_names, unpack_example
from search.errors import ProjectError, SearchError, SpecError
from search.scenario.survey import SeenVar, Survey, survey_project
from search.scenario.survey_numbers import Mart, SeedCell
from search.study import load_study
from search.study.yaml_reader import read_yaml


def quiet(line: str) -> None:
    """Take a line of progress."""


class Quiet:
    """Takes news, and shows none."""

    note = staticmethod(quiet)


def mart(name: str = "fct_sales", **changes: Any) -> Mart:
    """Return a model with three numbers."""
    sums = {"month": 78.0, "units": 1200.0, "revenue": 5000.0}
    values: dict[str, Any] = {
        "columns": tuple(sums), "sums": sums, "rows": 12, "readers": 0,
        "vars": frozenset({"price", "start_year"}), "seeds": frozenset({"costs"}),
    }  # fmt: skip
    return Mart(name, **(values | changes))


def survey(**changes: Any) -> Survey:
    """Return what would be seen of a small project."""
    values: dict[str, Any] = {
        "name": "shop",
        "vars": (
            SeenVar("price", 2.5, ("models/a.sql:3",)),
            SeenVar("start_year", 2026, ("models/b.sql:1",)),
            SeenVar("region", "north", ("models/b.sql:2",)),
        ),
        "cells": (SeedCell("costs", "eur", "item = 'rent'", 900.0),),
        "marts": (mart(),),
        "models": 4, "has_seeds": True, "command": "run", "database": None,
    }  # fmt: skip
    return Survey(**(values | changes))


def a_draft(tmp_path: Path, seen: Survey, **changes: Any) -> draft.Draft:
    aim, movables = init.suggested(seen, parameters=(), metric=None)
    made = init.drafted(
        seen, tmp_path, tmp_path / "study.yaml", name=None, aim=aim, movables=movables, target="+5%"
    )
    return made if not changes else replace(made, **changes)


def test_a_number_is_suggested_and_a_year_is_not() -> None:
    aim, movables = init.suggested(survey(), parameters=(), metric=None)
    assert (aim.text, aim.sql) == (
        "sum(fct_sales.revenue)",
        "select sum(revenue) from {{ ref('fct_sales') }}",
    )
    assert [(one.name, one.low, one.high) for one in movables] == [
        ("price", 1.2, 3.8),
        ("costs_rent", 450.0, 1400.0),
    ]


@pytest.mark.parametrize(
    ("value", "name", "span"),
    [
        (0.035, "merit_budget", (0.0, 0.07)),
        (0.0, "bonus", (0.0, 0.02)),
        (0.8, "occupancy_rate", (0.4, 1.0)),
        (0.8, "price", (0.4, 1.2)),
        (40, "hours", (20, 60)),
        (1, "levels", (0, 2)),
        (0, "extra", (0, 1)),
        (-10, "offset", (-15, -5)),
        (-2.0, "shift", (-3.0, -1.0)),
    ],
)
def test_a_range_holds_todays_value(value: float, name: str, span: tuple[float, float]) -> None:
    low, high = suggestions._span(value, name)
    assert (low, high) == span
    assert low <= value <= high and low < high
    assert isinstance(value, int) == isinstance(low, int)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["prise"], "did you mean `price`"),
        (["price=3:9"], "around its current value 2.5"),
        (["price=cheap:dear"], "LOW:HIGH"),
        (["price=4"], "LOW:HIGH"),
    ],
)
def test_a_parameter_that_is_none(texts: list[str], told: str) -> None:
    with pytest.raises(SpecError, match=re.escape(told)):
        suggestions.chosen_movables(suggestions.movables_of(survey()), texts)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fct_sale.revenue", "did you mean `fct_sales`"),
        ("fct_sales.revenu", "did you mean `revenue`"),
        ("fct_sales", "count"),
        ("median(fct_sales.revenue)", "MODEL.COLUMN"),
        ("sum(fct_sales)", "must name a column"),
    ],
)
def test_a_metric_that_is_none(text: str, told: str) -> None:
    if text == "fct_sales":
        assert suggestions.chosen_aim(survey(), text).text == "count(fct_sales)"
        return
    with pytest.raises(SpecError, match=re.escape(told)):
        suggestions.chosen_aim(survey(), text)


@pytest.mark.parametrize("text", ["lots", "nan", "5 percent", ""])
def test_a_target_that_is_none(text: str) -> None:
    with pytest.raises(SpecError, match=r"\+5%"):
        suggestions.chosen_target(text)


def test_the_suggested_target_is_within_reach() -> None:
    target = suggestions.suggested_target(100.0, {"a": (1.0, 112.0), "b": (1.0, 70.0)})
    assert target == {"change": -0.15, "tolerance": 0.01}
    assert suggestions.suggested_target(0.0, {"a": (1.0, 8.0)})["value"] == 4.0
    small = suggestions.suggested_target(1000.0, {"a": (1.0, 1002.0)})
    assert 0 < small["tolerance"] < small["change"]  # today's value does not meet it


def test_what_does_not_go_together_is_refused() -> None:
    seen = survey(marts=(mart(), mart("fct_other", vars=frozenset(), seeds=frozenset())))
    with pytest.raises(SpecError, match=r"fct_other.* does not read price"):
        init.suggested(seen, parameters=["price"], metric="fct_other.units")


def test_a_project_without_numbers_to_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: x\n")
    for seen, told in (
        (survey(vars=(SeenVar("region", "north", ()),), cells=()), "something to move"),
        (survey(marts=()), "a number to aim at"),
    ):
        monkeypatch.setattr(init, "run_in_child", lambda *_, s=seen, **__: s)
        with pytest.raises(ProjectError, match=told):
            init.look_at(tmp_path, tmp_path / "study.yaml", Quiet())  # type: ignore[arg-type]


def test_the_file_is_a_study_with_its_comments(tmp_path: Path) -> None:
    cells = tuple(SeedCell("costs", "eur", f"item = '{name}'", 9.0) for name in "abcdefghijklmnop")
    made = a_draft(tmp_path, survey(cells=cells), today=5000.0, ends={"price": (3.8, 5600.0)})
    document = yaml.safe_load(made.text())
    assert document["scenario"]["steps"] == [{"dbt": {"command": "run", "select": "+fct_sales"}}]
    assert document["targets"] == {"revenue": {"change": 0.05, "tolerance": 0.005}}
    assert made.text().startswith("# yaml-language-server: $schema=study.schema.json\n")
    assert "at 3.8: revenue 5,600" in made.text() and "# today 5,000" in made.text()
    assert "more numbers that fct_sales reads" in made.text()
    init.write(made)
    assert load_study(made.file).study == "shop"
    assert max(len(line) for line in made.text().splitlines()) < 160


@pytest.mark.parametrize("name", ["Net pay", 'a"b', "select", "ä"])
def test_columns_of_any_name_make_a_file_that_loads(tmp_path: Path, name: str) -> None:
    odd = mart(columns=(name,), sums={name: 1.0})
    made = a_draft(tmp_path, survey(marts=(odd,)))
    init.write(made)
    (metric,) = load_study(made.file).metrics.values()
    assert '"' in metric.sql


# --- what is wrong -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["1e9", "1e999", ".5e3", "017", "true", "1:30", "a: b", "päy", ""])
def test_a_text_stays_a_text_for_the_study_files_reader(name: str) -> None:
    assert read_yaml(suggestions.flow({"study": name})).value == {"study": name}
    assert read_yaml(f"study: {suggestions.flow(name)}").value == {"study": name}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "must be a folder with a dbt_project.yml"),
        ({"shop/dbt_project.yml": ""}, "there is one in"),
        ({"dbt_project.yml": "name: [\n"}, "is not valid YAML"),
        ({"dbt_project.yml": "name: x\n"}, "must name its profile"),
        ({"dbt_project.yml": "name: x\nprofile: x\n", "profiles.yml": "y: {}\n"}, "profile 'x'"),
    ],
)
def test_a_folder_that_is_no_project(
    tmp_path: Path, files: Mapping[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(
        init, "run_in_child", lambda call, *args, report: call(*args, report=report)
    )

    with pytest.raises(SearchError, match=re.escape(told)):
        init.look_at(tmp_path, tmp_path / "study.yaml", Quiet())  # type: ignore[arg-type]


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("mine")
    done = CliRunner().invoke(
        main, ["init", str(tmp_path), "--to", str(tmp_path / "study.yaml")], standalone_mode=False
    )
    assert isinstance(done.exception, SpecError) and "--to" in str(done.exception)
    assert (tmp_path / "study.yaml").read_text() == "mine"


@pytest.mark.dbt
def test_a_project_that_does_not_parse_or_build(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "tiny")
    model = next((project / "models").glob("*.sql"))
    text = model.read_text()
    model.write_text("select {{ nothing(")
    with pytest.raises(ProjectError, match="does not parse"):
        survey_project(project, 1, report=quiet)
    model.write_text("select * from no_such_table")
    with pytest.raises(ProjectError, match=r"must build before.*no_such_table"):
        survey_project(project, 1, report=quiet)
    model.write_text(text)
    assert not (project / "target").exists() and not list(project.glob("*.duckdb"))


# --- a project as it is ------------------------------------------------------------


@pytest.mark.dbt
def test_retail_is_seen_as_it_is(retail: Path) -> None:
    seen = survey_project(retail, 1, report=quiet)
    by_name = {one.name: one for one in seen.vars}
    assert (by_name["price_factor"].value, by_name["price_factor"].places) == (
        1.0, ("models/int_prices.sql:7",),
    )  # fmt: skip
    assert by_name["promotions"].value is True and not by_name["promotions"].is_number
    # Through a macro of a package, and through the models between.
    sales = next(one for one in seen.marts if one.name == "fct_sales")
    assert {"elasticity", "price_factor"} <= sales.vars and "products" in sales.seeds
    freight = next(
        one for one in seen.cells if "freight_rate" in one.where and "north" in one.where
    )
    assert (freight.seed, freight.column, freight.value) == (
        "store_settings",
        "setting_value",
        0.04,
    )


@pytest.mark.dbt
@pytest.mark.long
def test_a_strangers_project_has_a_study_that_meets_its_target(
    tmp_path: Path, retail: Path
) -> None:
    """Nothing is chosen: what is suggested passes `doctor`, and `run` meets it."""
    shutil.copytree(retail, tmp_path / "retail", ignore=shutil.ignore_patterns("study.yml"))
    made = run_search("init", "retail", "--yes", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = run_search("doctor", "study.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    ran = run_search("run", "study.yaml", "--workers", "0", cwd=tmp_path, timeout=400)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.dbt
@pytest.mark.long
def test_a_terminal_is_asked(tmp_path: Path, retail: Path) -> None:
    """Numbers and names are taken, a slip is asked again."""
    shutil.copytree(retail, tmp_path / "retail", ignore=shutil.ignore_patterns("study.yml"))
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "search", "init", "retail"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as asked:
        for line in ("fct_sales.revenu", "fct_sales.revenue", "price_factor=0.8:1.2", "+2%"):
            os.write(ours, f"{line}\n".encode())
        said = asked.communicate(timeout=300)[0].decode()
    assert asked.returncode == 0, said
    assert "did you mean `revenue`" in said
    study = load_study(tmp_path / "study.yaml")
    (parameter,) = study.parameters.values()
    assert (parameter.low, parameter.high) == (0.8, 1.2)
    assert study.targets["revenue"].change == 0.02


# --- bundled examples --------------------------------------------------------------


def test_the_bundled_examples_load(tmp_path: Path) -> None:
    assert example_names() == ["compensation", "montecarlo", "pricing"]
    for name in example_names():
        study = load_study(unpack_example(name, tmp_path / name))
        assert study.study == name
        assert (tmp_path / name / "study.schema.json").is_file()
        assert not list((tmp_path / name).rglob("target"))


def test_an_example_goes_into_a_new_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean `pricing`"):
        unpack_example("pricng", tmp_path / "new")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SpecError, match="init OTHER --example pricing"):
        unpack_example("pricing", tmp_path)


@pytest.mark.dbt
@pytest.mark.long
@pytest.mark.parametrize("name", ["compensation", "montecarlo", "pricing"])
def test_an_example_meets_its_targets(
    tmp_path: Path, name: str, without_children: Callable[[], None]
) -> None:
    study = unpack_example(name, tmp_path / name)
    done = run_search("run", study, cwd=tmp_path, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
