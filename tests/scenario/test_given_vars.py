"""Vars that a study gives: slips of the pen are refused, unread ones told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from studies import copy_project, dbt_document, write_study

from search.errors import SpecError
from search.scenario.given_vars import is_same, project_vars, slip_of, unread_text, unread_vars
from search.scenario.preparation import ProjectCheck, check_project
from search.scenario.project import DbtProject, VarReads
from search.study import StudySpec, load_study
from search.workers.resources import memory_plan, preparation_limits

READS = VarReads({"unit_base": ["a.sql"], "census_path": ["b.sql"]}, ("'rate_' ~ year",))


def _study(folder: Path, *overrides: str, **scenario: Any) -> StudySpec:
    file = write_study(folder, dbt_document(scenario=scenario))
    return load_study(file, overrides=overrides)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("unit_bsae", "unit_base"),
        ("census_pth", "census_path"),
        ("Census_Path", "census_path"),
        ("unit_base2", None),
        ("scenario", None),
        ("un", None),
    ],
)
def test_slips_of_the_pen(given: str, meant: str | None) -> None:
    assert slip_of(given, READS.places) == meant


def test_each_kind_of_var_that_nothing_reads(tmp_path: Path) -> None:
    spec = _study(
        tmp_path,
        "scenario.vars.anything=1",
        vars={"unit_bsae": 1, "rate_2031": 2, "lonely": 3, "looked_up": 4, "kept": 5},
        steps=[{"dbt": {"command": "run", "vars": {"census_pth": "x", "in_sql": 1}}}],
        setup=[{"sql": "select {{ var('in_sql') }}"}],
    )
    reads = VarReads(READS.places, READS.computed)
    found = unread_vars(spec, reads, {"looked_up"}, {"kept"})
    assert {(one.given.key, one.meant, one.is_mistake) for one in found} == {
        ("scenario.vars.unit_bsae", "unit_base", True),
        ("scenario.vars.lonely", None, False),
        ("scenario.vars.kept", None, False),
        ("scenario.vars.anything", None, False),  # some name is computed, so nobody knows
        ("scenario.steps[0].dbt.vars.census_pth", "census_path", True),
    }
    told = unread_text(one for one in found if not one.is_mistake)
    assert told is not None and "3 vars" in told and "lonely" in told


def test_one_that_is_given_by_its_right_name_is_no_slip(tmp_path: Path) -> None:
    spec = _study(tmp_path, vars={"unit_base": 1, "unit_bade": 2})
    (one,) = unread_vars(spec, READS, (), ())
    assert (one.given.name, one.meant, one.is_mistake) == ("unit_bade", None, False)


def test_the_command_line_names_what_is_read(tmp_path: Path) -> None:
    spec = _study(tmp_path, "scenario.vars.anything=1")
    (one,) = unread_vars(spec, VarReads(READS.places), (), ())
    assert one.is_mistake and one.meant is None


@pytest.mark.parametrize(
    ("today", "current", "same"),
    [
        (1, 1.0, True),
        ("0.30", 0.3, True),
        ("East", "east", True),
        (True, "true", True),
        (2, 3, False),
    ],
)
def test_values_that_are_the_same(today: Any, current: Any, same: bool) -> None:
    assert is_same(today, current) is bool(same)


def test_the_projects_own_vars_go_before_everyones(tmp_path: Path) -> None:
    text = "name: own\nvars: {a: 1, b: 2, own: {b: 3}, other: {c: 4}}\n"
    (tmp_path / "dbt_project.yml").write_text(text)
    assert project_vars(tmp_path) == {"a": 1, "b": 3, "other": {"c": 4}}
    (tmp_path / "dbt_project.yml").write_text("[")
    assert project_vars(tmp_path) == {}


def _check(project: Path, *overrides: str, **changes: Any) -> ProjectCheck:
    spec = load_study(write_study(project, dbt_document(**changes)), overrides=overrides)
    limits = preparation_limits(spec, memory_plan(spec))
    return check_project(spec, project.parent / "baselines", limits, report=lambda _: None)


@pytest.mark.dbt
def test_a_project_is_asked_which_vars_it_reads(tmp_path: Path) -> None:
    """By doctor's check: slips refused, computed names known, `current` compared with today."""
    project = copy_project("tiny", tmp_path / "project")
    model = next((project / "models").rglob("*.sql"))
    model.write_text(model.read_text() + " + {{ var('lev' ~ 'el', 0) }} * 0 as result")
    model.write_text(model.read_text().replace("end as result", "end", 1))
    check = _check(
        project,
        "scenario.vars.level=1",
        "scenario.vars.loop_x=1",
        parameters={"x": {"current": 2.0}},
    )
    assert [str(one.fields.get("key")) for one in check.mistakes] == []
    assert any("x.current is 2.0, but var x is 1.0 today" in one for one in check.warnings)
    assert any("nothing reads: loop_x" in one for one in check.warnings)
    assert not any("level" in one for one in check.warnings)
    spoilt = _check(project, scenario={"vars": {"levle": 1}})
    assert [one.fields["key"] for one in spoilt.mistakes] == ["scenario.vars.levle"]
    assert "did you mean `level`?" in spoilt.mistakes[0].message


def test_a_var_beside_its_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"scenario\.vars\.x.*is the var of parameter `x`"):
        _study(tmp_path, vars={"x": 3})


def test_expressions_that_compute_names(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    text = "{{ var('a_' ~ y) }} {{ var(name) }} {{ var( 'b' ) }} {{ var('c', 1) }}"
    (tmp_path / "models/m.sql").write_text(text)
    (tmp_path / "dbt_project.yml").write_text("name: p\n")
    reads = DbtProject(tmp_path).var_reads()
    assert reads.computed == ("'a_' ~ y", "name") and set(reads.places) == {"b", "c"}


@pytest.mark.dbt
def test_a_whole_number_of_today_that_is_divided_is_told(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    file = project / "dbt_project.yml"
    model = next((project / "models").rglob("*.sql"))
    words = "var x is the whole number 1 today (dbt_project.yml)"

    def is_told() -> bool:
        return any(words in told for told in _check(project).warnings)

    model.write_text(model.read_text() + " -- https://example.com")
    file.write_text(re.sub(r"\bx: 1\.0\b", "x: 1", file.read_text()))
    assert "x: 1\n" in file.read_text() or "x: 1," in file.read_text()
    assert not is_told()  # nothing divides by it
    model.write_text(model.read_text() + "\n-- {{ 7 // var('x') }}")
    assert is_told()
    file.write_text(re.sub(r"\bx: 1\b", "x: 1.0", file.read_text()))
    assert not is_told()
