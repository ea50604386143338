"""The commands about the audit trail: verify and export."""

from __future__ import annotations

import json
from pathlib import Path

import click

from search.cli.options import load, results_of, results_option, study_argument, told_results
from search.errors import EXIT_FAILURE, EXIT_OK


@click.group()
def audit() -> None:
    """Check or export the audit trail of a study."""


@audit.command()
@study_argument
@click.option(
    "--anchor", "anchors", multiple=True, metavar="NUMBER:HASH",
    help="The trail's anchor that a run printed at its end; the trail must still lead to it.",
)  # fmt: skip
@told_results
def verify(study: Path, anchors: tuple[str, ...], results: Path, as_json: bool) -> int:
    """Check that nothing in the trail of STUDY was edited, removed or moved.

    The anchors in the parameter sets that were applied are checked as well.

    Exit code 0: intact; 1: it is not; 2: the study has no results.
    """
    from search.audit.anchor import Anchor
    from search.commands.audit import check_study, kept_anchors

    spec = load(study, (), (), None)
    kept = kept_anchors(spec, [Anchor.parse(text) for text in anchors])
    # Where an anchor says that there was a trail, that nothing is left of it is the finding.
    checked = check_study(spec, results_of(spec, results, is_needed=not kept), kept)
    counts = f"{checked.events} events, {checked.trials} trials, {checked.tables} tables"
    if as_json:
        document = {
            "intact": checked.is_intact,
            "events": checked.events,
            "trials": checked.trials,
            "tables": checked.tables,
            "findings": [finding.document() for finding in checked.findings],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for finding in checked.findings:
            mark = "PROBLEM" if finding.is_problem else "note"
            click.echo(f"{mark}: {finding.place}: {finding.text}")
        verdict = "intact" if checked.is_intact else "NOT INTACT"
        click.echo(f"the trail of {spec.study} is {verdict}: {counts}")
    return EXIT_OK if checked.is_intact else EXIT_FAILURE


@audit.command()
@study_argument
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files; made when missing.",
)  # fmt: skip
@click.option(
    "--format", "kind", type=click.Choice(["parquet", "csv", "both"]), default="both",
    show_default=True, help="What to write.",
)  # fmt: skip
@results_option
def export(study: Path, folder: Path, kind: str, results: Path) -> int:
    """Write the tables of the trail of STUDY as Parquet and CSV files, and print their paths."""
    from search.audit.export import export_trail
    from search.study.layout import Layout

    spec = load(study, (), (), None)
    formats = ("parquet", "csv") if kind == "both" else (kind,)
    for path in export_trail(Layout(results_of(spec, results), spec.study).folder, folder, formats):
        click.echo(path)
    return EXIT_OK
