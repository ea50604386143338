"""``dbt_project.yml``: its vars, changed in place so that comments and order stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.errors import ProjectError
from search.study.mistakes import did_you_mean

NAME = "dbt_project.yml"


@dataclass(frozen=True)
class _Scalar:
    """A var's value in the text."""

    start: int
    end: int
    value: Any
    line: int


class ProjectFile:
    """The text of ``dbt_project.yml``.

    Attributes:
        path: Where it is.
        seed_paths: Folders of seeds, relative to the project.

    Raises:
        ProjectError: If the file is not there or no YAML mapping.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        try:
            self._text = content.decode("utf-8")
            self._document = yaml.safe_load(self._text)
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ProjectError(f"{path} must be YAML text, but: {error}") from error
        if not isinstance(self._document, dict):
            raise ProjectError(f"{path} must be a mapping with the keys of a dbt project")
        paths = self._document.get("seed-paths", ["seeds"])
        self.seed_paths = [str(part) for part in paths] if isinstance(paths, list) else ["seeds"]

    @property
    def content(self) -> bytes:
        """The file with its changes."""
        return self._text.encode()

    def text_of(self, var: str) -> str:
        """Return a var's value as it stands in the file.

        Raises:
            ProjectError: If the file does not set the var to a plain value.
        """
        scalar = self._scalar(var)
        return self._text[scalar.start : scalar.end]

    def value_of(self, var: str) -> Any:
        """Return a var's value.

        Raises:
            ProjectError: If the file does not set the var to a plain value.
        """
        return self._scalar(var).value

    def set_text(self, var: str, text: str) -> None:
        """Put another text in the place of a var's value.

        Raises:
            ProjectError: If the file does not set the var to a plain value.
        """
        scalar = self._scalar(var)
        self._text = self._text[: scalar.start] + text + self._text[scalar.end :]

    def _scalar(self, var: str) -> _Scalar:
        known: list[str] = []
        for mapping in self._var_mappings():
            for key, value in mapping.value:
                known.append(str(key.value))
                if key.value == var:
                    return self._plain(var, value)
        raise ProjectError(
            f"{self.path} must set the var {var} for a value to be applied to it, but does not; "
            f"add it under vars, or map it to a seed with `apply` in the study file"
            f"{did_you_mean(var, known)}"
        )

    def _plain(self, var: str, node: yaml.Node) -> _Scalar:
        start, end = node.start_mark, node.end_mark
        text = self._text[start.index : end.index]
        is_plain = isinstance(node, yaml.ScalarNode) and node.style in (None, "'", '"')
        if not is_plain or "{{" in text or not text:
            raise ProjectError(
                f"{self.path} line {start.line + 1}: the var {var} must be a plain value for "
                "another to be applied to it, but is not"
            )
        return _Scalar(start.index, end.index, yaml.safe_load(text), start.line + 1)

    def _var_mappings(self) -> Iterator[yaml.MappingNode]:
        """Yield the mappings that set vars of the project, the one that counts first."""
        root = yaml.compose(self._text, Loader=yaml.SafeLoader)
        variables = _value_of(root, "vars")
        own = _value_of(variables, str(self._document.get("name")))
        for node in (own, variables):
            if isinstance(node, yaml.MappingNode):
                yield node


def _value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
