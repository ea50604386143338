"""Studies of a team on one PostgreSQL server: killed, taken up, side by side."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from slow_runs import NEVER, SLOW, WORDS, trials
from sqlalchemy.engine import make_url
from studies import run_search, search_command

from search.audit.reader import AuditReader


@pytest.mark.dbt
@pytest.mark.fault
def test_a_killed_driver_beside_another_study_goes_on_as_if_nothing_had_been(
    postgresql: Callable[[], str], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    url = postgresql()
    studies = {
        name: tiny(study=name, storage=url, targets=NEVER, scenario={"steps": SLOW})
        for name in ("killed", "beside")
    }
    results = ("--results", str(tmp_path / "results"))
    running = {
        name: subprocess.Popen(
            search_command("run", str(file), *WORDS, *results),
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for name, file in studies.items()
    }  # fmt: skip
    try:
        killed = running["killed"]
        assert killed.stderr is not None
        lines = []
        while not lines or "trial 2 done" not in lines[-1]:
            lines.append(killed.stderr.readline())
            assert lines[-1], "".join(lines)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
        _, said = running["beside"].communicate(timeout=240)
        assert running["beside"].returncode == 3, said
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    before = [one for one in trials(url, "killed") if one[1] == "COMPLETE"]
    assert len(before) >= 3

    resumed = run_search("run", studies["killed"], *WORDS, *results, cwd=tmp_path)
    assert resumed.returncode == 3, resumed.stderr
    assert "taking up" in resumed.stderr
    after = trials(url, "killed")
    assert [one for one in after if one in before] == before
    assert after == trials(url, "beside"), "the same seed gives the same trials"

    alone = tiny(study="alone", targets=NEVER, scenario={"steps": SLOW})
    assert run_search("run", alone, *WORDS, *results, cwd=tmp_path).returncode == 3
    file = tmp_path / "results" / "alone" / "study.db"
    assert after == trials(f"sqlite:///{file}", "alone")

    kept = AuditReader(tmp_path / "results" / "killed")
    assert [one.state for one in kept.runs()][-1] == "finished"
    assert "tester:***@127.0.0.1" in str(kept.runs()[-1].storage_url)
    password = str(make_url(url).password)
    for path in (tmp_path / "results").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert password.encode() not in content and quote(password, "").encode() not in content
