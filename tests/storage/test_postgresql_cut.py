"""PostgreSQL restarted, and its sessions ended, in the middle of a run: told, and gone on with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slow_runs import NEVER, SLOW, WORDS, trials
from sqlalchemy import create_engine, text
from studies import run_search, search_command

pytestmark = [pytest.mark.fault, pytest.mark.dbt, pytest.mark.long]


def ended_by_the_server(url: str) -> None:
    """End every other session, as an administrator, a proxy or a time limit does."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


@pytest.mark.parametrize("how", ["session ended", "restarted"])
def test_a_run_whose_database_goes_away(
    postgresql: Any, tiny: Callable[..., Path], tmp_path: Path, how: str
) -> None:
    url = postgresql()  # its password is `p@ss:w/rd`
    study = tiny(study="cut", storage=url, targets=NEVER, scenario={"steps": SLOW})
    results = ("--results", str(tmp_path / "results"))
    said = ""
    with subprocess.Popen(
        search_command("run", str(study), *WORDS, *results), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "trial 2 done" in line:
                if how == "restarted":
                    postgresql.restart()
                else:
                    ended_by_the_server(url)
    assert "Traceback" not in said and "unexpected" not in said and "p@ss" not in said, said
    # It goes on over the gap, or ends with a message that says what to do.
    assert process.returncode in (3, 2, 1), said
    if process.returncode != 3:
        assert "storage" in said.splitlines()[-1], said
    before = [one for one in trials(url, "cut") if one[1] == "COMPLETE"]
    assert len(before) >= 3, said

    resumed = run_search("run", study, *WORDS, *results, cwd=tmp_path)
    assert resumed.returncode == 3, resumed.stderr
    after = trials(url, "cut")
    assert [one for one in after if one in before] == before
    alone = tiny(study="alone", targets=NEVER, scenario={"steps": SLOW})
    assert run_search("run", alone, *WORDS, *results, cwd=tmp_path).returncode == 3
    assert after == trials(f"sqlite:///{tmp_path / 'results/alone/study.db'}", "alone")
    verified = run_search("audit", "verify", study, *results, cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
