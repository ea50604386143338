"""A loop over several steps, and vars from a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import load, tiny_document, write_study

from search.errors import SpecError
from search.study import expand_metrics, load_study, scenario_fingerprint, study_from_document
from search.study.steps import expand

LOOP = {
    "for_each": {"year": [1, 2]},
    "steps": [
        {"dbt": {"command": "run", "select": "a", "vars": {"half": 1}}},
        {"sql": "select {{ year }}"},
    ],
}


def test_a_loop_runs_all_its_steps_for_each_value(tmp_path: Path) -> None:
    spec = load(tmp_path, tiny_document(scenario={"steps": [LOOP, {"sql": "select 1"}]}))
    steps = expand(spec.scenario.steps)
    assert [one.name for one in steps] == [
        "steps[0].steps[0] year=1",
        "steps[0].steps[1] year=1",
        "steps[0].steps[0] year=2",
        "steps[0].steps[1] year=2",
        "steps[1]",
    ]
    assert [one.ends_repetition for one in steps] == [False, True, False, True, False]
    assert [one.is_last_of_loop for one in steps] == [False, False, True, True, False]
    assert steps[2].vars == {"half": 1, "year": 2} and steps[3].loop == ("year", 2)
    assert {one.index for one in steps[:4]} == {0}


def test_a_metric_after_each_belongs_to_the_whole_repetition(tmp_path: Path) -> None:
    metrics = {"v": {"sql": "select 1", "after": "each", "combine": "each"}}
    document = tiny_document(scenario={"steps": [LOOP]}, metrics=metrics)
    document["targets"] = {"v": {"value": 1}}
    names = [one.name for one in expand_metrics(load(tmp_path, document))]
    assert names == ["v@1", "v@2"]


@pytest.mark.parametrize(
    ("step", "key", "word"),
    [
        ({"steps": [{"sql": "select 1"}]}, r"steps\[0\]\.steps", "only with for_each"),
        (LOOP | {"sql": "select 1"}, r"steps\[0\]", "exactly one of dbt, sql and steps"),
        ({"for_each": {"y": [1]}, "steps": []}, r"steps\[0\]\.steps", "at least 1"),
        ({"for_each": {"y": [1]}, "steps": [{}]}, r"steps\[0\]\.steps\[0\]", "exactly one of"),
        (
            {"for_each": {"y": [1]}, "steps": [{"sql": "x", "for_each": {"z": [1]}}]},
            r"for_each",
            "unknown key `for_each`",
        ),
        (
            {
                "for_each": {"y": [1]},
                "steps": [{"dbt": {"command": "run", "vars": {"x": 1}}}],
            },
            r"steps\[0\]\.steps\[0\]\.dbt\.vars\.x",
            "would overwrite",
        ),
    ],
)
def test_mistakes_are_named_where_they_stand(
    tmp_path: Path, step: dict[str, Any], key: str, word: str
) -> None:
    with pytest.raises(SpecError, match=f"{key}.*{word}"):
        load(tmp_path, tiny_document(scenario={"steps": [step]}))


def test_vars_of_a_file_lie_below_the_study_files_own(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("a: 1\nb: [1, 2]\nc: text\n")
    document = tiny_document(scenario={"vars_file": "vars.yml", "vars": {"a": 2}})
    spec = load_study(write_study(tmp_path, document), overrides=["scenario.vars.c=asked"])
    assert spec.scenario.vars == {"a": 2, "b": [1, 2], "c": "asked"}
    assert spec.from_vars_file == {"b"} and spec.asked_vars == {"c"}
    before = scenario_fingerprint(spec)
    (tmp_path / "vars.yml").write_text("b: [1, 3]\n")
    changed = load_study(tmp_path / "study.yml")
    assert scenario_fingerprint(changed) != before


def test_a_stored_document_says_all_by_itself(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("b: 1\n")
    spec = load(tmp_path, tiny_document(scenario={"vars_file": "vars.yml"}))
    (tmp_path / "vars.yml").unlink()
    again = study_from_document(spec.to_document(), file=spec.file)
    assert again.scenario.vars == {"b": 1}
    assert scenario_fingerprint(again) == scenario_fingerprint(spec)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (None, "cannot be read"),
        ("- a\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("a: 1\na: 2\n", "line 2"),
        ("a b: 1\n", "a name must be"),
        ("x: 1\n", "is the var of parameter"),
    ],
)
def test_a_file_that_does_not_do(tmp_path: Path, text: str | None, word: str) -> None:
    if text is not None:
        (tmp_path / "vars.yml").write_text(text)
    with pytest.raises(SpecError, match=word):
        load(tmp_path, tiny_document(scenario={"vars_file": "vars.yml"}))
