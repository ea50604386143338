"""dbt vars that a study gives, held against those that something reads.

A var that nothing reads changes nothing, and a mistyped one makes the project answer with its
default. What is read is known from the project's text, from what dbt itself looked up, and from
the study's own SQL.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.scenario.project import VarReads, var_names
from search.study import StudySpec
from search.study.mistakes import listed

_PART = re.compile(r"'([^']{2,})'|\"([^\"]{2,})\"")
_LEAST_LENGTH = 4


@dataclass(frozen=True)
class GivenVar:
    """A var that a study file or the command line gives.

    Attributes:
        name: Its name.
        key: Where it stands in the study file.
        is_asked: Whether it stands on the command line, for this one command.
    """

    name: str
    key: str
    is_asked: bool = False


@dataclass(frozen=True)
class UnreadVar:
    """A given var that nothing reads.

    Attributes:
        given: It.
        meant: The name that is read and that it is a slip of, if there is one.
        is_mistake: Whether it is refused; else its user is told.
    """

    given: GivenVar
    meant: str | None
    is_mistake: bool

    def text(self) -> str:
        """Return what is wrong, in a sentence."""
        hint = f"; did you mean `{self.meant}`?" if self.meant else ""
        return (
            f"must be a var that the dbt project or the study's SQL reads, but nothing reads "
            f"`{self.given.name}`{hint}"
        )


def given_vars(spec: StudySpec) -> Iterator[GivenVar]:
    """Yield every var that a study gives: the scenario's, then those of single steps."""
    for name in spec.scenario.vars:
        where = "scenario.vars_file" if name in spec.from_vars_file else "scenario.vars"
        yield GivenVar(name, f"{where}.{name}", name in spec.asked_vars)
    for kind, steps in (("setup", spec.scenario.setup), ("steps", spec.scenario.steps)):
        for index, step in enumerate(steps):
            for place, part in step.parts(f"scenario.{kind}[{index}]"):
                for name in part.dbt.vars if part.dbt is not None else ():
                    yield GivenVar(name, f"{place}.dbt.vars.{name}")


def unread_vars(
    spec: StudySpec, reads: VarReads, looked_up: Collection[str], declared: Collection[str]
) -> list[UnreadVar]:
    """Return the given vars that nothing reads, in the study file's order.

    Args:
        spec: The study.
        reads: What the texts of the project read.
        looked_up: What dbt looked up while it parsed, computed names included.
        declared: Names that ``dbt_project.yml`` gives a value.
    """
    given = list(given_vars(spec))
    read = {*reads.places, *looked_up, *_read_by_study(spec)}
    names = {var.name for var in given}
    unread = []
    for var in given:
        if var.name in read or _may_be_computed(var.name, reads.computed):
            continue
        meant = slip_of(var.name, read - names)
        is_mistake = meant is not None or (var.is_asked and not reads.has_dynamic)
        unread.append(UnreadVar(var, meant, is_mistake and var.name not in declared))
    return unread


def unread_text(unread: Iterable[UnreadVar]) -> str | None:
    """Return one warning for the vars that nothing reads; None when there are none."""
    names = list(dict.fromkeys(var.given.name for var in unread))
    if not names:
        return None
    what = "var" if len(names) == 1 else f"{len(names)} vars"
    return f"the study gives {what} that nothing reads: {listed(names)}"


def slip_of(name: str, known: Collection[str]) -> str | None:
    """Return the known name that another is a slip of: one or two letters off.

    Names that differ in digits alone are different names.

    Example:
        >>> slip_of("census_pth", ["census_path"]), slip_of("unit_bsae", ["unit_base"])
        ('census_path', 'unit_base')
        >>> slip_of("rate_2026", ["rate_2025"]), slip_of("region", ["scenario_id"])
        (None, None)
    """
    if len(name) < _LEAST_LENGTH:
        return None
    for close in difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.75):
        if _without_digits(close) == _without_digits(name) and close.lower() != name.lower():
            continue
        if _distance(name.lower(), close.lower()) <= 2:
            return close
    return None


def project_vars(folder: Path) -> dict[str, Any]:
    """Return what ``dbt_project.yml`` gives the project's own vars.

    Vars under the project's name go before those of all packages, as in dbt. A mapping under
    another name is a var as well, and what a package's own vars stand under is one like any other.
    """
    try:
        document = yaml.safe_load((folder / "dbt_project.yml").read_text(encoding="utf-8"))
        given = document.get("vars") or {}
        name = document.get("name")
        own = given.get(name) or {}
        plain = {var: value for var, value in given.items() if var != name}
        return {str(name): value for name, value in {**plain, **own}.items()}
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        return {}  # dbt says better what is wrong with it


class Watched(dict[str, Any]):
    """Vars by name that know which of them were looked up."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(names)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def is_single(value: Any) -> bool:
    """Return whether a var holds a plain value that a parameter may have."""
    return isinstance(value, str | int | float | bool) and "{{" not in str(value)


def is_same(today: Any, current: Any) -> bool:
    """Return whether a var's value is a parameter's: numbers by value, all else as text.

    Example:
        >>> is_same("0.30", 0.3), is_same(1, 1.0), is_same("east", "west")
        (True, True, False)
    """
    try:
        return float(today) == float(current)
    except (TypeError, ValueError):
        return str(today).lower() == str(current).lower()


def _read_by_study(spec: StudySpec) -> set[str]:
    texts = [metric.sql for metric in spec.metrics.values()]
    for step in (*spec.scenario.setup, *spec.scenario.steps):
        texts += [part.sql for _, part in step.parts("") if part.sql is not None]
    texts += [check.sql for check in spec.scenario.checks.values()]
    binds = [bind.where or "" for parameter in spec.parameters.values() for bind in parameter.bind]
    applied = {
        value.removeprefix("$vars.") for value in spec.apply.row.values() if isinstance(value, str)
    }
    return {name for text in (*texts, *binds) for name in var_names(text)} | applied


def _may_be_computed(name: str, computed: Iterable[str]) -> bool:
    """Return whether a name may be what an expression such as ``'rate_' ~ year`` yields."""
    for expression in computed:
        parts = [quoted or other for quoted, other in _PART.findall(expression)]
        if parts and all(part in name for part in parts):
            return True
    return False


def _without_digits(name: str) -> str:
    return re.sub(r"\d", "", name.lower())


def _distance(name: str, other: str) -> int:
    """Return how many letters to add, drop, change or swap lead from one name to the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(name, start=1):
        following = [i]
        for j, b in enumerate(other, start=1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and name[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        before, row = row, following
    return row[-1]
