"""The study files in configs/: valid, and consistent with the dbt project."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import duckdb
import pytest

from search.study import StudySpec, load_study
from search.study.space import current_candidate, validate_candidate
from search.study.targets import goals_of

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
WORKFORCE_METRICS = ROOT / "dbt" / "macros" / "workforce_metrics.sql"
SEEDS = ROOT / "dbt" / "seeds"


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def spec(request: pytest.FixtureRequest) -> StudySpec:
    return load_study(request.param)


def test_there_are_studies() -> None:
    names = {path.stem for path in CONFIGS}
    assert {"compensation-2026", "quick", "level-levers", "raise-timing", "robust-2026"} <= names


def test_the_study_is_named_after_its_file(spec: StudySpec) -> None:
    assert spec.file is not None
    assert spec.study == Path(spec.file).stem


def test_current_parameters_are_allowed(spec: StudySpec) -> None:
    assert validate_candidate(spec, current_candidate(spec)) == current_candidate(spec)


def test_every_metric_has_a_unit(spec: StudySpec) -> None:
    assert all(metric.unit for metric in spec.metrics.values())


def test_the_flagship_is_the_story() -> None:
    spec = load_study(ROOT / "configs" / "compensation-2026.yaml")
    assert len(spec.parameters) == 4
    assert [goal.metric for goal in goals_of(spec)] == [
        *("total_compensation_cost", "compensation_growth_rate", "closing_headcount"),
    ]


def test_a_plan_that_holds_is_asked_of_the_company_as_it_is() -> None:
    spec = load_study(ROOT / "configs" / "robust-2026.yaml")
    assert [goal.probability for goal in goals_of(spec)] == [0.9] * 4
    assert spec.scenario.vars["retirement"] == "seed"
    assert spec.scenario.vars["scenario_id"] == "robust-2026"


def test_level_levers_start_from_what_the_seed_says() -> None:
    """A `current` beside another value in the table would compare with a scenario of nobody's."""
    spec = load_study(ROOT / "configs" / "level-levers.yaml")
    assert len(spec.parameters) >= 10
    table = duckdb.read_csv(str(SEEDS / "comp_levers.csv"))
    for name, parameter in spec.parameters.items():
        (bind,) = parameter.bind
        rows = table.filter(bind.where).project("parameter_value").fetchall()
        assert [float(value) for (value,) in rows] == [parameter.current], name


def test_choices_are_what_the_project_knows() -> None:
    spec = load_study(ROOT / "configs" / "raise-timing.yaml")
    said = (ROOT / "dbt" / "dbt_project.yml").read_text()
    for choice in spec.parameters["raise_timing"].choices:
        assert choice in said


def test_targets_name_metrics_that_the_project_computes() -> None:
    with (SEEDS / "config_metrics.csv").open() as stream:
        known = {row["metric"] for row in csv.DictReader(stream)}
    known |= set(re.findall(r'\("(\w+)", ', WORKFORCE_METRICS.read_text()))
    for path in CONFIGS:
        for metric in load_study(path).metrics.values():
            named = re.findall(r"metric = '(\w+)'", metric.sql)
            assert set(named) <= known, path
            assert named or "fct_optimization_metrics" not in metric.sql, path
