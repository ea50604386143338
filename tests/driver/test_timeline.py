"""When a run did what, as text and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from studies import copy_project, tiny_document, write_study

from search.cli.main import main
from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress, TrialNews
from search.driver.timeline import Timeline, read_timeline
from search.errors import ResultsMissingError, SearchError
from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.lock import StudyLock
from search.study import load_study
from search.study.layout import Layout
from search.views.timeline import Stage, stages, timeline_svg, timeline_text


class Time:
    """A clock that is set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def ended(worker: str, begin: float, seconds: float) -> TrialNews:
    request = EvaluationRequest(0, {})
    outcome = Outcome(request, {"v": 1.0}, started_at=begin, seconds=seconds, worker=worker)
    return TrialNews(1, outcome, {}, is_met=False, is_best=False)


@pytest.fixture
def timeline() -> Timeline:
    """A run of 20 s: 8 s of parsing, a moment, 10 s of search by two workers."""
    clock = Time()
    made = Timeline(SilentProgress(), clock, clock)
    for at, line in ((0.0, "parsing <it>"), (8.0, "  of a moment"), (8.1, "searching")):
        clock.seconds = at
        made.note(line)
    made.trial(ended("recording", -5.0, 3.0))  # of an earlier run
    for worker, begin, seconds in (("a", 10.0, 2.0), ("b", 9.0, 4.0), ("b", 13.0, 5.0)):
        clock.seconds = begin + seconds
        made.trial(ended(worker, begin, seconds))
    clock.seconds = 20.0
    return made


def test_stages_last_until_the_next_and_workers_have_a_row_each(timeline: Timeline) -> None:
    assert stages(timeline.document()) == [
        Stage("parsing <it>", 0.0, 8.1),
        Stage("searching", 8.1, 20.0),
        Stage("a: 1 evaluations, 2.0 s", 10.0, 12.0),
        Stage("b: 2 evaluations, 9.0 s", 9.0, 18.0),
    ]


def test_bars_stand_where_their_time_is(timeline: Timeline) -> None:
    lines = timeline_text(timeline.document()).splitlines()
    assert lines[0].endswith("UTC: 20.0 s")
    assert lines[2].startswith("    0.0 s |################ ")
    assert lines[3].startswith("    8.1 s |" + " " * 16 + "#" * 24 + "|   11.9 s  searching")
    picture = ElementTree.fromstring(timeline_svg(timeline.document()))
    bars = [one for one in picture.iter() if one.get("fill") == "#2a6f97"]
    assert [one.get("x") for one in bars] == ["360.0", "594.9", "650.0", "621.0"]


def test_the_command_shows_the_last_run(timeline: Timeline, tmp_path: Path) -> None:
    study = write_study(tmp_path, tiny_document())
    words = ["explain", str(study), "--timing", "--results", str(tmp_path / "results")]
    file = Layout(tmp_path / "results", "tiny").timeline
    with pytest.raises(ResultsMissingError):
        CliRunner().invoke(main, words, standalone_mode=False, catch_exceptions=False)
    timeline.keep(file)
    assert not file.parent.exists()  # a run that wrote nothing leaves nothing
    file.parent.mkdir(parents=True)
    timeline.keep(file)
    assert read_timeline(file) == timeline.document()
    shown = CliRunner().invoke(main, [*words, "--picture", str(tmp_path / "a.svg")])
    assert "searching" in shown.output and "<svg" in (tmp_path / "a.svg").read_text()
    shown = CliRunner().invoke(main, [*words, "--json"])
    assert json.loads(shown.output) == timeline.document()
    file.write_text("{")
    assert read_timeline(file) is None


def test_a_refused_run_leaves_the_timeline_of_the_one_before(tmp_path: Path) -> None:
    study = load_study(write_study(copy_project("tiny", tmp_path / "project"), tiny_document()))
    layout = Layout(tmp_path / "results", "tiny")
    layout.folder.mkdir(parents=True)
    layout.timeline.write_text("the run before")
    with StudyLock(layout.lock), pytest.raises(SearchError):
        run_study(study, RunOptions(layout.results), SilentProgress())
    assert layout.timeline.read_text() == "the run before"
