"""A census in the form of another system: read by one mapping file, or refused with its rows."""

import csv
import importlib.util
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.dbt

FOUNDATION = ["run", "--select", "stg_census", "stg_census_rejects", "stg_census_summary"]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location(
        "messy_census", Path(__file__).with_name("messy_census.py")
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def mapped(foundation, years, generator, tmp_path_factory):
    """The messy export of 1,300 people with its mapping: read, and one year simulated."""
    folder = tmp_path_factory.mktemp("mapped")
    messy = generator.write_messy_census(folder / "export.csv")
    (folder / "mapping.csv").write_text(generator.MAPPING)
    simulation = foundation.copy(folder)
    variables = {
        "census_path": str(folder / "export.csv"),
        "census_mapping": str(folder / "mapping.csv"),
        "census_rejects": "skip",
    }
    simulation.run((["run", "--select", "tag:foundation"], variables), years(2026, **variables))
    return simulation, messy, variables


def test_every_person_of_a_messy_export_is_read_to_the_cent(mapped):
    simulation, messy, _ = mapped
    columns = list(next(iter(messy.people.values())))
    rows = simulation.query(f"select {', '.join(columns)} from stg_census order by employee_id")
    expected = sorted(tuple(person.values()) for person in messy.people.values())
    assert rows == expected
    assert len(rows) == 1300
    currencies = simulation.query(
        "select distinct currency from stg_census where currency is not null"
    )
    assert currencies == [("USD",)]


def test_every_bad_row_is_listed_with_its_reason_in_a_table_and_a_file(mapped):
    simulation, messy, variables = mapped
    rows = simulation.query("select census_row, reason, given, allowed from stg_census_rejects")
    assert Counter(reason for _, reason, _, _ in rows) == messy.reasons
    assert {number for number, *_ in rows} == messy.rejected_rows
    assert all(allowed for *_, allowed in rows)
    given = {given for _, reason, given, _ in rows if reason == "second currency"}
    assert given == {"CAD", "EUR"}
    with open(variables["census_path"] + ".rejects.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(rows)


def test_the_summary_tells_people_and_payroll_before_a_year_is_simulated(mapped):
    simulation, messy, _ = mapped
    lines = {
        item: (people, pay)
        for item, people, pay in simulation.query(
            "select item, people, payroll from stg_census_summary"
        )
    }
    employed = messy.employed()
    assert lines["employed on January 1, 2026"] == (
        len(employed),
        sum(person["annual_salary"] for person in employed),
    )
    staff = [person["annual_salary"] for person in employed if person["job_level"] == 1]
    assert lines["employed, level 1 Staff"] == (len(staff), sum(staff))
    assert lines["left before"][0] == 1300 - len(employed)
    assert lines["row skipped: second currency"][0] == 2
    assert "columns not read, because nothing names them: Badge Colour, T-Shirt" in lines
    assert f"{len(employed):>9,}  payroll" in simulation.output
    first_year = simulation.output.index("fct_workforce_snapshot")
    assert simulation.output.index("employed on January 1, 2026") < first_year
    [(opening,)] = simulation.query(
        "select count(*) from fct_workforce_snapshot where opening_level is not null"
    )
    assert opening == len(employed)


def test_without_skip_the_same_file_is_refused_with_every_problem(foundation, mapped, tmp_path):
    _, messy, variables = mapped
    simulation = foundation.copy(tmp_path)
    [strict, narrow] = simulation.invoke(
        (FOUNDATION, variables | {"census_rejects": "stop"}),
        (FOUNDATION, variables | {"census_rejects_limit": 0.001}),
    )
    message = "\n".join(strict["messages"])
    assert "second currency: 2 rows, for example" in message
    assert (
        f"leave out the {len(messy.rejected_rows)} rows with the var census_rejects: skip"
        in message
    )
    rejected = simulation.query("select count(distinct census_row) from stg_census_rejects")
    assert rejected == [(len(messy.rejected_rows),)]
    share = (
        f"{len(messy.rejected_rows)} of 1320 rows would be skipped, more than census_rejects_limit"
    )
    assert any(share in message for message in narrow["messages"]), narrow["messages"]


def test_mistakes_of_a_mapping_are_named_with_what_is_allowed(
    foundation, mapped, generator, tmp_path
):
    _, _, variables = mapped
    simulation = foundation.copy(tmp_path)
    wrong = generator.MAPPING
    for right, mistake in (
        ("DOB,birth_date,MM/DD/YYYY | YYYY-MM-DD", "DOB,birth_date,MM/DD/YYYY | DD/MM/YYYY"),
        ("Term Date,termination_date,MM/DD/YYYY", "Term Date,termination_date,mm/dd/yy"),
        ('Pay Rate,hourly_rate,"1,234.56"', "Pay Rate,hourly_rate,dollars"),
        ("H=hourly; S=salaried", "H hourly"),
        ("Grade,job_level", "Grade,level"),
        ("Mgr ID,manager_id", "Manager,manager_id"),
        ("Cost Ctr,cost_centre", "Cost Ctr,country"),
    ):
        assert right in wrong
        wrong = wrong.replace(right, mistake)
    (tmp_path / "mapping.csv").write_text(wrong)
    (tmp_path / "columns.csv").write_text("theirs,ours\nDOB,birth_date\n")
    named, columns, nowhere = simulation.invoke(
        (
            ["run", "--select", "stg_census"],
            variables | {"census_mapping": str(tmp_path / "mapping.csv")},
        ),
        (
            ["run", "--select", "stg_census"],
            variables | {"census_mapping": str(tmp_path / "columns.csv")},
        ),
        (
            ["run", "--select", "stg_census"],
            variables | {"census_mapping": str(tmp_path / "no.csv")},
        ),
    )
    [message] = named["messages"]
    for expected in (
        "mapping of column DOB: format must not read one date in two ways",
        "mapping of column Term Date: format must be made of YYYY, MM (or MMM for Jan) and DD",
        "mapping of column Pay Rate: format must show how 1234.56 is written",
        "mapping of column Pay Type: format must say which word stands for which",
        "mapping of column Grade: our_column must be one of employee_id, birth_date",
        "the mapping names a column that the file lacks: Manager (found: Employee ID, ",
        "mapping of column Cost Ctr: country is already taken from column Country",
    ):
        assert expected in message
    assert "must have the columns their_column, our_column, format" in columns["messages"][0]
    assert "there is no file" in nowhere["messages"][0]


def test_a_file_of_another_encoding_is_named_and_read_when_it_is_said(foundation, tmp_path):
    simulation = foundation.copy(tmp_path)
    file = tmp_path / "ansi.csv"
    header = "employee_id,birth_date,hire_date,termination_date,annual_salary,department"
    file.write_bytes(f"{header}\nA,1980-01-01,2010-01-01,,60000,Café\n".encode("latin-1"))
    refused, read, wrong = simulation.invoke(
        (["run", "--select", "stg_census"], {"census_path": str(file)}),
        (
            ["run", "--select", "stg_census"],
            {"census_path": str(file), "census_encoding": "latin-1"},
        ),
        (
            ["run", "--select", "stg_census"],
            {"census_path": str(file), "census_encoding": "ebcdic"},
        ),
    )
    assert "the file is not UTF-8; say how it is written" in refused["messages"][0]
    assert read["success"], read["messages"]
    assert simulation.query("select department from stg_census") == [("Café",)]
    assert "census_encoding must be one of utf-8, latin-1, utf-16" in wrong["messages"][0]


def test_the_seed_maps_as_well_and_leaves_a_file_in_our_own_form_alone(
    foundation, generator, tmp_path
):
    simulation = foundation.copy(tmp_path)
    own = tmp_path / "own.csv"
    own.write_text(
        "employee_id,birth_date,hire_date,termination_date,annual_salary\nA,1980-01-01,2010-01-01,,60000\n"
    )
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("Id;DOB;Hired;Left;Lohn\nB;05.MAR.1980;01.APR.2010;;72.500,50 EUR\n")
    with duckdb.connect(str(simulation.database)) as connection:
        connection.executemany(
            "insert into config_census_mapping values (?, ?, ?)",
            [
                ("ID", "employee_id", None),
                ("DOB", "birth_date", "DD.MMM.YYYY"),
                ("Hired", "hire_date", "DD.MMM.YYYY"),
                ("Left", "termination_date", "DD.MMM.YYYY"),
                ("Lohn", "annual_salary", "1.234,56"),
            ],
        )
    read = (
        "select employee_id, birth_date::varchar, annual_salary::varchar, currency from stg_census"
    )
    simulation.run((FOUNDATION, {"census_path": str(theirs)}))
    assert simulation.query(read) == [("B", "1980-03-05", "72500.50", "EUR")]
    simulation.run((FOUNDATION, {"census_path": str(own)}))
    assert simulation.query(read) == [("A", "1980-01-01", "60000.00", None)]
    assert "no column of the mapping is in this file; it is read by our names" in simulation.output
