"""Hazards are recovered from the censuses of a company that the simulation itself made.

The company's hazards are far from the seeds: other ages and levels leave and rise. Its censuses of
five Januaries are all that the fit sees, together with the seeds, which are wrong about it.
"""

import json
import shutil

import duckdb
import pytest

pytestmark = pytest.mark.dbt

YEARS = (2026, 2027, 2028, 2029, 2030)
AGES = ("<25", "25-34", "35-44", "45-54", "55-64", "65+")
TENURES = ("<2", "2-4", "5-9", "10-19", "20+")
TRUE = {
    "termination": {
        "age": dict(zip(AGES, (1.0, 1.0, 1.4, 0.8, 1.0, 2.0), strict=True)),
        "tenure": dict(zip(TENURES, (1.2, 1.0, 0.8, 0.3, 0.5), strict=True)),
        "level": (1, 0.6, 1.2, 0.5, 0.9),
    },
    "promotion": {
        "age": dict(zip(AGES, (1.0, 1.3, 1.3, 1.0, 0.6, 0.3), strict=True)),
        "tenure": dict(zip(TENURES, (0.8, 1.0, 1.4, 1.2, 0.5), strict=True)),
        "level": (1, 0.6, 1.1, 0.3, 0),
    },
}
RATES = {"total_termination_rate": 0.15, "new_hire_termination_rate": 0.30}
PROMOTION_RATE = 0.07
# Mean distance of the fitted chances from the true ones, as a share of the latter: what the draws
# of a company of this size allow (docs/simulation.md has the figures of several seeds).
ALLOWED = {
    2000: {"termination": 0.10, "promotion": 0.20},
    20000: {"termination": 0.03, "promotion": 0.06},
    200000: {"termination": 0.012, "promotion": 0.02},
}


def _set_truth(database):
    with duckdb.connect(str(database)) as connection:
        for hazard, truth in TRUE.items():
            for kind in ("age", "tenure"):
                for band, multiplier in truth[kind].items():
                    connection.execute(
                        f"update config_{kind}_bands set {hazard}_multiplier = ? "
                        f"where {kind}_band = ?",
                        [multiplier, band],
                    )
            for level, multiplier in enumerate(truth["level"], start=1):
                connection.execute(
                    "insert into config_level_hazards values (?, ?, ?)", [hazard, level, multiplier]
                )
        connection.execute(
            "update config_hazards set base_rate = ? where hazard = 'promotion'", [PROMOTION_RATE]
        )
        for lever, rate in RATES.items():
            connection.execute(
                "update comp_levers set parameter_value = ? where parameter_name = ?", [rate, lever]
            )


def make_company(foundation, years, folder, people, seed=1):
    """Simulate a company with the true hazards and write its censuses; return both."""
    company = foundation.copy(folder / "company")
    _set_truth(company.database)
    variables = {"census_employees": people, "random_seed": seed}
    company.run(
        (["run", "--select", "tag:foundation"], variables),
        *(years(year, **variables) for year in YEARS[:-1]),
    )
    columns = (
        "replace(employee_id, 'NH_', 'P_') as employee_id, birth_date, hire_date, "
        "null::date as termination_date, annual_salary, job_level"
    )
    files = {year: str(folder / f"{year}.csv") for year in YEARS}
    with duckdb.connect(str(company.database), read_only=True) as connection:
        for year, file in files.items():
            people_of = (
                "stg_census where is_active_at_start"
                if year == YEARS[0]
                else "fct_workforce_snapshot where is_active_at_close "
                f"and simulation_year = {year - 1}"
            )
            connection.execute(f"copy (select {columns} from {people_of}) to '{file}' (header)")
    return company, files


def operation(name, **arguments):
    """Return the dbt invocation of an operation."""
    return ["run-operation", name, "--args", json.dumps(arguments)], {}


def _chances(hazard, relation):
    """SQL of each person's chance under the seeds that `relation` names."""
    level = f"(select * from {relation('config_level_hazards')} where hazard = '{hazard}')"
    product = f"age.{hazard}_multiplier * tenure.{hazard}_multiplier * level.multiplier"

    def lever(name):
        return (
            f"(select parameter_value from {relation('comp_levers')} "
            f"where parameter_name = '{name}' and scenario_id = 'default')"
        )

    if hazard == "termination":
        group = "over (partition by simulation_year, is_new)"
        chance = (
            f"case when is_new then {lever('new_hire_termination_rate')} "
            f"else {lever('total_termination_rate')} end"
            f" * {product} * count(*) {group} / sum({product}) {group}"
        )
        who = "opening_level is not null"
    else:
        base = f"(select base_rate from {relation('config_hazards')} where hazard = 'promotion')"
        chance = f"{base} * {product}"
        who = "opening_level < 5 and tenure >= 1 and age < 65"
    return f"""
        select simulation_year, employee_id, {chance} as chance
        from (
            select *, hire_date >= make_date(simulation_year - 1, 1, 1) as is_new
            from fct_workforce_snapshot where {who}
        ) as people
        join {relation("config_age_bands")} as age on people.age_band = age.age_band
        join {relation("config_tenure_bands")} as tenure on people.tenure_band = tenure.tenure_band
        join {level} as level on people.opening_level = level.job_level
    """


def fit_error(company, folder, hazard):
    """Return the mean distance of fitted from true chances, as a share of the latter."""
    fitted = _chances(hazard, lambda seed: f"read_csv('{folder}/{seed}.csv')")
    [(error,)] = company.query(
        f"select sum(abs(fitted.chance - truth.chance)) / sum(truth.chance) "
        f"from ({_chances(hazard, lambda seed: seed)}) as truth "
        f"join ({fitted}) as fitted using (simulation_year, employee_id)"
    )
    return float(error)


def write_present_seeds(foundation, folder):
    """Write the seeds as they are in the form that ``fit_hazards`` writes."""
    with duckdb.connect(str(foundation.database), read_only=True) as connection:
        for seed in ("config_age_bands", "config_tenure_bands", "config_hazards", "comp_levers"):
            connection.execute(f"copy {seed} to '{folder}/{seed}.csv' (header)")
        connection.execute(
            "copy (select hazard, job_level, case hazard when 'termination' "
            "then termination_multiplier else promotion_multiplier end as multiplier "
            "from stg_job_levels, (values ('termination'), ('promotion')) as h (hazard)) "
            f"to '{folder}/config_level_hazards.csv' (header)"
        )


@pytest.fixture(
    scope="module",
    params=[
        2000,
        pytest.param(20000, marks=pytest.mark.long),
        pytest.param(200000, marks=pytest.mark.long),
    ],
)
def fitted(request, foundation, years, tmp_path_factory):
    """A company, its censuses, and what fit_hazards wrote of them."""
    folder = tmp_path_factory.mktemp(f"hazards-{request.param}")
    company, files = make_company(foundation, years, folder, request.param)
    simulation = foundation.copy(folder / "fit")
    simulation.run(
        operation("fit_hazards", censuses=files, into=str(folder)),
        operation("backtest", censuses=files, into=str(folder)),
    )
    return request.param, company, folder, simulation


@pytest.mark.parametrize("hazard", ["termination", "promotion"])
def test_the_true_chances_are_found_within_the_stated_error(fitted, foundation, hazard):
    people, company, folder, _ = fitted
    error = fit_error(company, folder, hazard)
    assert error < ALLOWED[people][hazard]
    # What the seeds say of this company is wrong by a quarter and more: the fit had to move.
    write_present_seeds(foundation, folder / "fit")
    assert fit_error(company, folder / "fit", hazard) > max(0.25, 2 * error)


def test_the_backtest_foretells_the_last_year_better_than_the_seeds(fitted):
    people, _, folder, simulation = fitted
    [(items, inside, error, before, promotions)] = simulation.query(
        "select count(*), count(*) filter (is_inside), "
        "sum(abs(happened - expected)) / sum(happened), "
        "sum(abs(happened - expected_without_fit)) / sum(happened), "
        f"count(*) filter (item like 'promotions%') from read_csv('{folder}/backtest.csv')"
    )
    assert items > 30
    assert promotions > 12
    assert inside / items >= 0.75
    assert error < 0.75 * before if people == 2000 else error < 0.3 * before
    assert "inside their bands" in simulation.output


def test_fitted_seeds_are_seeds_that_the_simulation_reads(fitted, tmp_path):
    people, _, folder, simulation = fitted
    if people != 2000:
        pytest.skip("the same for every size")
    project = tmp_path / "dbt"
    ignored = shutil.ignore_patterns("target", "logs", "data", "*.duckdb")
    shutil.copytree(simulation.project, project, ignore=ignored)
    for file in folder.glob("con*.csv"):
        shutil.copy(file, project / "seeds")
    shutil.copy(folder / "comp_levers.csv", project / "seeds")
    own = type(simulation)(tmp_path, simulation.dbt, project=project)
    own.run((["seed"], {}), (["run", "--select", "tag:foundation"], {}))
    read = (
        "select age_band, any_value(termination_multiplier)::double from {} group by 1 order by 1"
    )
    written = own.query(read.format(f"read_csv('{folder}/config_age_bands.csv')"))
    assert own.query(read.format("stg_age_years")) == written
    [(level, rate)] = own.query(
        "select (select termination_multiplier from stg_job_levels where job_level = 2)::double, "
        "(select parameter_value from stg_comp_levers where scenario_id = 'default' "
        "and parameter_name = 'total_termination_rate')"
    )
    assert level == pytest.approx(0.65, abs=0.1)  # 0.6 of the truth, on the seeds' scale
    assert rate == pytest.approx(RATES["total_termination_rate"], abs=0.01)


def test_without_events_the_seeds_stay_as_they_are(foundation, tmp_path):
    file = tmp_path / "census.csv"
    lines = [f"E{n},1980-05-05,2015-03-03,,60000,1" for n in range(3)]
    header = "employee_id,birth_date,hire_date,termination_date,annual_salary,job_level"
    file.write_text("\n".join([header, *lines]))
    simulation = foundation.copy(tmp_path / "db")
    simulation.run(
        operation("fit_hazards", censuses={2025: str(file), 2026: str(file)}, into=str(tmp_path))
    )
    present = "select age_band, termination_multiplier::double from {} order by min_age"
    assert simulation.query(present.format(f"read_csv('{tmp_path}/config_age_bands.csv')")) == (
        foundation.query(present.format("config_age_bands"))
    )
    [(rate,)] = simulation.query(
        f"select parameter_value from read_csv('{tmp_path}/comp_levers.csv') "
        "where parameter_name = 'total_termination_rate'"
    )
    assert 0.11 < rate < 0.12  # three people who stayed say little against ten events


def test_mistakes_of_the_operations_are_named(foundation, tmp_path):
    simulation = foundation.copy(tmp_path)
    cases = [
        (operation("fit_hazards", censuses={2025: "a.csv"}), "must be 2 to 5 files by the year"),
        (operation("fit_hazards", censuses={2023: "a.csv", 2025: "b.csv"}), "but are 2023, 2025"),
        (operation("fit_hazards", censuses=["a.csv"]), "got '['a.csv']'"),
        (operation("fit_hazards", censuses={"x": "a.csv", 2025: "b.csv"}), "'x' is not a year"),
        (operation("backtest", censuses={2024: "a", 2025: "b"}), "must be 3 to 5 files"),
        (operation("backtest", censuses={2023: "a", 2024: "b", 2025: "c"}, seeds=5), "20 to 1000"),
        (
            operation("fit_hazards", censuses={2024: "a.csv", 2025: "b.csv"}),
            "there is no such file",
        ),
    ]
    outcomes = simulation.invoke(*(command for command, _ in cases))
    for (_, reason), outcome in zip(cases, outcomes, strict=True):
        assert not outcome["success"]
        assert reason in simulation.output  # where dbt tells of an operation


def test_rows_of_a_level_that_contradict_each_other_stop_the_build(foundation, tmp_path):
    simulation = foundation.copy(tmp_path)
    with duckdb.connect(str(simulation.database)) as connection:
        connection.execute(
            "insert into config_level_hazards values ('termination', 1, 0.5), "
            "('termination', 1, 0.6), ('leaving', 2, 1), ('promotion', 9, 1), ('promotion', 2, -1)"
        )
    [outcome] = simulation.invoke((["run", "--select", "stg_job_levels"], {}))
    [message] = outcome["messages"]
    for expected in (
        "has 2 rows for hazard termination at job_level 1",
        "has a row for hazard leaving at job_level 2",
        "has a row for hazard promotion at job_level 9",
        "must have a multiplier of 0 or more for hazard promotion at job_level 2",
    ):
        assert expected in message
