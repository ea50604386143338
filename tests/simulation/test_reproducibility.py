"""Same inputs, same numbers: any thread count, any way of running, any order of runs."""

import shutil

import pytest
import yaml

pytestmark = pytest.mark.dbt

FACTS = (
    "fct_workforce_snapshot",
    "fct_yearly_events",
    "fct_compensation_growth",
    "fct_optimization_metrics",
)


def _rows(simulation, table, where="true"):
    return simulation.query(f"select * from {table} where {where} order by all")


def test_plain_build_on_two_threads_equals_single_steps_on_one(stepwise, tmp_path):
    plain = type(stepwise)(tmp_path, stepwise.dbt)
    build = ["build", "--resource-type", "seed", "--resource-type", "model", "--threads", "2"]
    plain.run(*((build, {"simulation_year": y}) for y in (2026, 2027, 2028)))
    for table in FACTS:
        assert _rows(plain, table) == _rows(stepwise, table), table


@pytest.mark.long
def test_every_rule_of_a_company_as_it_is_has_the_same_rows_on_1_2_and_8_threads(
    spread_out, tmp_path
):
    founded, census = spread_out
    variables = yaml.safe_load((founded.project / "realistic.yml").read_text()) | census
    variables |= {"minimum_adjustment_share": 0.5, "equity_pool": 0.004}
    tables = (*FACTS, "fct_workforce_metrics", "fct_cost_walk", "fct_monthly_cost")
    rows = {}
    for threads in (1, 2, 8):
        simulation = founded.copy(tmp_path / str(threads))
        simulation.project = shutil.copytree(
            founded.project,
            tmp_path / f"project_{threads}",
            ignore=shutil.ignore_patterns("target", "logs", "data", "*.duckdb"),
        )
        profile = simulation.project / "profiles.yml"
        profile.write_text(profile.read_text() + f"      settings: {{threads: {threads}}}\n")
        last = (["run", "--select", "tag:optimization", "tag:company"], 2027)
        simulation.run(
            *(
                (command, {"simulation_year": year, **variables})
                for command, year in (
                    (["run", "--select", "tag:simulation"], 2026),
                    (["run", "--select", "tag:simulation"], 2027),
                    last,
                )
            )
        )
        rows[threads] = [_rows(simulation, table) for table in tables]
    assert rows[1] == rows[2] == rows[8]


def test_build_with_every_test_passes_on_the_smallest_company(tmp_path, stepwise):
    simulation = type(stepwise)(tmp_path, stepwise.dbt)
    simulation.run((["build"], {"census_employees": 100, "cola_rate": 0.031, "random_seed": 7}))
    assert simulation.query("select count(distinct metric) from fct_optimization_metrics") == [(9,)]


def test_rerunning_a_year_removes_it_and_later_years_of_that_scenario_only(
    stepwise, years, tmp_path
):
    simulation = stepwise.copy(tmp_path)
    simulation.run(
        years(2026, scenario_id="other"),
        years(2026, target_growth_rate=-0.3),
    )
    hires = "event_type = 'hire' and scenario_id = 'default'"
    assert _rows(simulation, "fct_yearly_events", hires) == []
    for table in FACTS[:2]:
        found = simulation.query(f"select distinct scenario_id, simulation_year from {table}")
        assert sorted(found) == [("default", 2026), ("other", 2026)], table
    again = _rows(simulation, "fct_workforce_snapshot", "scenario_id = 'other'")
    first = _rows(stepwise, "fct_workforce_snapshot", "simulation_year = 2026")
    assert [row[1:] for row in again] == [row[1:] for row in first]


def test_draws_do_not_depend_on_levers(foundation, stepwise, years, tmp_path):
    """Common random numbers: pay levers move pay and nothing else."""
    simulation = foundation.copy(tmp_path)
    simulation.run(years(2026, cola_rate=0.07, merit_base=0.01, new_hire_salary_adjustment=1.3))
    what_happened = """
        select employee_id, event_type, event_date, event_sequence, level_before, level_after,
            reason, probability
        from fct_yearly_events where simulation_year = 2026 order by all
    """
    assert simulation.query(what_happened) == stepwise.query(what_happened)
    pay = "select sum(pay_after) from fct_yearly_events where simulation_year = 2026"
    assert simulation.query(pay) != stepwise.query(pay)


def test_more_of_a_hazard_takes_the_same_people_and_more(foundation, stepwise, years, tmp_path):
    """Nested choices under common random numbers keep the response of a metric smooth."""
    simulation = foundation.copy(tmp_path)
    simulation.run(
        years(2026, promotion_rate_multiplier=2.5, total_termination_rate=0.3, random_seed=42)
    )
    leavers = "select employee_id from int_termination_events"
    usual = stepwise.query(
        "select employee_id from fct_workforce_snapshot"
        " where simulation_year = 2026 and status = 'experienced_termination'"
        " and hire_date < date '2025-01-01'"
    )
    assert {row[0] for row in usual} < {row[0] for row in simulation.query(leavers)}


def test_another_seed_is_another_future_of_the_same_company(foundation, stepwise, years, tmp_path):
    simulation = foundation.copy(tmp_path)
    simulation.run(years(2026, random_seed=43))
    leavers = (
        "select employee_id from fct_yearly_events where simulation_year = 2026"
        " and event_type = 'termination' order by 1"
    )
    assert simulation.query(leavers) != stepwise.query(leavers)
    closing = (
        "select count(*) from fct_workforce_snapshot"
        " where simulation_year = 2026 and is_active_at_close"
    )
    assert simulation.query(closing) == stepwise.query(closing)
