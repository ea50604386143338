"""The list of commands in groups, and what a shell completes: studies and their trials."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, split_arg_string

SECTIONS = {
    "Begin": ("init", "doctor", "run", "evaluate"),
    "Look": (
        *("status", "report", "compare", "diff", "explain", "export", "frontier", "dashboard"),
    ),
    "Trust": ("verify", "audit"),
    "Apply": ("apply", "history", "rollback"),
    "Machine": ("submit", "clean", "schema"),
}
"""Every command once."""

_HEAD_BYTES = 4096


class GroupedCommands(click.Group):
    """A group of commands that are listed by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each section under its name; what is in none comes last."""
        left = set(self.list_commands(ctx))
        width = formatter.width - 6 - max(map(len, left), default=0)
        for title, names in [*SECTIONS.items(), ("Other", tuple(sorted(left - _sectioned())))]:
            commands = [(name, self.get_command(ctx, name)) for name in names if name in left]
            rows = [
                (name, command.get_short_help_str(width)) for name, command in commands if command
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _sectioned() -> set[str]:
    return {name for names in SECTIONS.values() for name in names}


def complete_studies(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return study files, and folders that they may be in; other YAML files are left out."""
    place = Path(incomplete)
    folder = place if incomplete.endswith("/") else place.parent
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    places = [entry for entry in inside if not entry.name.startswith(".")]
    items = [
        CompletionItem(f"{place}/" if place.is_dir() else str(place), type="plain")
        for place in places
        if place.is_dir() or (place.suffix in (".yaml", ".yml") and _is_study(place))
    ]
    return [item for item in items if str(item.value).startswith(incomplete)]


def complete_trials(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the complete trials of the study on the line, each with what it misses."""
    try:
        return _trials(context, incomplete)
    except Exception:
        return []  # a shell shows no messages while it completes


def _trials(context: click.Context, incomplete: str) -> list[CompletionItem]:
    from search.audit.reader import AuditReader
    from search.study import load_study
    from search.study.layout import Layout, find_results

    # An option that waits for its value keeps click from reading the arguments behind it.
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    spec = load_study(next(Path(word) for word in words[1:] if _is_study(Path(word))))
    named = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--results"]
    given = Path(named[0]) if named else context.params.get("results") or Path("results")
    results = find_results(spec, given, is_default=not named)
    trials = AuditReader(Layout(results, spec.study).folder).trials()
    return [
        CompletionItem(
            str(record.trial), help="all targets met" if record.is_all_targets_met else None
        )
        for record in trials
        if record.state == "complete" and str(record.trial).startswith(incomplete)
    ]


def _is_study(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(b"study:") or b"\nstudy:" in head
