"""The command that writes what a study found as files to take along."""

from __future__ import annotations

from pathlib import Path

import click

from search.cli.options import load, results_of, results_option, study_argument, tell_edits
from search.errors import EXIT_OK


@click.command()
@study_argument
@click.option(
    "--to", required=True, type=click.Path(path_type=Path),
    help="A workbook (plan.xlsx), or a folder for CSV files; made when missing.",
)  # fmt: skip
@results_option
def export(study: Path, to: Path, results: Path) -> int:
    """Write what STUDY found as an Excel workbook or as CSV files, and print their paths.

    Decision, plan and alternatives, by year, effects, futures, trials, provenance: numbers with
    their units, readable by you alone.
    """
    from search.report.gathering import read_facts
    from search.report.workbook import export_study
    from search.study.layout import Layout

    spec = load(study, (), (), None)
    results = results_of(spec, results)
    facts = read_facts(Layout(results, spec.study).folder)
    tell_edits(spec, results, what="what is exported")
    for path in export_study(facts, to):
        click.echo(path)
    return EXIT_OK
