"""``scenario-search frontier`` as a process: what it prints and stores, and after a kill."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from studies import copy_project, run_search, search_command, tiny_document, write_study

from search.audit.reader import AuditReader

pytestmark = pytest.mark.dbt

VARY = ("--vary", "v=45:75:4")


def tiny(folder: Path) -> Path:
    """Return a study of two targets that the same two parameters move, which has run."""
    document = tiny_document(
        search={"sampler": "target", "polish": 0, "max_iterations": 6, "sensitivity": "none"}
    )
    document["metrics"]["rate"] = {"sql": "select value as v from levers"}
    document["targets"]["rate"] = {"value": 5.0, "tolerance": 0.1}
    file = write_study(copy_project("tiny", folder), document)
    run_search("run", file, "--results", folder / "results", cwd=folder)
    return file


def test_the_plans_of_a_frontier_stand_in_table_json_plot_and_trail(tmp_path: Path) -> None:
    file = tiny(tmp_path / "study")
    results = ("--results", file.parent / "results")
    ended = run_search("frontier", file, *VARY, *results, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert [point["levels"]["v"] for point in told["points"]] == [45.0, 55.0, 65.0, 75.0]
    for point in told["points"]:
        x, rate = point["values"]["x"], point["values"]["rate"]
        assert point["is_met"] and point["metrics"] == {"v": 10 * x + rate, "rate": rate}
        assert abs(10 * x + rate - point["levels"]["v"]) <= 0.05 * point["levels"]["v"]
    rows = AuditReader(file.parent / "results" / "tiny").frontiers()
    kept = {(row.point, row.name): row.value for row in rows if row.kind == "parameter"}
    assert kept[1, "x"] == told["points"][0]["values"]["x"] and len(kept) == 8
    plot = Path(told["plot_path"]).read_text()
    assert plot.count("<circle") == 8 and "parameters along v" in plot
    again = run_search("frontier", file, *VARY, *results, cwd=tmp_path)
    assert again.returncode == 0 and "4 of 4 points are known" in again.stderr
    assert "every target met at 4 of 4 points" in again.stdout
    assert max(map(len, again.stdout.splitlines()[:8])) <= 80
    bad = run_search("frontier", file, "--vary", "w=1:2:3", *results, cwd=tmp_path)
    assert bad.returncode == 2 and "must name a metric" in bad.stderr


@pytest.mark.long
def test_a_killed_frontier_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = tiny(tmp_path / "whole"), tiny(tmp_path / "killed")
    results = ("--results", whole.parent / "results", "--json")
    done = run_search("frontier", whole, *VARY, *results, cwd=tmp_path)
    arguments = ("frontier", killed, *VARY, "--results", killed.parent / "results", "--json")
    with subprocess.Popen(
        search_command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if re.search(r"point 2 of 4", line):
                process.send_signal(signal.SIGKILL)
                break
        process.communicate()
    ended = run_search(*arguments, cwd=tmp_path)
    assert "2 of 4 points are known" in ended.stderr
    told, wanted = json.loads(ended.stdout), json.loads(done.stdout)
    assert told["points"] == wanted["points"]
