"""The dbt models against the same rules written in plain Python, person by person."""

import pytest

pytestmark = pytest.mark.dbt

PEOPLE = """
    select employee_id, birth_date, hire_date, job_level, annual_salary, department
    from {source} order by employee_id
"""
RESULT = """
    select employee_id, status, birth_date, hire_date, termination_date, department, job_level,
        promotion_date, raise_date, annual_salary, paid_compensation
    from fct_workforce_snapshot
    where scenario_id = 'default' and simulation_year = {year} order by employee_id
"""


def _expected(oracle, opening, year, levers):
    people = oracle.simulate_year([oracle.Person(*row) for row in opening], year, levers)
    return sorted(
        (
            p.employee_id,
            p.status,
            p.birth_date,
            p.hire_date,
            p.termination_date,
            p.department,
            p.job_level,
            p.promotion_date,
            p.raise_date,
            p.pay,
            p.paid,
        )
        for p in people
    )


def _opening(simulation, year):
    source = (
        "stg_census where is_active_at_start"
        if year == 2026
        else f"fct_workforce_snapshot where simulation_year = {year - 1} and is_active_at_close"
    )
    return simulation.query(PEOPLE.format(source=source))


@pytest.mark.parametrize("year", [2026, 2027, 2028])
def test_each_year_equals_the_oracle_to_the_cent(stepwise, oracle, year):
    expected = _expected(oracle, _opening(stepwise, year), year, oracle.Levers())
    assert stepwise.query(RESULT.format(year=year)) == expected


@pytest.mark.parametrize(
    "levers",
    [
        {"merit_budget": 0.0317, "raise_timing": "anniversary", "promotion_rate_multiplier": 4.0},
        {"target_growth_rate": -0.2, "total_termination_rate": 0.07, "raise_timing": "january"},
        {"new_hire_salary_adjustment": 1.1234, "merit_base": 0.061},
        {
            "total_termination_rate": 0.6,
            "target_growth_rate": -0.3,
            "new_hire_termination_rate": 0.4,
            "raise_timing": "july",
            "promotion_raise": 0.31,
            "cola_rate": 0.48,
        },
    ],
    ids=["merit_budget", "reductions", "plain_levers", "every_cap"],
)
def test_levers_do_what_the_oracle_says(foundation, years, oracle, tmp_path, levers):
    simulation = foundation.copy(tmp_path)
    simulation.run(years(2026, **levers))
    expected = _expected(oracle, _opening(simulation, 2026), 2026, oracle.Levers(**levers))
    assert simulation.query(RESULT.format(year=2026)) == expected
