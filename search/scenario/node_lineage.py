"""What a node of dbt's depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.scenario.project import var_names


class NodeLineage:
    """What a node depends on: vars that its text and its macros read, and seeds."""

    def __init__(self, manifest: Any) -> None:
        self._manifest = manifest
        self._known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._macros: dict[str, frozenset[str]] = {}
        readers: dict[str, int] = {}
        for node in manifest.nodes.values():
            if node.resource_type in ("model", "snapshot"):
                for parent in node.depends_on.nodes:
                    readers[parent] = readers.get(parent, 0) + 1
        self.readers: Mapping[str, int] = readers

    def of(self, unique_id: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return vars and seeds that a node depends on, by their names."""
        if unique_id not in self._known:
            node = self._manifest.nodes.get(unique_id)
            if node is None:
                return frozenset(), frozenset()
            read = frozenset(var_names(node.raw_code or ""))
            seeds = frozenset({node.name} if node.resource_type == "seed" else ())
            depends = getattr(node, "depends_on", None)  # a seed reads nothing
            for macro in getattr(depends, "macros", ()):
                read |= self._of_macro(macro)
            for parent in getattr(depends, "nodes", ()):
                parents, grown = self.of(parent)
                read, seeds = read | parents, seeds | grown
            self._known[unique_id] = read, seeds
        return self._known[unique_id]

    def _of_macro(self, unique_id: str) -> frozenset[str]:
        if unique_id not in self._macros:
            self._macros[unique_id] = frozenset()  # one that calls itself
            macro = self._manifest.macros.get(unique_id)
            if macro is not None and macro.package_name not in ("dbt", "dbt_duckdb"):
                read = frozenset(var_names(macro.macro_sql))
                for called in macro.depends_on.macros:
                    read |= self._of_macro(called)
                self._macros[unique_id] = read
        return self._macros[unique_id]
