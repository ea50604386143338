"""The commands about candidates that were found: apply, history, diff, rollback, compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from search.cli.options import (
    decision,
    json_option,
    load,
    overrides_of,
    progress,
    results_of,
    study_argument,
    told_results,
    trial_option,
    var_option,
)
from search.errors import EXIT_FAILURE, EXIT_OK, SpecError


@click.command()
@study_argument
@trial_option("--trial", "Apply this trial, not the best one.")
@click.option(
    "--alternative",
    type=click.IntRange(min=1),
    metavar="N",
    help="Apply this other plan that meets every target; the run's end lists them.",
)
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE",
    help="Apply these values and leave the other parameters as they are.",
)  # fmt: skip
@click.option(
    "--unverified", is_flag=True, help="Apply a trial although real dbt does not confirm it."
)
@decision
def apply(  # noqa: PLR0913 - one argument for each option
    study: Path,
    trial: int | None,
    alternative: int | None,
    sets: Sequence[str],
    unverified: bool,
    reason: str,
    author: str | None,
    dry_run: bool,
    results: Path,
    as_json: bool,
) -> int:
    """Make the winner of STUDY the values that dbt uses without a search.

    Writes the project's seed or vars (see `apply` in the study file) and a new version to
    the history. A winner that misses targets is applied only when named with --trial; one that
    real dbt does not confirm only with --unverified.
    """
    from search.parameter_sets.sets import Author
    from search.parameter_sets.use import apply_chosen

    if sum([trial is not None, alternative is not None, bool(sets)]) > 1:
        raise SpecError("give one of --trial, --alternative and --set")
    spec = load(study, (), (), None)
    results = results_of(spec, results, is_needed=not sets)
    applied = apply_chosen(
        spec, results, trial=trial, alternative=alternative, assignments=sets,
        author=Author.of(reason, author), is_dry_run=dry_run, is_unverified=unverified,
    )  # fmt: skip
    return _show(spec, applied, is_dry_run=dry_run, as_json=as_json)


@click.command()
@study_argument
@json_option
def history(study: Path, as_json: bool) -> int:
    """List the parameter sets that STUDY applied, oldest first."""
    from search.parameter_sets.sets import ParameterSets
    from search.views.parameter_sets import history_document, history_text

    spec = load(study, (), (), None)
    sets = ParameterSets(spec)
    journal, drift = sets.journal(), sets.drift()
    if as_json:
        click.echo(json.dumps(history_document(journal, drift), indent=2))
    else:
        click.echo(history_text(spec, journal, drift))
    return EXIT_OK


@click.command()
@study_argument
@click.argument("a")
@click.argument("b")
@told_results
def diff(study: Path, a: str, b: str, results: Path, as_json: bool) -> int:
    """Show two candidates of STUDY side by side.

    A and B are parameter sets (3), or current, active, best, trial:17, set:3.
    """
    from search.parameter_sets.candidates import Candidates
    from search.views.parameter_sets import difference_document, difference_text

    spec = load(study, (), (), None)
    candidates = Candidates(spec, results_of(spec, results, is_needed=False))
    left, right = candidates.find(a, option="A"), candidates.find(b, option="B")
    if as_json:
        sides = {"a": left.label, "b": right.label}
        document = sides | {"parameters": difference_document(left.values, right.values)}
        click.echo(json.dumps(document, indent=2))
    else:
        labels = (left.label, right.label)
        click.echo(difference_text(spec, left.values, right.values, labels))
    return EXIT_OK


@click.command()
@study_argument
@click.option("--to", type=click.IntRange(min=0), help="The set; the one before when left out.")
@decision
def rollback(
    study: Path,
    to: int | None,
    reason: str,
    author: str | None,
    dry_run: bool,
    results: Path,
    as_json: bool,
) -> int:
    """Put an earlier parameter set of STUDY back into force; 0 is what was there at first."""
    from search.parameter_sets.sets import Author
    from search.parameter_sets.use import roll_back

    spec = load(study, (), (), None)
    results = results_of(spec, results, is_needed=False)
    applied = roll_back(
        spec, results, to=to, author=Author.of(reason, author), is_dry_run=dry_run
    )  # fmt: skip
    return _show(spec, applied, is_dry_run=dry_run, as_json=as_json)


@click.command()
@study_argument
@click.option("--a", default="current", show_default=True, help="What to compare with.")
@click.option("--b", "others", multiple=True, default=["best"], show_default=True,
              help="What to compare; give it several times for several.")  # fmt: skip
@var_option
@click.option("--fresh", is_flag=True, help="Evaluate all of them, whatever the trials say.")
@click.option(
    "--page", "to", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the comparison as a page too, for example compared.html.",
)  # fmt: skip
@told_results
def compare(
    study: Path,
    a: str,
    others: Sequence[str],
    dbt_vars: Sequence[str],
    fresh: bool,
    to: Path | None,
    results: Path,
    as_json: bool,
) -> int:
    """Show candidates of STUDY side by side: parameters, metrics and their differences.

    A candidate is current, active (the parameter set in force), best, trial:17 or set:3. What
    no trial has evaluated is evaluated now, with the vars of the trials that are compared.
    """
    from search.commands.compare import (
        compare_candidates,
        comparison_document,
        comparison_text,
        write_comparison,
    )

    spec = load(study, (), dbt_vars, None)
    results = results_of(spec, results, is_needed=False)
    with progress() as news:
        sides = compare_candidates(
            spec, a, others, results=results, progress=news, is_fresh=fresh,
            overrides=overrides_of((), dbt_vars),
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(comparison_document(spec, sides), indent=2))
    else:
        click.echo(comparison_text(spec, sides))
    if to is not None:
        write_comparison(spec, sides, to)
    return EXIT_FAILURE if any(side.failure for side in sides) else EXIT_OK


def _show(spec: Any, applied: Any, *, is_dry_run: bool, as_json: bool) -> int:
    from search.views.parameter_sets import applied_document, applied_text

    if as_json:
        click.echo(json.dumps(applied_document(applied, is_dry_run=is_dry_run), indent=2))
    else:
        click.echo(applied_text(spec, applied, is_dry_run=is_dry_run))
    return EXIT_OK
