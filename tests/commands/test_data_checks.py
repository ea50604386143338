"""Checks of a study's data: rows that must not be are refused, others are shown; on any project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.audit.reader import AuditReader
from search.commands.doctor import CheckResult, environment, examine
from search.commands.run import RunOptions, run_study
from search.driver.progress import SilentProgress
from search.errors import SpecError
from search.study import load_study, scenario_fingerprint, study_fingerprint

pytestmark = [pytest.mark.dbt, pytest.mark.usefixtures("without_children")]

SETUP = [
    {"sql": "create table levers as select 'rate' as name, 1.0::double as value"},
    {
        "sql": "create table people as select range as id, case when range < 3 then null "
        "else range * 1000.5 end as pay from range(250)"
    },
]
PEOPLE = {
    "sql": "select id % 2 = 0 as is_even, count(*) as people, sum(pay) as pay from people "
    "group by all order by all",
    "show": True,
    "message": "who is in the <data>",
}
NO_PAY = {"sql": "select id, pay from people where pay is null", "message": "people without pay"}


class Notes(SilentProgress):
    """Keeps what a person would have been told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)


def study(tiny: Callable[..., Path], **checks: Any) -> Path:
    return tiny(
        scenario={"setup": SETUP, "checks": checks},
        targets={"v": {"value": 1000.0}},
        search={"max_iterations": 1},
        resources={"workers": 0},
    )


def start(file: Path) -> tuple[Any, Notes]:
    notes = Notes()
    options = RunOptions(results=file.parent / "results")
    return run_study(load_study(file), options, notes), notes


def test_rows_that_must_not_be_stop_a_run_before_any_trial(tiny: Callable[..., Path]) -> None:
    file = study(tiny, people=PEOPLE, no_pay=NO_PAY)
    with pytest.raises(SpecError) as caught:
        start(file)
    text = str(caught.value)
    assert f"{file}: scenario.checks.no_pay: people without pay; it must return no row" in text
    assert "but returns 3 rows:\n  id: 0, pay: \n  id: 1, pay: \n  id: 2, pay: " in text
    assert not (file.parent / "results" / "tiny").exists()


def test_what_is_shown_is_told_recorded_and_in_the_report(tiny: Callable[..., Path]) -> None:
    twice = {"sql": "select id from people group by 1 having count(*) > 1"}
    file = study(tiny, people=PEOPLE, nobody_twice=twice)
    result, notes = start(file)
    shown = next(line for line in notes.lines if line.startswith("check people"))
    assert shown.splitlines()[0] == "check people: who is in the <data>"
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["is_even", "people", "pay"],
        ["false", "125", "15631812.0"],
        ["true", "125", "15505749.0"],
    ]
    [run] = AuditReader(result.folder).runs()
    [table] = run.checks
    assert table["rows"] == [["false", "125", "15631812.0"], ["true", "125", "15505749.0"]]
    page = (result.folder / "report.html").read_text()
    assert '<section id="checks">' in page
    assert "who is in the &lt;data&gt;" in page
    assert "15631812.0" in page


def test_long_tables_are_cut_and_say_so(tiny: Callable[..., Path]) -> None:
    everyone = {"sql": "select id from people order by id"}
    with pytest.raises(SpecError) as caught:
        start(study(tiny, everyone=everyone))
    assert "but returns more than 200 rows; the first 20:" in str(caught.value)
    assert str(caught.value).count("\n  id: ") == 20


@pytest.mark.parametrize(
    ("sql", "place", "reason"),
    [
        ("select * from {{ ref('fct_resul') }}", "sql", "did you mean 'fct_result'?"),
        ("select nothing from people", "sql", "its SQL fails: Binder Error"),
        ("copy people to 'people.csv'", "sql", "its SQL may only read, but COPY"),
        ("select * from read_csv('people.csv')", "sql", "allow_external_access"),
        ("delete from people", "sql", "read-only"),
    ],
)
def test_sql_that_cannot_run_is_named_with_its_key(
    tiny: Callable[..., Path], sql: str, place: str, reason: str
) -> None:
    with pytest.raises(SpecError) as caught:
        start(study(tiny, wrong={"sql": sql}))
    assert f"scenario.checks.wrong.{place}: " in str(caught.value)
    assert reason in str(caught.value)


def test_the_doctor_makes_the_checks_once_there_is_a_baseline(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "imports", lambda *, needs_ray: iter(()))
    file = study(tiny, people=PEOPLE)
    results = file.parent / "results"

    def data() -> list[CheckResult]:
        found = examine(lambda: load_study(file), results)
        return [one for one in found if one.check == "data" or one.is_error]

    [pending] = data()
    assert "1 check of the data, made by a run when it has built the baseline" in pending.message
    start(file)
    [shown] = data()
    assert shown.level == "ok"
    assert "check people: who is in the <data>" in shown.message
    study(tiny, people=PEOPLE, no_pay=NO_PAY, no_one={"sql": "select id from people limit 1"})
    shown, *refused = sorted(data(), key=lambda one: one.is_error)
    assert shown.level == "ok"
    assert len(refused) == 2
    assert "scenario.checks.no_pay: people without pay; it must return no row" in refused[0].message


def test_checks_make_no_other_study_of_it(tiny: Callable[..., Path]) -> None:
    plain = load_study(study(tiny))
    checked = load_study(study(tiny, people=PEOPLE))
    assert "checks" not in plain.to_document()["scenario"]
    assert scenario_fingerprint(plain) == scenario_fingerprint(checked)
    assert study_fingerprint(plain) == study_fingerprint(checked)
