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
        refs: Model, seed or snapshot name (also ``package.name``, and ``name.v2`` for a version)
            to its quoted SQL name; an ephemeral model has none and is left out. A versioned
            model's plain name is its latest version.
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
            for name in names_of(
                node.name,
                node.package_name,
                getattr(node, "version", None),
                getattr(node, "latest_version", None),
            ):
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

    def ref(*parts: str, v: Any = None, version: Any = None) -> str:
        number = version if v is None else v
        asked = [*parts] if number is None else [*parts, f"v{number}"]
        return _look_up("ref", ".".join(map(str, asked)), relations.refs)

    def source(*parts: str) -> str:
        return _look_up("source", ".".join(parts), relations.sources)

    def var(name: str, *default: Any) -> Any:
        if name in scenario_vars:
            value = scenario_vars[name]
            # As in dbt, a var's own text may hold Jinja.
            return nested(value) if isinstance(value, str) and "{" in value else value
        if default:
            return default[0]
        known = ", ".join(sorted(scenario_vars)) or "none"
        raise SpecError(
            f"var {name!r} must be one of scenario.vars, of the parameters or of the project: "
            f"{known}"
        )

    def nested(text: str) -> Any:
        return environment.from_string(text).render(**names)

    environment = SandboxedEnvironment(undefined=StrictUndefined)
    names: dict[str, Any] = {"ref": ref, "source": source, "var": var}
    try:
        text = environment.from_string(template).render(**names, **dict([loop] if loop else []))
    except SpecError as error:
        raise SpecError(error.message, key=key) from error
    except (TemplateError, TypeError, ValueError) as error:
        raise SpecError(f"the SQL template does not render: {error}", key=key) from error
    return text.strip().rstrip(";")


def names_of(name: str, package: str, version: Any, latest: Any) -> list[str]:
    """Return the names by which ``ref`` finds a node.

    Example:
        >>> names_of("m", "p", 1, 2), names_of("m", "p", None, None)
        (['m.v1', 'p.m.v1'], ['m', 'p.m'])
    """
    plain = [name, f"{package}.{name}"]
    if version is None:
        return plain
    names = [f"{plain_name}.v{version}" for plain_name in plain]
    return [*names, *plain] if version == latest else names


def _look_up(kind: str, name: str, known: Mapping[str, str]) -> str:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise SpecError(f"{kind}({name!r}) must name a relation of the dbt project{hint}")
