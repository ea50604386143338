"""The dbt models against the same rules written in plain Python, person by person."""

import duckdb
import pytest

pytestmark = pytest.mark.dbt

PEOPLE = """
    select employee_id, birth_date, hire_date, job_level, annual_salary, department, {last_day},
        {person}
    from {source} order by employee_id
"""
CENSUS_PERSON = "cast(coalesce(fte, 1) as decimal(6, 4)), gender, rating"
CENSUS_FTES = """
    select job_level, cast(coalesce(fte, 1) as decimal(6, 4)) from stg_census
    where is_active_at_start
"""
FORMER = """
    select employee_id, job_level, termination_date from fct_workforce_snapshot
    where simulation_year = {year} and not is_active_at_close and status <> 'reduction'
"""
RESULT = """
    select employee_id, status, birth_date, hire_date, termination_date, department, job_level,
        promotion_date, raise_date, annual_salary, paid_compensation, lump_sum
    from fct_workforce_snapshot
    where scenario_id = 'default' and simulation_year = {year} order by employee_id
"""


def _expected(oracle, simulation, year, levers):
    opening, joiners = _opening(simulation, year), _joiners(simulation, year)
    people = oracle.simulate_year(
        [oracle.Person(*row) for row in opening],
        year,
        levers,
        joiners=[oracle.Person(*row) for row in joiners],
        departments=dict(simulation.query("select department, weight from stg_departments")),
        census_ftes=simulation.query(CENSUS_FTES),
        former=[] if year == 2026 else simulation.query(FORMER.format(year=year - 1)),
    )
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
            p.lump_sum,
        )
        for p in people
    )


def _opening(simulation, year):
    last_day, person, source = (
        ("termination_date", CENSUS_PERSON, "stg_census where is_active_at_start")
        if year == 2026
        else (
            "known_termination_date",
            "fte, gender",
            f"fct_workforce_snapshot where simulation_year = {year - 1} and is_active_at_close",
        )
    )
    return simulation.query(PEOPLE.format(source=source, last_day=last_day, person=person))


def _joiners(simulation, year):
    source = f"stg_known_joiners where year(hire_date) = {year}"
    person = CENSUS_PERSON.removesuffix(", rating")
    return simulation.query(
        PEOPLE.format(source=source, last_day="termination_date", person=person)
    )


@pytest.mark.parametrize("year", [2026, 2027, 2028])
def test_each_year_equals_the_oracle_to_the_cent(stepwise, oracle, year):
    expected = _expected(oracle, stepwise, year, oracle.Levers())
    assert stepwise.query(RESULT.format(year=year)) == expected


@pytest.mark.long
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
    expected = _expected(oracle, simulation, 2026, oracle.Levers(**levers))
    assert simulation.query(RESULT.format(year=2026)) == expected


def _known(simulation, path):
    """Write the sample census with known last days, accepted offers and uneven departments."""
    with duckdb.connect(str(simulation.database), read_only=True) as connection:
        connection.execute(f"""
            copy (
                with numbered as (
                    select *, row_number() over (order by employee_id) as number
                    from stg_census where is_active_at_start
                )
                select employee_id, birth_date,
                    case when number > 270 then date '2026-01-01' + (13 * (number - 271))::integer
                        else hire_date end as hire_date,
                    case when number <= 40 then date '2026-01-01' + (17 * (number - 1))::integer
                        when number > 276 then date '2026-11-30' + (40 * (number - 277))::integer
                        end as termination_date,
                    annual_salary, job_level,
                    case when number % 50 = 0 then 'Archive' else 'Operations' end as department
                from numbered
            ) to '{path}' (format csv, header)
        """)
    return {"census_path": str(path)}


@pytest.mark.long
def test_known_leavers_and_joiners_are_the_oracles_in_every_year(
    foundation, years, oracle, tmp_path
):
    census = _known(foundation, tmp_path / "census.csv")
    simulation = foundation.copy(tmp_path)
    foundation_again = (["run", "--select", "tag:foundation"], census)
    simulation.run(foundation_again, years(2026, **census), years(2027, **census))
    for year in (2026, 2027):
        expected = _expected(oracle, simulation, year, oracle.Levers())
        assert simulation.query(RESULT.format(year=year)) == expected
    tables = ["run", "--select", "tag:optimization", "tag:company"]
    optimization = (tables, {"simulation_year": 2027, **census})
    singular = (["test", "--select", "test_type:singular"], {"simulation_year": 2027, **census})
    simulation.run(optimization, singular)
    found = dict(
        simulation.query(
            "select simulation_year, count(*) from fct_workforce_snapshot"
            " where status = 'known_termination' group by all"
        )
    )
    assert found[2026] >= 22
    assert found[2027] >= 15
    hires = "event_type = 'hire' and reason = 'accepted_offer'"
    assert simulation.query(f"select count(*) > 5 from fct_yearly_events where {hires}") == [
        (True,)
    ]


# Each rule of the company as it is alone, and together, over three years of people whose pay starts
# below, inside and above the bands, some part-time and rated.
RULES = {
    "structure": {"structure_adjustment_rate": 0.031},
    "positions": {"hiring_level_mix": "positions", "promotion_rate_multiplier": 3.0},
    "fixed_month": {"raise_month": "fixed"},
    "cutoff": {"raise_cutoff_month": 10, "merit_budget": 0.0333},
    "matrix": {"merit_matrix": "seed", "merit_budget": 0.0333},
    "band_cap": {"raise_band_cap": "maximum", "cola_rate": 0.05},
    "minimum": {"minimum_adjustment_share": 0.3, "structure_adjustment_rate": 0.04},
    "equity": {"equity_pool": 0.011, "raise_timing": "january"},
    "turnover": {"termination_rates": "turnover", "total_termination_rate": 0.17},
    "retirement": {"retirement": "seed", "termination_rates": "turnover"},
    "dismissal": {"involuntary_share": 0.35, "retirement": "seed"},
    "backfill": {"time_to_fill_days": 45, "hiring_level_mix": "positions"},
    "part_time_hires": {"new_hire_fte": "census", "promotion_rate_multiplier": 5.0},
    "level_ages": {"new_hire_ages": "level", "time_to_fill_days": 0},
    "all": {
        "retirement": "seed",
        "involuntary_share": 0.3,
        "time_to_fill_days": 60,
        "new_hire_ages": "level",
        "new_hire_fte": "census",
        "structure_adjustment_rate": 0.031,
        "hiring_level_mix": "positions",
        "raise_month": "fixed",
        "raise_cutoff_month": 7,
        "merit_matrix": "seed",
        "merit_budget": 0.029,
        "raise_band_cap": "maximum",
        "minimum_adjustment_share": 0.75,
        "equity_pool": 0.004,
        "termination_rates": "turnover",
        "total_termination_rate": 0.2,
    },
}
RULE_YEARS = (2026, 2027, 2028)


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, marks=[] if rule == "all" else pytest.mark.long) for rule in RULES]
)
def test_each_rule_is_the_oracles_over_three_years(spread_out, years, oracle, tmp_path, rule):
    founded, census = spread_out
    simulation = founded.copy(tmp_path)
    variables = census | RULES[rule]
    simulation.run(*(years(year, **variables) for year in RULE_YEARS))
    for year in RULE_YEARS:
        expected = _expected(oracle, simulation, year, oracle.Levers(**RULES[rule]))
        assert simulation.query(RESULT.format(year=year)) == expected, year


@pytest.mark.long
def test_the_identities_hold_with_all_rules(spread_out, years, tmp_path):
    founded, census = spread_out
    simulation = founded.copy(tmp_path)
    variables = census | RULES["all"]
    last = {"simulation_year": RULE_YEARS[-1], **variables}
    simulation.run(
        *(years(year, **variables) for year in RULE_YEARS),
        (["run", "--select", "tag:optimization", "tag:company"], last),
        (["test", "--select", "test_type:singular"], last),
    )
