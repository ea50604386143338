"""The shipped studies and the simulation speak of the same targets and of one today."""

import csv
from pathlib import Path

import pytest

from search.study import load_study

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "dbt" / "seeds"


def _rows(seed):
    with (SEEDS / f"{seed}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_metrics_table_judges_by_the_targets_of_the_flagship_study():
    study = load_study(ROOT / "configs" / "compensation-2026.yaml")
    tabled = {
        row["metric"]: (float(row["target_value"]), float(row["tolerance"]))
        for row in _rows("comp_targets")
        if row["scenario_id"] == "compensation-2026"
    }
    assert tabled.keys() == study.targets.keys()
    for name, target in study.targets.items():
        relative = target.tolerance or target.tolerance_abs / target.value
        assert tabled[name] == (target.value, pytest.approx(relative))


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_shipped_study_starts_from_what_dbt_uses(file):
    study = load_study(file)
    company_wide = {
        row["parameter_name"]: float(row["parameter_value"])
        for row in _rows("comp_levers")
        if row["scenario_id"] == "default" and not row["job_level"] and not row["fiscal_year"]
    }
    for parameter in study.parameters.values():
        for bind in parameter.bind:
            if bind.var in company_wide:
                assert parameter.current == company_wide[bind.var], bind.var
