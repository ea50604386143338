"""``scenario-search frontier``: what a target costs the others, point by point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from search.cli.options import (
    changed_study,
    load,
    progress,
    results_of,
    told_results,
    workers_option,
)
from search.errors import EXIT_NOT_CONVERGED, EXIT_OK


@click.command()
@changed_study
@click.option(
    "--vary", "varies", multiple=True, required=True, metavar="METRIC=LOW:HIGH:N",
    help="Vary the target of a metric, for example cost=10.6e9:11.2e9:7; twice for a map.",
)  # fmt: skip
@workers_option
@told_results
def frontier(
    study: Path,
    varies: Sequence[str],
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    workers: int | None,
    results: Path,
    as_json: bool,
) -> int:
    """For each value of a target of STUDY, find the plan that meets all the others.

    The study has run before: what it evaluated is used. The same command goes on where it
    stopped. Exit code 0: some point meets every target; 3: none does; 2: bad input.
    """
    from search.commands.frontier import find_frontier
    from search.report.frontier import frontier_document, frontier_text
    from search.study.vary import parse_varies

    spec = load(study, sets, dbt_vars, workers)
    parse_varies(spec, varies)
    results = results_of(spec, results)
    with progress() as shown:
        result = find_frontier(spec, varies, results=results, progress=shown)
    if as_json:
        click.echo(json.dumps(frontier_document(result), indent=2))
    else:
        click.echo(frontier_text(spec, result))
    return EXIT_OK if result.is_reached else EXIT_NOT_CONVERGED
