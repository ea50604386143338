"""What a study is made from is edited while it runs: no number of the new under the old's name.

Each kind of input, with both engines, inline and by Ray workers. The run ends with the file's name,
or was not concerned; afterwards the old content is restored, the study runs to its end, and every
trial of it and every kept result is that of the old content.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from studies import (
    changed,
    copy_project,
    dbt_document,
    run_search,
    search_command,
    stored_trials,
    write_study,
)

pytestmark = [pytest.mark.fault, pytest.mark.dbt, pytest.mark.long]

MODEL = """
select {{ var('x') }} * 10 + {{ var('y') }}
    + (select rate from read_csv('{folder}/rates.csv'))
    + (select rate from more.rates)
    + (select max(rate) from {{ ref('of_package') }})
    + (select 0 * sum(hash(range) % 7) from range(3000000)) as result
"""
RATES = {"census": 100.0, "attached": 1000.0, "package": 10000.0}
WHOLE = sum(RATES.values())


def attached(folder: Path, rate: float) -> None:
    (folder / "more.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "more.duckdb")) as connection:
        connection.execute(f"create table rates as select {rate}::double as rate")


def census(folder: Path, rate: float) -> None:
    (folder / "rates.csv").write_text(f"rate\n{rate}\n")


def package(folder: Path, rate: float) -> None:
    (folder / "project/dbt_packages/pay/models/of_package.sql").write_text(
        f"select {rate}::double as rate"
    )


def project_of(folder: Path) -> Path:
    project = copy_project("tiny", folder / "project")
    text = MODEL.replace("{folder}", str(folder))
    (project / "models/fct_result.sql").write_text(text)
    models = project / "dbt_packages/pay/models"
    models.mkdir(parents=True)
    (models.parent / "dbt_project.yml").write_text("name: pay\nversion: '1.0'\nprofile: tiny\n")
    (project / "packages.yml").write_text("packages: []\n")
    profiles = yaml.safe_load((project / "profiles.yml").read_text())
    output = profiles["tiny"]["outputs"]["dev"]
    output["attach"] = [{"path": str(folder / "more.duckdb"), "read_only": True}]
    (project / "profiles.yml").write_text(yaml.safe_dump(profiles))
    for name, write in (("census", census), ("attached", attached), ("package", package)):
        write(folder, RATES[name])
    return project


def model(folder: Path) -> None:
    file = folder / "project/models/fct_result.sql"
    file.write_text(file.read_text().replace("* 10", "* 10 + 5000"))


def profile(folder: Path) -> None:
    file = folder / "project/profiles.yml"
    file.write_text(file.read_text().replace("more.duckdb", "none.duckdb"))


def study_file(folder: Path) -> None:
    file = folder / "project/study.yml"
    file.write_text(file.read_text().replace("1000000.0", "1.0"))


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "model": (model, "fct_result.sql"),
    "census": (lambda folder: census(folder, 7.0), "rates.csv"),
    "attached": (lambda folder: attached(folder, 7.0), "more.duckdb"),
    "package": (lambda folder: package(folder, 7.0), "of_package.sql"),
    "profile": (profile, "profiles.yml"),
    "study file": (study_file, ""),
    "apply": (lambda folder: None, "dbt_project.yml"),
}
READ_ONCE = ("model", "package", "profile", "study file", "apply")
"""A compiled scenario reads them while it is prepared, and when dbt verifies the winner."""


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.ray)])
@pytest.mark.parametrize("engine", ["dbt", "compiled"])
@pytest.mark.parametrize("what", EDITS)
def test_an_edit(tmp_path: Path, what: str, engine: str, workers: int) -> None:
    project = project_of(tmp_path)
    document = changed(
        dbt_document(
            targets={"v": {"value": 1000000.0, "tolerance": 0.0001}},
            search={"max_iterations": 2, "batch_size": 4, "early_stop": False},
        ),
        {"resources": {"engine": engine, "memory_budget": "3GB"}},
    )
    document["parameters"]["x"]["high"] = 8.0
    file = write_study(project, document)
    results = tmp_path / "results"
    words = ("--results", results, "--workers", workers)
    before = {
        path: path.read_bytes()
        for path in [*project.rglob("*"), tmp_path / "rates.csv", tmp_path / "more.duckdb"]
        if path.is_file()
    }
    edit, name = EDITS[what]
    said = ""
    with subprocess.Popen(
        search_command("run", file, *words), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "trial 2 done" in line:
                if what == "apply":
                    reason = ("-m", "while it runs", "--set", "x=3")
                    done = run_search("apply", file, "--results", results, *reason, cwd=tmp_path)
                    assert done.returncode == 0, done.stderr
                else:
                    edit(tmp_path)
    assert "Traceback" not in said and "unexpected" not in said, said
    is_concerned = what not in ("study file",) and not (engine == "compiled" and what in READ_ONCE)
    if is_concerned:
        assert process.returncode == 2 and f"{name} changed" in said, said
    else:
        assert process.returncode == 3, said
        if what in ("model", "package", "apply"):
            assert f"{name} changed while the study ran" in said
    check(results, "tiny")

    for path, content in before.items():
        path.write_bytes(content)
    again = run_search("run", file, *words, cwd=tmp_path, timeout=1200)
    assert again.returncode == 3, again.stderr
    names = [folder.name for folder in results.iterdir() if (folder / "study.db").exists()]
    for study in names:
        check(results, study)
    kept = sqlite3.connect(results / "evaluations.db")
    found = [json.loads(text)["v"] for (text,) in kept.execute("select metrics from results")]
    kept.close()
    # Trials, and candidates that were tried to tell effects; no edit moves a number by less.
    x, rate = (document["parameters"][name] for name in ("x", "rate"))
    lowest = x["low"] * 10 + rate["low"] + WHOLE
    highest = x["high"] * 10 + rate["high"] + WHOLE
    assert found and all(lowest <= value <= highest < lowest + 93.0 for value in found)


def complete(results: Path, study: str) -> list[Any]:
    """Return the trials of a study that were evaluated."""
    return [one for one in stored_trials(results, study) if one.state.name == "COMPLETE"]


def check(results: Path, study: str) -> None:
    """Every number is that of the content under whose name it stands."""
    for trial in complete(results, study):
        expected = trial.params["x"] * 10 + trial.params["rate"] + WHOLE
        assert trial.user_attrs["metric:v"] == pytest.approx(expected), trial.params
