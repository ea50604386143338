"""Data files that Python opens while dbt works are noticed, those of programs and projects not."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.scenario.python_reads import noticing_python
from search.scenario.world import ReadLog


def test_data_that_python_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("a.csv", "../b.csv", "m.sql", "config.yml", "../outside.yml", "late.csv"):
        Path(name).write_text("x")
    log = ReadLog(project)
    with noticing_python(log):
        for name in ("a.csv", "../b.csv", "m.sql", "config.yml", "../outside.yml"):
            Path(name).read_text()
        Path("out.csv").write_text("x")
    Path("late.csv").read_text()
    found = {name.removeprefix(f"{tmp_path}/") for _, name in log.inputs()}
    assert found == {"project/a.csv", "b.csv", "outside.yml"}
