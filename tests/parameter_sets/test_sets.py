"""Applying, going back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from projects import ANA, LEVERS, PROJECT, journal_file, levers, make, project, sets_of

from search.errors import AuditError, ProjectError, SpecError
from search.parameter_sets.journal import ROLLBACK, VALUES, Journal, Origin
from search.parameter_sets.sets import Author
from search.study import StudySpec, load_study

BY_VALUES = Origin(kind=VALUES)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    return make(tmp_path)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.splitlines(), after.splitlines()
    return [x for x in old if x not in new], [x for x in new if x not in old]


def test_a_var_becomes_one_row_that_replaces_those_of_levels(spec: StudySpec) -> None:
    applied = sets_of(spec).apply({"merit": 0.045}, BY_VALUES, ANA)
    day = applied.active.at.date().isoformat()
    gone, new = changed_lines(LEVERS, levers(spec))
    assert gone == [
        'mine,1,merit,0.05,false,2026-01-01,"seed, by hand"',
        "mine,2,merit,0.06,false,2026-01-01,seed",
    ]
    assert new == [f"mine,,merit,0.045,false,{day},ana"]
    assert levers(spec).splitlines()[4] == new[0]
    assert project(spec) == PROJECT


def test_a_new_row_stands_behind_its_scenario(spec: StudySpec) -> None:
    sets_of(spec).apply({"cola": 0.01}, BY_VALUES, ANA)
    lines = levers(spec).splitlines()
    assert lines[7].startswith("mine,,cola,0.01,false,") and lines[8].startswith("other")


def test_cells_and_project_vars_are_changed_in_place(spec: StudySpec) -> None:
    sets_of(spec).apply({"tip": 2.5, "timing": "july", "days": 45}, BY_VALUES, ANA)
    gone, new = changed_lines(LEVERS, levers(spec))
    assert gone == ["mine,,tip,1,false,2026-01-01,seed"]
    assert len(new) == 1 and new[0].startswith("mine,,tip,2.5,false,") and new[0].endswith(",ana")
    assert changed_lines(PROJECT, project(spec)) == (
        ["  timing: 'january' # when raises come", "  days: 30"],
        ["  timing: july # when raises come", "  days: 45"],
    )


def test_the_history_says_who_when_why_and_from_what(spec: StudySpec) -> None:
    origin = Origin(kind="trial", study="mine-v2", run_id="r", trial=9, metrics={"v": 1.5})
    sets_of(spec).apply({"cola": 0.01}, origin, Author("ana", "plan"))
    found, applied = sets_of(spec).journal().sets
    assert (found.version, found.origin.kind, found.values) == (
        0, "found", {"timing": "january", "days": 30, "tip": 1.0},
    )  # fmt: skip
    assert (applied.version, applied.author, applied.reason) == (1, "ana", "plan")
    assert applied.origin == origin
    assert applied.values == {**found.values, "cola": 0.01}
    record = Journal.of(spec).records()[1]
    assert (record.study, record.trial, record.is_active) == ("mine-v2", 9, True)
    assert not Journal.of(spec).records()[0].is_active


def test_rollback_brings_every_row_back(spec: StudySpec) -> None:
    sets = sets_of(spec)
    sets.apply({"merit": 0.045, "timing": "july"}, BY_VALUES, ANA)
    first = levers(spec), project(spec)
    sets.apply({"merit": 0.05, "tip": 3.0, "cola": 0.0}, BY_VALUES, ANA)
    back = sets.roll_back(None, ANA)
    assert (back.active.version, back.active.origin.version) == (3, 1)
    assert (levers(spec), project(spec)) == first
    again = sets.roll_back(None, ANA)
    assert (again.active.origin.kind, again.active.origin.version) == (ROLLBACK, 0)
    assert (levers(spec), project(spec)) == (LEVERS, PROJECT)


def test_what_is_edited_by_hand_is_kept_before_it_is_overwritten(spec: StudySpec) -> None:
    sets = sets_of(spec)
    sets.apply({"tip": 2.0}, BY_VALUES, ANA)
    seed = spec.file.parent / "project" / "seeds" / "levers.csv"
    seed.write_text(levers(spec).replace("tip,2.0", "tip,4.5"))
    assert sets.drift() == ["tip"]
    applied = sets.apply({"tip": 3.0}, BY_VALUES, ANA)
    assert applied.kept == (2,)
    assert [one.values["tip"] for one in sets.journal().sets] == [1.0, 2.0, 4.5, 3.0]
    sets.roll_back(2, ANA)
    assert "tip,4.5" in levers(spec)


def test_the_same_values_again_are_no_new_set(spec: StudySpec) -> None:
    sets = sets_of(spec)
    assert sets.apply({"tip": 2.0}, BY_VALUES, ANA).is_changed
    before = levers(spec), journal_file(spec).read_bytes()
    assert not sets.apply({"tip": 2.0}, BY_VALUES, ANA).is_changed
    assert (levers(spec), journal_file(spec).read_bytes()) == before


def test_a_dry_run_writes_nothing(spec: StudySpec) -> None:
    applied = sets_of(spec).apply({"tip": 2.0}, BY_VALUES, ANA, is_dry_run=True)
    assert applied.is_changed and [one.path.name for one in applied.changes] == [
        "levers.csv", "mine.jsonl",
    ]  # fmt: skip
    assert levers(spec) == LEVERS and not journal_file(spec).parent.exists()


def lock(spec: StudySpec, line: str) -> None:
    assert line in levers(spec)
    seed = spec.file.parent / "project" / "seeds" / "levers.csv"
    seed.write_text(levers(spec).replace(line, line.replace("false", "true")))


@pytest.mark.parametrize(
    ("row", "values", "place"),
    [
        ("mine,2,merit,0.06,false", {"merit": 0.01}, "levers.csv line 6"),
        ("default,,cola,0.02,false", {"cola": 0.01}, "levers.csv line 4"),
        ("mine,,tip,1,false", {"tip": 2.0}, "levers.csv line 7"),
    ],
)
def test_a_locked_lever_is_refused_by_name(
    spec: StudySpec, row: str, values: dict[str, Any], place: str
) -> None:
    lock(spec, row)
    before = levers(spec)
    (name,) = values
    with pytest.raises(SpecError, match=rf"locked parameters .*{name} \({place}\)"):
        sets_of(spec).apply({**values, "days": 60}, BY_VALUES, ANA)
    assert levers(spec) == before and project(spec) == PROJECT
    assert not journal_file(spec).parent.exists()


def test_a_locked_lever_that_stays_as_it_is_stands_in_nobodys_way(spec: StudySpec) -> None:
    lock(spec, "mine,,tip,1,false")
    sets_of(spec).apply({"tip": 1.0, "days": 60}, BY_VALUES, ANA)
    assert "days: 60" in project(spec)


def test_a_rollback_respects_locks(spec: StudySpec) -> None:
    sets = sets_of(spec)
    sets.apply({"tip": 2.0}, BY_VALUES, ANA)
    line = next(one for one in levers(spec).splitlines() if ",tip," in one)
    lock(spec, line)
    with pytest.raises(SpecError, match="locked parameters must not change.*tip"):
        sets.roll_back(0, ANA)


@pytest.mark.parametrize(
    ("changes", "values", "says"),
    [
        ({}, {"tip": 9.0}, "tip.*between"),
        ({}, {"days": 30.5}, "days"),
        ({}, {"tips": 1.0}, "tips.*did you mean.*tip"),
        ({"apply": {"seed": "lever"}}, {"cola": 0.01}, "lever is none.*did you mean `levers`"),
        ({"apply": {"value": "amount"}}, {"cola": 0.01}, "must have the column amount, but has"),
        ({"apply": {"project_vars": ["cola"]}}, {"cola": 0.01}, "must set the var cola"),
        (
            {"parameters": {"tip": {"bind": {"where": "lever = 'none'"}}}},
            {"tip": 2.0},
            "where must pick rows of .*levers.csv, but none fits",
        ),
        (
            {"parameters": {"tip": {"bind": {"where": "lver = 'tip'"}}}},
            {"tip": 2.0},
            "where must pick rows of .*levers.csv, but.*lver",
        ),
        ({"constraints": ["tip + days <= 40"]}, {"days": 40}, "constraints must hold"),
    ],
)
def test_what_cannot_be_applied_is_refused_and_nothing_written(
    tmp_path: Path, changes: dict[str, Any], values: dict[str, Any], says: str
) -> None:
    spec = make(tmp_path, changes)
    if "constraints" in changes:
        sets_of(spec).apply({"merit": 0.03, "cola": 0.02}, BY_VALUES, ANA)
    before = sorted((p, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file())
    with pytest.raises((SpecError, ProjectError), match=says):
        sets_of(spec).apply(values, BY_VALUES, ANA)
    assert sorted((p, p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file()) == before


@pytest.mark.parametrize("edit", ["value", "removed", "swapped", "torn"])
def test_an_edited_history_is_refused(spec: StudySpec, edit: str) -> None:
    for tip in (2.0, 3.0):
        sets_of(spec).apply({"tip": tip}, BY_VALUES, ANA)
    lines = journal_file(spec).read_bytes().splitlines(keepends=True)
    if edit == "value":
        lines[1] = lines[1].replace(b'"tip":2.0', b'"tip":2.5')
    elif edit == "removed":
        del lines[1]
    elif edit == "swapped":
        lines[0], lines[1] = lines[1], lines[0]
    else:
        lines[2] = lines[2][:-20]
    journal_file(spec).write_bytes(b"".join(lines))
    with pytest.raises(AuditError, match=r"mine\.jsonl:\d: .*restore the file from git"):
        sets_of(spec).journal()
    with pytest.raises(AuditError):
        sets_of(spec).apply({"tip": 4.0}, BY_VALUES, ANA)


# --- what current: active means ------------------------------------------------------


def again(spec: StudySpec, current: Any) -> StudySpec:
    text = json.dumps(current)
    return load_study(spec.file, overrides=[f"parameters.tip.current={text}"])


def test_active_is_the_value_in_force(spec: StudySpec) -> None:
    with pytest.raises(SpecError, match=r"parameters.tip.current: is active, but no parameter set"):
        again(spec, "active")
    fallback = again(spec, {"active": 0.5})
    assert (fallback.parameters["tip"].current, fallback.active) == (0.5, frozenset())
    sets_of(spec).apply({"tip": 2.0}, BY_VALUES, ANA)
    for current in ("active", {"active": 0.5}):
        found = again(spec, current)
        assert (found.parameters["tip"].current, found.active) == (2.0, {"tip"})


@pytest.mark.parametrize(
    ("name", "changes", "value"),
    [
        ("cola", {}, 0.02),  # inherited: the scenario has no row of its own
        ("days", {}, 30),  # dbt_project.yml
        ("timing", {}, "january"),
        ("cola", {"scenario": {"vars": {"scenario_id": "other"}}}, 0.5),
    ],
)
def test_active_is_what_dbt_uses_as_long_as_no_set_was_applied(
    tmp_path: Path, name: str, changes: dict[str, Any], value: Any
) -> None:
    asked = {name: {"current": "active"} | ({"high": 1.0} if name == "cola" else {})}
    spec = make(tmp_path, changes | {"parameters": asked})
    current = spec.parameters[name].current
    assert (current, type(current)) == (value, type(value))
    assert spec.active == frozenset()


def test_active_is_no_guess_where_dbt_has_several_values(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"parameters.merit.current: is active, but no parameter"):
        make(tmp_path, {"parameters": {"merit": {"current": "active"}}})
    fallback = make(tmp_path / "b", {"parameters": {"merit": {"current": {"active": 0.01}}}})
    assert fallback.parameters["merit"].current == 0.01


def test_active_is_refused_when_the_journal_is_damaged(spec: StudySpec) -> None:
    sets_of(spec).apply({"tip": 2.0}, BY_VALUES, ANA)
    journal_file(spec).write_bytes(journal_file(spec).read_bytes()[:-9])
    with pytest.raises(SpecError, match="journal .* is damaged"):
        again(spec, "active")


def test_a_choice_named_active_is_a_choice(tmp_path: Path) -> None:
    state = {"choices": ["active", "idle"], "current": "active", "bind": {"var": "state"}}
    assert make(tmp_path, {"parameters": {"state": state}}).parameters["state"].current == "active"
