"""Every command that README and docs show is run, as it stands there.

Pages that only evaluate one more shipped study, or run what ``tests/dagster_defs/test_jobs.py`` or
the tests of the simulation run, are left to ``make test-long``; that commands are spelled right is
seen for every page.

The blocks of a page marked ``bash`` run in order in a copy of what the reader has: study files,
the dbt project, the environment. A block whose first line is ``# not run by the tests: <reason>``
is left out; only ``make`` commands may be. Blocks for a Ray cluster are run by
``test_cluster_commands.py``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import pytest
from cluster_blocks import needs_cluster

from search.cli.main import main
from search.study import load_study

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
LEFT_OUT = re.compile(r"# not run by the tests: (.+)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
SERVER = re.compile(r"^(optuna-dashboard|scenario-search dashboard) ")
PREPARED = ("baselines", "programs")
"""What studies keep for each other; nothing else of a page is there for the next."""
MADE = shutil.ignore_patterns("data", "target", "logs", "*.duckdb", "__pycache__", "dbt_packages")
DEADLINE_SECONDS = 60.0
LONG = (
    *("budget.md", "dagster.md", "equity.md", "freeze-or-cut.md", "frontier.md", "memory.md"),
    *("robust.md", "simulation.md", "first-study.md", "tour.md"),
)
"""Pages whose commands ``make test-long`` runs: 30 to 150 s of processor time each."""
SHIPPED = ("configs", "tests")
"""Folders whose study files a reader has."""
WORDS = re.compile(r"^scenario-search (.+)$", re.MULTILINE)

# A study that ended without meeting its targets ends with 3, which is no fault of the page.
PRELUDE = """set -euo pipefail
scenario-search() { command scenario-search "$@" || [ $? -eq 3 ]; }
"""


@dataclass(frozen=True)
class Block:
    """A block of commands of a page."""

    page: str
    line: int
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None when it is."""
        match = LEFT_OUT.match(self.text)
        return match[1] if match else None

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is not run here."""
        return self.reason is not None or needs_cluster(self.text)

    @property
    def commands(self) -> list[str]:
        """The lines that are commands."""
        lines = (line.strip() for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page.name, text[: match.start()].count("\n") + 1, match[1])
        for match in BLOCK.finditer(text)
    ]


PAGES_WITH_COMMANDS = [page for page in PAGES if any(not one.is_elsewhere for one in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_only_commands_that_make_the_machine_are_left_out(page: Path) -> None:
    for block in blocks(page):
        if block.reason:
            allowed = re.compile(r"make (run|ui|test|clean|lint|bench)\b")
            assert all(allowed.match(line) for line in block.commands), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = set(LINK.findall(index))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages - {"README.md"} <= listed


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample census, written as ``make census`` writes it."""
    folder = tmp_path_factory.mktemp("census")
    dbt = shutil.copytree(ROOT / "dbt", folder / "dbt", ignore=MADE)
    subprocess.run(
        [Path(sys.prefix, "bin", "dbt"), "--quiet", "run-operation", "write_sample_census"]
        + ["--args", f"{{employees: 500, path: {folder / 'census.parquet'}}}"],
        cwd=dbt,
        env=os.environ | {"WORKFORCE_DB": ":memory:"},
        check=True,
    )
    return folder / "census.parquet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder, the same for every page: what dbt said is kept by its place."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture
def reader(home: Path, census: Path) -> Path:
    """A folder as the reader has it after other pages, without the results of studies."""
    for one in (*home.iterdir(), *(home / "results").glob("*")):
        if one.is_symlink():
            one.unlink()
        elif one.name not in ("results", *PREPARED):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    for name in ("configs", "dbt", "docs", "benchmarks", "tests/projects"):
        shutil.copytree(ROOT / name, home / name, ignore=MADE)
    (home / ".venv").symlink_to(sys.prefix)
    (home / "dbt" / "data").mkdir()
    shutil.copy(census, home / "dbt" / "data")
    return home


def is_long(page: Path) -> Any:
    """Return the page as a case, which ``make test-long`` runs when it is a long one."""
    return pytest.param(page, marks=pytest.mark.long) if page.name in LONG else page


def commands_of(page: Path) -> list[list[str]]:
    """Return the words behind ``scenario-search`` of each command of a page."""
    text = "".join(block.text for block in blocks(page) if not block.reason)
    return [shlex.split(line) for line in WORDS.findall(text.replace("\\\n", " "))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_of_ours(page: Path) -> None:
    """Options and arguments are known, and the study file that is named can be read."""
    for words in commands_of(page):
        group, rest = cast("click.Group", main), words
        while isinstance(command := group.commands[rest[0]], click.Group):
            group, rest = command, rest[1:]
        context = command.make_context(rest[0], list(rest[1:]))
        study = context.params.get("study")
        if study is not None and study.parts[0] in SHIPPED and study.name != "mine.yaml":
            load_study(ROOT / study)  # others are written by the page itself


@pytest.mark.dbt
@pytest.mark.ray
@pytest.mark.parametrize(
    "page", [is_long(page) for page in PAGES_WITH_COMMANDS], ids=lambda page: page.name
)
def test_the_commands_of_a_page_work(page: Path, reader: Path) -> None:
    for block in blocks(page):
        if block.is_elsewhere:
            continue
        is_server = SERVER.match(block.commands[-1]) is not None
        before = block.text.removesuffix(block.commands[-1] + "\n") if is_server else block.text
        done = subprocess.run(
            ["bash", "-c", PRELUDE + before],
            cwd=reader,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.returncode == 0, f"{block.page}:{block.line}\n{block.text}\n{said}"
        if is_server:
            serves(block.commands[-1], reader)


def environment() -> dict[str, str]:
    path = f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "SCENARIO_SEARCH_RESULTS"}
    return kept | {"PATH": path}


def serves(command: str, folder: Path) -> None:
    """Start a server, wait until it answers, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port {port}"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not answers(f"http://127.0.0.1:{port}/"):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, f"{command} does not answer"
            time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr:
            process.stderr.close()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
