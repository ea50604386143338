"""Wrong input is named, with counts and examples, and nothing is simulated."""

import duckdb
import pytest

pytestmark = pytest.mark.dbt

HEADER = "employee_id,birth_date,hire_date,termination_date,annual_salary,job_level,department\n"
GOOD = "".join(
    f"E{n:03d},19{60 + n % 40}-03-0{1 + n % 9},20{10 + n % 15}-07-01,,{56000 + 1000 * n},,Sales\n"
    for n in range(120)
)
BAD = """\
TWICE,1980-01-01,2010-01-01,,60000,1,x
TWICE,1980-01-01,2010-01-01,,61000,1,x
MINUS,1980-01-01,2010-01-01,,-5,1,x
ZERO,1980-01-01,2010-01-01,,0,1,x
HOURLY,1980-01-01,2010-01-01,,31.50,1,x
CENTS,1980-01-01,2010-01-01,,5000000000,1,x
WORDS,1980-01-01,2010-01-01,,sixty,1,x
NOPAY,1980-01-01,2010-01-01,,,1,x
FUTURE,1980-01-01,2028-01-01,,60000,1,x
E000,1960-03-01,2026-02-01,,60000,1,x
UNBORN,2015-01-01,2010-01-01,,60000,1,x
CHILD,2005-01-01,2010-01-01,,60000,1,x
ANCIENT,1890-01-01,1920-01-01,,60000,1,x
LEVEL,1980-01-01,2010-01-01,,60000,9,x
HALF,1980-01-01,2010-01-01,,60000,2.5,x
DAY,1980-02-30,2010-01-01,,60000,1,x
DIGITS,60-02-03,85-01-01,99-01-01,60000,1,x
BACKWARDS,1980-01-01,2010-01-01,2009-12-31,60000,1,x
,1980-01-01,2010-01-01,,60000,1,x
NH_2026_000001,1980-01-01,2010-01-01,,60000,1,x
"""


def _census(path, **variables):
    command = ["run", "--select", "stg_census"]
    return command, {"census_path": str(path), **variables}


def _write(path, text):
    path.write_text(text)
    return path


def test_every_problem_of_a_census_is_named_at_once(foundation, tmp_path):
    simulation = foundation.copy(tmp_path)
    [outcome] = simulation.invoke(_census(_write(tmp_path / "bad.csv", HEADER + GOOD + BAD)))
    assert not outcome["success"]
    [message] = outcome["messages"]
    for expected in (
        "18 problems",
        "missing employee_id: 1 row",
        "duplicate employee_id: 2 rows, for example TWICE (hired 2010-01-01)",
        "reserved employee_id: 1 row, for example NH_2026_000001",
        "unreadable birth_date: 2 rows, for example DAY (1980-02-30), DIGITS (60-02-03)",
        "unreadable hire_date: 1 row, for example DIGITS (85-01-01)",
        "unreadable termination_date: 1 row, for example DIGITS (99-01-01)",
        "missing annual_salary: 1 row, for example NOPAY",
        "unreadable annual_salary: 1 row, for example WORDS (sixty)",
        "negative or zero annual_salary: 2 rows, for example MINUS (-5), ZERO (0)",
        "absurdly low annual_salary: 1 row, for example HOURLY (31.50)",
        "absurdly high annual_salary: 1 row, for example CENTS (5000000000)",
        "future hire_date: 1 row, for example FUTURE (2028-01-01)",
        "future hire_date of an employed person: 1 row, for example E000 (hired 2026-02-01)",
        "hire_date before birth_date: 1 row, for example UNBORN",
        "implausible age at hire: 1 row, for example CHILD",
        "implausible age: 1 row, for example ANCIENT",
        "termination_date before hire_date: 1 row, for example BACKWARDS",
        "unknown job_level: 2 rows, for example HALF (2.5), LEVEL (9)",
    ):
        assert expected in message
    assert foundation.query("select count(*) from stg_census") == [(300,)]


def test_missing_columns_empty_files_and_missing_files_are_named(foundation, tmp_path):
    simulation = foundation.copy(tmp_path)
    outcomes = simulation.invoke(
        _census(_write(tmp_path / "columns.csv", "employee_id,birthday\nE1,1980-01-01\n")),
        _census(_write(tmp_path / "empty.csv", "")),
        _census(_write(tmp_path / "header.csv", HEADER)),
        _census(tmp_path / "nowhere.parquet"),
        _census(_write(tmp_path / "census.xlsx", HEADER)),
    )
    messages = ["\n".join(outcome["messages"]) for outcome in outcomes]
    for column in ("birth_date", "hire_date", "termination_date", "annual_salary"):
        assert f"missing column {column} (found: employee_id, birthday)" in messages[0]
    assert "missing column employee_id" not in messages[0]
    assert "the file is empty" in messages[1]
    assert "the file has no rows" in messages[2]
    assert "there is no such file" in messages[3]
    assert "must end in .csv or .parquet" in messages[4]


def test_several_hires_of_a_person_are_a_warning_and_the_latest_wins(foundation, tmp_path):
    rehired = "E000,1960-03-01,2005-01-01,2007-01-01,56000,,Sales\n"
    simulation = foundation.copy(tmp_path)
    simulation.run(_census(_write(tmp_path / "census.csv", HEADER + GOOD + rehired)))
    assert "several hires for 1 person" in simulation.output
    rows = "select count(*), count(*) filter (hire_date < date '2007-01-01') from stg_census"
    assert simulation.query(rows) == [(120, 0)]


@pytest.mark.parametrize("suffix", [pytest.param("csv", marks=pytest.mark.long), "parquet"])
def test_written_sample_census_is_the_generated_one(foundation, tmp_path, suffix):
    simulation = foundation.copy(tmp_path)
    path = tmp_path / f"census.{suffix}"
    arguments = f"{{employees: 300, path: {path}}}"
    simulation.run((["run-operation", "write_sample_census", "--args", arguments], {}))
    simulation.run(_census(path))
    everyone = "select * from stg_census order by employee_id"
    assert simulation.query(everyone) == foundation.query(everyone)


def test_impossible_vars_stop_with_the_reason(foundation, years, tmp_path):
    simulation = foundation.copy(tmp_path)
    wrong = [
        (years(2025), "simulation_year must be start_year (2026) or later"),
        (years(2026, raise_timing="sometimes"), "raise_timing must be one of january, july"),
        (years(2026, cola_rate=1.5), "cola_rate must be at least 0.0 and below 1.0, got 1.5 (var)"),
        (years(2026, total_termination_rate=0.99), "total_termination_rate must be at least"),
        (years(2026, time_to_fill_days=4.5), "null or a whole number from 0 to 364, got 4.5"),
        (years(2026, target_growth_rate=0.6), "more than max_hire_share = 0.5 allows"),
        (years(2027), "Run the years in order"),
        (years(2026, scenario_id="a'b"), "scenario_id must be 1 to 100 letters"),
        (
            (["run", "--select", "stg_census"], {"census_employees": 99}),
            "100 to 1,000,000 employees",
        ),
    ]
    outcomes = simulation.invoke(*(command for command, _ in wrong))
    for (command, reason), outcome in zip(wrong, outcomes, strict=True):
        assert not outcome["success"], command
        assert any(reason in message for message in outcome["messages"]), outcome["messages"]


INCOMPLETE = [
    # Changes of seeds that are made together, and what the build then says.
    {
        "delete from config_new_hire_pay where job_level = 3": (
            "config_new_hire_pay (seeds/config_new_hire_pay.csv) has no row for job_level 3"
        ),
        "update config_new_hire_pay set market_multiplier = null where job_level = 2": (
            "(seeds/config_new_hire_pay.csv) has no market_multiplier at job_level 2"
        ),
        "delete from config_new_hire_levels where job_level in (1, 5)": (
            "has no row for job_level 1; "
            "config_new_hire_levels (seeds/config_new_hire_levels.csv) has no row for job_level 5"
        ),
        "insert into config_new_hire_levels values (9, 0)": "a row for job_level 9, which",
        "delete from config_hazards where hazard = 'promotion'": "no row for hazard promotion",
        "update config_hazards set level_step = null": "has no level_step for hazard termination",
        "insert into config_job_levels select * from config_job_levels where job_level = 2": (
            "config_job_levels (seeds/config_job_levels.csv) has 2 rows for job_level 2"
        ),
        "update config_age_bands set max_age = 70 where max_age is null": (
            "max_age of the last band must be empty, or nobody of 70 years and more"
        ),
        "update config_tenure_bands set promotion_multiplier = null": (
            "config_tenure_bands (seeds/config_tenure_bands.csv) has no rows or an empty"
        ),
        "delete from config_raise_timing where raise_timing = 'july'": (
            "config_raise_timing (seeds/config_raise_timing.csv) has no rows for raise_timing july"
        ),
        "delete from config_levers where parameter_name = 'cola_rate'": (
            "config_levers (seeds/config_levers.csv) has no row for parameter_name cola_rate"
        ),
        "delete from config_metrics where metric = 'promotion_rate'": (
            "config_metrics (seeds/config_metrics.csv) has no row for metric promotion_rate"
        ),
        "update config_new_hire_ages set age = null where age = 22": (
            "config_new_hire_ages (seeds/config_new_hire_ages.csv) has a row with an empty value"
        ),
    },
    {
        "update config_job_levels set min_pay = 85000 where job_level = 2": (
            "pay between 80000.00 and 85000.00 USD belongs to no level"
        ),
        "delete from config_age_bands": "(seeds/config_age_bands.csv) has no rows or an empty",
        "delete from config_new_hire_ages": "config_new_hire_ages (seeds/config_new_hire_ages.csv)",
    },
    {
        "update config_job_levels set min_pay = 40000 where job_level = 2": (
            "bands may overlap, but min_pay and max_pay must both rise from level 1 to level 2"
        )
    },
    {"insert into config_new_hire_departments values ('Sales', 0.9)": "must sum to 1, got 0.9"},
    # Values that would be used without a word: percents as whole numbers, below 0, twice, unread.
    {
        "update config_new_hire_pay set pay_percentile = 25 where job_level = 1": (
            "(seeds/config_new_hire_pay.csv): pay_percentile must be from 0 to 1, got 25.0000 at"
        ),
        "update config_new_hire_pay set market_multiplier = -1 where job_level = 4": (
            "market_multiplier must be from 0.1 to 10, got -1.0000 at job_level 4"
        ),
        "update config_new_hire_levels set share = -0.1 where job_level = 5": (
            "config_new_hire_levels.csv): share must be from 0 to 1, got -0.1000 at job_level 5"
        ),
        "update config_hazards set base_rate = 4 where hazard = 'promotion'": (
            "config_hazards.csv): base_rate must be from 0 to 1, got 4.000000 at hazard promotion"
        ),
        "update config_hazards set base_rate = 0.1 where hazard = 'termination'": (
            "base_rate of hazard termination must be empty, got 0.100000"
        ),
        "update config_hazards set level_floor = -1 where hazard = 'termination'": (
            "level_floor must be from 0 to 10, got -1.000 at hazard termination"
        ),
        "insert into config_hazards values ('promotoin', 0.1, 0.1, 0)": (
            "has a row for hazard promotoin, which no model reads"
        ),
        "update config_age_bands set termination_multiplier = -0.5 where min_age = 25": (
            "(seeds/config_age_bands.csv): termination_multiplier must be 0 or more, got -0.5"
        ),
        "update config_tenure_bands set promotion_multiplier = -2 where min_tenure = 0": (
            "(seeds/config_tenure_bands.csv): promotion_multiplier must be 0 or more"
        ),
        "insert into config_ratings values ('solid', 0); update config_ratings set share = 0.25 "
        "where rating = 'solid'": (
            "config_ratings (seeds/config_ratings.csv) has several rows for solid"
        ),
        "update config_new_hire_ages set age = 25 where age = 28": (
            "config_new_hire_ages (seeds/config_new_hire_ages.csv) has several rows for 25"
        ),
        "update config_raise_timing set raise_month = 13 where raise_month = 12": (
            "raise_month must be from 1 to 12 and raise_day from 1 to 28, got 13 and 1 for"
        ),
    },
    {
        "insert into config_merit_matrix values ('sollid', 'middle_third', 1.2)": (
            "config_merit_matrix (seeds/config_merit_matrix.csv) has a row for sollid, middle_third"
        ),
        "update config_employment_cost set employer_rate = 7.65": (
            "config_employment_cost.csv): employer_rate must be from 0 to 1, got 7.6500 at job"
        ),
        "insert into config_new_hire_level_ages values (9, 30, 1)": (
            "config_new_hire_level_ages.csv) has a row for job_level 9, which"
        ),
        "update config_new_hire_ages set age = 3 where age = 22": (
            "config_new_hire_ages.csv): age must be from 14 to 90"
        ),
        "insert into config_raise_timing values ('janaury', 1, 1, 1)": (
            "has a row for raise_timing janaury, which no model reads"
        ),
        "insert into comp_levers values "
        "('default', 26, null, 'cola_rate', 0.01, false, null, 'test')": (
            "comp_levers: fiscal_year must be empty or from 1950 to 2200, got 26"
        ),
        "insert into comp_targets values "
        "('default', null, 9, 'median_compensation', 1, 0.1, 'low', null, 'test')": (
            "comp_targets: median_compensation names the unknown job_level 9"
        ),
    },
    {
        "update config_merit_matrix set multiplier = 12 where rating = 'strong'": (
            "config_merit_matrix.csv): multiplier must be from 0 to 10, got 12.0000 for strong"
        ),
        "update config_new_hire_level_ages set age = 2 where age = 21": "age must be from 14 to 90",
        "update comp_levers set parameter_value = null where parameter_name = 'cola_rate' and "
        "scenario_id = 'default'": (
            "comp_levers: cola_rate has no parameter_value in scenario default"
        ),
        "insert into comp_targets values "
        "(null, null, null, 'promotion_rate', 1, 0.1, 'low', null, 'test')": (
            "a row of promotion_rate has no scenario_id"
        ),
    },
]


@pytest.mark.parametrize(
    "changes",
    [
        *INCOMPLETE[:2],
        *(pytest.param(one, marks=pytest.mark.long) for one in INCOMPLETE[2:4]),
        INCOMPLETE[4],
        *(pytest.param(one, marks=pytest.mark.long) for one in INCOMPLETE[5:]),
    ],
    ids=["rows", "empty", "overlap", "departments", "wrong", "unread", "out_of_range"],
)
def test_a_configuration_that_lacks_a_row_stops_the_build_and_names_it(
    foundation, tmp_path, changes
):
    simulation = foundation.copy(tmp_path)
    with duckdb.connect(str(simulation.database)) as connection:
        for change in changes:
            connection.execute(change)
    [outcome] = simulation.invoke((["run", "--select", "tag:foundation"], {}))
    assert not outcome["success"]
    for change, reason in changes.items():
        assert any(reason in message for message in outcome["messages"]), (change, outcome)


@pytest.mark.parametrize("rate", [0.12, 0])
def test_nobody_who_may_leave_is_an_error_and_not_everyones_departure(
    foundation, years, tmp_path, rate
):
    """least(1, null) is 1 in DuckDB: without a factor everybody would be certain to leave."""
    simulation = foundation.copy(tmp_path)
    with duckdb.connect(str(simulation.database)) as connection:
        connection.execute("update config_age_bands set termination_multiplier = 0")
    levers = {"total_termination_rate": rate, "new_hire_termination_rate": rate}
    *_, outcome = simulation.invoke(
        (["run", "--select", "tag:foundation"], {}), years(2026, **levers)
    )
    if rate:
        assert "the multipliers of leaving are 0 for so many of the " in str(outcome["messages"])
    else:
        leavers = "select count(*) from fct_workforce_snapshot where not is_active_at_close"
        assert simulation.query(leavers) == [(0,)]


def test_vars_out_of_their_ranges_are_refused(foundation, years, tmp_path):
    simulation = foundation.copy(tmp_path)
    wrong = {
        "max_hire_share": 50,
        "new_hire_minimum_days": -5,
        "new_hire_protected_month": 13,
        "new_hire_pay_spread": 10,
        "promotion_cap_rate": -0.3,
        "promotion_month": 13,
        "promotion_raise_spread": 10,
        "raise_cap_rate": -0.5,
        "raise_cap_amount": -1,
        "raise_minimum_tenure": -1,
    }
    # A year once, then only the models that read the vars.
    reading = "int_headcount_plan int_hiring_events int_promotion_decisions int_raise_events"
    again = ["run", "--select", *reading.split(), "--threads", "1"]
    outcomes = simulation.invoke(
        years(2026), *((again, {"simulation_year": 2026, name: wrong[name]}) for name in wrong)
    )
    for name, outcome in zip(wrong, outcomes[1:], strict=True):
        assert f"{name} must be " in str(outcome["messages"]), outcome["messages"]


def test_lever_rows_that_contradict_or_do_nothing_stop_the_build(foundation, tmp_path, years):
    simulation = foundation.copy(tmp_path)
    insert = "insert into comp_levers values ('default', {}, 0.01, {}, date '2026-01-01', 'test')"
    cases = [
        ("null, null, 'cola_rte'", "false", "unknown parameter_name 'cola_rte'"),
        ("null, null, 'cola_rate'", "false", "2 rows of equal rank (scenario)"),
        ("2026, 1, 'cola_rate'", "true", "comp_levers locks cola_rate"),
    ]
    stg = ["run", "--select", "stg_comp_levers", "int_lever_rows", "int_effective_parameters"]
    for place, is_locked, reason in cases:
        with duckdb.connect(str(simulation.database)) as connection:
            connection.execute("create or replace table saved as from comp_levers")
            connection.execute(insert.format(place, is_locked))
        variables = {"cola_rate": 0.01} if "locks" in reason else {}
        [outcome] = simulation.invoke((stg, variables))
        with duckdb.connect(str(simulation.database)) as connection:
            connection.execute("delete from comp_levers; insert into comp_levers from saved")
        assert any(reason in message for message in outcome["messages"]), (reason, outcome)


def test_a_database_of_an_earlier_version_is_refused_with_what_to_do(foundation, years, tmp_path):
    simulation = foundation.copy(tmp_path)
    with duckdb.connect(str(simulation.database)) as connection:
        connection.execute("create table fct_workforce_snapshot (scenario_id varchar)")
    [outcome] = simulation.invoke(years(2027))
    assert "written by an earlier version of the project: fct_workforce_snapshot has no column" in (
        str(outcome["messages"])
    )
