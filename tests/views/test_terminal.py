"""Text on a terminal: it fits, keeps its numbers whole, and has colour only where one sees it."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import appraisal, effect, findings, spec

from search.cli.progress import LiveProgress, PlainProgress
from search.driver.progress import Standing, TrialNews
from search.scenario.outcome import EvaluationRequest, Outcome
from search.views.appraisal import effects_grid
from search.views.live import LiveView
from search.views.outcomes import OUTCOMES, outcomes, settings_grid
from search.views.terminal import Terminal, painted, terminal, writing_for
from search.views.text import table_text, wrapped

UNITS = {"cost": "USD", "growth": "fraction"}
PARAMETERS = {name: one.unit for name, one in spec().parameters.items()}


def shown(width: int | None) -> str:
    """Return the decision's tables as a terminal of a width has them."""
    wide = appraisal()
    wide["effects"] += [
        effect(f"metric_{n}", "merit", 0.03, 0.031, 1.25e6 * (n + 1)) for n in range(4)
    ]
    with writing_for(Terminal(width)):
        grid = effects_grid(wide, UNITS, PARAMETERS)
        assert grid is not None
        return "\n\n".join(
            [
                table_text(OUTCOMES, [one.row for one in outcomes(findings())]),
                settings_grid(findings()).text(),
                grid.text(),
            ]
        )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_tables_fit_and_every_number_stays_whole(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    numbers = re.compile(r"[+-]?\d[\d.,]*")
    assert set(numbers.findall(text)) == set(numbers.findall(shown(None)))


def test_a_pipe_has_one_line_a_row() -> None:
    lines = shown(None).splitlines()
    assert max(map(len, lines)) > 140 and len(lines) == 4 + 5 + 4


def test_eighty_columns_as_they_are() -> None:
    with writing_for(Terminal(80)):
        text = table_text(OUTCOMES, [one.row for one in outcomes(findings())])
    assert text == (
        "metric  wanted                today          plan     change\n"
        "cost    10 bn USD ±1 %  10.1 bn USD  10.02 bn USD  -80 m USD\n"
        "growth  at most 3.2 %         4.1 %         3.1 %  -1 points\n"
        "\n"
        "metric       8 of 10 futures  futures met  verdict\n"
        "cost    9.92 to 10.08 bn USD     18 of 20  met\n"
        "growth                     -            -  met"
    )


@given(
    st.lists(
        st.lists(st.text("ab 1.,-", max_size=30).map(str.strip), min_size=3, max_size=3),
        min_size=1, max_size=4,
    ),
    st.integers(40, 120),
)  # fmt: skip
def test_any_table_is_written(rows: list[list[str]], width: int) -> None:
    with writing_for(Terminal(width)):
        assert table_text(["one", "two", "three"], rows)


def test_sentences_wrap_between_words_and_keep_their_indent() -> None:
    text = "  a number like 10,881,176,324 and a name_that_is_long stay whole in any case"
    assert wrapped(text) == text
    with writing_for(Terminal(40)):
        lines = wrapped(text).splitlines()
    assert all(line.startswith("  ") and len(line) <= 40 for line in lines) and len(lines) > 1
    assert " ".join(line.strip() for line in lines) == text.strip()


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_alone_and_off_by_no_color() -> None:
    assert Terminal.of(io.StringIO(), {}) == Terminal(None, False)
    assert Terminal.of(io.StringIO(), {"COLUMNS": "80"}) == Terminal(80, False)
    assert Terminal.of(Screen(), {"COLUMNS": "100"}) == Terminal(100, True)
    assert Terminal.of(Screen(), {"COLUMNS": "100", "NO_COLOR": "1"}) == Terminal(100, False)
    assert Terminal.of(Screen(), {"COLUMNS": "100", "NO_COLOR": ""}).has_colour
    assert not Terminal.of(Screen(), {"COLUMNS": "100", "TERM": "dumb"}).has_colour
    assert Terminal.of(Screen(), {"COLUMNS": "3"}).width == 40
    assert terminal() == Terminal() and painted("met", "good") == "met"


def test_met_and_missed_and_the_plan_have_their_look() -> None:
    rows = [["cost", "10", "met"], ["growth", "3", "missed"], ["people", "5", "unknown"]]
    with writing_for(Terminal(80, True)):
        text = table_text(["metric", "plan", "verdict"], rows, strong="plan")
    assert "\x1b[32mmet" in text and "\x1b[31mmissed" in text and "\x1b[33munknown" in text
    assert "\x1b[1m  10\x1b[0m" in text
    plain = re.sub(r"\x1b\[\d+m", "", text)
    assert plain == table_text(["metric", "plan", "verdict"], rows)


def news(number: int, **more: Any) -> TrialNews:
    outcome = Outcome(EvaluationRequest(number, {"a": 1}), metrics={"cost": 1.0}, seconds=2.0)
    given = {"variances": {"cost": 0.01}, "is_met": False, "is_best": True,
             "shown": {"cost": "+1.00 %"}}  # fmt: skip
    return TrialNews(1, outcome, **(given | more))


def test_the_panel_says_where_a_study_stands() -> None:
    view = LiveView()
    assert view.rows(0.0) == [("now", "starting"), ("time", "0 s")]
    assert not view.take_note("parsing the dbt project")
    assert view.take_note("warning: look out") and view.take_note("a table\nof two lines")
    for number in range(9):
        view.take_trial(news(number))
    view.take_trial(news(9, is_met=True, shown={"cost": "-0.10 %"}))
    view.take_standing(
        Standing(2, 10, 3, 4, 11, 1, {"cost": -0.001}, 62.0, {"cost": "-0.10 %"})
    )  # fmt: skip
    rows = dict(view.rows(95.0))
    assert rows["iteration"] == "2 of 10, 3 of 4 trials, 1 of 11 trials failed"
    assert rows["meets every target"] == "cost -0.10 %"
    assert rows["trials"].count("\n") == 3 and "trial 9 done" in rows["trials"]
    assert rows["time"] == "1 min 35 s, at most 1 min 2 s of search left, then verification"


def test_a_terminal_has_a_panel_and_a_pipe_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    with LiveProgress(screen, clock=lambda: 0.0) as live:
        live.note("parsing [the] dbt project")
        live.note("warning: mind the gap")
        live.trial(news(3))
        live._live.refresh()
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    assert "scenario-search" in text and "parsing [the] dbt project" in text
    assert text.count("warning: mind the gap") == 1 and "trial 3 done" in text
    assert max(map(len, text.replace("\r", "\n").splitlines())) <= 80
    pipe = io.StringIO()
    plain = PlainProgress(pipe, clock=lambda: 0.0)
    plain.note("parsing [the] dbt project")
    plain.trial(news(3))
    assert "\x1b" not in pipe.getvalue() and pipe.getvalue().count("\n") == 2
