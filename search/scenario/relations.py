"""Names of a dbt project's relations, and SQL templates of a study file rendered with them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from search.errors import SpecError


@dataclass(frozen=True)
class Relations:
    """What ``ref`` and ``source`` resolve to.

    Attributes:
        refs: Model, seed or snapshot name (also ``package.name``) to its quoted SQL name;
            an ephemeral model has none and is left out.
        sources: ``source.table`` to its quoted SQL name.
        node_ids: Name to dbt's unique id, for the same keys as ``refs``.
    """

    refs: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    node_ids: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_manifest(cls, manifest: Any) -> Relations:
        """Collect the names from dbt's manifest."""
        refs: dict[str, str] = {}
        node_ids: dict[str, str] = {}
        for unique_id, node in manifest.nodes.items():
            if str(node.resource_type) not in ("model", "seed", "snapshot"):
                continue
            if node.relation_name is None:
                continue
            for name in (node.name, f"{node.package_name}.{node.name}"):
                refs.setdefault(name, node.relation_name)
                node_ids.setdefault(name, unique_id)
        sources = {
            f"{node.source_name}.{node.name}": node.relation_name
            for node in manifest.sources.values()
        }
        return cls(refs, sources, node_ids)

    def find(self, name: str) -> str | None:
        """Return the SQL name of a ref or source by its plain name, or None."""
        if name in self.refs:
            return self.refs[name]
        matches = [sql for key, sql in self.sources.items() if name in (key, key.split(".", 1)[1])]
        return matches[0] if len(matches) == 1 else None


def render_sql(
    template: str,
    relations: Relations,
    *,
    scenario_vars: Mapping[str, Any],
    loop: tuple[str, Any] | None = None,
    key: str | None = None,
) -> str:
    """Render ``ref('x')``, ``source('a', 'b')``, ``var('x')`` and the loop's name in SQL.

    Args:
        template: SQL of a metric or a ``sql:`` step.
        relations: Where ref and source look.
        scenario_vars: What var looks up.
        loop: Name and value of the ``for_each`` that the SQL repeats in.
        key: Key path in the study file, for the error.

    Raises:
        SpecError: If the template does not render; names the nearest known relation.
    """

    def ref(*parts: str) -> str:
        return _look_up("ref", ".".join(parts), relations.refs)

    def source(*parts: str) -> str:
        return _look_up("source", ".".join(parts), relations.sources)

    def var(name: str, *default: Any) -> Any:
        if name in scenario_vars:
            return scenario_vars[name]
        if default:
            return default[0]
        known = ", ".join(sorted(scenario_vars)) or "none"
        raise SpecError(f"var {name!r} must be one of scenario.vars or of the parameters: {known}")

    environment = SandboxedEnvironment(undefined=StrictUndefined)
    names = {"ref": ref, "source": source, "var": var}
    try:
        text = environment.from_string(template).render(**names, **dict([loop] if loop else []))
    except SpecError as error:
        raise SpecError(error.message, key=key) from error
    except (TemplateError, TypeError, ValueError) as error:
        raise SpecError(f"the SQL template does not render: {error}", key=key) from error
    return text.strip().rstrip(";")


def _look_up(kind: str, name: str, known: Mapping[str, str]) -> str:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise SpecError(f"{kind}({name!r}) must name a relation of the dbt project{hint}")
