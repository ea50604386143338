"""The sliders in a real browser: the page's arithmetic is the model's, fast, without a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trails import document, published, searched, study, trial

from search.report.explorer import box_of, explorer_model
from search.report.facts import StudyFacts
from search.report.findings import findings_of
from search.report.gathering import read_facts
from search.report.html import report_html
from search.sampling.explorer import explorer_of
from search.study import study_from_document

sys.path.insert(0, str(Path(__file__).parents[1] / "dagster_defs"))

MOVE = """(() => { const took = [];
  for (const knob of document.querySelectorAll('.knob input, .knob select')) {
    knob.value = knob.tagName === 'SELECT' ? 1 : Math.round(knob.max * 0.3);
    const start = performance.now();
    knob.dispatchEvent(new Event(knob.tagName === 'SELECT' ? 'change' : 'input'));
    took.push(performance.now() - start); }
  return took; })()"""


def facts_of(folder: Path, count: int = 24) -> tuple[Any, StudyFacts]:
    given = document(parameters=4, targets=2)
    given["parameters"]["lever_1"] |= {"step": 0.01}
    given["parameters"]["lever_2"] |= {"low": 0.01, "log": True}
    spec = study_from_document(given, file=Path("/studies/pay.yml"))
    trials = []
    for number in range(count):
        bare = trial(spec, number, iteration=min(number, 1))
        x = bare.params
        is_july = x["timing"] != "january"
        cost = 4e7 * (1 + x["lever_0"] + 2 * x["lever_1"] + x["lever_2"] ** 2 + 0.1 * is_july)
        metrics = {"metric_0": cost, "metric_1": 4.2e7 * (1 + x["lever_0"] * x["lever_1"])}
        trials.append(trial(spec, number, iteration=min(number, 1), metrics=metrics))
    return spec, read_facts(published(folder, spec, trials))


def test_what_the_page_knows_is_small_and_right(tmp_path: Path) -> None:
    _, facts = facts_of(tmp_path / "pay")
    model = explorer_model(facts, findings_of(facts))
    assert model is not None and len(json.dumps(model)) < 20_000
    assert model["order"] == ["lever_0", "lever_1", "lever_2", "timing"]
    assert [one["name"] for one in model["metrics"]] == ["metric_0", "metric_1"]
    assert len(model["points"][0]) == 5 and len(model["trials"]) == 24


def test_too_little_is_no_estimate(tmp_path: Path) -> None:
    spec = study()
    facts = read_facts(published(tmp_path / "pay", spec, searched(spec, 3)))
    assert explorer_model(facts, findings_of(facts)) is None
    assert 'id="explorer"' not in report_html(facts)


@pytest.mark.browser
def test_moving_a_slider_changes_every_metric_as_the_model_does(
    tmp_path: Path, chromium: str
) -> None:
    from dagster_browser import chromium_page

    spec, facts = facts_of(tmp_path / "pay")
    (tmp_path / "page.html").write_text(report_html(facts), encoding="utf-8")
    findings = findings_of(facts)
    box = box_of(spec)
    assert findings.plan is not None
    with chromium_page(chromium, tmp_path / "profile") as page:
        page.open((tmp_path / "page.html").as_uri())
        page.wait_for("Try other values", "Nearest evaluated")
        shown = json.loads(
            page.evaluate("document.querySelector('[data-explorer]').dataset.estimates")
        )
        for name, (_, low, high) in zip(["metric_0", "metric_1"], shown, strict=True):
            assert low <= findings.plan.metrics[name] <= high
        took = page.evaluate(MOVE)
        moved = json.loads(
            page.evaluate("document.querySelector('[data-explorer]').dataset.estimates")
        )
        words = page.evaluate("document.querySelector('[data-explorer] pre').innerText").split()
        requests = page.evaluate("performance.getEntriesByType('resource').length")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        widths = []
        for width in (1400, 900, 400):
            page.resize(width)
            widths.append(page.evaluate("document.documentElement.scrollWidth"))
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert widths == [1400, 900, 400], "nothing makes the page scroll sideways"
    assert len(took) == 4 and np.median(took) < 50 and requests == 0 and loaded < 2000 * 5
    given = dict(word.split("=") for word in words if "=" in word)
    values = {n: v if n == "timing" else float(v) for n, v in given.items()}
    assert values["timing"] == "anniversary" and values["lever_1"] == pytest.approx(0.02)
    points = box.snap(np.array([box.point(t.candidate) for t in facts.complete()]))
    metrics = np.array(
        [[facts.value(t.trial, n) for n in ("metric_0", "metric_1")] for t in facts.complete()]
    )
    at = box.snap(box.point(findings.plan.values)[None])[0]
    explorer = explorer_of(box, points, metrics, at)
    expected = np.array(explorer.estimate(box.encode(box.point(values)[None])))[:, 0, :].T
    assert np.array(moved) == pytest.approx(expected, rel=1e-6)
