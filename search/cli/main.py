"""The command line: thin, every command reads a study file and says what it found."""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO, cast

import click

from search.cli.audit import audit
from search.cli.clean import clean
from search.cli.cluster import submit
from search.cli.dashboard import dashboard
from search.cli.export import export
from search.cli.frontier import frontier
from search.cli.grouped import GroupedCommands
from search.cli.init import init
from search.cli.leaving import complain, exit_code
from search.cli.options import RESULTS_VARIABLE as RESULTS_VARIABLE
from search.cli.options import (
    changed_study,
    load,
    looked_at,
    overrides_of,
    progress,
    results_of,
    results_option,
    study_argument,
    tell_edits,
    told_results,
    trial_option,
    var_option,
    workers_option,
)
from search.cli.sets import apply, compare, diff, history, rollback
from search.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_NOT_CONVERGED,
    EXIT_OK,
    SearchError,
)
from search.system import interrupt
from search.system.interrupt import LastingStream, end_in_order_on_signals, leave_at_once
from search.system.packages import require_supported
from search.views.terminal import Terminal, writing_for

WITHOUT_ENGINES = ("clean", "doctor", "schema")
"""Commands that tell, or do without, what is installed."""


@click.group(
    cls=GroupedCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="scenario-search")
@click.pass_context
def main(context: click.Context) -> None:
    """Find the parameters that make a dbt-on-DuckDB simulation hit its targets.

    \b
    scenario-search init --example pricing        a small study that runs at once
    scenario-search init path/to/dbt_project      a first study of your own project
    scenario-search run study.yaml                search; goes on where it stopped
    scenario-search evaluate study.yaml --set price_factor=1.1
    """
    if context.invoked_subcommand not in WITHOUT_ENGINES:
        require_supported()


@main.command()
@changed_study
@workers_option
@told_results
@click.option("--restart", is_flag=True, help="Start anew; what was found before is kept.")
@click.option(
    "--on-change", type=click.Choice(["branch", "continue", "refuse"]), default="branch",
    show_default=True,
    help="When inputs changed since: start the next version, go on with this one, or stop.",
)  # fmt: skip
def run(
    study: Path,
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    workers: int | None,
    results: Path,
    as_json: bool,
    restart: bool,
    on_change: Any,
) -> int:
    """Search for the parameters that meet the targets of STUDY.

    The same command goes on where it stopped. Exit code 0: targets met; 3: finished
    without meeting them; 2: bad input; 1: failure; 130: interrupted, state saved.
    """
    from search.commands.run import RunOptions, run_study
    from search.report.summary import decision_summary, run_summary, run_text
    from search.workers.ray.lasting import require_lasting

    require_lasting(results)
    spec = load(study, sets, dbt_vars, workers)
    with progress() as news:
        result = run_study(
            spec, RunOptions(results=results, is_restart=restart, on_change=on_change), news
        )
    workbook = _workbook(result)
    if as_json:
        document = run_summary(result) | decision_summary(spec, result)
        document |= {"workbook_path": str(workbook) if workbook else None}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(run_text(spec, result, workbook=workbook))
    return EXIT_OK if result.is_converged else EXIT_NOT_CONVERGED


def _workbook(result: Any) -> Path | None:
    """Write the workbook beside the report where that can be done; the trail has it all."""
    from importlib.util import find_spec

    from search.report.gathering import read_facts
    from search.report.workbook import WORKBOOK_NAME, export_study

    if find_spec("openpyxl") is None or result.end.best is None:
        return None
    try:
        facts = read_facts(result.folder, study=result.study)
        return export_study(facts, result.folder / WORKBOOK_NAME)[0]
    except SearchError as error:
        complain(f"warning: {error}")
        return None


@main.command()
@study_argument
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE",
    help="Value of a parameter (the others stay at current); with a dot, a key of the study file.",
)  # fmt: skip
@var_option
@told_results
@trial_option("--from-trial", "Take the candidate of this trial.")
@click.option(
    "--engine", type=click.Choice(["dbt", "compiled", "both"]),
    help="What evaluates; both compares and says where dbt gives something else.",
)  # fmt: skip
def evaluate(
    study: Path,
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    results: Path,
    as_json: bool,
    from_trial: int | None,
    engine: Any,
) -> int:
    """Evaluate one candidate of STUDY: what would happen if.

    A trial is repeated with the vars and options that it ran with. Exit code 1: the evaluation
    failed, the metrics are not the trial's, or the engines differ.
    """
    from search.commands.evaluate import evaluate_once
    from search.report.summary import evaluation_summary, evaluation_text

    keys = [given for given in sets if "." in given.split("=")[0]]
    spec = load(study, keys, dbt_vars, None)
    values = [given for given in sets if "." not in given.split("=")[0]]
    if from_trial is not None:
        results = results_of(spec, results)
    with progress() as news:
        evaluation = evaluate_once(
            spec,
            assignments=values,
            from_trial=from_trial,
            results=results,
            progress=news,
            overrides=overrides_of(keys, dbt_vars),
            engine=engine,
        )
    text = evaluation_text(spec, evaluation)
    click.echo(json.dumps(evaluation_summary(evaluation), indent=2) if as_json else text)
    is_other = evaluation.matches_trial is False
    is_other |= evaluation.comparison is not None and not evaluation.comparison.is_equal
    return EXIT_FAILURE if evaluation.failure or is_other else EXIT_OK


@main.command()
@study_argument
@told_results
def status(study: Path, results: Path, as_json: bool) -> int:
    """Show where STUDY stands: runs, trials, the best so far, who runs it now."""
    from search.report.status import status_summary, status_text

    spec = load(study, (), (), None)
    folder = results_of(spec, results, is_needed=False)
    summary = status_summary(spec, folder, looked_at=looked_at(spec, results))
    click.echo(json.dumps(summary, indent=2) if as_json else status_text(summary))
    return EXIT_OK


@main.command()
@study_argument
@results_option
@click.option(
    "--full", is_flag=True,
    help="With users, hosts and absolute paths, which a page that is passed on should not have.",
)  # fmt: skip
def report(study: Path, results: Path, full: bool) -> int:
    """Write the report of STUDY, one page for a browser, and print its path."""
    from search.report.html import write_report
    from search.study.layout import Layout

    spec = load(study, (), (), None)
    results = results_of(spec, results)
    tell_edits(spec, results, what="the report")
    click.echo(write_report(Layout(results, spec.study).folder, is_full=full))
    return EXIT_OK


@main.command()
@changed_study
@workers_option
@told_results
def doctor(
    study: Path,
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    workers: int | None,
    results: Path,
    as_json: bool,
) -> int:
    """Check the environment, STUDY, its dbt project, disk and memory, before any work."""
    from search.commands.doctor import examine, findings_text

    findings = examine(lambda: load(study, sets, dbt_vars, workers), results)
    if as_json:
        click.echo(json.dumps([finding.document() for finding in findings], indent=2))
    else:
        click.echo(findings_text(findings))
    return EXIT_BAD_INPUT if any(finding.is_error for finding in findings) else EXIT_OK


def _timing(spec: Any, results: Path, *, as_json: bool, picture: Path | None) -> int:
    """Show when the last run of a study did what."""
    from search.driver.timeline import read_timeline
    from search.errors import ResultsMissingError
    from search.study.layout import Layout
    from search.views.timeline import timeline_svg, timeline_text

    file = Layout(results, spec.study).timeline
    document = read_timeline(file)
    if document is None:
        raise ResultsMissingError(f"study {spec.study} must have run, but there is no {file}")
    if picture is not None:
        picture.write_text(timeline_svg(document), encoding="utf-8")
    click.echo(json.dumps(document, indent=2) if as_json else timeline_text(document))
    return EXIT_OK


@main.command()
@changed_study
@told_results
@click.option("--timing", is_flag=True, help="Show when the last run did what instead.")
@click.option(
    "--picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="With --timing: write it as an SVG picture as well.",
)  # fmt: skip
def explain(
    study: Path,
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    results: Path,
    as_json: bool,
    timing: bool,
    picture: Path | None,
) -> int:
    """Show what evaluating STUDY consists of: what is replayed, hoisted, left out, and why."""
    spec = load(study, sets, dbt_vars, None)
    if timing:
        return _timing(spec, results_of(spec, results), as_json=as_json, picture=picture)
    from search.commands.explain import explain_study, explanation_text

    with progress() as news:
        explanation = explain_study(spec, results, news)
    if as_json:
        click.echo(json.dumps(explanation.document(), indent=2))
    else:
        click.echo(explanation_text(explanation))
    return EXIT_OK


@main.command()
@study_argument
@told_results
@trial_option("--trial", "The trial; the best one when left out.")
def verify(study: Path, results: Path, as_json: bool, trial: int | None) -> int:
    """Evaluate a trial of STUDY through real dbt with its tests, and compare the metrics."""
    from search.commands.verify import verify_trial

    spec = load(study, (), (), None)
    results = results_of(spec, results)
    with progress() as news:
        number, verification = verify_trial(spec, trial, results=results, progress=news)
    if as_json:
        document = {"trial": number, "verified": verification.is_verified}
        click.echo(json.dumps(document | verification.document(), indent=2))
    else:
        click.echo(f"trial {number}: {verification.text()}")
    return EXIT_OK if verification.is_verified else EXIT_FAILURE


@main.command()
def schema() -> int:
    """Print the JSON schema of study files, for editors."""
    from search.study import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    return EXIT_OK


for _command in (
    apply, audit, clean, compare, dashboard, diff, export, frontier, history, init, rollback,
    submit,
):  # fmt: skip
    main.add_command(_command)


def entry_point() -> None:
    """Run the command line; a user's mistake is a message and an exit code, never a traceback."""
    end_in_order_on_signals()
    sys.stderr = cast("TextIO", LastingStream(sys.stderr))
    words = sys.argv[1:]
    with writing_for(Terminal.of(sys.stdout)):
        code = exit_code(lambda: main(words, standalone_mode=False), is_json="--json" in words)
    if code == EXIT_INTERRUPTED or interrupt.must_leave():
        leave_at_once(code)
    if "_duckdb" in sys.modules:
        # Its binding lists what the interpreter holds to the end, 45 lines behind a result.
        atexit._run_exitfuncs()
        leave_at_once(code)
    sys.exit(code)
