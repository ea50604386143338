"""Percentages, fractions that are none, and targets between whole numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from search.errors import SpecError
from search.study import StudySpec, load_study
from search.study.percent import unlikely_fractions, unlikely_metrics, whole_number_notes
from search.study.space import assigned
from search.study.targets import Goal

STUDY = """
study: percent
scenario:
  dbt_project: .
  steps: [{sql: "select 1"}]
parameters:
  merit: {low: 0%, high: 8 %, step: 0.05 %, current: 3.5%, unit: fraction, bind: {var: merit}}
  price: {low: 1, high: 200, current: 100, unit: USD, bind: {var: price}}
metrics:
  growth: {sql: select 1, unit: fraction, for_each: {year: [2026, 2027]}}
  cost: {sql: select 1, unit: USD}
targets:
  growth: {value: {2026: 3 %, 2027: 2.5%}, tolerance_abs: 0.1 %}
  cost: {change: -2 %, tolerance: 1.5%}
search: {tolerance: 3%}
"""


def load(folder: Path, text: str, *overrides: str) -> StudySpec:
    file = folder / "study.yml"
    file.write_text(text)
    return load_study(file, overrides=overrides)


def test_percentages_are_fractions_wherever_a_fraction_is_meant(tmp_path: Path) -> None:
    spec = load(tmp_path, STUDY, "targets.cost.tolerance=2%")
    merit, growth, cost = spec.parameters["merit"], spec.targets["growth"], spec.targets["cost"]
    assert (merit.low, merit.high, merit.step, merit.current) == (0.0, 0.08, 0.0005, 0.035)
    assert (growth.value, growth.tolerance_abs) == ({"2026": 0.03, "2027": 0.025}, 0.001)
    assert (cost.change, cost.tolerance, spec.search.tolerance) == (-0.02, 0.02, 0.03)
    assert assigned(spec, ["merit=4.5 %"]) == {"merit": 0.045}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("high: 200", "high: 200%", "parameters.price.high"),
        ("cost: {change: -2 %", "cost: {at_most: 2 %", "targets.cost.at_most"),
        ("tolerance: 1.5%", "tolerance: 150", "targets.cost.tolerance"),
    ],
)
def test_percentages_of_what_is_no_fraction_are_refused(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, STUDY.replace(old, new))
    assert caught.value.fields["key"] == key


def test_fractions_above_one_are_told(tmp_path: Path) -> None:
    assert unlikely_fractions(load(tmp_path, STUDY)) == []
    text = STUDY.replace("2026: 3 %", "2026: 3").replace("high: 8 %", "high: 8")
    first, second = unlikely_fractions(load(tmp_path, text))
    assert "parameters.merit.high is 800 %" in first and "for 8 % write 0.08 or 8%" in first
    assert "targets.growth.value is 300 %" in second
    document = yaml.safe_load(STUDY)
    document["targets"]["growth"] = {"change": 4}
    (told,) = unlikely_fractions(load(tmp_path, yaml.safe_dump(document)))
    assert "targets.growth.change is 400 %, because a change is a fraction" in told
    assert "for 4 % write 0.04 or 4%" in told
    assert unlikely_metrics({"a": 3.2, "b": 0.5, "c": 7.0}, {"a": "fraction", "b": "fraction"}) == [
        "metric a is 320 % today, because its unit is a fraction; where its SQL gives percent, "
        "divide by 100 or name another unit"
    ]


def test_a_target_between_whole_numbers_names_the_nearest() -> None:
    goal = Goal("people", "equal", value=1300.4, tolerance=0.0002)
    seen = {"people": {1299.0, 1301.0, 1310.0}}
    (note,) = whole_number_notes((goal,), seen)
    assert "the nearest are 1,300 and 1,301" in note and "tolerance_abs: 0.404" in note
    assert whole_number_notes((goal,), {"people": {1299.0, 1301.5, 1310.0}}) == []
    assert whole_number_notes((Goal("people", "equal", value=1300.4, tolerance=0.01),), seen) == []
