"""The tables of the company as it is, worked out a second time from the people they are about."""

from fractions import Fraction
from statistics import median

import duckdb
import pytest

pytestmark = pytest.mark.dbt

RULES = {
    "minimum_adjustment_share": 0.1,
    "raise_band_cap": "maximum",
    "structure_adjustment_rate": 0.02,
    "employment_cost": "seed",
    "involuntary_share": 0.2,
}
COSTS = {  # bonus, benefits, employer, hiring, weeks a year, least, most
    1: ("0.03", "0.25", "0.0765", "0.10", 1, 2, 26),
    2: ("0.06", "0.23", "0.0765", "0.15", 1, 2, 26),
    3: ("0.10", "0.20", "0.0765", "0.20", 2, 4, 39),
    4: ("0.20", "0.18", "0.0765", "0.25", 2, 8, 52),
    5: ("0.35", "0.15", "0.0765", "0.30", 2, 12, 52),
}


@pytest.fixture(scope="module")
def company(spread_out, years, tmp_path_factory):
    """A year of cuts and one of growth, with adjustments and lump sums, and all tables."""
    founded, census = spread_out
    simulation = founded.copy(tmp_path_factory.mktemp("company"))
    last = {"simulation_year": 2027, "target_growth_rate": 0.1, **census, **RULES}
    simulation.run(
        years(2026, target_growth_rate=-0.25, **census, **RULES),
        years(2027, target_growth_rate=0.1, **census, **RULES),
        (["build", "--select", "tag:optimization", "tag:company"], last),
    )
    return simulation


def _cents(amount):
    return Fraction((2 * amount * 100 + 1) // 2, 100)


def test_employment_costs_are_those_of_the_rates(company):
    people = company.query(
        "select employee_id, simulation_year, job_level, paid_compensation - lump_sum, lump_sum,"
        " if(opening_level is null, annual_salary, 0),"
        " if(status = 'reduction' or status like '%dismissal', annual_salary, 0),"
        " coalesce(tenure, 0) from fct_workforce_snapshot"
    )
    expected = {}
    for who, year, level, base, lump, hired, let_go, tenure in people:
        bonus, benefits, employer, hiring, weeks, least, most = COSTS[level]
        pay, once = Fraction(base), Fraction(lump)
        paid_weeks = Fraction(min(most, max(least, weeks * tenure)) * 10**10 // 52, 10**10)
        parts = [
            pay,
            once,
            _cents(pay * Fraction(bonus)),
            _cents(pay * Fraction(benefits)),
            _cents(Fraction(hired) * Fraction(hiring)),
            _cents(Fraction(let_go) * paid_weeks),
        ]
        taxed = pay + once + parts[2] + parts[5]
        expected[who, year] = sum(parts) + _cents(taxed * Fraction(employer))
    found = company.query(
        "select employee_id, simulation_year, loaded_cost from fct_employment_cost"
    )
    assert {(who, year): Fraction(cost) for who, year, cost in found} == expected
    assert company.query("select count(*) > 10 from fct_employment_cost where severance > 0") == [
        (True,)
    ]


def test_metrics_are_those_of_the_people(company):
    people = company.query(
        "select s.job_level, s.annual_salary, s.fte, s.gender, b.min_pay, b.mid_pay, b.max_pay"
        " from fct_workforce_snapshot as s join fct_salary_structure as b"
        " using (scenario_id, simulation_year, job_level)"
        " where s.simulation_year = 2027 and s.is_active_at_close"
    )
    metrics = dict(
        company.query(
            "select metric, value from fct_workforce_metrics"
            " where period = '2027' and job_level is null and department is null"
        )
    )
    short = [
        gap
        for _, pay, fte, _, low, _, _ in people
        if (gap := _cents(Fraction(low) * Fraction(fte)) - Fraction(pay)) > 0
    ]
    assert metrics["below_minimum_count"] == len(short) > 0
    assert metrics["cost_to_minimum"] == pytest.approx(float(sum(short)), abs=0.001)
    pays = sorted(float(pay) for _, pay, *_ in people)
    gini = sum(abs(a - b) for a in pays for b in pays) / (2 * len(pays) * sum(pays))
    assert metrics["gini"] == pytest.approx(gini)
    ratios = sorted(float(pay) / float(mid * fte) for _, pay, fte, _, _, mid, _ in people)
    assert metrics["compa_ratio_p50"] == pytest.approx(median(ratios))
    full_time = {
        group: [float(pay) / float(fte) for _, pay, fte, who, *_ in people if who == group]
        for group in ("F", "M")
    }
    larger, smaller = sorted(full_time, key=lambda group: (-_census_people(company, group), group))
    gap = 1 - median(full_time[smaller]) / median(full_time[larger])
    assert metrics["gender_pay_gap_median"] == pytest.approx(gap)
    opening, closing = company.query(
        "select sum(opening_salary) filter (simulation_year = 2026),"
        " sum(annual_salary) filter (simulation_year = 2027 and is_active_at_close)"
        " from fct_workforce_snapshot"
    )[0]
    assert metrics["payroll_growth_vs_base"] == pytest.approx(float(closing / opening) - 1)
    days, leavers = company.query(
        "select sum(days_employed), count(*) filter (not is_active_at_close)"
        " from fct_workforce_snapshot where simulation_year = 2027"
    )[0]
    assert metrics["turnover"] == pytest.approx(leavers / (days / 365))


def test_growth_of_a_department_is_over_the_first_january_or_has_no_value(company, tmp_path):
    simulation = company.copy(tmp_path)
    with duckdb.connect(str(simulation.database)) as connection:
        connection.execute("""
            update fct_workforce_snapshot set department = 'Late'
            where simulation_year = 2027 and opening_level is not null and job_level = 2;
            update fct_workforce_snapshot set department = 'Gone'
            where simulation_year = 2026 and not is_active_at_close and opening_level is not null
        """)
    tables = ["run", "--select", "fct_workforce_metrics"]
    simulation.run((tables, {"simulation_year": 2027, **RULES}))
    growth = simulation.query(
        "select department, period, value from fct_workforce_metrics"
        " where metric = 'payroll_growth_vs_base' and department in ('Late', 'Gone')"
        " and period <> 'horizon' order by 1, 2"
    )
    assert growth == [("Gone", "2026", -1), ("Late", "2027", None)]


def _census_people(company, gender):
    return company.query(
        "select count(*) from fct_workforce_snapshot"
        f" where is_active_at_close and gender = '{gender}'"
    )[0][0]


def test_the_list_names_who_is_lifted_why_and_how_much(company):
    listed = company.query(
        "select simulation_year, count(*), sum(amount), min(pay_after - round(min_pay * fte, 2)),"
        " list(distinct reason) from fct_adjustment_list group by 1 order by 1"
    )
    in_events = company.query(
        "select simulation_year, count(*), sum(pay_after - pay_before) from fct_yearly_events"
        " where event_type = 'adjustment' group by 1 order by 1"
    )
    assert [row[:3] for row in listed] == in_events
    assert len(listed) == 2
    assert all(row[3:] == (0, ["band_minimum"]) for row in listed)


def test_hires_have_the_genders_of_their_level(company):
    hires = company.query(
        "select hires.job_level, hires.gender, levels.genders from fct_workforce_snapshot as hires"
        " left join (select job_level, list(gender) as genders from stg_hire_genders group by 1)"
        " as levels using (job_level) where hires.opening_level is null"
    )
    assert len(hires) > 20
    assert all(gender in genders for _, gender, genders in hires)
    assert {gender for _, gender, _ in hires} == {"F", "M"}
