"""What was changed in a trail between two runs stays found after any number of runs."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import harness

from search.audit import canonical
from search.audit.anchor import Anchor
from search.audit.events import FILE_NAME, digest_of, read_events
from search.audit.integrity import BROKEN, Checked, verify_trail
from search.errors import AuditError, SpecError
from search.storage.existing import existing_storage


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a study that has run."""
    folder = tmp_path_factory.mktemp("ran") / "tiny"
    folder.mkdir()
    harness.search(folder)
    return folder


@pytest.fixture
def study(ran: Path, tmp_path: Path) -> Path:
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(ran, tmp_path / "tiny"))


def check(folder: Path, *anchors: Anchor) -> Checked:
    with existing_storage(f"sqlite:///{folder / 'study.db'}") as storage:
        return verify_trail(folder, storage, "tiny", anchors)


def problems(folder: Path, *anchors: Anchor) -> list[str]:
    return [one.text for one in check(folder, *anchors).findings if one.is_problem]


def breaks(folder: Path) -> list[str]:
    events = [event for event in read_events(folder) if event.kind == BROKEN]
    return [text for event in events for text in event.fields["findings"]]


def lines(folder: Path) -> list[bytes]:
    return (folder / FILE_NAME).read_bytes().splitlines(keepends=True)


def cut(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b"".join(lines(folder)[:-9]))


def edit_event(folder: Path) -> None:
    kept = lines(folder)
    kept[4] = kept[4].replace(b'"iteration":1', b'"iteration":7')
    assert kept != lines(folder)
    (folder / FILE_NAME).write_bytes(b"".join(kept))


def edit_metric(folder: Path) -> None:
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute(
            "update trial_user_attributes set value_json = '77.0' "
            "where key = 'metric:v' and trial_id = 2"
        )
    connection.close()


def edit_publication(folder: Path) -> None:
    with duckdb.connect(str(folder / "audit.duckdb")) as connection:
        connection.execute("update trial_metrics set value = 1 where trial = 2")


CHANGES: list[tuple[Callable[[Path], None], str]] = [
    (cut, "are missing at the end"),
    (edit_event, "event 5 was edited"),
    (edit_metric, "has metrics {'v': 77.0}"),
    (edit_publication, "a row was edited"),
    (lambda folder: (folder / FILE_NAME).unlink(), "the log is missing"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=[says for _, says in CHANGES])
def test_a_run_records_a_break_for_ever(
    study: Path, change: Callable[[Path], None], says: str
) -> None:
    change(study)
    assert any(says in text for text in problems(study))
    for _ in range(2):
        harness.search(study)
        assert any(says in text for text in problems(study))
        assert sum(says in text for text in breaks(study)) >= 1
    assert len(breaks(study)) == len(set(breaks(study))), "told once"


def test_runs_of_a_trail_that_nobody_touched_record_nothing(study: Path) -> None:
    harness.search(study)
    harness.search(study)
    assert problems(study) == [] and breaks(study) == []


def test_a_log_that_cannot_be_read_is_refused_and_left_alone(study: Path) -> None:
    kept = lines(study)
    (study / FILE_NAME).write_bytes(b"".join([*kept[:4], b"{]\n", *kept[5:]]))
    before = {path.name: path.read_bytes() for path in study.iterdir() if path.is_file()}
    with pytest.raises(AuditError, match=r"line 5 .* is damaged"):
        harness.search(study)
    after = {path.name: path.read_bytes() for path in study.iterdir() if path.is_file()}
    assert after[FILE_NAME] == before[FILE_NAME]


def rewrite_all(folder: Path) -> None:
    """What somebody with the right to write can do: the whole chain anew, and its head."""
    previous = ""
    rewritten = []
    for line in lines(folder):
        document = json.loads(line)
        if document["kind"] == "run_started":
            document["fields"]["user"] = "somebody else"
        document["previous"] = previous
        document["hash"] = previous = digest_of(document)
        rewritten.append(canonical.dumps(document) + "\n")
    (folder / FILE_NAME).write_text("".join(rewritten), encoding="utf-8")
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute(
            "update study_user_attributes set value_json = ? where key = 'trail_head'",
            [json.dumps({"sequence": len(rewritten), "hash": previous})],
        )
    connection.close()
    (folder / "audit.duckdb").unlink()
    harness.search(folder)


def test_an_anchor_shows_what_the_folder_alone_cannot(study: Path) -> None:
    last = json.loads(lines(study)[-1])
    anchor = Anchor.parse(f"{last['sequence']}:{last['hash']}")
    harness.search(study)
    assert problems(study, anchor) == [], "a trail that goes on still leads to its anchor"
    rewrite_all(study)
    found = problems(study)
    assert not any("edited" in text for text in found)
    assert f"event {anchor.sequence} is not the one of the anchor" in problems(study, anchor)[-1]
    beyond = Anchor(10_000, anchor.hash)
    assert "of which there is an anchor, is missing" in problems(study, beyond)[-1]


def test_an_anchor_must_look_like_one() -> None:
    for text in ("", "7", "7:abc", "x:" + "a" * 64, "7:" + "A" * 64):
        with pytest.raises(SpecError, match="an anchor must be a number"):
            Anchor.parse(text)
