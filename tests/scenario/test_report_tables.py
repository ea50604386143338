"""The report's own tables: read from each plan's own database, guarded, refused before a search."""

from __future__ import annotations

from typing import Any

import pytest
from studies import copy_project, dbt_document, factory_of, load

from search.errors import SpecError
from search.scenario.evaluator import DbtEvaluatorFactory
from search.scenario.outcome import EvaluationRequest
from search.scenario.preparation import prepare
from search.scenario.report_tables import PlanTables, read_tables
from search.study.report import ReportSpec
from search.workers.resources import memory_plan, preparation_limits

pytestmark = pytest.mark.dbt

NOTHING = {"dbt": {"command": "run", "select": "nope"}}
RESULT = "select 'all' as part, result from {{ ref('fct_result') }}"


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = copy_project("tiny", tmp_path_factory.mktemp("study") / "tiny")
    (folder / "models" / "twice.sql").write_text(
        "select 2 * result as doubled from {{ ref('fct_result') }}"
    )
    (folder / "secret.csv").write_text("a\n1\n")
    return folder


def spec_of(folder: Any, report: dict[str, Any]) -> Any:
    steps = [{"dbt": {"command": "run", "select": "fct_result"}}]
    return load(folder, dbt_document(scenario={"steps": steps}, report=report))


def prepared(folder: Any, report: dict[str, Any]) -> tuple[Any, DbtEvaluatorFactory]:
    spec = spec_of(folder, report)
    limits = preparation_limits(spec, memory_plan(spec))
    found = prepare(spec, folder / "baselines", limits, report=silent)
    return spec, factory_of(found.plan, folder / "scratch")


def read(folder: Any, tables: dict[str, Any], *values: float, **more: Any) -> list[PlanTables]:
    steps = [{"dbt": {"command": "run", "select": "twice"}}]
    spec, factory = prepared(folder, {"steps": steps, "tables": tables})
    asked = [EvaluationRequest(n, {"x": x, "rate": 1.0}) for n, x in enumerate(values)]
    return read_tables(factory, spec.report, asked, more.pop("needed", 2), **more, report=silent)


def test_each_plan_is_read_in_its_own_database_after_further_steps(folder: Any) -> None:
    tables = {
        "result": {"sql": RESULT, "by": ["part"], "value": "result"},
        "doubled": {
            "sql": "select doubled, {{ var('x') }} as x, null as n from {{ ref('twice') }}"
        },
        "rows": {"sql": "select * from range(2000)"},
    }
    one, two = read(folder, tables, 1.0, 2.0)
    assert (one.trial, two.trial) == (0, 1) and one.failure is None
    assert one.tables["result"]["rows"] == [["all", 11.0]]
    assert two.tables["result"]["rows"] == [["all", 21.0]]
    assert two.tables["doubled"] == {
        "columns": ["doubled", "x", "n"], "rows": [[42.0, 2.0, None]], "is_cut": False,
    }  # fmt: skip
    assert len(two.tables["rows"]["rows"]) == 1000 and two.tables["rows"]["is_cut"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select * from read_csv('secret.csv')", "allow_external_access"),
        ("copy (select 1) to 'out.csv'", "may change its candidate's database alone"),
        (
            "select no_such_column from {{ ref('fct_result') }}",
            "report.tables.t.sql: its SQL fails",
        ),
    ],
)
def test_a_table_is_held_by_the_guard_of_metrics_and_its_failure_is_told(
    folder: Any, sql: str, words: str
) -> None:
    (one,) = read(folder, {"t": {"sql": sql}}, 1.0)
    assert one.tables == {} and one.failure is not None and words in one.failure


def test_plans_beyond_the_needed_ones_are_read_as_far_as_time_lasts(folder: Any) -> None:
    found = read(folder, {"t": {"sql": RESULT}}, 1.0, 2.0, needed=1, seconds=0.0)
    assert [one.trial for one in found] == [0]


@pytest.mark.parametrize(
    ("report", "key", "words"),
    [
        ({"tables": {"t": {"sql": "select * from {{ ref('fct_resul') }}"}}},
         "report.tables.t.sql", "did you mean 'fct_result'"),
        ({"tables": {"t": {"sql": RESULT}}, "steps": [NOTHING]},
         "report.steps[0].dbt", "must select something"),
        ({"tables": {"t": {"sql": RESULT}}, "steps": [{"sql": "select {{ nope }}"}]},
         "report.steps[0]", "does not render"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_before_the_search(
    folder: Any, report: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        prepared(folder, report)
    assert key in str(caught.value) and words in str(caught.value)


def test_a_report_changes_no_fingerprint(folder: Any) -> None:
    from search.study import study_fingerprint

    plain = spec_of(folder, {})
    told = spec_of(folder, {"tables": {"t": {"sql": RESULT}}})
    assert plain.report == ReportSpec() and "report" not in plain.to_document()
    assert study_fingerprint(plain) == study_fingerprint(told)
    assert told.to_document()["report"]["tables"]["t"]["sql"] == RESULT
