"""The report: whole, self-contained, escaped, and right about what the trail says."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from trails import NASTY, document, published, run_record, searched, study, trial

from search.audit.assemble import assemble
from search.audit.publish import publish
from search.audit.reader import AuditReader
from search.errors import AuditError
from search.report.gathering import read_facts
from search.report.html import report_html, write_report
from search.report.page import section, what_if_words
from search.report.render import part
from search.report.shapes import label, svg
from search.scenario.outcome import Failure
from search.study import study_from_document

VOID = {"meta", "circle", "rect", "path"}
ADDRESSES = {"href", "src", "srcset", "action", "data", "poster", "xlink:href", "background"}
MAX_BYTES = 3_000_000


class Page(HTMLParser):
    """Checks that tags are balanced; keeps the text, the tags and their addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ADDRESSES]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(folder: Path, **options: Any) -> Page:
    return Page(write_report(folder, **options).read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "pay"


def test_a_study_whose_targets_are_missed(folder: Path) -> None:
    spec = study()
    page = page_of(published(folder, spec, searched(spec, 4, fail_every=3)))
    assert "max_iterations (10) reached" in page.text
    assert re.search(r"[01] of 2 targets met", page.text)
    assert "50,000,000 USD" in page.text and "at least 40,000,000 USD" in page.text
    assert "Out of range" in page.text and "model.pay.fct_pay" in page.text
    assert "best trial" in page.text and "1 min 40 s" in page.text
    assert "8.00 GB" in page.text and "c0ffee" in page.text


def test_a_study_whose_targets_are_met(folder: Path) -> None:
    spec = study(targets=1)
    trials = [
        trial(spec, 0, iteration=0, metrics={"metric_0": 55e6}),
        trial(spec, 1, iteration=1, metrics={"metric_0": 50.5e6}),
    ]
    page = page_of(published(folder, spec, trials, reason="trial 1 meets every target"))
    assert "targets met" in page.text and "trial 1 meets every target" in page.text
    assert "+1.00 %" in page.text and "0.5 of 1 tolerance" in page.text
    again = page_of(published(folder, spec, trials[:1]))
    assert "0 of 1 targets met" in again.text


@pytest.mark.parametrize("count", [0, 1])
def test_before_the_first_complete_trial(folder: Path, count: int) -> None:
    spec = study(parameters=3, targets=7)
    failure = Failure("memory", "out of memory")
    trials = [trial(spec, number, iteration=0, failure=failure) for number in range(count)]
    page = page_of(published(folder, spec, trials, state="failed", reason="all trials failed"))
    assert "no complete trial" in page.text and "run failed" in page.text
    assert ("out of memory" in page.text) == bool(count)
    assert "+5.00 % against current" in page.text


def test_a_run_that_is_not_finished(folder: Path) -> None:
    spec = study()
    open_end: dict[str, Any] = {
        "state": "running", "finished_at": None, "reason": None, "wall_seconds": None,
        "peak_memory_bytes": None,
    }  # fmt: skip
    page = page_of(published(folder, spec, searched(spec, 3), **open_end))
    assert "not finished" in page.text


def test_every_form_of_target_and_a_relative_one_without_trials(folder: Path) -> None:
    spec = study(targets=7)
    page = page_of(published(folder, spec, searched(spec, 6)))
    assert "minimize" in page.text and "metric_6 variance (USD)" in page.text
    assert "e+" not in page.text.split("Convergence")[0]  # a target of 0 has no percentage
    page_of(published(folder, spec, []))


def test_text_of_the_trail_stays_text(folder: Path) -> None:
    given = document(description=NASTY)
    given["parameters"]["timing"]["choices"] = ["january", NASTY]
    given["metrics"]["metric_0"]["unit"] = NASTY
    given["parameters"]["lever_0"]["description"] = NASTY
    spec = study_from_document(given, file=Path("/studies/pay.yml"))
    failure = Failure("step", NASTY, step=NASTY, model=NASTY)
    trials = [*searched(spec, 5), trial(spec, 5, iteration=2, failure=failure)]
    fields = {"reason": NASTY, "user_name": NASTY, "host": NASTY, "study_file": f"/x/{NASTY}.yml"}
    page = page_of(published(folder, spec, trials, **fields))
    assert page.tags.count("script") == 1 and page.tags.count("style") == 1
    assert page.text.count("<script>alert('x')</script>") >= 6


def test_nothing_is_fetched(folder: Path) -> None:
    spec = study(parameters=12, targets=7)
    published(folder, spec, searched(spec, 30, fail_every=7))
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.addresses and all(one.startswith("#") for one in page.addresses)
    assert {one.removeprefix("#") for one in page.addresses} <= set(page.ids)
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert "url(" not in text and "@import" not in text and "http:" not in text
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    said = html.unescape(policy[1])
    assert said.startswith("default-src 'none'; ") and "unsafe" not in said
    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in said
    assert " style=" not in text


def test_what_is_given_to_a_template_is_escaped_unless_it_is_markup() -> None:
    shown = section("x", NASTY, part("plain", NASTY), NASTY, intro=NASTY)
    assert "<script>" not in shown and shown.count("&lt;script&gt;") == 4
    drawn = svg(10, 10, [label(1, 2, NASTY, anchor=NASTY, look=NASTY)], label=NASTY)
    assert "<script>" not in drawn and drawn.count("&lt;script&gt;") == 4
    assert part("badge", NASTY, NASTY).count("&lt;script&gt;") == 2


def test_the_shares_of_the_stages_add_up(folder: Path) -> None:
    spec = study()
    text = page_of(published(folder, spec, searched(spec, 20))).text
    shares = re.findall(
        r"([0-9.]+) %", text[text.index("Evaluation by stage") :].split("budget")[0]
    )
    assert sum(map(float, shares)) == pytest.approx(100.0, abs=1e-9)


def test_thirty_parameters_and_a_thousand_trials(folder: Path) -> None:
    spec = study(parameters=30, targets=12)
    published(folder, spec, searched(spec, 1000, fail_every=9))
    target = write_report(folder)
    assert target.stat().st_size < MAX_BYTES
    assert "listed" in Page(target.read_text(encoding="utf-8")).text


def test_it_is_replaced_as_a_whole_and_leaves_nothing_else(folder: Path) -> None:
    spec = study()
    published(folder, spec, searched(spec, 2))
    before = {one.name for one in folder.iterdir()}
    first = write_report(folder).read_text(encoding="utf-8")
    assert {one.name for one in folder.iterdir()} == before | {"report.html"}
    assert write_report(folder).read_text(encoding="utf-8") == first
    with pytest.raises(AuditError, match="there is no audit trail"):
        write_report(folder.parent / "other")
    with pytest.raises(AuditError, match="must hold a run of study other, but has pay"):
        write_report(folder, study="other")


def test_the_commands_name_what_they_repeat(folder: Path) -> None:
    given = document()
    given["parameters"]["timing"]["choices"] = ["january", "it's late; rm -rf"]
    spec = study_from_document(given, file=Path("/studies/pay.yml"))
    facts = read_facts(published(folder, spec, searched(spec, 6)))
    best = AuditReader(folder).best()[0].trial
    text = Page(report_html(facts, is_full=True)).text
    assert f"scenario-search evaluate /studies/pay.yml --from-trial {best}" in text
    passed_on = Page(report_html(facts)).text
    assert f"scenario-search evaluate pay.yml --from-trial {best} --results results" in passed_on
    words = what_if_words(facts, {"timing": "it's late; rm -rf", "promotions": True})
    assert shlex.split(shlex.join(words)) == words
    assert words[-1] == str(folder.parent) and "promotions=true" in words


def test_a_trail_whose_study_file_no_longer_loads(folder: Path) -> None:
    spec = study()
    page = page_of(published(folder, spec, searched(spec, 5), spec={"study": "pay"}))
    assert "lever_0" in page.text and "50,000,000 USD" in page.text


def test_the_newest_version_unless_another_is_named(folder: Path) -> None:
    spec = study()
    old = assemble(searched(spec, 2), [run_record(spec)], spec=spec, study="pay")
    record = run_record(spec, study="pay-v2", study_version=2, run_id="r2")
    folder.mkdir(parents=True)
    publish(folder, old.joined(assemble(searched(spec, 3), [record], spec=spec, study="pay-v2")))
    assert read_facts(folder).study == "pay-v2"
    assert "--from-trial" in page_of(folder).text
    earlier = page_of(folder, study="pay")
    assert "an earlier version" in earlier.text and "--from-trial" not in earlier.text


@pytest.mark.dbt
def test_a_real_run(retail: Path) -> None:
    page = page_of(retail / "results" / "retail")
    assert "promotion_depth" in page.text and "steps[0] month=1" in page.text
    assert "1 of 2 targets met" in page.text or "0 of 2 targets met" in page.text
