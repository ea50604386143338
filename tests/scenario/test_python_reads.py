"""Data files that Python opens while dbt works are noticed, those of programs and projects not."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest

from search.scenario.python_reads import noticing_python, run_noticing_all
from search.scenario.read_log import ReadLog


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


def test_data_that_a_library_reads(tmp_path: Path) -> None:
    log = ReadLog(tmp_path / "project")
    (tmp_path / "parts").mkdir()
    file = tmp_path / "parts" / "a.csv"
    file.write_text("v\n7\n")

    def model() -> object:
        from pyarrow import dataset

        return dataset.dataset(str(file.parent), format="csv").to_table().to_pydict()

    assert run_noticing_all(model, log, "model m") == {"v": [7]}
    if log.unseen:
        assert list(log.inputs()) == [("remote", "files by model m")]
    else:
        assert list(log.inputs()) == [("file", str(file)), ("glob", f"{file.parent}/*")]


def test_whoever_asks_the_network_is_told(tmp_path: Path) -> None:
    log = ReadLog(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server, noticing_python(log):
        socket.create_connection(server.getsockname()).close()
        port = server.getsockname()[1]
    assert list(log.inputs()) == [("remote", f"tcp://127.0.0.1:{port}")]


def test_variables_that_code_of_the_project_looks_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed names and missing ones too; what libraries ask for is theirs."""
    monkeypatch.setenv("MADE_RATE", "3")
    (tmp_path / "fetch.py").write_text(
        "import os, subprocess\n"
        "def rate():\n"
        "    return os.environ['MADE_' + 'RATE'], os.getenv('MADE_NOT', '2')\n"
        "def library():\n"
        "    return subprocess.run(['true'], env=os.environ.copy()), os.path.expanduser('~/x')\n"
    )
    spec = importlib.util.spec_from_file_location("fetch", tmp_path / "fetch.py")
    assert spec is not None and spec.loader is not None
    fetch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fetch)
    log = ReadLog(tmp_path / "project")
    with noticing_python(log):
        fetch.library()
        assert log.env == set()
        assert fetch.rate() == ("3", "2")
    assert fetch.rate() == ("3", "2")
    assert log.env == {"MADE_RATE", "MADE_NOT"}
