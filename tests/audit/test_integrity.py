"""Whatever is edited, removed or moved in a trail is found."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from studies import copy_project, run_search, tiny_document, write_study

from search.audit.events import EventLog, digest_of
from search.audit.integrity import Checked, verify_trail
from search.cli.leaving import exit_code
from search.cli.main import main
from search.storage.existing import existing_storage

FORMATS = Path(__file__).parent / "formats"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has run, and one that went on from version 1 to 2."""
    folder = tmp_path_factory.mktemp("ran")
    project = copy_project("tiny", folder / "project")
    file = write_study(project, tiny_document(search={"max_iterations": 2, "batch_size": 2}))
    for words in ([], ["--restart", "--set", "search.max_iterations=1"]):
        done = run_search("run", file, "--results", folder / "results", *words, cwd=folder)
        assert done.returncode in (0, 3), done.stderr
        (folder / "said.txt").write_text(done.stdout)
        if not words:
            shutil.copytree(folder / "results" / "tiny", folder / "older")
    return folder


@pytest.fixture
def study(ran: Path, tmp_path: Path) -> Path:
    """A copy of the results folder, to be damaged."""
    return Path(shutil.copytree(ran / "results" / "tiny", tmp_path / "tiny"))


def check(folder: Path) -> Checked:
    with existing_storage(f"sqlite:///{folder / 'study.db'}") as storage:
        return verify_trail(folder, storage, "tiny")


def problems(folder: Path) -> str:
    checked = check(folder)
    found = [f"{one.place}: {one.text}" for one in checked.findings if one.is_problem]
    assert checked.is_intact == (not found)
    return "\n".join(found)


def test_a_trail_that_nobody_touched_is_intact(study: Path) -> None:
    checked = check(study)
    assert checked.findings == ()
    assert checked.trials == 5 + 3 and checked.tables == 10 and checked.events > 30


def lines(study: Path) -> list[bytes]:
    return (study / "events.jsonl").read_bytes().splitlines(keepends=True)


def rewrite(study: Path, kept: list[bytes]) -> None:
    (study / "events.jsonl").write_bytes(b"".join(kept))


def at(study: Path, kind: str) -> int:
    return next(n for n, one in enumerate(lines(study)) if json.loads(one)["kind"] == kind)


def edit(study: Path, position: int, *, is_sealed: bool) -> None:
    kept = lines(study)
    document = json.loads(kept[position])
    document["fields"]["note"] = "never happened"
    if is_sealed:
        document["hash"] = digest_of(document)
    kept[position] = json.dumps(document, sort_keys=True).encode() + b"\n"
    rewrite(study, kept)


def test_an_edited_event_is_found(study: Path) -> None:
    edit(study, 4, is_sealed=False)
    assert "event 5 was edited" in problems(study)


def test_an_event_edited_with_a_new_hash_is_found(study: Path) -> None:
    edit(study, 4, is_sealed=True)
    assert "event 6 does not follow the one before" in problems(study)


def test_the_last_event_edited_with_a_new_hash_is_found(study: Path) -> None:
    edit(study, len(lines(study)) - 1, is_sealed=True)
    assert "is not the one that the storage remembers" in problems(study)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda kept: kept[:7] + kept[8:], "event 8 must stand on line 8, but 9 does"),
        (lambda kept: [*kept[:7], kept[8], kept[7], *kept[9:]], "does not follow the one before"),
        (lambda kept: [*kept[:7], kept[7], *kept[7:]], "event 9 must stand on line 9, but 8 does"),
        (lambda kept: kept[:-1], "are missing at the end"),
        (lambda kept: kept[:-9], "are missing at the end"),
        (lambda kept: [*kept[:7], b"{}\n", *kept[8:]], "line 8 is damaged"),
        (lambda kept: kept[5:], "event 1 must stand on line 1, but 6 does"),
    ],
)
def test_missing_moved_and_repeated_events_are_found(
    study: Path, change: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    rewrite(study, change(lines(study)))
    assert says in problems(study)


def test_a_log_without_its_hashes_is_no_way_out(study: Path) -> None:
    kept = []
    for line in lines(study):
        document = json.loads(line)
        del document["hash"], document["previous"]
        kept.append(json.dumps(document).encode() + b"\n")
    rewrite(study, kept)
    assert "is not the one that the storage remembers" in problems(study)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "update trial_user_attributes set value_json = '77.0' where key = 'metric:v' "
            "and trial_id = 2",
            "trial 1 of tiny has metrics {'v': 77.0}, but the log says",
        ),
        (
            'update trial_user_attributes set value_json = \'{"x": 3.5, "rate": 1.0}\' '
            "where key = 'candidate' and trial_id = 2",
            "trial 1 of tiny has candidate {'x': 3.5, 'rate': 1.0}, but the log says",
        ),
        ("delete from trials where trial_id = 5", "trial 4 of tiny is missing, but the log has it"),
        (
            "update trials set state = 'RUNNING' where trial_id = 2",
            "trial 1 of tiny is not finished, but the log says it is",
        ),
    ],
)
def test_an_edited_storage_is_found(study: Path, statement: str, says: str) -> None:
    connection = sqlite3.connect(study / "study.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    assert says in problems(study)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update trial_metrics set value = 1 where trial = 2", "table trial_metrics: a row was"),
        ("delete from trial_parameters where trial = 2", "table trial_parameters: a row was"),
        ("insert into best_parameters from best_parameters", "table best_parameters: a row was"),
        ("update search_runs set user_name = 'nobody'", "table search_runs: a row was"),
        ("delete from trial_events where sequence = 3", "event 3 in trial_events is not that"),
        ("update trial_events set fields = '{}' where sequence = 3", "event 3 in trial_events"),
    ],
)
def test_an_edited_publication_is_found(study: Path, statement: str, says: str) -> None:
    with duckdb.connect(str(study / "audit.duckdb")) as connection:
        connection.execute(statement)
    assert says in problems(study)


def test_an_older_publication_put_back_is_found(ran: Path, study: Path) -> None:
    shutil.copy(ran / "older" / "audit.duckdb", study / "audit.duckdb")
    assert "it was published at event" in problems(study)


def test_edited_and_removed_parquet_files_are_found(study: Path) -> None:
    path = study / "audit" / "trial_metrics.parquet"
    table = pq.read_table(path)
    values = table.column("value").to_pylist()
    values[0] += 1.0
    at_column = table.schema.get_field_index("value")
    pq.write_table(table.set_column(at_column, "value", pa.array(values)), path)
    (study / "audit" / "iterations.parquet").unlink()
    found = problems(study)
    assert "audit/trial_metrics.parquet: a row was edited" in found
    assert "audit/iterations.parquet: it must be there" in found


def test_events_of_a_version_without_hashes_are_covered_by_the_first_one_with(
    tmp_path: Path,
) -> None:
    shutil.copy(FORMATS / "v1" / "events.jsonl", tmp_path)
    with EventLog(tmp_path, study="old") as log:
        log.append("now")
        log.append("later")
    checked = verify_trail(tmp_path, None, "old")
    assert [one.text for one in checked.findings if one.place == "events.jsonl"] == [
        f"{checked.events - 2} events are of a version that wrote no hashes"
    ]
    content = (tmp_path / "events.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(content.replace(b'"kind":"', b'"kind": "', 1))
    found = [one.text for one in verify_trail(tmp_path, None, "old").findings if one.is_problem]
    assert f"event {checked.events - 1} does not follow the one before" in found[0]


# --- the commands --------------------------------------------------------------------


def call(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = exit_code(lambda: main([str(word) for word in words], standalone_mode=False))
    said = capfd.readouterr()
    return code, said.out, said.err


def test_verify_says_what_is_wrong(
    ran: Path, study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words: list[Any] = [ran / "project" / "study.yml", "--results", study.parent]
    code, out, _ = call(capfd, "audit", "verify", *words)
    assert code == 0 and out.startswith("the trail of tiny is intact: ")
    (printed,) = re.findall(r"^its anchor: (\S+)$", (ran / "said.txt").read_text(), re.MULTILINE)
    code, out, _ = call(capfd, "audit", "verify", *words, "--anchor", printed)
    assert code == 0 and "is intact" in out
    other = printed[:-1] + ("0" if printed[-1] != "0" else "1")
    code, out, _ = call(capfd, "audit", "verify", *words, "--anchor", other)
    assert code == 1 and "is not the one of the anchor" in out
    code, out, err = call(capfd, "audit", "verify", *words, "--anchor", "nonsense")
    assert (code, out) == (2, "") and "--anchor: an anchor must be" in err
    edit(study, 4, is_sealed=False)
    code, out, _ = call(capfd, "audit", "verify", *words)
    assert code == 1 and "PROBLEM: events.jsonl: event 5 was edited" in out and "NOT INTACT" in out
    code, out, _ = call(capfd, "audit", "verify", *words, "--json")
    assert code == 1 and json.loads(out)["findings"][0]["text"] == "event 5 was edited"


def test_a_trail_that_is_not_there(
    ran: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words: list[Any] = [ran / "project" / "study.yml", "--results", tmp_path / "none"]
    export: list[Any] = ["export", "--to", tmp_path / "out"]
    for deed in (["verify"], export):
        code, out, err = call(capfd, "audit", *deed, *words)
        assert (code, out) == (2, "") and "there are no results of it in" in err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "none" / "tiny").mkdir(parents=True)
    for deed in (["verify"], export):
        code, out, err = call(capfd, "audit", *deed, *words)
        assert (code, out) == (2, "") and "there is no audit trail at" in err
    code, out, _ = call(capfd, "audit", "verify", *words, "--anchor", f"7:{'0' * 64}")
    assert code == 1 and "NOT INTACT" in out, "an anchor says that there was a trail"


def test_export_writes_each_table_whole(
    ran: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words: list[Any] = [ran / "project" / "study.yml", "--results", ran / "results"]
    code, out, _ = call(capfd, "audit", "export", *words, "--to", tmp_path / "out")
    assert code == 0
    names = {Path(line).name for line in out.splitlines()}
    assert {"trial_metrics.csv", "trial_metrics.parquet", "trial_summary.csv"} <= names
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    query = "select study, trial, metric, value from '{}' order by all"
    rows = [
        duckdb.sql(query.format(tmp_path / "out" / f"trial_metrics.{kind}")).fetchall()
        for kind in ("csv", "parquet")
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 8
