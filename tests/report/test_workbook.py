"""Files to take along: opened again, numbers with formats, no text that runs as a formula."""

from __future__ import annotations

import csv
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from trails import document, published, searched, trial

from search.audit.reader import AuditReader
from search.errors import AuditError, ExtraMissingError, SpecError
from search.report.facts import StudyFacts
from search.report.gathering import read_facts
from search.report.workbook import export_study
from search.study import study_from_document
from search.views.sheets import Sheet

openpyxl = pytest.importorskip("openpyxl")

RISKY = ['=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\x0bdown"]
SHEETS = [
    "decision", "plan and alternatives", "by year", "effects", "futures", "trials", "provenance",
]  # fmt: skip


@pytest.fixture
def facts(tmp_path: Path) -> StudyFacts:
    given = document(targets=2)
    given["parameters"]["timing"]["choices"] = ["january", RISKY[0]]
    given["metrics"]["metric_1"]["unit"] = RISKY[1]
    spec = study_from_document(given, file=Path("/studies/pay.yml"))
    appraisal = {
        "effects": [
            {"metric": "metric_0", "parameter": "lever_0", "start": 0.03, "end": 0.031,
             "modelled": 2e6, "uncertainty": 1e5, "interval": [1.8e6, 2.2e6], "is_known": True,
             "evaluated": None}
        ],
        "confirmation": {
            "seeds": [9], "failed": 0, "met": 1, "asked": 1, "share_met": 1.0,
            "interval": [0.3, 1.0], "others": [],
            "spreads": [{"metric": "metric_0", "mean": 50e6, "deviation": 0.0, "p10": 49e6,
                         "p50": 50e6, "p90": 51e6, "met": 1, "share_met": 1.0}],
            "futures": [{"seed": 9, "metrics": {"metric_0": 50e6}, "is_met": True,
                         "is_searched": False}],
        },
    }  # fmt: skip
    trials = [
        *searched(spec, 5),
        trial(spec, 5, iteration=2, metrics={"metric_0": 1.0, "metric_1": 1.0}),
    ]
    return read_facts(published(tmp_path / "pay", spec, trials, appraisal=appraisal))


def rows_of(page: Any) -> list[dict[str, Any]]:
    """Return the table of a sheet, found by its frozen head."""
    head = int(page.freeze_panes[1:]) - 1
    values = list(page.iter_rows(min_row=head, values_only=True))
    return [dict(zip(values[0], row, strict=True)) for row in values[1:]]


def test_a_workbook_has_every_sheet_with_numbers_units_and_frozen_heads(
    facts: StudyFacts, tmp_path: Path
) -> None:
    (target,) = export_study(facts, tmp_path / "out" / "plan.xlsx")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    book = openpyxl.load_workbook(target)
    assert book.sheetnames == SHEETS
    assert all(page.freeze_panes.startswith("B") for page in book)
    best = AuditReader(facts.folder).best()[0].trial
    cost = next(row for row in rows_of(book["decision"]) if row["metric"] == "metric_0")
    assert cost["plan"] == facts.value(best, "metric_0") and cost["unit"] == "USD"
    assert (cost["accepted from"], cost["accepted to"]) == (49e6, 51e6)
    assert (cost["p10 of futures"], cost["futures met"], cost["futures"]) == (49e6, 1, 1)
    rate = next(r for r in rows_of(book["plan and alternatives"]) if r["name"] == "lever_0")
    assert rate["today"] == 0.03 and rate["highest"] == 0.08
    (place,) = [
        c for row in book["plan and alternatives"].iter_rows() for c in row if c.value == 0.08
    ][:1]
    assert place.number_format == "0.00##%"
    (effect,) = rows_of(book["effects"])
    assert effect["effect"] == pytest.approx(2e6 / 0.001 * 0.0008)
    assert len(rows_of(book["trials"])) == 6
    assert "The plan" in book["decision"]["A2"].value or "No plan" in book["decision"]["A2"].value


def test_no_text_of_a_study_is_a_formula(facts: StudyFacts, tmp_path: Path) -> None:
    more = [Sheet("a/b:c" * 9, ("=x", *RISKY[1:]), (("plain", *RISKY[:5]),), lines=(RISKY[0],))]
    (target,) = export_study(facts, tmp_path / "plan.xlsx", more=[*more, *more])
    book = openpyxl.load_workbook(target)
    cells = [cell for page in book for row in page.iter_rows() for cell in row]
    assert not [cell for cell in cells if cell.data_type == "f"]
    texts = [cell for cell in cells if isinstance(cell.value, str)]
    risky = [cell for cell in texts if cell.value[:1] in "=+-@\t"]
    assert risky and all(cell.quotePrefix for cell in risky)
    assert any(cell.value == RISKY[0] for cell in texts), "the text itself stays"
    assert len({name.lower() for name in book.sheetnames}) == len(SHEETS) + 2


def test_csv_files_hold_the_same_neutralised(facts: StudyFacts, tmp_path: Path) -> None:
    more = [Sheet("costs", ("name", *RISKY), (("plain", *RISKY),))]
    written = export_study(facts, tmp_path / "files", more=more)
    names = {one.stem for one in written}
    assert {"summary", "decision", "plan-and-alternatives", "trials", "costs"} <= names
    for file in written:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with file.open(newline="", encoding="utf-8") as handle:
            for row in csv.reader(handle):
                for cell in row:
                    is_number = cell.lstrip("+-").replace(".", "").replace("e", "").isdigit()
                    assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    rows = list(csv.DictReader((tmp_path / "files" / "decision.csv").open(encoding="utf-8")))
    assert float(rows[0]["accepted to"]) == 51e6


def test_what_cannot_be_written_is_refused(
    facts: StudyFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match=r"ends in \.xlsx or a folder for CSV files, but got .*ods"):
        export_study(facts, tmp_path / "plan.ods")
    (tmp_path / "is.xlsx").mkdir()
    with pytest.raises(SpecError, match="must be a file, but is a folder"):
        export_study(facts, tmp_path / "is.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError, match="must be written to"):
        export_study(facts, tmp_path / "file" / "in")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ExtraMissingError, match=r"scenario-search\[excel\]"):
        export_study(facts, tmp_path / "plan.xlsx")
    assert not (tmp_path / "plan.xlsx").exists()
