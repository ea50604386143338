"""YAML text to a plain document, with the line of every key; safe against any bytes.

The rules are dbt's (YAML 1.1, so ``yes`` is true) but for three traps: ``1e-3`` is a
number, and dates and ``12:30`` stay text. Duplicate keys, unknown tags, non-finite
numbers and alias bombs are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from search.study.mistakes import Mistake, Path, given

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 100_000
"""Values after aliases are resolved."""
MAX_INTEGER = 2**63 - 1


class _Loader(yaml.SafeLoader):
    """SafeLoader with its own table of implicit tags."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if "timestamp" not in tag]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
for _resolvers in _Loader.yaml_implicit_resolvers.values():
    _resolvers[:] = [(tag, p) for tag, p in _resolvers if tag[-5:] not in ("float", "2:int")]
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))


@dataclass
class Document:
    """A YAML document.

    Attributes:
        value: What it says, as dicts, lists and scalars.
        lines: Line of each key and list item, from 1.
        mistakes: What is wrong with it, with the lines.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    mistakes: list[tuple[Mistake, int | None]] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """Return the line of the deepest known part of a path."""
        return next(
            (self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None
        )


def read_yaml(text: str) -> Document:
    """Return the document that YAML text holds; what is wrong is collected, never raised."""
    document = Document()
    try:
        _check_depth(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        document.value = _DocumentBuilder(loader, document).build(node, (), ()) if node else None
    except _Refused as error:
        document.mistakes.append((Mistake(error.path, error.message), error.line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.mistakes.append((Mistake((), _problem(error)), mark.line + 1 if mark else None))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        shown = f"#x{ord(text[error.position]):04x}" if error.position < len(text) else "it"
        message = f"must be plain text, but holds the control character {shown}"
        document.mistakes.append((Mistake((), message), line))
    except (yaml.YAMLError, ValueError, OverflowError, IndexError, RecursionError) as error:
        document.mistakes.append((Mistake((), f"must be YAML, but is not: {error!s:.200}"), None))
    return document


class _Refused(Exception):
    def __init__(self, message: str, *, path: Path = (), line: int | None = None) -> None:
        super().__init__(message)
        self.message, self.path, self.line = message, path, line


def _check_depth(text: str) -> None:
    """Refuse deep nesting before anything recurses over it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise _Refused(f"must be nested at most {MAX_DEPTH} levels deep", line=line)
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    mark = error.problem_mark
    if "\\t" in problem:
        return "must be indented with spaces, but holds a tab"
    if "but found another document" in problem:
        return "must hold one YAML document, but a second one starts here"
    if "mapping values are not allowed" in problem:
        return (
            "must be YAML, but holds a `:` where none may stand; put texts with `: ` in quotes "
            "and close every { and [ opened before"
        )
    column = f" (column {mark.column + 1})" if mark else ""
    context = f" {error.context}" if error.context else ""
    return f"must be YAML, but {problem}{context}{column}"


class _DocumentBuilder:
    """Builds plain values from YAML nodes, noting lines and mistakes on the way."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader = loader
        self._document = document
        self._count = 0

    def build(self, node: yaml.Node, path: Path, parents: tuple[int, ...]) -> Any:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > MAX_VALUES:
            text = f"must hold at most {MAX_VALUES} values, aliases resolved"
            raise _Refused(text, line=line)
        if id(node) in parents or len(parents) > MAX_DEPTH:
            raise _Refused("an alias must not contain itself or nest deeply", path=path, line=line)
        self._document.lines.setdefault(path, line)
        inner = (*parents, id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(node, path, inner)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.build(item, (*path, at), inner) for at, item in enumerate(node.value)]
        return self._scalar(node, path, line)

    def _mapping(self, node: yaml.MappingNode, path: Path, parents: tuple[int, ...]) -> Any:
        values: dict[Any, Any] = {}
        seen: dict[Any, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += (
                    value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                )
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(path, "a key must be a single word, not a list or mapping", line)
                continue
            key = self._scalar(key_node, path, line)
            here = (*path, key if isinstance(key, str) else str(key))
            if key in seen:
                text = f"a key must stand once, but `{key}` stands on lines {seen[key]} and {line}"
                self._wrong(here, text, line)
                continue
            seen[key] = line
            self._document.lines[here] = line
            values[key] = self.build(value_node, here, parents)
        for merge_node in reversed(merged):
            values = self._merge(merge_node, path, parents) | values
        return values

    def _merge(self, node: yaml.Node, path: Path, parents: tuple[int, ...]) -> dict[Any, Any]:
        value = self.build(node, path, parents)
        if isinstance(value, dict):
            return value
        line = node.start_mark.line + 1
        self._wrong(path, f"`<<` must take a mapping, but got {given(value)}", line)
        return {}

    def _scalar(self, node: yaml.Node, path: Path, line: int) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind in ("str", "value", "merge"):
            return self._text(str(node.value), path, line)
        build = _SCALARS.get(kind) if isinstance(node, yaml.ScalarNode) else None
        if build is None:
            self._wrong(path, f"YAML tags must not be used, but got {node.tag!s:.60}", line)
            return None
        try:
            value = build(self._loader, node)
        except (ValueError, KeyError, OverflowError):
            self._wrong(path, f"must be a value of the kind {kind}, got {node.value!r:.40}", line)
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._wrong(path, f"a number must be finite, but got {node.value!r:.40}", line)
            return None
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            self._wrong(path, f"a whole number must fit 64 bits, but got {node.value!r:.40}", line)
            return None
        return value

    def _text(self, text: str, path: Path, line: int) -> str:
        bad = next((c for c in text if c == "\0" or 0xD800 <= ord(c) <= 0xDFFF), None)
        if bad is not None:
            self._wrong(path, f"text must not hold the character #x{ord(bad):04x}", line)
            return ""
        return text

    def _wrong(self, path: Path, message: str, line: int) -> None:
        self._document.mistakes.append((Mistake(path, message), line))


_SCALARS: dict[str, Any] = {
    "null": yaml.SafeLoader.construct_yaml_null,
    "bool": yaml.SafeLoader.construct_yaml_bool,
    "int": yaml.SafeLoader.construct_yaml_int,
    "float": yaml.SafeLoader.construct_yaml_float,
}
