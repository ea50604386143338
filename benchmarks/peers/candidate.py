"""What every peer needs of its own: one candidate, run through dbt on a copy of the baseline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        project: The dbt project.
        baseline: A database after seeds and foundation.
        years: Simulated years.
        vars: The scenario's vars.
        ranges: Parameter to its lowest and highest value and its step.
        current: Today's value of each parameter.
        targets: Metric to the value to meet and the relative tolerance.
        seconds: How long to search.
        log: Takes a JSON line for each finished trial.
    """

    project: str
    baseline: str
    years: list[int]
    vars: dict[str, object]
    ranges: dict[str, tuple[float, float, float]]
    current: dict[str, float]
    targets: dict[str, tuple[float, float]]
    seconds: float
    log: str

    @staticmethod
    def load(file: str) -> Problem:
        """Return the problem of a JSON file."""
        return Problem(**json.loads(Path(file).read_text()))

    def evaluate(self, candidate: dict[str, float]) -> dict[str, float]:
        """Run dbt for every year and return the metrics."""
        began = time.time()
        with tempfile.TemporaryDirectory(prefix="peer-") as folder:
            database = Path(folder, Path(self.baseline).name)
            shutil.copyfile(self.baseline, database)
            for year in self.years:
                self._dbt(folder, database, "tag:simulation", candidate, year)
            self._dbt(folder, database, "tag:optimization", candidate, self.years[-1])
            with duckdb.connect(str(database), read_only=True) as connection:
                rows = connection.execute(
                    "select metric, value from main.fct_optimization_metrics where scenario_id = ? "
                    "and period = 'horizon' and job_level is null",
                    [self.vars["scenario_id"]],
                ).fetchall()
        metrics = {name: float(value) for name, value in rows if name in self.targets}
        line = {"began": began, "ended": time.time(), "met": self.is_met(metrics)}
        with Path(self.log).open("a") as stream:  # a short line is appended whole
            stream.write(json.dumps(line) + "\n")
        return metrics

    def _dbt(
        self, folder: str, database: Path, tag: str, candidate: dict[str, float], year: int
    ) -> None:
        said = self.vars | candidate | {"simulation_year": year}
        subprocess.run(
            [
                str(Path(sys.prefix, "bin", "dbt")), "--quiet", "run",
                "--select", tag, "--vars", json.dumps(said), "--profiles-dir", self.project,
                "--target-path", f"{folder}/target", "--log-path", f"{folder}/logs",
            ],
            cwd=self.project,
            env=os.environ | {"WORKFORCE_DB": str(database)},
            check=True,
        )  # fmt: skip

    def misses(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return how far each target is missed, in tolerances."""
        return {
            name: (metrics[name] - value) / (abs(value) * tolerance)
            for name, (value, tolerance) in self.targets.items()
        }

    def is_met(self, metrics: dict[str, float]) -> bool:
        """Whether every target is met."""
        return all(abs(miss) <= 1 for miss in self.misses(metrics).values())

    def loss(self, metrics: dict[str, float]) -> float:
        """Return the squared misses, summed: what samplers of one number minimise."""
        return sum(miss**2 for miss in self.misses(metrics).values())
