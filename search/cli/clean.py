"""`scenario-search clean`: what a folder of results holds, and removing what is old or too much."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from search.cli.options import json_option, results_option
from search.errors import EXIT_OK

Amount = TypeVar("Amount", int, float)


def _size(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    from search.study.budget import parse_size

    return _read(parse_size, text)


def _duration(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    from search.study.values import parse_duration

    return _read(parse_duration, text)


def _read(parse: Callable[[str], Amount], text: str | None) -> Amount | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--older-than", "older", metavar="DURATION", callback=_duration,
    help="Remove what has not been used for that long, for example 30d.",
)  # fmt: skip
@click.option(
    "--down-to", "most", metavar="SIZE", callback=_size,
    help="Remove the longest unused until the rest takes at most that, for example 20GB.",
)  # fmt: skip
@click.option(
    "--with-results", is_flag=True,
    help="Also results of studies, which nothing makes again; else baselines and recordings alone.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, remove nothing.")
@results_option
@json_option
def clean(
    older: float | None,
    most: int | None,
    with_results: bool,
    yes: bool,
    dry_run: bool,
    results: Path,
    as_json: bool,
) -> int:
    """Show what the folder of results holds, and remove what is old or too much.

    Without --older-than or --down-to nothing is removed. What a running study may use stays.
    """
    from search.commands import clean as command

    kept = command.kept_in(results)
    kinds = (*command.CACHES, "results") if with_results else command.CACHES
    picked = command.chosen(
        kept, older_than_seconds=older, down_to_bytes=most, kinds=kinds
    )  # fmt: skip
    if not as_json:
        click.echo(command.kept_text(kept, results))
    is_asked = older is not None or most is not None
    if is_asked and not as_json:
        click.echo()
        click.echo(
            "to remove:\n" + command.kept_text(picked, results) if picked else "nothing to remove"
        )
    gone = []
    if picked and not dry_run:
        if not yes:
            click.confirm("remove them for good?", abort=True, err=as_json)
        gone = command.remove(picked)
        left = len(picked) - len(gone)
        if not as_json:
            click.echo(
                f"removed {len(gone)}" + (f"; {left} began to run meanwhile" if left else "")
            )
    if as_json:
        told = {"kept": kept, "chosen": picked, "removed": gone}
        listed = {name: [item.document() for item in some] for name, some in told.items()}
        click.echo(json.dumps(listed, indent=2))
    return EXIT_OK
