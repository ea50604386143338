"""What the commands have in common: options, reading the study file, progress."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from search.cli.grouped import complete_studies, complete_trials

RESULTS_VARIABLE = "SCENARIO_SEARCH_RESULTS"

study_argument = click.argument(
    "study", type=click.Path(path_type=Path), shell_complete=complete_studies
)
set_option = click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE",
    help="Change the study file for this call, for example --set search.max_iterations=5.",
)  # fmt: skip
var_option = click.option(
    "--var", "dbt_vars", multiple=True, metavar="NAME=VALUE",
    help="Set a dbt var of the scenario, for example --var census_path=data/census.csv.",
)  # fmt: skip
workers_option = click.option(
    "--workers", type=click.IntRange(min=0),
    help="Worker processes; 0 evaluates in this process, without Ray.",
)  # fmt: skip
results_option = click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), default=Path("results"),
    envvar=RESULTS_VARIABLE, show_default=True, show_envvar=True,
    help="Folder for results and cached baselines.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
)

Decorator = Callable[[Any], Any]


def trial_option(flag: str, help_text: str) -> Decorator:
    """Return an option that takes a trial's number, which a shell completes."""
    return click.option(
        flag, type=click.IntRange(min=0), shell_complete=complete_trials, help=help_text
    )


def together(*options: Decorator) -> Decorator:
    """Return one decorator for options that commands share, shown in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


changed_study = together(study_argument, set_option, var_option)
"""A study file, and what one call changes in it."""
told_results = together(results_option, json_option)
"""Where results are, and how they are told."""
decision = together(
    click.option("-m", "--reason", required=True, help="Why, for whoever reads the history."),
    click.option("--author", help="Who decides it; your account's name when left out."),
    click.option("--dry-run", is_flag=True, help="Show what would change, write nothing."),
    told_results,
)
"""Who puts values into force, and why."""


def load(study: Path, sets: Sequence[str], dbt_vars: Sequence[str], workers: int | None) -> Any:
    """Return the study of a file, with what the command line changes in it.

    Raises:
        SpecError: If the file breaks a rule, or a current value is said to be the active one
            and the dbt project holds another.
    """
    from search.parameter_sets.in_force import require_active
    from search.study import load_study

    overrides = overrides_of(sets, dbt_vars)
    if workers is not None:
        overrides.append(f"resources.workers={workers}")
    return require_active(lambda: load_study(study, overrides=overrides))


def overrides_of(sets: Sequence[str], dbt_vars: Sequence[str]) -> list[str]:
    """Return what ``--set`` and ``--var`` change in the study file, as overrides of it."""
    return [*sets, *(f"scenario.vars.{assignment}" for assignment in dbt_vars)]


def results_of(spec: Any, results: Path, *, is_needed: bool = True) -> Path:
    """Return the folder of all results for a command that reads what a study found.

    Without ``--results`` it is looked for where the command is started, then beside the study
    file, then in the folders above that.

    Args:
        spec: The study.
        results: As given, or the default.
        is_needed: Refuse when there is nothing anywhere.

    Raises:
        ResultsMissingError: If nothing is there; names every place that was looked at.
    """
    from search.study.layout import find_results

    return find_results(spec, results, is_default=_is_default(), is_needed=is_needed)


def tell_edits(spec: Any, results: Path, *, what: str) -> None:
    """Say so on stderr when the study file is not what the study ran for any more.

    Args:
        spec: The study as its file is today.
        results: Folder of all results.
        what: What is shown, which is of what the study ran for.
    """
    from search.errors import StorageError
    from search.parameter_sets.candidates import stored_study

    try:
        edited = stored_study(spec, results).edited(spec)
    except StorageError:  # the published trail is enough for what is shown
        return
    if edited:
        click.echo(
            f"the study file has other values now ({', '.join(edited)}); {what} shows what the "
            "study ran for: a run starts the next version",
            err=True,
        )


def looked_at(spec: Any, results: Path) -> list[Path]:
    """Return the folders of results that ``results_of`` looks at."""
    from search.study.layout import places_of

    return places_of(spec, results, is_default=_is_default())


def _is_default() -> bool:
    """Return whether nobody named a folder of results."""
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source("results")
    return source in (ParameterSource.DEFAULT, None)


@contextlib.contextmanager
def progress() -> Iterator[Any]:
    """Show progress on stderr meanwhile; stdout is for the result."""
    from search.cli.progress import LiveProgress, PlainProgress

    with _stdout_for_the_result():
        if sys.stderr.isatty():
            with LiveProgress() as live:
                yield live
        else:
            yield PlainProgress()


@contextlib.contextmanager
def _stdout_for_the_result() -> Iterator[None]:
    """Send what libraries and child processes print to stderr meanwhile."""
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
