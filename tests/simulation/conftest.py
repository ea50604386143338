"""Real dbt runs of the simulation in ``dbt/``, each in a process and a folder of its own.

The processes are forks of one that has imported dbt and read the project: ``warm_dbt.py``.

Databases are built once a session and copied: parsing the project costs seconds, the years of a
few hundred people do not.
"""

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

DBT_PROJECT = Path(__file__).parents[2] / "dbt"
EMPLOYEES = 300
YEARS = (2026, 2027, 2028)


class WarmDbt:
    """A process that has dbt imported and forks for each request; importing takes seconds."""

    def __init__(self, folder: Path) -> None:
        program = Path(__file__).with_name("warm_dbt.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(DBT_PROJECT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"WORKFORCE_DB": ":memory:", "DO_NOT_TRACK": "1"},
        )

    def ask(self, request: dict[str, Any]) -> int:
        """Run a request's dbt commands and return the exit code of their process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass
class Simulation:
    """A database of the simulation and the dbt invocations that change it."""

    folder: Path
    dbt: WarmDbt = field(repr=False)
    output: str = field(default="", repr=False)
    project: Path = DBT_PROJECT

    @property
    def database(self) -> Path:
        """Path of the DuckDB file."""
        return self.folder / "workforce.duckdb"

    def copy(self, folder: Path) -> "Simulation":
        """Return the simulation on a copy of the database."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.database, folder / "workforce.duckdb")
        return Simulation(folder, self.dbt)

    def invoke(self, *commands: tuple[list[str], dict[str, Any]]) -> list[dict[str, Any]]:
        """Run dbt commands with vars, one after the other, and return their outcomes."""
        arguments = [
            [
                *command,
                *("--project-dir", str(self.project), "--profiles-dir", str(self.project)),
                *("--vars", json.dumps({"census_employees": EMPLOYEES, **variables})),
                *("--target-path", str(self.folder / "target")),
                *("--log-path", str(self.folder / "logs")),
            ]
            for command, variables in commands
        ]
        output, outcomes = self.folder / "output.txt", self.folder / "outcomes.json"
        outcomes.unlink(missing_ok=True)
        self.dbt.ask(
            {
                "commands": arguments,
                "folder": str(self.folder),
                "environment": {"WORKFORCE_DB": str(self.database)},
                "output": str(output),
                "outcomes": str(outcomes),
            }
        )
        self.output = output.read_text(errors="replace")
        assert outcomes.exists(), self.output
        return json.loads(outcomes.read_text())

    def run(self, *commands: tuple[list[str], dict[str, Any]]) -> None:
        """Run dbt commands with vars that must all succeed."""
        for outcome in self.invoke(*commands):
            assert outcome["success"], outcome["messages"]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the database."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def year(simulation_year: int, *options: str, **variables: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the step of a year: the models tagged simulation."""
    command = ["run", "--select", "tag:simulation", "--threads", "1", *options]
    return command, {"simulation_year": simulation_year, **variables}


SETUP = (
    (["seed"], {}),
    (["run", "--select", "tag:foundation", "--threads", "1"], {}),
)


def metrics(**variables: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the step that computes the metrics after the last year."""
    command = ["run", "--select", "tag:optimization", "--threads", "1"]
    return command, {"simulation_year": YEARS[-1], **variables}


@pytest.fixture(scope="session")
def years() -> Any:
    """The step functions, for tests that add years to a database."""
    return year


@pytest.fixture(scope="session")
def warm_dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmDbt]:
    """dbt, imported and acquainted with the project."""
    warm = WarmDbt(tmp_path_factory.mktemp("warm_dbt"))
    yield warm
    warm.close()


def made_once(
    paths: pytest.TempPathFactory, dbt: WarmDbt, name: str, make: Callable[[Simulation], None]
) -> Simulation:
    """Return a simulation that one of the processes that share the tests makes for all.

    Args:
        paths: Of this process.
        dbt: Runs its commands.
        name: Of its folder.
        make: Makes it in an empty folder.
    """
    is_shared = "PYTEST_XDIST_WORKER" in os.environ
    base = paths.getbasetemp().parent if is_shared else paths.getbasetemp()
    simulation = Simulation(base / name, dbt)
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made := base / f"{name}.made").exists():
            shutil.rmtree(simulation.folder, ignore_errors=True)
            simulation.folder.mkdir()
            make(simulation)
            made.touch()
    return simulation


@pytest.fixture(scope="session")
def foundation(warm_dbt: WarmDbt, tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A database with seeds and staging only. Copy before writing."""
    return made_once(
        tmp_path_factory, warm_dbt, "foundation", lambda simulation: simulation.run(*SETUP)
    )


@pytest.fixture(scope="session")
def stepwise(foundation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """Three years step by step on one thread, metrics once at the end. Copy before writing."""

    def make(simulation: Simulation) -> None:
        foundation.copy(simulation.folder).run(*(year(y) for y in YEARS), metrics())

    return made_once(tmp_path_factory, foundation.dbt, "stepwise", make)


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The rules of a year in plain Python."""
    spec = importlib.util.spec_from_file_location(
        "simulation_oracle", Path(__file__).with_name("oracle.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def spread_out(foundation, tmp_path_factory):
    """The foundation of 500 people with pay beyond the bands, part-time people and ratings."""
    folder = tmp_path_factory.mktemp("spread_out")
    path = folder / "census.csv"
    with duckdb.connect(str(foundation.database), read_only=True) as connection:
        connection.execute(f"""
            copy (
                with active as (
                    select * from stg_census where is_active_at_start
                ),
                people as (
                    select * from active
                    union all
                    select * replace
                        (employee_id || 'B' as employee_id, hire_date + 40 as hire_date)
                    from active where hire_date < date '2025-11-01'
                ),
                numbered as (
                    select *, row_number() over (order by employee_id) as number
                    from people qualify number <= 500
                )
                select employee_id, birth_date, hire_date, null as termination_date, job_level,
                    round(annual_salary * (0.8 + 0.005 * (number % 97))
                        * if(number % 11 = 0, 0.6, 1), 2) as annual_salary,
                    department, if(number % 11 = 0, 0.6, 1) as fte,
                    if(number % 2 = 0, 'F', 'M') as gender,
                    ['strong', 'solid', 'outstanding', null, 'unknown'][1 + number % 5] as rating
                from numbered
            ) to '{path}' (format csv, header)
        """)
    census = {"census_path": str(path)}
    simulation = foundation.copy(folder)
    simulation.run((["run", "--select", "tag:foundation"], census))
    return simulation, census
