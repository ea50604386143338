"""The code location of a team with a dbt project of its own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets, get_asset_key_for_model

from dagster_defs import study_definitions

HERE = Path(__file__).parent
MANIFEST = HERE / "dbt" / "target" / "manifest.json"  # `dbt parse` writes it


class OwnKeys(DagsterDbtTranslator):
    """Every dbt node stands below `shop`."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return super().get_asset_key(dbt_resource_props).with_prefix("shop")


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=OwnKeys())
def shop_dbt_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Any:
    yield from dbt.cli(["build"], context=context).stream()


prices = study_definitions(
    HERE / "studies" / "prices.yaml",
    key="shop/prices",
    results=HERE / "results",
    deps=[get_asset_key_for_model([shop_dbt_assets], "stg_products")],
    group_name="studies",
    schedule="0 6 * * 1",
    retune=True,
)

stock = study_definitions(HERE / "stock" / "study.yaml", results=HERE / "results")


@dg.asset(key_prefix="shop", ins={"found": dg.AssetIn(["shop", "prices_best_parameters"])})
def price_list(found: dict[str, Any]) -> float:
    """What a team does with the winner."""
    return 3.0 * found["price_factor"]


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[shop_dbt_assets, price_list],
        resources={
            "dbt": DbtCliResource(
                project_dir=HERE / "dbt", dbt_executable=str(Path(sys.executable).with_name("dbt"))
            )
        },
    ),
    prices,
    stock,
)
