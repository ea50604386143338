"""Studies in somebody else's code location: as functions and as a component."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import dagster_defs
from dagster_defs import StudyComponent, study_assets, study_definitions
from search.commands.examples import unpack_example
from search.errors import ArgumentError, SpecError

pytestmark = pytest.mark.dagster
SHOP = Path(__file__).parent / "shop"


def keys(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The location of tests/dagster_defs/shop in a folder of its own, with its manifest."""
    folder = shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns("target"))
    unpack_example("montecarlo", folder / "stock")
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.duckdb"))
    dbt = Path(sys.executable).with_name("dbt")
    subprocess.run([dbt, "--quiet", "parse"], cwd=folder / "dbt", check=True)
    spec = importlib.util.spec_from_file_location("shop_definitions", folder / "definitions.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.dbt
def test_a_strangers_location_has_its_own_keys(shop: Any) -> None:
    definitions: dg.Definitions = shop.defs
    graph = definitions.resolve_asset_graph()
    assert keys(definitions) == {
        "shop/products", "shop/stg_products", "shop/fct_revenue", "shop/price_list",
        "shop/prices", "shop/prices_best_parameters", "montecarlo", "montecarlo_best_parameters",
    }  # fmt: skip
    study = graph.get(dg.AssetKey(["shop", "prices"]))
    assert {key.to_user_string() for key in study.parent_keys} == {"shop/stg_products"}
    assert [key.name for key in study.check_keys] == ["targets_met"]
    repository = definitions.get_repository_def()
    assert {"shop__prices_schedule"} == {one.name for one in repository.schedule_defs}
    assert {"shop__prices_retune"} == {one.name for one in repository.sensor_defs}


@pytest.mark.dbt
@pytest.mark.long
def test_a_strangers_location_runs(shop: Any) -> None:
    """Their dbt models, the study after them, and their asset that uses the winner."""
    job = shop.defs.get_implicit_global_asset_job_def()
    chosen = [
        key for key in job.asset_layer.asset_graph.get_all_asset_keys() if key.path[0] == "shop"
    ]
    done = job.execute_in_process(asset_selection=chosen)
    assert done.success
    (check,) = (
        one for one in done.get_asset_check_evaluations() if one.check_name == "targets_met"
    )
    assert check.passed
    found = done.output_for_node("shop__prices_best_parameters")
    assert done.output_for_node("shop__price_list") == 3.0 * found["price_factor"]
    assert 0.5 <= found["price_factor"] <= 2.0


@pytest.mark.dbt
def test_a_study_is_an_asset_with_its_check(tiny: Callable[..., Path], tmp_path: Path) -> None:
    study = tiny(search={"max_iterations": 1, "max_trials": 3})
    assets = study_assets(study, results=tmp_path / "results", key=["own", "it"], group_name="mine")
    done = dg.materialize(assets, resources={"io_manager": dg.mem_io_manager})
    assert done.success
    (check,) = done.get_asset_check_evaluations()
    assert check.check_name == "targets_met" and check.severity is dg.AssetCheckSeverity.WARN
    found = done.output_for_node("own__it_best_parameters")
    assert set(found) == {"x", "rate"}
    (event,) = (
        one for one in done.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(["own", "it"])
    )  # fmt: skip
    assert {"targets", "parameters", "converged", "best trial"} <= set(
        event.materialization.metadata
    )


@pytest.mark.dbt
def test_files_that_the_setup_writes_stay_out_of_the_project(tmp_path: Path) -> None:
    project = tmp_path / "proj"
    texts = {
        "dbt_project.yml": "{name: own, version: '1.0', profile: own, vars: {x: 1.0}}",
        "profiles.yml": "own: {target: dev, outputs: {dev: {type: duckdb, path: own.duckdb}}}",
        "models/staged.sql": "{{ config(materialized='table', post_hook=\"copy {{ this }} to "
        "'out/stage.parquet' (format parquet)\") }} select 5 as v",
        "models/result.sql": "{{ config(materialized='table') }} -- {{ ref('staged') }}\n"
        "select sum(v) * {{ var('x') }} as y from read_parquet('out/stage.parquet')",
        "out/stage.parquet": "the user's own",
    }
    for name, text in texts.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    study = tmp_path / "study.yml"
    study.write_text(
        """
study: own
scenario:
  dbt_project: proj
  setup: [{dbt: {command: run, select: staged}}]
  steps: [{dbt: {command: run, select: result}}]
parameters: {x: {low: 0.5, high: 4, current: 1.0, bind: {var: x}}}
metrics: {y: {sql: "select y from {{ ref('result') }}"}}
targets: {y: {value: 10, tolerance: 0.02}}
search: {max_iterations: 3, sensitivity: none, seed: 7}
resources: {workers: 0, memory_budget: 2GB}
"""
    )
    assets = study_assets(study, results=tmp_path / "results")
    done = dg.materialize(assets, resources={"io_manager": dg.mem_io_manager})
    assert done.success and done.get_asset_check_evaluations()[0].passed
    assert done.output_for_node("own_best_parameters")["x"] == pytest.approx(2, rel=0.02)
    left = {str(file.relative_to(project)) for file in project.rglob("*") if file.is_file()}
    assert left == set(texts)
    assert (project / "out/stage.parquet").read_text() == "the user's own"


def test_the_sensor_sees_a_changed_study(tiny: Callable[..., Path]) -> None:
    file = tiny()
    definitions = study_definitions(file, retune=True)
    sensor = definitions.get_sensor_def("tiny_retune")

    def look(cursor: str | None) -> Any:
        return sensor(dg.build_sensor_context(cursor=cursor))

    first = look(None)
    assert not first.run_requests and not look(first.cursor).run_requests
    file.write_text(file.read_text().replace("value: 55.0", "value: 44.0"))
    assert len(look(first.cursor).run_requests) == 1


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"study": 5}, ArgumentError, "path of a study file"),
        ({"study": "nowhere.yaml"}, SpecError, "nowhere.yaml"),
        ({"key": 5}, ArgumentError, "key must be a text"),
        ({"overrides": ["search.seed=1"]}, ArgumentError, "overrides must be a dict"),
        ({"overrides": {"search.sed": 1}}, SpecError, "did you mean"),
    ],
)
def test_what_is_wrong_is_told_while_definitions_load(
    tiny: Callable[..., Path], options: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=re.escape(told)):
        study_assets(**({"study": tiny()} | options))


def test_a_component_is_made_from_yaml(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """The attributes of a ``defs.yaml`` are the function's."""
    from dagster.components.testing import create_defs_folder_sandbox

    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(
            component_cls=StudyComponent,
            defs_yaml_contents={
                "type": "dagster_defs.StudyComponent",
                "attributes": {
                    "study": str(tiny()),
                    "key": "shop/tiny",
                    "deps": ["shop/stg_products"],
                    "schedule": "0 6 * * 1",
                },
            },
        )
        with sandbox.load_component_and_build_defs(defs_path=folder) as (component, definitions):
            assert isinstance(component, StudyComponent)
            assert {"shop/tiny", "shop/tiny_best_parameters"} <= keys(definitions)
            assert "shop__tiny_schedule" in {
                one.name for one in definitions.get_repository_def().schedule_defs
            }


def test_a_scaffolded_component_loads() -> None:
    """With the pricing example as its study."""
    from dagster.components.testing import create_defs_folder_sandbox

    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(component_cls=StudyComponent)
        assert (folder / "pricing" / "study.yaml").is_file()
        with sandbox.load_component_and_build_defs(defs_path=folder) as (_, definitions):
            assert keys(definitions) >= {"pricing", "pricing_best_parameters"}


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="study_assets"):
        dagster_defs.study_asset  # noqa: B018
    assert "StudyComponent" in dir(dagster_defs)
