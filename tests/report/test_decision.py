"""The first screen of the page, and what a page that is passed on does not say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_html import Page
from test_plots import numbers, numbers_of
from trails import NASTY, published, searched, study, trial

from search.report.charts import (
    Bar,
    Line,
    Track,
    futures_chart,
    path_chart,
    plans_chart,
    tornado_chart,
    walk_chart,
)
from search.report.gathering import read_facts
from search.report.html import report_html

sys.path.insert(0, str(Path(__file__).parents[1] / "views"))

from made import effect

EFFECTS = [effect("metric_0", "lever_0", 0.03, 0.031, 2e6)]
FUTURES = {
    "seeds": [1, 2], "failed": 0, "met": 1, "asked": 2, "share_met": 0.5, "interval": [0.1, 0.9],
    "futures": [
        {"seed": 1, "metrics": {"metric_0": 50e6}, "is_met": True, "is_searched": False},
        {"seed": 2, "metrics": {"metric_0": 59e6}, "is_met": False, "is_searched": False},
    ],
    "spreads": [
        {"metric": "metric_0", "mean": 54e6, "deviation": 6e6, "p10": 50e6, "p50": 54e6,
         "p90": 59e6, "met": 1, "share_met": 0.5},
    ],
    "others": [],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "pay"


def page_of(folder: Path, **options: Any) -> Page:
    return Page(report_html(read_facts(folder), **options))


def test_the_first_screen_says_what_to_decide(folder: Path) -> None:
    spec = study(targets=1)
    trials = [
        trial(spec, 0, iteration=0, metrics={"metric_0": 55e6}),
        trial(spec, 1, iteration=1, metrics={"metric_0": 50.5e6}),
    ]
    appraisal = {"effects": EFFECTS, "confirmation": FUTURES}
    page = page_of(published(folder, spec, trials, appraisal=appraisal))
    first = page.text[: page.text.index("Analysis")]
    assert (
        "The plan puts metric 0 at 50.5 m USD: 4.5 m USD less than today (55 m USD) and "
        "500,000 USD above the target of 50 m USD (within its ±2 %)."
    ) in first
    assert "In 1 of 2 random futures all targets are met" in first
    assert "50 to 59 m USD" in first and "1 of 2" in first
    assert "What to set" in first and "What moves metric 0" in first
    assert page.ids.index("decision") < page.ids.index("targets") < page.ids.index("provenance")


def test_parameters_are_in_the_order_of_the_file(folder: Path) -> None:
    spec = study()
    order = {"parameters": ["timing", "lever_1", "lever_0"]}
    facts = read_facts(published(folder, spec, searched(spec, 3), appraisal={"order": order}))
    assert [one.name for one in facts.parameters] == ["timing", "lever_1", "lever_0"]


def test_a_page_that_is_passed_on_names_no_person_machine_or_folder(folder: Path) -> None:
    spec = study()
    fields = {
        "study_file": str(folder.parent.parent / "configs" / "pay.yml"),
        "storage_url": f"sqlite:///{folder}/study.db",
        "user_name": "annabel", "host": "thebox", "warnings": [f"look at {folder}/x"],
    }  # fmt: skip
    published(folder, spec, searched(spec, 3), **fields)
    text = report_html(read_facts(folder))
    assert "annabel" not in text and "thebox" not in text
    assert str(folder.parent.parent) not in text and str(Path.home()) + "/" not in text
    assert "configs/pay.yml" in text and "look at results/pay/x" in text
    full = report_html(read_facts(folder), is_full=True)
    assert "annabel" in full and "thebox" in full and str(folder) in full


def test_many_parameters_leave_room_for_the_decision(folder: Path) -> None:
    spec = study(parameters=30)
    text = page_of(published(folder, spec, searched(spec, 2))).text
    first = text[: text.index("Analysis")]
    assert "other parameters stay as they are" in first or first.count("lever_") <= 90


@given(
    st.lists(st.lists(st.one_of(st.none(), numbers), min_size=3, max_size=3), max_size=4),
    st.one_of(st.none(), st.tuples(numbers, numbers).map(lambda ends: tuple(sorted(ends)))),
)
def test_any_path_is_drawn(paths: list[list[float | None]], band: Any) -> None:
    lines = [Line(NASTY, values, "lbest") for values in paths]
    drawn = path_chart(["a", NASTY, "c"], lines, [band, None, band], unit="USD", label_text=NASTY)
    assert all(-20 <= number <= 540 for number in numbers_of(drawn))


@given(numbers, st.lists(st.tuples(st.text(max_size=5), numbers), max_size=14))
def test_any_walk_is_drawn(start: float, steps: list[tuple[str, float]]) -> None:
    steps = [(name.encode("ascii", "ignore").decode().strip("\x00"), c) for name, c in steps]
    steps = [("".join(x for x in name if x.isprintable()), change) for name, change in steps]
    drawn = walk_chart(start, steps, unit=None, names=("today", "plan"), label_text="x")
    assert all(-20 <= number <= 540 for number in numbers_of(drawn))


@given(st.lists(st.tuples(st.one_of(st.none(), numbers), numbers, numbers), max_size=5))
def test_any_tornado_is_drawn(given_bars: list[tuple[float | None, float, float]]) -> None:
    bars = [Bar("a", value, *sorted((low, high)), "+1") for value, low, high in given_bars]
    drawn = tornado_chart(bars, unit="fraction", label_text="x")
    assert all(-20 <= number <= 540 for number in numbers_of(drawn))


@given(st.lists(numbers, max_size=30), st.lists(numbers, max_size=2))
def test_any_futures_are_drawn(values: list[float], searched_values: list[float]) -> None:
    drawn = futures_chart(
        [(value, value > 0, "t") for value in values],
        (0.0, float("inf")),
        searched=searched_values,
        unit=None,
        label_text="x",
    )
    assert all(-20 <= number <= 540 for number in numbers_of(drawn))


def test_plans_are_drawn_on_their_ranges() -> None:
    tracks = [Track(NASTY, "0 %", "8 %", [0.5, 0.0, None, 1.0], ["4 %", "0 %", "-", "8 %"])]
    drawn = plans_chart(tracks, label_text="plans")
    assert "plan: 0 %" in drawn and "alternative 2: 8 %" in drawn and "alternative 1" not in drawn
    assert "<script>" not in drawn


@pytest.mark.dagster
def test_terminal_page_workbook_and_dagster_tell_the_same_numbers(folder: Path) -> None:
    from dagster_defs.metadata import decision
    from search.report.findings import findings_of
    from search.report.workbook import study_sheets
    from search.views.outcomes import OUTCOMES, outcomes, plans_grid
    from search.views.sheets import Amount

    spec = study(targets=2)
    appraisal = {"effects": EFFECTS, "confirmation": FUTURES}
    facts = read_facts(published(folder, spec, searched(spec, 9), appraisal=appraisal))
    findings = findings_of(facts)
    rows = [one.row for one in outcomes(findings)]
    shown = decision(facts)
    assert [list(one.data.values()) for one in shown["what comes out"].records] == rows
    plans = plans_grid(findings)
    assert [tuple(one.data.values()) for one in shown["plans"].records] == list(plans.rows)
    page = page_of(folder)
    for cell in [cell for row in rows for cell in row if cell != "-"]:
        assert cell in page.text, cell
    (sheet,) = [one for one in study_sheets(facts) if one.name == "decision"]
    place = sheet.header.index("plan")
    assert findings.plan is not None
    for row in sheet.rows:
        known = row[place]
        assert isinstance(known, Amount) and known.value == findings.plan.metrics[str(row[0])]
    assert len(OUTCOMES) == len(rows[0])
