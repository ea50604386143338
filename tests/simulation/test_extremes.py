"""Companies at the edge of what can be simulated: numbers that add up, or one clear message."""

import shutil

import pytest

pytestmark = pytest.mark.dbt

HEADER = "employee_id,birth_date,hire_date,termination_date,annual_salary,job_level,department\n"
EVERYTHING = ["build", "--select", "tag:simulation", "tag:optimization", "tag:company"]
EVERYTHING += ["--exclude-resource-type", "unit_test", "--threads", "1"]
REALISTIC = {
    "structure_adjustment_rate": 0.035,
    "hiring_level_mix": "positions",
    "raise_month": "fixed",
    "raise_cutoff_month": 10,
    "merit_matrix": "seed",
    "employment_cost": "seed",
    "raise_band_cap": "maximum",
    "retirement": "seed",
    "involuntary_share": 0.3,
    "time_to_fill_days": 45,
    "new_hire_ages": "level",
    "new_hire_fte": "census",
    "minimum_adjustment_share": 1,
    "equity_pool": 0.01,
}


def _people(count, level=2, pay=90_000):
    """Return census rows of like people of one department."""
    row = "P{:03d},1985-06-0{},2015-05-01,,{},{},Sales\n"
    return "".join(row.format(n, 1 + n % 9, pay + n, level) for n in range(count))


@pytest.fixture
def simulated(foundation, tmp_path):
    """Simulates a census with vars and returns outcome and database, all tests of dbt included."""

    def simulate(rows, *years, **variables):
        path = tmp_path / "census.csv"
        path.write_text(HEADER + rows)
        said = {"census_path": str(path), **variables}
        simulation = foundation.copy(tmp_path / "db")
        steps = [(EVERYTHING, {**said, "simulation_year": year}) for year in years]
        foundation_step = (["run", "--select", "tag:foundation"], said)
        return simulation.invoke(foundation_step, *steps), simulation

    return simulate


def _closing(simulation):
    return simulation.query(
        "select simulation_year, headcount_closing from fct_compensation_growth"
        " where job_level is null order by 1"
    )


def test_the_youngest_the_oldest_the_best_paid_and_a_cut_in_half(simulated):
    """Ages 15 and 90, a leap year, a department of one, a billion of pay, half the headcount."""
    odd = (
        "YOUNG,2012-06-01,2027-06-02,,56000,1,Sales\n"
        "OLD,1937-03-01,1990-01-01,,150000,3,Sales\n"
        "RICH,1970-02-28,2000-02-29,,1000000000,5,Office\n"
    )
    outcomes, simulation = simulated(
        _people(37) + odd,
        2028,
        start_year=2028,
        target_growth_rate=-0.5,
        census_salary_limit=2_000_000_000,
        **REALISTIC,
    )
    assert [outcome["messages"] for outcome in outcomes] == [[], []]
    assert _closing(simulation) == [(2028, 20)]
    ages = "select min(age), max(age) from fct_workforce_snapshot where opening_level is not null"
    assert simulation.query(ages) == [(15, 90)]
    assert simulation.query(
        "select opening_salary from fct_workforce_snapshot where employee_id = 'RICH'"
    ) == [(1_000_000_000,)]


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_a_company_of_a_few_people_has_numbers_or_a_message(simulated, count):
    outcomes, simulation = simulated(_people(count), 2026, 2027, **REALISTIC)
    messages = [text for outcome in outcomes for text in outcome["messages"]]
    if messages:
        assert any("more than max_hire_share" in text for text in messages), messages
    else:
        assert _closing(simulation) == [(2026, count), (2027, count)]  # 3 % is nobody


@pytest.mark.long
def test_nearly_everyone_leaves_and_is_let_go(simulated):
    outcomes, simulation = simulated(
        _people(40), 2026, total_termination_rate=0.98, target_growth_rate=-0.95
    )
    assert [outcome["messages"] for outcome in outcomes] == [[], []]
    assert _closing(simulation) == [(2026, 2)]


@pytest.mark.long
def test_nobody_left_is_refused_with_the_lever(simulated):
    outcomes, _ = simulated(_people(3), 2026, target_growth_rate=-0.99)
    assert "target_growth_rate leaves nobody employed in 2026; raise it" in str(outcomes)


@pytest.mark.long
def test_pay_of_nothing_is_a_mistake_of_the_census(simulated):
    outcomes, _ = simulated(_people(3) + "FREE,1980-01-01,2010-01-01,,0,1,x\n", 2026)
    assert "negative or zero annual_salary: 1 row, for example FREE (0)" in str(outcomes)


@pytest.mark.long
def test_thirty_levels_most_of_them_empty(foundation, tmp_path, simulated):
    """Every seed by level has 30 rows; the people are in two of the levels."""
    project = shutil.copytree(
        foundation.project,
        tmp_path / "project",
        ignore=shutil.ignore_patterns("target", "logs", "data", "*.duckdb"),
    )
    levels = range(1, 31)
    seeds = {
        "config_job_levels": "job_level,level_name,min_pay,mid_pay,max_pay\n"
        + "".join(f"{n},L{n},{30_000 + 9_000 * n},,{48_000 + 9_000 * n}\n" for n in levels),
        "config_new_hire_pay": "job_level,pay_percentile,market_multiplier\n"
        + "".join(f"{n},0.3,1\n" for n in levels),
        "config_new_hire_levels": "job_level,share\n"
        + "".join(f"{n},{0.71 if n == 1 else 0.01}\n" for n in levels),
        "config_employment_cost": (foundation.project / "seeds/config_employment_cost.csv")
        .read_text()
        .splitlines()[0]
        + "\n"
        + "".join(f"{n},0.1,0.2,0.08,0.1,1,2,26\n" for n in levels),
        "config_new_hire_level_ages": "job_level,age,weight\n"
        + "".join(f"{n},{25 + n % 20},1\n" for n in levels),
    }
    for name, text in seeds.items():
        (project / "seeds" / f"{name}.csv").write_text(text)
    levers = project / "seeds" / "comp_levers.csv"
    kept = [line for line in levers.read_text().splitlines() if "merit_base" not in line]
    everywhere = "default,,,merit_base,0.03,false,2026-01-01,seed"
    levers.write_text("\n".join([*kept, everywhere]) + "\n")
    simulation = foundation.copy(tmp_path / "thirty")
    simulation.project = project
    path = tmp_path / "thirty.csv"
    path.write_text(HEADER + _people(60, 3, 60_000) + _people(60, 29, 300_000).replace("P", "Q"))
    said = {"census_path": str(path), **REALISTIC}
    simulation.run(
        (["seed", "--full-refresh"], said),
        (["run", "--select", "tag:foundation"], said),
        (EVERYTHING, {**said, "simulation_year": 2026}),
    )
    ((_, people),) = _closing(simulation)
    assert people == round(120 * 1.03)
    levels_in_use = "select count(distinct job_level) from fct_workforce_snapshot"
    assert simulation.query(levels_in_use)[0][0] >= 2
