"""Whole runs of a small study, in this process."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from studies import dbt_document, stored_trials, tiny_document, write_study

from search.audit.reader import AuditReader
from search.commands.evaluate import evaluate_once
from search.commands.run import RunOptions, run_study
from search.commands.verify import verify_trial
from search.driver.progress import SilentProgress
from search.driver.results import Evaluation, RunResult
from search.errors import LeaseError, SpecError
from search.parameter_sets.sets import Author
from search.parameter_sets.use import apply_chosen
from search.report.status import status_summary, status_text
from search.report.summary import evaluation_text, run_summary, run_text
from search.storage.lock import StudyLock
from search.study import load_study
from search.system.seal import KEY_FILE_VARIABLE

NEVER = {"v": {"value": 1000.0}}
pytestmark = [pytest.mark.dbt, pytest.mark.usefixtures("without_children")]


class Notes(SilentProgress):
    """Keeps what a person would have been told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunResult]:
    """Runs a study with its results beside the study file, inside the dbt project."""
    scratch = tmp_path / "scratch"

    def start(file: Path, *overrides: str, notes: Notes | None = None, **more: Any) -> RunResult:
        settings = [f"resources.scratch={scratch}", *overrides]
        spec = load_study(file, overrides=settings)
        options = RunOptions(results=file.parent / "results", **more)
        result = run_study(spec, options, notes or SilentProgress())
        assert not scratch.exists() or list(scratch.iterdir()) == []
        assert not (result.folder / "study.lock").exists()
        return result

    return start


Run = Callable[..., RunResult]


def baselines(results: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (results / "baselines").rglob("*.duckdb")
    }


def test_a_run_leaves_its_results_and_nothing_else(
    run: Run, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    result = run(tiny(targets=NEVER), "search.max_iterations=1")
    first = baselines(tmp_path / "project" / "results")
    assert len(first) == 1
    again = run(tiny(targets=NEVER), "search.max_iterations=2")
    assert baselines(tmp_path / "project" / "results") == first
    assert (result.end.trials, again.end.trials) == (5, 9)
    assert again.study == result.study == "tiny"
    names = {path.name for path in result.folder.iterdir()}
    assert {"audit.duckdb", "study.db"} <= names
    assert not [name for name in names if name.endswith((".tmp", ".lock", ".wal"))]


def test_a_changed_input_starts_the_next_version_and_keeps_the_first(
    run: Run, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    file = tiny(targets=NEVER, search={"max_iterations": 1})
    run(file)
    notes = Notes()
    model = file.parent / "models" / "fct_result.sql"
    model.write_text(model.read_text() + "-- changed\n")
    result = run(file, notes=notes)
    assert result.study != "tiny" and result.end.trials == 5
    assert any("its inputs changed (dbt project or data)" in line for line in notes.lines)
    assert len(stored_trials(tmp_path / "project" / "results", "tiny")) == 5
    assert {one.study for one in AuditReader(result.folder).trials()} == {"tiny", result.study}
    assert len(baselines(tmp_path / "project" / "results")) == 2
    restarted = run(file, is_restart=True)
    assert restarted.study not in ("tiny", result.study) and restarted.end.trials == 5


def test_changed_inputs_go_on_or_are_refused_as_told(
    run: Run, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    file = tiny(targets=NEVER, search={"max_iterations": 1})
    first = run(file)
    results = tmp_path / "project" / "results"
    model = file.parent / "models" / "fct_result.sql"
    model.write_text(model.read_text() + "-- changed\n")
    before = stored_trials(results, "tiny")
    with pytest.raises(SpecError, match="goes on only with the inputs .* dbt project or data"):
        run(file, on_change="refuse")
    assert stored_trials(results, "tiny") == before

    notes = Notes()
    result = run(file, "search.max_iterations=2", notes=notes, on_change="continue")
    assert (result.study, result.end.trials) == ("tiny", first.end.trials + 4)
    assert any("going on with tiny all the same" in line for line in notes.lines)
    assert stored_trials(results, "tiny")[: len(before)] == before
    # They are the inputs of the study now.
    assert run(file, "search.max_iterations=2", on_change="refuse").study == "tiny"

    with pytest.raises(SpecError, match=r"mean the same today, but parameters\.x\.high changed"):
        run(file, "parameters.x.high=9.0", on_change="continue")
    assert len(stored_trials(results, "tiny")) == result.end.trials


def test_a_second_driver_is_refused(run: Run, tiny: Callable[..., Path], tmp_path: Path) -> None:
    lock = tmp_path / "project" / "results" / "tiny" / "study.lock"
    with StudyLock(lock), pytest.raises(LeaseError, match=f"held by pid {os.getpid()}"):
        run(tiny())
    assert run(tiny(targets={"v": {"value": 11.0}})).end.is_converged


def test_a_model_that_fails_for_some_candidates(
    run: Run, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    project = tiny().parent
    parameters = {"x": {"low": 5.0, "current": 7.0}}
    document = dbt_document(targets=NEVER, parameters=parameters, search={"seed": 3})
    limits = ("search.max_iterations=1", "search.batch_size=3")
    result = run(write_study(project, document), *limits)
    assert 0 < result.end.failed_trials < 4 == result.end.trials
    failed = AuditReader(result.folder).trials(state="failed")
    assert len(failed) == result.end.failed_trials
    for one in failed:
        assert one.error_stage == "step" and one.error_step == "steps[0]"
        assert one.error_model == "model.tiny.fct_result"
        assert "x must be at most 8" in one.error_message


def test_a_trial_repeats_from_the_trail_alone(
    run: Run, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    file = tiny(targets=NEVER, search={"max_iterations": 1}, parameters={"rate": {"high": 9.7}})
    result = run(file)
    trail = AuditReader(result.folder)
    detail = trail.trial(3)
    (only,) = trail.runs()
    assert only.baseline_fingerprint and only.project_fingerprint and only.duckdb_version
    assert only.spec["search"]["seed"] == 7 and only.sampler == "random"
    assert only.reason == "max_iterations (1) reached" and only.trials == 5

    def repeat(**more: Any) -> Any:
        call: dict[str, Any] = {"assignments": [], "from_trial": None} | more
        results = tmp_path / "project" / "results"
        return evaluate_once(load_study(file), results=results, progress=SilentProgress(), **call)

    again = repeat(from_trial=3)
    assert again.matches_trial is True
    assert again.metrics == {one.metric: one.value for one in detail.metrics}
    values = {one.parameter: one.value for one in detail.parameters}
    assert again.values == {name: float(json.loads(str(v))) for name, v in values.items()}
    by_hand = repeat(assignments=[f"{name}={value!r}" for name, value in again.values.items()])
    assert by_hand.metrics == again.metrics and by_hand.matches_trial is None
    other = repeat(from_trial=3, assignments=["x=0"])
    assert other.metrics == {"v": again.values["rate"]}


def test_the_same_seed_gives_the_same_trials(run: Run, tiny: Callable[..., Path]) -> None:
    first = run(tiny(study="one", targets=NEVER), "search.max_iterations=2")
    second = run(tiny(study="two", targets=NEVER), "search.max_iterations=2")

    def trials(result: RunResult) -> list[Any]:
        reader = AuditReader(result.folder)
        told = [(one.trial, one.parameter, one.value) for one in reader.parameters()]
        return told + [(one.trial, one.metric, one.value) for one in reader.metrics()]

    assert trials(first) == trials(second) and first.end.trials == 9
    assert replace(first.end, best=None, current=None) == replace(
        second.end, best=None, current=None
    )


def test_metrics_and_targets_of_each_repetition(run: Run, tiny: Callable[..., Path]) -> None:
    metrics = {
        "v": {"sql": "select v + loop from result", "after": "each", "combine": "each"},
        "total": {"sql": "select v from result", "after": "each", "combine": "sum"},
    }
    targets = {"v": {"value": {2: 13.0}, "tolerance": 0.001}, "total": {"at_most": 22.0}}
    file = tiny(metrics=metrics, targets=targets)
    result = run(file)
    assert result.end.best is not None
    assert result.end.best.metrics == {"v@1": 12.0, "v@2": 13.0, "total": 22.0}
    assert result.end.is_converged and result.end.trials == 1


def test_the_compiled_engine_is_verified(run: Run, tiny: Callable[..., Path]) -> None:
    document = tiny_document(study="fast", resources={"engine": "auto"}, search={"sampler": "auto"})
    began = datetime.now(UTC)
    result = run(write_study(tiny().parent, document))
    assert result.end.is_converged
    assert result.engine == "compiled" and result.is_verified is True
    # The current candidate's metrics come from the recording, and so do its times.
    first = AuditReader(result.folder).trials()[0]
    assert first.worker == "recording" and first.started_at and first.finished_at
    assert began <= first.started_at < first.finished_at <= datetime.now(UTC)


TEST_OF_THE_RESULT = """
models:
  - name: fct_result
    columns:
      - name: result
        data_tests:
          - accepted_values: {name: only_eleven, arguments: {values: [11.0], quote: false}}
"""


def test_a_winner_whose_dbt_tests_fail_is_found_and_told(
    run: Run, tiny: Callable[..., Path]
) -> None:
    project = tiny().parent
    (project / "models" / "models.yml").write_text(TEST_OF_THE_RESULT)
    document = dbt_document(
        study="untested",
        parameters={"x": {"high": 8.0}},
        resources={"engine": "compiled"},
        search={"sampler": "auto"},
    )
    file = write_study(project, document)
    result = run(file)
    assert result.end.is_converged and result.engine == "compiled"
    assert result.verification is not None and result.verification.is_equal
    assert result.is_verified is False and result.is_metrics_verified is True
    assert not result.is_converged and result.reason_code == "tests_newly_failing"
    tests = result.verification.tests
    assert (tests.newly_failing, tests.failing_today) == (("only_eleven",), ())
    text = run_text(load_study(file), result)
    assert "untested: NOT VERIFIED by real dbt" in text.splitlines()[0]
    assert "test only_eleven fails for the winner and passes for today's values: Got 1" in text
    said = run_summary(result)
    assert (said["converged"], said["metrics_verified"]) == (False, True)
    assert said["tests"]["newly_failing"] == ["only_eleven"]
    record = AuditReader(result.folder).runs()[0]
    assert (record.is_verified, record.is_metrics_verified) == (False, True)
    assert (record.is_converged, record.reason_code) == (False, "tests_newly_failing")
    assert record.verification["tests"]["newly_failing"] == ["only_eleven"]
    page = result.report_path.read_text()
    assert "only_eleven" in page and "not verified" in page and "new failure" in page
    shown = status_text(status_summary(load_study(file), result.folder.parent))
    assert "NOT VERIFIED: real dbt gives the same metrics; 1 test newly fails: only_eleven" in shown
    with pytest.raises(SpecError, match=r"not verified.*only_eleven.*--unverified"):
        apply_chosen(
            load_study(file), result.folder.parent, trial=None, assignments=(),
            author=Author("me", "test"), is_dry_run=True,
        )  # fmt: skip
    again = run(file)  # nothing is evaluated anew, and it is not forgotten
    assert again.end.trials == result.end.trials
    assert again.reason_code == "tests_newly_failing"
    applied = apply_chosen(
        load_study(file), result.folder.parent, trial=None, assignments=(),
        author=Author("me", "test"), is_dry_run=True, is_unverified=True,
    )  # fmt: skip
    assert applied.is_changed


def test_a_trial_is_repeated_with_the_vars_that_it_ran_with(
    run: Run, tiny: Callable[..., Path]
) -> None:
    step = {
        "sql": "create or replace table result as select {{ var('x') }} * {{ var('base') }} as v"
    }
    file = write_study(
        tiny().parent,
        tiny_document(
            study="again",
            scenario={"vars": {"base": 10}, "setup": None, "steps": [step]},
            parameters={"rate": None},
            targets=NEVER,
            search={"max_iterations": 1},
        ),
    )
    result = run(file, "scenario.vars.base=30")
    best = result.end.best
    assert best is not None and best.metrics["v"] == 30 * best.values["x"]
    results, notes = result.folder.parent, Notes()

    def again(*overrides: str) -> Evaluation:
        spec = load_study(file, overrides=overrides)
        return evaluate_once(
            spec, assignments=(), from_trial=best.number, results=results, progress=notes,
            overrides=overrides,
        )  # fmt: skip

    same = again()
    assert same.matches_trial is True and same.metrics == best.metrics
    assert any("other values of scenario.vars.base" in line for line in notes.lines)
    other = again("scenario.vars.base=40")
    assert other.matches_trial is False and other.metrics["v"] == 40 * best.values["x"]
    assert other.differs == ("scenario.vars.base",)
    text = evaluation_text(load_study(file), other)
    assert "DIFFERENT from" in text and "changed since the trial ran: scenario.vars.base" in text
    _, verification = verify_trial(load_study(file), None, results=results, progress=notes)
    assert verification.is_equal


def test_what_another_user_ran_is_not_run_again(
    run: Run, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tiny(targets=NEVER)
    folder = run(file, "search.max_iterations=1").folder
    assert (folder / "own-studies.json").stat().st_mode & 0o077 == 0
    ran = file.read_text()

    def again() -> Evaluation:
        return evaluate_once(
            load_study(file), assignments=(), from_trial=1, results=folder.parent,
            progress=SilentProgress(),
        )  # fmt: skip

    metrics = again().metrics
    file.write_text(ran.replace("sql: select v", "sql: select 7 + v"))
    assert file.read_text() != ran
    assert again().metrics == metrics  # as it ran, for who ran it
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key of another"))
    with pytest.raises(SpecError, match=r"another metrics\.v\.sql .* nothing shows that you"):
        again()
    with pytest.raises(SpecError, match="nothing shows that you"):
        verify_trial(load_study(file), 1, results=folder.parent, progress=SilentProgress())
    file.write_text(ran.replace("tolerance: ", "priority: low\n    tolerance: "))
    assert again().metrics == metrics  # what differs are values: the file in hand is what runs


ODD = ['it\'s "odd"; drop table labels; --', "{{ var('x') }}", "%s ? $1", "naïve 😀"]


def test_texts_of_the_study_file_are_values_in_sql_whatever_they_hold(
    run: Run, tiny: Callable[..., Path]
) -> None:
    setup = {"sql": "create table labels as select 1 as id, 'plain' as label"}
    step = {"sql": "create or replace table result as select length(label) as v from labels"}
    bind = {"table": "labels", "column": "label", "where": "id = 1"}
    document = tiny_document(
        study="odd",
        scenario={"setup": [setup], "steps": [step]},
        parameters={
            "x": None,
            "rate": None,
            "label": {"choices": ["plain", *ODD], "current": "plain", "bind": bind},
        },
        targets={"v": {"value": 1000.0}},
        search={"max_iterations": 1, "batch_size": 4, "early_stop": False},
        resources={"engine": "compiled"},
    )
    result = run(write_study(tiny().parent, document))
    assert result.engine == "compiled" and result.is_verified is True
    found = {one.values["label"]: one.metrics["v"] for one in result.end.complete}
    assert found == {text: float(len(text)) for text in ["plain", *ODD]}
