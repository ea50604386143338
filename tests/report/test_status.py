"""Where a study stands: true while it runs, after it died, and before it ever ran."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from optuna.distributions import CategoricalDistribution, FloatDistribution
from studies import changed, tiny_document, write_study
from trails import START, document, run_record, searched

from search.audit.earlier import stored_tables
from search.audit.publish import publish
from search.cli.main import main
from search.cli.options import tell_edits
from search.errors import ResultsMissingError, TargetsMissedError
from search.parameter_sets.candidates import Candidates, stored_study
from search.parameter_sets.sets import Author
from search.parameter_sets.use import apply_chosen
from search.report.status import status_summary, status_text
from search.scenario.outcome import EvaluationRequest, Outcome
from search.storage.attributes import FINGERPRINTS, RUNS, SPEC, Conclusion, Proposal
from search.storage.database import open_storage
from search.storage.existing import existing_storage
from search.storage.study_store import StudyStore
from search.study import StudySpec, load_study, study_fingerprint, study_from_document
from search.study.layout import find_results


def load(folder: Path, **more: Any) -> StudySpec:
    file = folder / "pay.yml"
    given = document(targets=1) | more
    file.write_text(json.dumps(given))  # JSON is YAML
    return study_from_document(given, file=file)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    return load(tmp_path)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(spec: StudySpec, results: Path) -> Iterator[StudyStore]:
    """The study with a run that found its targets in trial 1."""
    storage = open_storage(f"sqlite:///{results / 'pay' / 'study.db'}")
    store = StudyStore.create_or_load(storage, "pay")
    space = {name: FloatDistribution(0, 0.08) for name in ("lever_0", "lever_1")} | {
        "timing": CategoricalDistribution(["january", "anniversary"])
    }
    for iteration, cost in enumerate((55e6, 50.5e6)):
        values = {"lever_0": 0.01 * iteration, "lever_1": 0.03, "timing": "january"}
        (number,) = store.start([Proposal(values, iteration)], space)
        metrics = {"metric_0": cost}
        outcome = Outcome(EvaluationRequest(number, values), metrics, started_at=START.timestamp())
        store.finish(number, Conclusion([outcome], values=[1.0 - iteration], metrics=metrics))
    record = run_record(spec, reason="trial 1 meets every target", is_converged=True, pid=99)
    save(store, spec, record.model_dump(mode="json"))
    yield store
    storage.engine.dispose()


def save(store: StudyStore, spec: StudySpec, run: dict[str, Any]) -> None:
    store.set_attributes(
        {
            RUNS: {"r1": run},
            SPEC: spec.to_document(),
            FINGERPRINTS: {"spec": study_fingerprint(spec)},
        }
    )


def files(folder: Path) -> set[Path]:
    return {one.relative_to(folder) for one in folder.rglob("*")}


def test_a_study_that_never_ran(spec: StudySpec, results: Path) -> None:
    summary = status_summary(spec, results)
    assert (summary["state"], summary["best"], summary["versions"]) == ("never run", None, [])
    text = status_text(summary)
    assert "has not run yet" in text and "scenario-search run" in text
    assert not results.exists()


def test_its_command_ends_well_and_prints_json(spec: StudySpec, results: Path) -> None:
    words = ["status", str(spec.file), "--results", str(results), "--json"]
    outcome = CliRunner().invoke(main, words, standalone_mode=False)
    assert outcome.return_value == 0
    assert json.loads(outcome.output)["state"] == "never run"


def test_a_finished_study(spec: StudySpec, results: Path, store: StudyStore) -> None:
    summary = status_summary(spec, results)
    assert (summary["state"], summary["is_all_targets_met"]) == ("finished", True)
    assert summary["trials"] == {"complete": 2} and summary["iterations"] == 1
    assert summary["best"]["trial"] == 1
    assert summary["best"]["variances"]["metric_0"] == pytest.approx(0.01)
    assert summary["changed_since"] == []
    text = status_text(summary)
    assert "trial 1 meets every target" in text and "+1.00 %" in text
    assert "--from-trial 1" in text
    json.dumps(summary)


def test_an_edited_file_does_not_contradict_what_ran(
    spec: StudySpec, results: Path, store: StudyStore
) -> None:
    metric, target = next(iter(spec.targets.items()))
    value = float(target.value) * 2  # type: ignore[arg-type]  # the fixture's targets are values
    edited = study_from_document(
        changed(spec.to_document(), {"targets": {metric: {"value": value}}}), file=spec.file
    )
    summary = status_summary(edited, results)
    assert summary["changed_since"] == [f"targets.{metric}.value"]
    assert summary["is_all_targets_met"] is True
    text = status_text(summary)
    assert "trial 1 meets every target" in text and "judged by what it ran for" in text


def test_every_command_means_the_same_best_after_an_edit(
    tmp_path: Path, results: Path, store: StudyStore
) -> None:
    """Trial 0 would be the best by the edited file; status shows trial 1, and so do the others."""
    metric = "metric_0"
    spec = load(tmp_path)
    edited = study_from_document(
        changed(spec.to_document(), {"targets": {metric: {"value": 55e6}}}), file=spec.file
    )
    assert stored_study(edited, results).best(edited).number == 0  # type: ignore[union-attr]
    assert status_summary(edited, results)["best"]["trial"] == 1
    candidates = Candidates(edited, results)
    assert candidates.find("best", option="--b").trial == 1
    says = (
        rf"the best trial 1 misses {metric} as the study file has it now \(targets.{metric}.value"
    )
    with pytest.raises(TargetsMissedError, match=says):
        apply_chosen(
            edited, results, trial=None, assignments=(), author=Author.of("x", "y"), is_dry_run=True
        )


def test_an_edit_is_told_beside_what_was_found(
    spec: StudySpec, results: Path, store: StudyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_edits(spec, results, what="the report")
    assert capsys.readouterr().err == ""
    target = {"targets": {"metric_0": {"value": 55e6}}}
    edited = study_from_document(changed(spec.to_document(), target), file=spec.file)
    tell_edits(edited, results, what="the report")
    said = capsys.readouterr().err
    assert "(targets.metric_0.value); the report shows what the study ran for" in said


def test_results_are_looked_for_beside_the_study_file_and_every_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project" / "configs"
    folder.mkdir(parents=True)
    file = write_study(folder, tiny_document())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("SCENARIO_SEARCH_RESULTS", raising=False)
    with pytest.raises(ResultsMissingError) as caught:
        CliRunner().invoke(
            main, ["report", str(file)], catch_exceptions=False, standalone_mode=False
        )
    for place in (elsewhere, folder, folder.parent, tmp_path):
        assert str(place / "results" / "tiny") in str(caught.value)
    shown = CliRunner().invoke(main, ["status", str(file)], standalone_mode=False)
    assert str(folder.parent / "results" / "tiny") in shown.output
    there = folder.parent / "results"
    (there / "tiny").mkdir(parents=True)
    spec = load_study(file)
    assert find_results(spec, Path("results"), is_default=True) == there
    with pytest.raises(ResultsMissingError):
        find_results(spec, Path("results"), is_default=False)


def test_reading_leaves_no_trace(spec: StudySpec, results: Path, store: StudyStore) -> None:
    store._storage.engine.dispose()
    before = files(results)
    status_summary(spec, results)
    assert files(results) == before


def test_a_driver_that_was_killed(spec: StudySpec, results: Path, store: StudyStore) -> None:
    run = run_record(spec, state="running", finished_at=None, reason=None, pid=99)
    save(store, spec, run.model_dump(mode="json"))
    summary = status_summary(spec, results)
    assert summary["state"] == "cut off"
    assert "pid 99 on here" in status_text(summary)
    assert summary["next"][0]["why"] == "go on where it stopped"


def test_a_driver_that_runs(spec: StudySpec, results: Path, store: StudyStore) -> None:
    lock = results / "pay" / "study.lock"
    code = (
        "import sys; from pathlib import Path; from search.storage.lock import StudyLock\n"
        f"with StudyLock(Path({str(lock)!r})):\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        summary = status_summary(spec, results)
        assert holder.stdin is not None
        holder.stdin.close()
    assert summary["state"] == "running" and summary["running"]["pid"] == holder.pid
    assert f"running, pid {holder.pid}" in status_text(summary)


def test_a_study_file_that_changed(tmp_path: Path, results: Path, store: StudyStore) -> None:
    changed = load(tmp_path, search={"seed": 8}, resources={"workers": 1})
    summary = status_summary(changed, results)
    assert summary["changed_since"] == ["search.seed"]
    assert "next version" in status_text(summary)


def test_targets_that_are_missed_say_how_to_go_on(
    tmp_path: Path, results: Path, store: StudyStore
) -> None:
    spec = load(tmp_path, targets={"metric_0": {"value": 1, "tolerance": 0.01}})
    save(store, spec, run_record(spec, is_converged=False).model_dump(mode="json"))
    summary = status_summary(spec, results)
    assert summary["is_all_targets_met"] is False
    assert summary["next"][0]["command"].endswith("--set search.max_iterations=20")


def test_a_storage_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with existing_storage(f"sqlite:///{tmp_path / 'none' / 'study.db'}") as storage:
        assert storage is None
    assert not (tmp_path / "none").exists()


def test_made_up_trials_are_as_the_storage_has_them() -> None:
    spec = study_from_document(document(), file=Path("/studies/pay.yml"))
    assert [trial.number for trial in searched(spec, 3)] == [0, 1, 2]


HEAVY = ("ray", "dbt", "dagster", "optuna", "sqlalchemy", "jinja2", "numpy", "pyarrow")
READING = """
import json, sys
from search.cli.main import main
study, results = sys.argv[1:3]
told = {}
for words in (
    ["status", study], ["history", study], ["diff", study, "trial:0", "current"],
    ["report", study],
):
    more = [] if words[0] == "history" else ["--results", results]
    code = main([*words, *more], standalone_mode=False)
    told[words[0]] = [code, [name for name in sys.argv[3:] if name in sys.modules]]
print("\\n" + json.dumps(told))
"""


def test_commands_that_only_read_import_nothing_heavy(
    spec: StudySpec, results: Path, store: StudyStore
) -> None:
    publish(results / "pay", stored_tables(store))
    words = [sys.executable, "-c", READING, str(spec.file), str(results), *HEAVY]
    done = subprocess.run(words, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    read = {"report": [0, ["jinja2", "numpy", "pyarrow"]]}  # it draws, from the published trail
    for name in ("status", "history", "diff"):
        read[name] = [0, []]
    assert told == read, done.stderr
