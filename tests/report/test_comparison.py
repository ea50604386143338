"""Candidates side by side as a page."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from test_html import Page
from trails import NASTY, document

from search.commands.compare import Side, comparison_text, write_comparison
from search.errors import AuditError
from search.study import study_from_document


def test_the_page_says_what_the_terminal_says_and_draws_what_repeats(tmp_path: Path) -> None:
    given = document(targets=1)
    given["metrics"]["payroll"] = {
        "sql": "select {{ year }}", "unit": "USD", "for_each": {"year": [2026, 2027]},
    }  # fmt: skip
    spec = study_from_document(given, file=Path("/studies/pay.yml"))
    values = {name: one.current for name, one in spec.parameters.items()}
    metrics = {"metric_0": 50e6, "payroll@2026": 1e6, "payroll@2027": 2e6}
    sides = [
        Side("current", values, metrics, "trial 0"),
        Side(NASTY, values | {"lever_0": 0.02}, metrics | {"payroll@2027": 3e6}, "evaluated"),
        Side("trial 3", values, {}, "evaluated", failure="out of memory"),
    ]
    target = write_comparison(spec, sides, tmp_path / "compared.html")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    page = Page(target.read_text(encoding="utf-8"))
    text = comparison_text(spec, sides)
    for words in ("-1 points", "+1,000,000 USD (+50.00 %)", "trial 3 failed: out of memory"):
        assert words in page.text and words in text
    assert "Payroll by year" in page.text and page.tags.count("script") == 1
    with pytest.raises(AuditError, match="must be written to"):
        write_comparison(spec, sides, tmp_path / "absent" / "compared.html")
