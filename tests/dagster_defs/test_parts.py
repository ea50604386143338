"""The parts that need no run: run config, chosen steps, sensors, tags, judgements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from dagster_defs.__main__ import main
from dagster_defs.asset_checks import faults_result
from dagster_defs.chosen import spec_of_run
from dagster_defs.config import Sampler, StudyConfig
from dagster_defs.locations import ROOT, Places
from dagster_defs.scenarios import load_scenario, study_files, tags_of
from dagster_defs.sensors import sensors
from dagster_defs.steps import Chosen, Comparison
from dagster_defs.web import Gate
from search.errors import SpecError
from search.storage.own_studies import note_own
from search.study import load_study
from search.study.space import current_candidate
from search.system.seal import KEY_FILE_VARIABLE

pytestmark = pytest.mark.dagster


def test_run_config_becomes_the_command_line_s_overrides() -> None:
    config = StudyConfig(
        max_iterations=3,
        sampler=Sampler["tpe"],
        memory_budget="4GB",
        targets={"closing_headcount": {"value": 530, "tolerance": 0.01}},
        overrides=["search.seed=1"],
    )
    spec = load_study(ROOT / "configs" / "quick.yaml", overrides=config.texts())
    assert (spec.search.max_iterations, spec.search.sampler, spec.search.seed) == (3, "tpe", 1)
    assert spec.resources.memory_budget == 4_000_000_000
    assert spec.targets["closing_headcount"].value == 530
    assert spec.targets["total_compensation_cost"].value == 100000000


@pytest.mark.parametrize(
    "override",
    [
        "scenario.setup=[{sql: \"copy (select 1) to '/tmp/x'\"}]",
        "scenario.steps=[]",
        "scenario.database=/etc/passwd",
        "scenario.dbt_project=/tmp",
        "scenario.allow_external_access=true",
        "scenario.vars={a: b}",
        "scenario.vars.census_path=/etc/passwd",
        "scenario.vars.census_employees=1; drop",
        "scenario.vars.x=nan",
        "parameters.merit.bind={var: other}",
        "parameters.merit.low=a",
        "parameters={}",
        "metrics.cost.sql=select 1",
        "constraints=[]",
        "targets={}",
        "storage=sqlite:////tmp/x.db",
        "study=../../x",
        "resources.scratch=/tmp",
        "resources={scratch: /tmp}",
        "search.allow_dead_parameters=true",
        "search={}",
        " scenario.steps =[]",
        "nonsense",
    ],
)
def test_run_config_never_changes_what_is_executed_or_guards_it(override: str) -> None:
    with pytest.raises(SpecError, match="run config m"):
        StudyConfig(overrides=[override]).texts()


@pytest.mark.parametrize("file", ["../x.yaml", "/etc/x.yaml", "a/b.yaml"])
def test_run_config_names_study_files_of_the_folder_only(file: str) -> None:
    with pytest.raises(SpecError, match="study_file must be the name"):
        StudyConfig(study_file=file).texts()


def test_run_config_changes_limits_ranges_targets_and_numbers() -> None:
    given = [
        "search.seed=3",
        "resources.workers=2",
        "parameters.merit.high=0.05",
        "scenario.vars.census_employees=500",
        "targets.cost.value=1e6",
    ]
    assert StudyConfig(overrides=given).texts() == tuple(given)


@pytest.mark.parametrize("workers", [1, "1", "auto"])
def test_workers_are_a_number_or_a_text(workers: int | str) -> None:
    def configured(config):  # type: ignore[no-untyped-def]
        return config.workers

    configured.__annotations__ = {"config": StudyConfig}  # Dagster does not resolve names in text
    study = dg.op(configured)

    @dg.job
    def launched() -> None:
        study()

    run_config = {"ops": {"configured": {"config": {"workers": workers}}}}
    done = launched.execute_in_process(run_config)
    assert done.output_for_node("configured") == workers
    assert StudyConfig(workers=workers).texts() == (f"resources.workers={workers}",)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/scenario-search/reports/pay", 200),
        ("GET", "/scenario-search/reports/other", 404),
        ("GET", "/scenario-search/reports/..", 204),
        ("GET", "/scenario-search/reports/pay/../../secret", 204),
        ("POST", "/scenario-search/reports/pay", 204),
        ("GET", "/runs", 204),
    ],
)
def test_a_click_opens_the_report_and_nothing_else(
    tmp_path: Path, method: str, path: str, status: int
) -> None:
    (tmp_path / "pay").mkdir()
    (tmp_path / "pay" / "report.html").write_text("<!DOCTYPE html>")

    async def dagsters(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:3000"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    scope |= {"server": ("127.0.0.1", 3000), "query_string": b""}
    asyncio.run(Gate(dagsters, tmp_path)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
    other = scope | {"headers": [(b"host", b"evil.example:3000")]}
    sent.clear()
    asyncio.run(Gate(dagsters, tmp_path)(other, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 403


def test_every_field_of_the_launchpad_is_described() -> None:
    fields = StudyConfig.to_config_schema().as_field().config_type.fields
    assert {"max_iterations", "tolerance", "workers", "memory_budget", "sampler", "targets"} <= set(
        fields
    )
    assert [name for name, field in fields.items() if not field.description] == []


@pytest.fixture
def chosen() -> Chosen:
    spec = load_study(ROOT / "configs" / "quick.yaml")
    return Chosen(spec, current_candidate(spec), "the current parameters")


def test_all_years_or_some_are_simulated_and_the_metrics_follow(chosen: Chosen) -> None:
    years = [step.loop[1] for step in chosen.simulation_steps() if step.loop]
    assert years == [2026, 2027]
    assert chosen.optimization_vars()["simulation_year"] == 2027
    assert [step.loop[1] for step in chosen.simulation_steps([2026]) if step.loop] == [2026]
    assert chosen.optimization_vars([2026])["simulation_year"] == 2026
    assert chosen.vars["merit_budget"] == 0.035 and chosen.vars["scenario_id"] == "quick"
    with pytest.raises(SpecError, match=r"\[2026, 2027\], but got \[2031\]"):
        chosen.steps([2031])


@pytest.mark.parametrize(
    ("reproduced", "is_same"), [(1e9, True), (1e9 + 0.1, True), (1e9 + 9, False)]
)
def test_metrics_are_the_same_but_for_the_order_of_sums(reproduced: float, is_same: bool) -> None:
    assert Comparison("cost", 1e9, reproduced).is_same is is_same


def test_a_wrong_result_is_an_error_with_every_fault() -> None:
    good = faults_result({"audit complete": []})
    assert good.passed
    bad = faults_result({"parameters in bounds": ["x is 11"], "audit complete": ["no event"]})
    assert not bad.passed and bad.severity == dg.AssetCheckSeverity.ERROR
    assert bad.description == "x is 11; no event"


def test_study_files_are_scenarios_and_other_files_are_not(places: Places) -> None:
    (places.configs / "broken.yaml").write_text("study: [")
    (places.configs / "other.yaml").write_text("a: 1")
    (places.configs / "one.yml").write_text("study: one")
    assert list(study_files(places.configs)) == ["one"]
    with pytest.raises(SpecError, match="must be a study of .* \\(one\\)"):
        load_scenario(places, "two")
    # A study with mistakes has tags all the same: its run says what is wrong.
    assert tags_of(places, "one") == {
        "scenario-search/study": "one",
        "scenario-search/storage": "one",
    }


def test_a_scenario_is_tuned_again_when_its_inputs_change_and_only_then(
    places: Places, instance: dg.DagsterInstance, tiny_in: Callable[..., Path]
) -> None:
    file = tiny_in(places)
    by_name = {one.name: one for one in sensors(places, dg.define_asset_job("tune"))}
    added = tick(by_name["scenarios_of_study_files"], instance, None)
    assert [one.partition_keys for one in added.dynamic_partitions_requests] == [["tiny"]]
    instance.add_dynamic_partitions("scenario", ["tiny"])
    assert not tick(by_name["scenarios_of_study_files"], instance, None).dynamic_partitions_requests

    retune = by_name["retune_on_changed_inputs"]
    first = tick(retune, instance, None)
    assert not first.run_requests
    assert not tick(retune, instance, first.cursor).run_requests
    project = Path(load_scenario(places, "tiny").scenario.dbt_project)
    changes: list[Callable[[], Any]] = [
        lambda: file.write_text(file.read_text().replace("55.0", "66.0")),
        lambda: (project / "seeds").mkdir(exist_ok=True),
        lambda: (project / "seeds" / "parameters.csv").write_text("a\n1\n"),
    ]
    cursor, counts = first.cursor, []
    for change in changes:
        change()
        result = tick(retune, instance, cursor)
        cursor = result.cursor
        counts.append([one.partition_key for one in result.run_requests or []])
    assert counts == [["tiny"], [], ["tiny"]]
    assert json.loads(str(cursor)).keys() == {"tiny"}


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None
) -> dg.SensorResult:
    """Evaluate a sensor once."""
    found = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(found, dg.SensorResult)
    return found


def test_the_instance_needs_a_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "relative")
    assert main() == 2
    assert "must name the folder" in capsys.readouterr().err


def test_a_winner_of_another_user_brings_no_sql_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key"))
    places = Places(configs=ROOT / "configs", project=ROOT / "dbt", results=tmp_path)
    (tmp_path / "quick").mkdir()
    document = load_study(ROOT / "configs" / "quick.yaml").to_document()
    run = SimpleNamespace(study_file=str(ROOT / "configs" / "quick.yaml"))
    facts: Any = SimpleNamespace(document=document, run=run)
    assert spec_of_run(places, "quick", facts).study == "quick"
    document["scenario"]["allow_external_access"] = True
    with pytest.raises(SpecError, match=r"another scenario\.allow_external_access"):
        spec_of_run(places, "quick", facts)
    with pytest.raises(SpecError, match="another scenario than this one"):
        spec_of_run(places, "no file of that name", facts)
    note_own(tmp_path / "quick" / "own-studies.json", document)
    assert spec_of_run(places, "quick", facts).scenario.allow_external_access
