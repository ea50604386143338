"""Chance in Jinja: its filter ``random`` draws by the study's seed, or who draws is noticed.

dbt renders SQL with it, so a draw becomes part of the text that DuckDB gets. One filter is put
into Jinja for the life of the process; outside of an invocation it does what Jinja's own does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jinja2 import pass_context
from jinja2.filters import FILTERS, do_random

from search.scenario.seeds import Seeder

WHAT = "Jinja's filter random"
_USE = re.compile(r"\{[{%](?:(?![%}]\}).)*\|\s*random\b", re.DOTALL)
_at_work: list[JinjaChance] = []


class JinjaChance:
    """Draws for one invocation of dbt.

    Args:
        seeder: The study's seed; None where nothing is seeded.

    Attributes:
        drawn: Nodes that drew while they rendered, by dbt's id.
    """

    def __init__(self, seeder: Seeder | None) -> None:
        self._seeder = seeder
        self.drawn: set[str] = set()

    def choose(self, context: Any, values: Sequence[Any]) -> Any:
        """Return one of the values, in the place of Jinja's filter."""
        model = context.get("model") or {}
        node = str(model.get("unique_id", "")) if isinstance(model, dict) else ""
        is_run = bool(context.get("execute"))
        if is_run:
            self.drawn.add(node or "a macro")
        if self._seeder is None or not values:
            return do_random(context, values)
        return self._seeder.chosen(values, f"{node}|{'run' if is_run else 'parse'}")


@contextmanager
def drawing_by(chance: JinjaChance) -> Iterator[None]:
    """Let Jinja draw by a seed in the block, in any thread."""
    FILTERS["random"] = _random
    _at_work.append(chance)
    try:
        yield
    finally:
        _at_work.remove(chance)


def draws_in_jinja(text: str) -> bool:
    """Whether a template draws at random while it renders.

    Example:
        >>> draws_in_jinja("select {{ [1, 2] | random }}"), draws_in_jinja("select a | random")
        (True, False)
    """
    return _USE.search(text) is not None


@pass_context
def _random(context: Any, values: Sequence[Any]) -> Any:
    return _at_work[-1].choose(context, values) if _at_work else do_random(context, values)
