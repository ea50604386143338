"""The command that shows a study in Optuna's dashboard."""

from __future__ import annotations

from pathlib import Path

import click

from search.cli.options import load, results_of, results_option, study_argument
from search.errors import EXIT_OK, StorageError


@click.command()
@study_argument
@results_option
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)  # fmt: skip
@click.option(
    "--snapshot", is_flag=True,
    help="Show a copy of the study as it is now, which does not follow a running study.",
)  # fmt: skip
def dashboard(study: Path, results: Path, port: int, snapshot: bool) -> int:
    """Show STUDY in Optuna's dashboard, while it runs and after, until Ctrl-C.

    The dashboard listens on 127.0.0.1 and only reads: nothing in it changes or stops the study.
    """
    from search.dashboard.server import dashboard_server, study_address
    from search.dashboard.shown import shown_storage
    from search.storage.database import masked
    from search.storage.existing import existing_storage
    from search.storage.versions import latest_version
    from search.study.layout import Layout

    spec = load(study, (), (), None)
    url = Layout(results_of(spec, results), spec.study).storage_url(spec)
    with existing_storage(url) as storage:
        latest = latest_version(storage, spec.study) if storage is not None else None
    if latest is None:
        raise StorageError(
            f"study {spec.study!r} must have been started, but {masked(url)} does not hold it; "
            f"run `scenario-search run {study}` first, or name its folder with --results"
        )
    with (
        shown_storage(url, is_snapshot=snapshot) as shown,
        dashboard_server(shown, port) as server,
    ):
        address = study_address(shown, latest.name, server.server_port)
        what = "a copy of " if snapshot else ""
        click.echo(f"{what}study {latest.name}: {address} (Ctrl-C ends it)")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo("dashboard ended", err=True)
    return EXIT_OK
