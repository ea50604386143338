"""A study's findings as files to take along: an Excel workbook, or a folder of CSV files."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.errors import AuditError, SpecError
from search.report.facts import StudyFacts
from search.report.findings import findings_of
from search.report.passing import without_names
from search.study.figures import number_text
from search.system import files
from search.system.packages import extra_missing
from search.views.headline import is_money
from search.views.sheets import Amount, Sheet, Value, amount, named, sheets_of

WORKBOOK_NAME = "plan.xlsx"
PRIVATE = 0o600
MAX_TEXT = 32_767
"""Characters of a cell. Source: Excel's specifications and limits."""
MAX_NAME = 31
"""Characters of a sheet's name; Excel's limit."""
MAX_WIDTH = 60
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NO_NAME = re.compile(r"[\[\]:*?/\\]")


def export_study(facts: StudyFacts, to: Path, *, more: Sequence[Sheet] = ()) -> list[Path]:
    """Write what a study found, readable by its owner alone, and return the files.

    Args:
        facts: The study.
        to: A file that ends in ``.xlsx``, or a folder for CSV files, made when missing.
        more: Further sheets, after the futures.

    Raises:
        SpecError: If ``to`` is neither.
        ExtraMissingError: If a workbook is asked for and openpyxl is not installed.
        AuditError: If it cannot be written.
    """
    sheets = study_sheets(facts, more)
    if to.suffix.lower() == ".xlsx":
        return _written({to: _workbook(sheets)})
    if to.suffix:
        raise SpecError(
            f"--to must be a file that ends in .xlsx or a folder for CSV files, but got {to}"
        )
    return _written(
        {to / f"{file_name(line.name)}.csv": _csv(line) for line in _with_lines(sheets)}
    )


def study_sheets(facts: StudyFacts, more: Sequence[Sheet] = ()) -> list[Sheet]:
    """Return every sheet of a study."""
    return sheets_of(findings_of(facts), [*more, trials_sheet(facts), provenance_sheet(facts)])


def trials_sheet(facts: StudyFacts) -> Sheet:
    """Return every trial with its parameters and metrics."""
    rows = []
    for trial in facts.trials:
        values = trial.candidate if isinstance(trial.candidate, dict) else {}
        metrics = [Amount(facts.value(trial.trial, n), unit) for n, unit in facts.units.items()]
        rows.append(
            (
                trial.trial,
                trial.iteration,
                trial.state,
                trial.is_all_targets_met,
                trial.loss,
                *(
                    amount(values.get(parameter.name), parameter.unit)
                    for parameter in facts.parameters
                ),
                *metrics,
                trial.seconds,
                trial.error_message,
            )
        )
    header = ["trial", "iteration", "state", "all targets met", "loss"]
    header += [named(parameter.name, parameter.unit) for parameter in facts.parameters]
    header += [named(name, unit) for name, unit in facts.units.items()]
    return Sheet("trials", (*header, "seconds", "error"), tuple(rows))


def provenance_sheet(facts: StudyFacts) -> Sheet:
    """Return with what the study was run: versions, fingerprints, seeds; no user, no folder."""
    run = without_names(facts).run
    known: dict[str, Value] = {
        "study": facts.study,
        "plan is trial": facts.best,
        "reason": run.reason,
        "verified by dbt": run.is_verified,
        "started (UTC)": run.started_at,
        "finished (UTC)": run.finished_at,
        "study file": Path(run.study_file).name if run.study_file else None,
        "commit": run.git_commit,
        "uncommitted changes": run.git_is_dirty,
        "study fingerprint": run.spec_fingerprint,
        "dbt project fingerprint": run.project_fingerprint,
        "baseline fingerprint": run.baseline_fingerprint,
        "engine": run.engine,
        "sampler": run.sampler,
        "sampler seed": run.sampler_seed,
    }
    for name in ("scenario_search", "dbt_core", "dbt_duckdb", "duckdb", "optuna", "ray", "python"):
        known[f"{name.replace('_', '-')} version"] = getattr(run, f"{name}_version")
    return Sheet("provenance", ("what", "value"), tuple((k, v) for k, v in known.items()))


def _with_lines(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Return the sheets for CSV, whose lines above a table are a file of their own."""
    lines = [(sheet.name, line) for sheet in sheets for line in sheet.lines]
    return [Sheet("summary", ("of", "text"), tuple(lines)), *sheets]


def file_name(name: str) -> str:
    """Return a sheet's name as a file's.

    Example:
        >>> file_name("Plan and alternatives"), file_name("../x")
        ('plan-and-alternatives', 'x')
    """
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") or "table"


def neutral(text: str) -> str:
    """Return text that no spreadsheet takes for a formula.

    Source:
        OWASP, "CSV Injection".

    Example:
        >>> neutral("=1+1"), neutral("january"), neutral("-")
        ("'=1+1", 'january', "'-")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def _csv(sheet: Sheet) -> bytes:
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([neutral(name) for name in sheet.header])
    writer.writerows([_plain(cell) for cell in row] for row in sheet.rows)
    return target.getvalue().encode()


def _plain(cell: Value | Amount) -> Any:
    value = cell.value if isinstance(cell, Amount) else cell
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, bool):
        return str(value).lower()
    return neutral(value) if isinstance(value, str) else value


def _workbook(sheets: Sequence[Sheet]) -> bytes:
    try:
        from openpyxl import Workbook
    except ImportError as error:
        missing = extra_missing("openpyxl", "a file that ends with .xlsx")
        assert missing is not None
        raise missing from error
    book = Workbook()
    book.remove(book.active)
    taken: set[str] = set()
    for sheet in sheets:
        _fill(book.create_sheet(_sheet_name(sheet.name, taken)), sheet)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _sheet_name(name: str, taken: set[str]) -> str:
    """Return a name that Excel takes and no other sheet has."""
    base = _NO_NAME.sub("-", _NO_TEXT.sub("", name)).strip("'")[:MAX_NAME] or "table"
    shown, number = base, 2
    while shown.lower() in taken:
        shown = f"{base[: MAX_NAME - 4]} {number}"
        number += 1
    taken.add(shown.lower())
    return shown


def _fill(page: Any, sheet: Sheet) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    bold, shade = Font(bold=True), PatternFill("solid", fgColor="E7EBF0")
    for number, text in enumerate(sheet.lines, start=1):
        _put(page.cell(number, 1), text)
        page.cell(number, 1).font = Font(bold=number <= 2, size=12 if number <= 2 else 11)
    head = len(sheet.lines) + (2 if sheet.lines else 1)
    widths = [len(name) for name in sheet.header]
    for column, name in enumerate(sheet.header, start=1):
        cell = page.cell(head, column)
        _put(cell, name)
        cell.font, cell.fill = bold, shade
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    for number, row in enumerate(sheet.rows, start=head + 1):
        for column, value in enumerate(row, start=1):
            _put(page.cell(number, column), value)
            shown = value.value if isinstance(value, Amount) else value
            size = len(number_text(shown)) if isinstance(shown, str | int | float) else 10
            widths[column - 1] = max(widths[column - 1], size)
    for column, width in enumerate(widths, start=1):
        page.column_dimensions[get_column_letter(column)].width = min(MAX_WIDTH, width + 3)
    page.freeze_panes = page.cell(head + 1, 2)
    if sheet.rows:
        last = get_column_letter(len(sheet.header))
        page.auto_filter.ref = f"A{head}:{last}{head + len(sheet.rows)}"
    page.page_setup.orientation = "landscape"
    page.page_setup.fitToWidth, page.page_setup.fitToHeight = 1, 0
    page.sheet_properties.pageSetUpPr.fitToPage = True
    page.print_title_rows = f"{head}:{head}"


def _put(cell: Any, value: Value | Amount) -> None:
    """Put a value into a cell; text is text, whatever it begins with."""
    if isinstance(value, Amount):
        cell.value = value.value
        cell.number_format = number_format(value.unit, value.value)
    elif isinstance(value, datetime):
        cell.value = value.astimezone(UTC).replace(tzinfo=None)
        cell.number_format = "yyyy-mm-dd hh:mm:ss"
    elif isinstance(value, str):
        cell.value = _NO_TEXT.sub("", value)[:MAX_TEXT]
        cell.data_type = "s"
        cell.quotePrefix = bool(_FORMULA.match(value))
    else:
        cell.value = value


def number_format(unit: str | None, value: float | int | None) -> str:
    """Return how a spreadsheet shows a number of a unit.

    Example:
        >>> number_format("fraction", 0.035), number_format("USD", 1e9), number_format(None, 1.02)
        ('0.00##%', '#,##0', '0.0###')
    """
    if unit == "fraction":
        return "0.00##%"
    if value is not None and (isinstance(value, int) or abs(value) >= 1000):
        return "#,##0"
    if value is not None and value == int(value):
        return "#,##0"
    return "#,##0.00" if is_money(unit) else "0.0###"


def _written(contents: dict[Path, bytes]) -> list[Path]:
    """Write files for their owner alone, each whole or not at all."""
    drafts: dict[Path, Path] = {}
    opener: Callable[[str, int], int] = lambda path, flags: os.open(path, flags, PRIVATE)  # noqa: E731
    try:
        for target, content in contents.items():
            if target.is_dir():
                raise SpecError(f"{target} must be a file, but is a folder")
            if not target.parent.exists():
                target.parent.mkdir(parents=True, mode=0o700)
            draft = files.temporary_path(target)
            drafts[draft] = target
            with open(draft, "xb", opener=opener) as handle:
                handle.write(content)
        files.replace_durably(drafts)
    except OSError as error:
        raise AuditError(
            f"the export must be written to {next(iter(contents)).parent}, but that failed "
            f"({error.strerror}); check space and permissions there"
        ) from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
    return list(contents)
