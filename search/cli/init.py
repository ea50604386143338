"""`scenario-search init`: a first study of a dbt project, or a bundled example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from search.cli.options import progress, results_option
from search.errors import EXIT_OK, SpecError

DEFAULT_FILE = Path("study.yaml")
SHOWN = 12
"""Choices that are listed; others can be named."""


@click.command()
@click.argument("project", type=click.Path(path_type=Path), required=False)
@click.option(
    "--example", metavar="NAME",
    help="Unpack a bundled example instead: compensation, montecarlo or pricing.",
)  # fmt: skip
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE,
    show_default=True, help="The study file to write.",
)  # fmt: skip
@click.option("--name", help="The study's name; the project's when left out.")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME[=LOW:HIGH]",
    help="Move this number (a var, or a number of a seed); may be given several times.",
)  # fmt: skip
@click.option(
    "--metric", metavar="MODEL.COLUMN",
    help="Aim at this: fct_pay.total is its sum; also avg(fct_pay.total), count(fct_pay).",
)  # fmt: skip
@click.option("--target", metavar="CHANGE|VALUE", help="What should come out: +5%, or 120000.")
@click.option("--yes", "is_quick", is_flag=True, help="Ask nothing; take what is suggested.")
@results_option
def init(  # noqa: PLR0913 - one argument for each option
    project: Path | None,
    example: str | None,
    file: Path,
    name: str | None,
    parameters: Sequence[str],
    metric: str | None,
    target: str | None,
    is_quick: bool,
    results: Path,
) -> int:
    """Write a first study for the dbt project in PROJECT (the working folder when left out).

    Parses and builds the project once in a scratch database, asks what to move and what to aim at
    (or takes the options, or what looks best), tries each parameter, and writes a commented study
    file. The project is not changed.

    \b
    scenario-search init --example pricing
    scenario-search init path/to/dbt_project --metric fct_sales.revenue --target +5%
    """
    if example is not None:
        return _unpack(example, project)
    from search.commands import init as command

    is_asking = not is_quick and click.get_text_stream("stdin").isatty()
    place = project or Path()
    with progress() as shown:
        survey = command.look_at(place, file, shown)
    aim, movables = command.suggested(survey, parameters=parameters, metric=metric)
    if is_asking and metric is None:
        aim = _ask_aim(survey, aim)
        aim, movables = command.suggested(survey, parameters=parameters, metric=aim.text)
    if is_asking and not parameters:
        movables = _ask_movables(survey, aim, movables)
    draft = command.drafted(
        survey, place, file, name=name, aim=aim, movables=movables, target=target
    )
    with progress() as shown:
        draft = command.tried(draft, results, shown)
    if is_asking and target is None:
        draft = _ask_target(draft)
    for path in command.write(draft):
        click.echo(f"wrote {path}")
    click.echo(_summary(draft))
    return EXIT_OK


def _unpack(example: str, folder: Path | None) -> int:
    from search.commands.examples import unpack_example

    study = unpack_example(example, folder or Path(example))
    click.echo(
        f"wrote {study.parent}: a dbt project and its study\nnext: scenario-search run {study}"
    )
    return EXIT_OK


def _ask_aim(survey: Any, aim: Any) -> Any:
    from search.commands.suggestions import aims_of, chosen_aim
    from search.study.figures import number_text

    aims = aims_of(survey)
    click.echo("What should be aimed at? Numbers of the project's models, with their sums today:")
    for number, choice in enumerate(aims[:SHOWN], start=1):
        today = number_text(choice.mart.sums.get(choice.column or ""))
        click.echo(f"  {number:2}  {choice.mart.name}.{choice.column}  ({today})")
    if len(aims) > SHOWN:
        click.echo(f"      and {len(aims) - SHOWN} more: name one as MODEL.COLUMN")
    default = next((str(n) for n, choice in enumerate(aims[:SHOWN], 1) if choice == aim), aim.text)

    def chosen(text: str) -> Any:
        return _picked(aims[:SHOWN], text) or chosen_aim(survey, text)

    return click.prompt(
        "number or MODEL.COLUMN", default=default, value_proc=lambda text: _asked(chosen, text)
    )


def _ask_movables(survey: Any, aim: Any, suggested: Sequence[Any]) -> list[Any]:
    from search.commands.suggestions import chosen_movables, movables_of, suited
    from search.study.figures import number_text

    movables = suited(movables_of(survey), aim)
    click.echo(f"What may be moved? Numbers that {aim.mart.name} depends on:")
    for number, movable in enumerate(movables[:SHOWN], start=1):
        span = f"{number_text(movable.low)} to {number_text(movable.high)}"
        today = number_text(movable.current)
        click.echo(f"  {number:2}  {movable.name} = {today}  (try {span}; {movable.where})")
    if len(movables) > SHOWN:
        click.echo(f"      and {len(movables) - SHOWN} more: name them")
    places = {movable.name: str(n) for n, movable in enumerate(movables[:SHOWN], start=1)}
    default = " ".join(places.get(parameter.name, parameter.name) for parameter in suggested)

    def chosen(text: str) -> list[Any]:
        words = text.replace(",", " ").split()
        picked = [_picked(movables[:SHOWN], word) for word in words]
        names = [
            choice.name if choice else word for choice, word in zip(picked, words, strict=True)
        ]
        if not names:
            raise SpecError("name at least one")
        return chosen_movables(movables, names)

    return list(
        click.prompt(
            "numbers, or NAME=LOW:HIGH", default=default,
            value_proc=lambda text: _asked(chosen, text),
        )
    )  # fmt: skip


def _ask_target(draft: Any) -> Any:
    from dataclasses import replace

    from search.commands.suggestions import chosen_target
    from search.study.figures import number_text

    click.echo(f"{draft.aim.name} is {number_text(draft.today)} today. With one parameter moved:")
    for name, (value, metric) in draft.ends.items():
        click.echo(f"  {name} {number_text(value)}: {number_text(metric)}")
    change = draft.target.get("change")
    default = f"{change * 100:+g}%" if change is not None else f"{draft.target['value']:g}"
    target = click.prompt(
        "target, as a change (+5%) or a value", default=default,
        value_proc=lambda text: _asked(chosen_target, text),
    )  # fmt: skip
    return replace(draft, target=target)


def _picked(choices: Sequence[Any], text: str) -> Any:
    """Return the choice of a number; None for other texts."""
    is_number = text.strip().isdigit() and 1 <= int(text) <= len(choices)
    return choices[int(text) - 1] if is_number else None


def _asked(choose: Callable[[str], Any], text: str) -> Any:
    """Return what was chosen; a mistake is told and asked again."""
    try:
        return choose(text)
    except SpecError as error:
        raise click.UsageError(str(error)) from error


def _summary(draft: Any) -> str:
    from search.study.figures import number_text

    wanted = draft.target
    goal = f"{wanted['change'] * 100:+g} %" if "change" in wanted else number_text(wanted["value"])
    lines = [f"aims at {draft.aim.text}: {number_text(draft.today)} today, wanted {goal}"]
    lines += [
        f"moves {movable.name} from {number_text(movable.low)} to {number_text(movable.high)} "
        f"(today {number_text(movable.current)})"
        for movable in draft.movables
    ]
    lines += [
        f"{parameter.name} did not move it and stands as a comment" for parameter in draft.idle
    ]
    return "\n".join([*lines, f"next: scenario-search run {draft.file}"])
