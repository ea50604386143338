"""The jobs on the quick study, with real dbt, DuckDB and Ray; in order, on one database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_folders import checks_of, metadata_of

from dagster_defs.build import definitions
from dagster_defs.locations import ROOT, Places

pytestmark = [pytest.mark.dagster, pytest.mark.dbt, pytest.mark.ray]


class Company:
    """A home of Dagster, a main database and the quick study, for all tests of the module."""

    def __init__(self, folder: Path, project: Path, private: Path) -> None:
        self.database = folder / "workforce.duckdb"
        self.home = folder / "home"
        for name in ("home", "configs", "results"):
            (folder / name).mkdir()
        shutil.copy(ROOT / "dagster_defs" / "dagster.yaml", self.home)
        quick = (ROOT / "configs" / "quick.yaml").read_text()
        quick = quick.replace("dbt_project: ../dbt", f"dbt_project: {project}")
        (folder / "configs" / "quick.yaml").write_text(quick)
        (folder / "results" / ".dagster").symlink_to(private)
        self.places = Places(folder / "configs", project, folder / "results")

    def run(self, job: str, *, but: str | None = None) -> dg.ExecuteInProcessResult:
        """Execute a job for the quick study in this process, without a group of its assets."""
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("scenario", ["quick"])
            found = definitions(self.places)
            job_def = found.resolve_job_def(job)
            graph = found.resolve_asset_graph()
            chosen = [
                key
                for key in job_def.asset_layer.executable_asset_keys
                if graph.get(key).group_name not in ((but, "configuration") if but else ())
            ]
            return job_def.execute_in_process(
                instance=instance,
                partition_key="quick",
                raise_on_error=False,
                asset_selection=chosen if but else None,
            )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows of the main database."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def company(
    tmp_path_factory: pytest.TempPathFactory, shared_project: Path, shared_private: Path
) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("company"), shared_project, shared_private)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKFORCE_DB", str(made.database))
        patch.setenv("DAGSTER_HOME", str(made.home))
        yield made


METRIC = """
    select value from fct_optimization_metrics where scenario_id = 'quick' and period = '{}'
    and metric = 'total_compensation_cost' and job_level is null
"""


def test_the_tuning_job_leads_from_the_census_to_the_winner(company: Company) -> None:
    result = company.run("compensation_tuning_job")
    assert result.success, [one.message for one in result.all_events if one.is_failure]
    tuned = metadata_of(result, "tune_compensation_parameters")
    assert tuned["converged"] is True and tuned["verified by dbt"] is True
    checks = checks_of(result)
    assert [name for name, one in checks.items() if not one.passed] == []
    assert "winner_is_reproduced_in_the_main_database" in checks
    assert sum(name.startswith(("not_null_", "unique_", "no_nulls_")) for name in checks) > 20
    materialised = {
        event.asset_key.to_user_string()
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }
    graph = definitions(company.places).resolve_asset_graph()
    assert materialised == {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).is_materializable
    } - {"target_frontier"}  # asked for by itself: it evaluates further candidates
    (achieved,) = company.query(
        "select recommended_value from optimization.parameter_optimization_results "
        "where scenario_id = 'quick' and name = 'total_compensation_cost'"
    )
    assert company.query(METRIC.format("horizon")) == [pytest.approx(achieved, rel=1e-9)]
    assert company.query("select distinct simulation_year from fct_workforce_snapshot order by 1")[
        -1
    ] == (2027,)


def test_a_plain_simulation_uses_the_parameters_in_force(company: Company) -> None:
    (before,) = company.query(METRIC.format("2026"))
    # The simulation builds the foundation itself, without events.
    result = company.run("single_year_simulation", but="foundation")
    assert result.success, [one.message for one in result.all_events if one.is_failure]
    (after,) = company.query(METRIC.format("2026"))
    assert before != after
    (years,) = company.query(
        "select list(distinct simulation_year) from fct_workforce_snapshot "
        "where scenario_id = 'quick'"
    )
    assert years == ([2026],)
