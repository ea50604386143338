"""The command that sends a study to a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from search.cli.options import (
    changed_study,
    load,
    results_option,
    workers_option,
)
from search.errors import EXIT_OK

DEFAULT_ADDRESS = "http://127.0.0.1:8265"


@click.command()
@changed_study
@workers_option
@results_option
@click.option("--restart", is_flag=True, help="Start anew; what was found before is kept.")
@click.option(
    "--working-dir", type=click.Path(path_type=Path), default=Path("."), show_default=True,
    help="Folder that is sent; it holds the study file and the dbt project.",
)  # fmt: skip
@click.option(
    "--address", envvar="RAY_API_SERVER_ADDRESS", default=DEFAULT_ADDRESS,
    show_default=True, show_envvar=True, help="The cluster's dashboard.",
)  # fmt: skip
@click.option(
    "--runtime-env", type=click.Path(path_type=Path), metavar="FILE",
    help="YAML file with Ray's runtime environment, for example pip packages.",
)  # fmt: skip
@click.option("--submission-id", help="Name of the job; Ray chooses one when left out.")
@click.option("--no-wait", is_flag=True, help="Print the job's name and do not wait for its end.")
@click.option("--dry-run", is_flag=True, help="Check and show what would be sent; send nothing.")
def submit(  # noqa: PLR0913 - one argument for each option
    study: Path,
    sets: Sequence[str],
    dbt_vars: Sequence[str],
    workers: int | None,
    results: Path,
    restart: bool,
    working_dir: Path,
    address: str,
    runtime_env: Path | None,
    submission_id: str | None,
    no_wait: bool,
    dry_run: bool,
) -> int:
    """Run STUDY as a job of a Ray cluster: `ray job submit` with the upload checked before.

    Shows the job's log and ends with the exit code of its run. Ctrl-C leaves the job running.
    """
    from dataclasses import replace

    from search.workers.ray.cluster_jobs import JobClient, job_of, use_token
    from search.workers.ray.upload import plan_upload

    use_token()
    load(study, sets, dbt_vars, workers)
    options = [
        *(f"--set={assignment}" for assignment in sets),
        *(f"--var={var}" for var in dbt_vars),
    ]
    options += [] if workers is None else [f"--workers={workers}"]
    options += ["--restart"] if restart else []
    job = job_of(
        study=study, folder=working_dir, results=results, options=options, runtime_env=runtime_env
    )
    upload = plan_upload(job.folder, job.runtime_env.get("excludes") or ())
    click.echo(f"sending {upload.text()}" if not dry_run else upload.text(), err=not dry_run)
    if dry_run:
        return EXIT_OK
    client = JobClient(address)
    name = client.send(replace(job, submission_id=submission_id))
    if no_wait:
        click.echo(name)
        return EXIT_OK
    click.echo(f"job {name}: {job.entrypoint}", err=True)
    try:
        return client.follow(name, lambda lines: click.echo(lines, nl=False))
    except KeyboardInterrupt:
        click.echo(
            f"\njob {name} goes on; `ray job logs --follow {name}` shows it, "
            f"`ray job stop {name}` ends it",
            err=True,
        )
        return EXIT_OK
