"""What no fingerprint can speak for is told by each command, from the first evaluation on."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from studies import copy_project, dbt_document, write_study

from search.commands.doctor import examine
from search.commands.evaluate import evaluate_once
from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.report.summary import evaluation_summary, run_summary
from search.study import load_study

pytestmark = pytest.mark.dbt


class Answer(http.server.BaseHTTPRequestHandler):
    """Serves one number."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"7")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served.server_address[1]
        served.shutdown()
        thread.join()


class Noted(SilentProgress):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def test_a_remote_input_is_told_by_each_command(
    tmp_path: Path, server: int, without_children: None
) -> None:
    project = copy_project("tiny", tmp_path / "project")
    (project / "models" / "fetched.py").write_text(
        "from urllib.request import urlopen\n"
        "def model(dbt, session):\n"
        "    dbt.config(materialized='table')\n"
        f"    text = urlopen('http://127.0.0.1:{server}/v').read().decode()\n"
        "    return session.sql(f'select {text} as v')\n"
    )
    metric = "select sum(v) + {{ var('x') }} from {{ ref('fetched') }}"
    document = dbt_document(
        metrics={"v": {"sql": metric}},
        targets={"v": {"value": 8.0, "tolerance": 0.5}},
        search={"max_iterations": 1, "batch_size": 2, "allow_dead_parameters": True},
    )
    spec = load_study(write_study(project, document))
    results = tmp_path / "results"
    told = f"tcp://127.0.0.1:{server}, whose content cannot be watched"
    progress = Noted()
    once = evaluate_once(
        spec, assignments=[], from_trial=None, results=results, progress=progress, engine="dbt"
    )
    assert any(told in note for note in progress.notes)
    assert any(told in text for text in evaluation_summary(once)["warnings"])
    findings = examine(lambda: spec, results)
    assert any(told in each.message for each in findings if each.level == "warning")
    ran = run_study(spec, RunOptions(results=results), progress)
    assert any(told in text for text in run_summary(ran)["warnings"])
    page = (ran.folder / "report.html").read_text(encoding="utf-8")
    assert told in page
