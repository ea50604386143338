"""A notebook that uses the API is executed by a real kernel, whose event loop runs meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook and nbclient")
pytest.importorskip("ipykernel", reason="needs the extra notebook")
import nbformat  # noqa: E402 - comes with nbclient

pytestmark = pytest.mark.dbt

CELLS = (
    "import asyncio, search\n"
    "assert asyncio.get_event_loop().is_running()\n"
    "study = search.load_study({file!r}, set={{'search.max_iterations': 2}})",
    "result = search.run_study(study, results='results', on_progress=print)\nresult",
    "result.trials.df()",
    "search.evaluate(study, {{'x': 2.5}}, results='results').metrics",
    "search.open_results(result.folder).best.parameters",
    "try:\n    search.evaluate(study, {{'y': 1}}, results='results')\n"
    "except search.SearchError as error:\n    print(error.code, error)",
)


def executed(folder: Path, file: Path, cells: tuple[str, ...] = CELLS) -> list[Any]:
    """Execute cells in a kernel whose working folder is `folder`; returns the outputs of each."""
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.format(file=str(file))) for cell in cells]
    )
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [cell["outputs"] for cell in book["cells"]]


def test_a_study_runs_in_a_notebook(tiny: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="needs the extra notebook")
    _, ran, table, evaluated, best, refused = executed(tmp_path, tiny())
    lines = "".join(one["text"] for one in ran if one["output_type"] == "stream")
    assert "trial 1 done" in lines
    (shown,) = (one["data"] for one in ran if one["output_type"] == "execute_result")
    assert "<td>v</td>" in shown["text/html"] and "StudyResult tiny" in shown["text/plain"]
    assert "<th>rate</th>" in table[0]["data"]["text/html"]
    assert evaluated[0]["data"]["text/plain"] == "{'v': 26.0}"
    assert "'x'" in best[0]["data"]["text/plain"]
    assert "study_file" in refused[0]["text"]


@pytest.mark.long
@pytest.mark.ray
def test_a_study_runs_on_ray_in_a_notebook(tiny: Callable[..., Path], tmp_path: Path) -> None:
    file = tiny(resources={"workers": 2, "memory_budget": "4GB"})
    _, ran = executed(tmp_path, file, CELLS[:2])
    assert any("text/html" in one.get("data", {}) for one in ran)
