"""Where things are: study files, the dbt project, results and what Dagster keeps for itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Places:
    """The folders that the definitions work in; all absolute.

    Attributes:
        configs: Study files, one YAML each; every study in it is a scenario.
        project: The dbt project whose models are assets.
        results: Results of all studies, as the command line writes them.
    """

    configs: Path
    project: Path
    results: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Places:
        """Return ``configs``, ``dbt`` and ``results`` of the working directory.

        Without a ``configs`` folder there, those of this repository are meant.
        ``SCENARIO_SEARCH_CONFIGS``, ``SCENARIO_SEARCH_DBT_PROJECT`` and
        ``SCENARIO_SEARCH_RESULTS`` name others, relative to the working directory.
        """
        base = Path.cwd() if Path("configs").is_dir() else ROOT

        def place(variable: str, default: str) -> Path:
            given = environment.get(variable)
            return Path(given).absolute() if given else base / default

        return cls(
            configs=place("SCENARIO_SEARCH_CONFIGS", "configs"),
            project=place("SCENARIO_SEARCH_DBT_PROJECT", "dbt"),
            results=place("SCENARIO_SEARCH_RESULTS", "results"),
        )

    @property
    def private(self) -> Path:
        """What the definitions keep for themselves: manifests, dbt's target folders."""
        return self.results / ".dagster"
