"""A study as a component: ``type: dagster_defs.StudyComponent`` in a ``defs.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from dagster_defs.own import study_definitions
from search.commands.examples import example_names, unpack_example

EXAMPLE = "pricing"


class StudyScaffolder(dg.Scaffolder[Any]):
    """Writes a ``defs.yaml``, with the bundled pricing example as its study."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the files of a new component."""
        assert EXAMPLE in example_names()
        study = unpack_example(EXAMPLE, Path(request.target_path) / EXAMPLE)
        attributes = {"study": f"{EXAMPLE}/{study.name}", "results": "results", "deps": []}
        dg.scaffold_component(request, attributes)


@dg.scaffold_with(StudyScaffolder)
class StudyComponent(dg.Component, dg.Model, dg.Resolvable):
    """A study of scenario-search: its assets, its job, and a schedule and a sensor where asked for.

    Attributes:
        study: The study file, relative to the component's folder.
        results: Folder of all results, relative to the working folder.
        key: Key of the study's asset, ``shop/prices``; the study's name when left out.
        deps: Keys of assets that the study follows: ``shop/stg_products``.
        group_name: Group of the assets.
        overrides: Keys of the study file to other values.
        schedule: A cron expression.
        retune: Whether to have a sensor that starts the study when its inputs change.
    """

    study: str
    results: str = "results"
    key: str | None = None
    deps: list[str] = []
    group_name: str | None = None
    overrides: dict[str, Any] = {}
    schedule: str | None = None
    retune: bool = False

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the study's definitions."""
        return study_definitions(
            Path(context.path) / self.study,
            results=self.results,
            key=self.key,
            deps=[dg.AssetKey(name.split("/")) for name in self.deps],
            group_name=self.group_name,
            overrides=self.overrides,
            schedule=self.schedule,
            retune=self.retune,
        )
