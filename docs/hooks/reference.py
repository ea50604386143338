"""Pages of the site that are made from the code: the command line and the Python API.

A hook of mkdocs (``mkdocs.yml``). Links that lead out of docs/ become the path that they name: the
site has no repository beside it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from mkdocs.structure.files import File, Files

import search
from search.cli.grouped import SECTIONS
from search.cli.main import main

_OUTSIDE = re.compile(r"\[([^\]]*)\]\((\.\./[^)]*)\)")
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Example|Source|Yields):$")
_ENTRY = re.compile(r"^\*{0,2}([\w.]+): ")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for name, lines in (("command-line.md", command_line()), ("api.md", api())):
        files.append(File.generated(config, name, content="\n".join(lines) + "\n"))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show where links out of docs/ lead, in place of links that would be dead."""
    return _OUTSIDE.sub(lambda link: f"{link[1]} (`{link[2].removeprefix('../')}`)", markdown)


def command_line() -> Iterator[str]:
    """Yield the reference of the command line, from click."""
    yield "# Command line"
    yield from (
        "",
        "Made from the program itself; `scenario-search COMMAND --help` says the same.",
        "",
    )
    yield from ("Exit codes and error codes: [errors](errors.md).", "")
    for section, names in SECTIONS.items():
        yield from (f"## {section}", "")
        for name in names:
            yield from _command(f"scenario-search {name}", main.commands[name])


def _command(path: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(f"{path} {name}", inner)
        return
    context = click.Context(command, info_name=path)
    yield from (f"### {path}", "", "```text", command.get_usage(context), "```", "")
    yield from (*_prose(command.help or ""), "")
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    if options:
        yield from ("| option | means |", "|---|---|")
        for one in options:
            names, text = one.get_help_record(context) or ("", "")
            yield f"| `{_cell(names)}` | {_cell(text)} |"
        yield ""


def _prose(text: str) -> Iterator[str]:
    """Yield a command's help; what click keeps as it is becomes a block."""
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b"):
            block = f"```text\n{block.removeprefix(chr(8)).strip()}\n```"
        yield from (block, "")


def api() -> Iterator[str]:
    """Yield the reference of the Python API, from its docstrings."""
    yield from ("# Python API", "", "Made from the docstrings of what `search.__all__` lists; ")
    yield from ("how it is used stands in [From Python](python.md).", "")
    for name in search.__all__:
        one = getattr(search, name)
        if inspect.isclass(one) or inspect.isfunction(one):
            yield from _documented(f"search.{name}", one)


def _documented(path: str, one: Any) -> Iterator[str]:
    kind = "class " if inspect.isclass(one) else ""
    yield from (f"## {path}", "", "```python", f"{kind}{path}{_signature(one)}", "```", "")
    yield from (*_docstring(inspect.getdoc(one) or ""), "")
    if inspect.isclass(one):
        for name, inner in vars(one).items():
            if isinstance(inner, property) and not name.startswith("_") and inner.__doc__:
                yield f"- `{name}`: {' '.join(inner.__doc__.split())}"
        yield ""


def _signature(one: Any) -> str:
    try:
        return str(inspect.signature(one))
    except (TypeError, ValueError):
        return "(...)"


def _docstring(text: str) -> Iterator[str]:
    """Yield a docstring of Google's form as Markdown: its lists of names as lists."""
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if match := _SECTION.match(stripped):
            section = match[1]
            yield from ("", f"**{section}**", "")
        elif section in ("Args", "Attributes", "Raises") and _ENTRY.match(stripped):
            yield _ENTRY.sub(r"- `\1`: ", stripped)
        elif section in ("Example", "Source"):
            yield f"    {stripped}"
        else:
            yield f"  {stripped}" if section and stripped else stripped


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
