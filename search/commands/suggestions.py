"""What a first study could move and aim at: suggested, or chosen on the command line. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from search.errors import SpecError
from search.scenario.survey import SeenVar, Survey
from search.scenario.survey_numbers import Mart, SeedCell, plain_or_quoted
from search.study.figures import number_text
from search.study.mistakes import did_you_mean, listed
from search.study.percent import fraction_of
from search.study.yaml_reader import read_yaml

MOST_PARAMETERS = 3
MOST_OTHERS = 12
_NOT_MOVED = re.compile(
    r"(^|_)(years?|date|day|days|month|months|start|end|seed|id|version|horizon|limit|threads)($|_)"
)
_SHARES = re.compile(r"(^|_)(rate|share|fraction|pct|percent|probability|ratio|depth|margin)($|_)")
_RESULTS = re.compile(
    r"(^|_)(profit|revenue|cost|costs|total|amount|pay|payroll|sales|margin|value)($|_)"
)
_METRIC = re.compile(
    r"(?:(?P<how>sum|avg|min|max|count)\()?(?P<model>\w+)(?:\.(?P<column>[^()]+))?\)?"
)


@dataclass(frozen=True)
class Movable:
    """A number that a study could move.

    Attributes:
        name: Its name as a parameter.
        bind: Where its value goes, as the study file has it.
        current: Today's value.
        low: Lower end of the suggested range.
        high: Upper end.
        where: Where it is read, for people.
        is_likely: Whether its name is that of something that one moves.
        source: The var, or the seed, that it is.
    """

    name: str
    bind: Mapping[str, str]
    current: float
    low: float
    high: float
    where: str
    is_likely: bool
    source: str

    @property
    def line(self) -> str:
        """The parameter as a line of the study file."""
        values = {"low": self.low, "high": self.high}
        values |= {"step": 1} if self.is_whole else {}
        return f"{self.name}: {flow(values | {'current': self.current, 'bind': dict(self.bind)})}"

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.current))


@dataclass(frozen=True)
class Aim:
    """A number of a model that a study could aim at.

    Attributes:
        mart: The model.
        column: Its column; None for the number of rows.
        how: ``sum``, ``avg``, ``min``, ``max`` or ``count``.
    """

    mart: Mart
    column: str | None
    how: str = "sum"

    @property
    def name(self) -> str:
        """The metric's name."""
        words = f"{self.mart.name}_rows" if self.column is None else self.column
        return identifier(words if self.how in ("sum", "count") else f"{self.how}_{words}")

    @property
    def sql(self) -> str:
        """The metric's query."""
        what = "count(*)" if self.column is None else f"{self.how}({plain_or_quoted(self.column)})"
        return f"select {what} from {{{{ ref('{self.mart.name}') }}}}"

    @property
    def text(self) -> str:
        """The aim as ``--metric`` takes it."""
        column = "" if self.column is None else f".{self.column}"
        return f"{self.how}({self.mart.name}{column})"


def movables_of(survey: Survey) -> list[Movable]:
    """Return the numbers that could be moved, the likely ones first."""
    movables = [_var_movable(var) for var in survey.vars if var.is_number]
    movables += [_cell_movable(cell, survey.cells) for cell in survey.cells]
    return sorted(movables, key=lambda movable: (not movable.is_likely, "table" in movable.bind))


def aims_of(survey: Survey) -> list[Aim]:
    """Return what could be aimed at, the most promising first."""
    aims = []
    for mart in survey.marts:
        named = [name for name in mart.columns if name in mart.sums]
        named.sort(key=lambda name: (not _RESULTS.search(name), bool(_NOT_MOVED.search(name))))
        aims += [Aim(mart, name) for name in named]
    ends = [aim for aim in aims if not aim.mart.readers and (aim.mart.vars or aim.mart.seeds)]
    first = [end for end in ends if end.column and _RESULTS.search(end.column)]
    return [*first, *(aim for aim in aims if aim not in first)]


def suited(movables: Sequence[Movable], aim: Aim) -> list[Movable]:
    """Return the parameters that an aim's model depends on."""
    return [movable for movable in movables if movable.source in (aim.mart.vars | aim.mart.seeds)]


def chosen_movables(movables: Sequence[Movable], wanted: Iterable[str]) -> list[Movable]:
    """Return the parameters that ``--parameter NAME`` or ``NAME=LOW:HIGH`` names.

    Raises:
        SpecError: If there is no such number, or its range is none.
    """
    by_name = {movable.name: movable for movable in movables}
    chosen = {}
    for text in wanted:
        name, _, span = text.partition("=")
        if name not in by_name:
            raise SpecError(
                f"--parameter must name a number of the project, but got {name!r}"
                f"{did_you_mean(name, by_name)}; it has {listed(list(by_name)[:MOST_OTHERS])}"
            )
        chosen[name] = _spanned(by_name[name], span) if span else by_name[name]
    return list(chosen.values())


def chosen_aim(survey: Survey, text: str) -> Aim:
    """Return the aim that ``--metric`` names: ``fct_pay.total``, ``avg(fct_pay.total)``.

    Raises:
        SpecError: If there is no such model or column.
    """
    match = _METRIC.fullmatch(text.strip())
    by_name = {mart.name: mart for mart in survey.marts}
    if match is None:
        raise SpecError(f"--metric must be MODEL.COLUMN or avg(MODEL.COLUMN), but got {text!r}")
    if match["model"] not in by_name:
        raise SpecError(
            f"--metric must name a model with numbers, but got {match['model']!r}"
            f"{did_you_mean(match['model'], by_name)}; the project has {listed(sorted(by_name))}"
        )
    mart = by_name[match["model"]]
    if match["column"] is None:
        if match["how"] not in (None, "count"):
            raise SpecError(f"--metric {text!r} must name a column; {mart.name} has "
                            f"{listed(mart.columns)}")  # fmt: skip
        return Aim(mart, None, "count")
    if match["column"] not in mart.columns:
        raise SpecError(
            f"--metric must name a number of {mart.name}, but got {match['column']!r}"
            f"{did_you_mean(match['column'], mart.columns)}; it has {listed(mart.columns)}"
        )
    return Aim(mart, match["column"], match["how"] or "sum")


def chosen_target(text: str) -> dict[str, float]:
    """Return the target that ``--target`` names: ``+5%`` from today, or a value.

    Raises:
        SpecError: If it is neither.
    """
    fraction = fraction_of(text)
    if fraction is not None:
        return {"change": fraction, "tolerance": tolerance_of(fraction)}
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SpecError(f"--target must be a change (+5%) or a value (120000), but got {text!r}")
    return {"value": value, "tolerance": 0.01}


def suggested_target(today: float, ends: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return a target half as far as the strongest parameter reaches, so that it can be met."""
    reached = max((metric for _, metric in ends.values()), key=lambda end: abs(end - today))
    wanted = (reached - today) / 2
    if today == 0:
        return {"value": _rounded(wanted), "tolerance": 0.02}
    change = _rounded(wanted / abs(today))
    return {"change": change, "tolerance": tolerance_of(change)}


def tolerance_of(change: float) -> float:
    """Return a tolerance that today's value does not meet already: a tenth, at most 1 %.

    Example:
        >>> tolerance_of(0.5), tolerance_of(-0.02)
        (0.01, 0.002)
    """
    return min(0.01, _rounded(abs(change) / 10)) or 0.01


def identifier(text: str) -> str:
    """Return text as a name of the study file.

    Example:
        >>> identifier("Net pay (USD)"), identifier("2026 plan")
        ('net_pay_usd', 'n_2026_plan')
    """
    name = re.sub(r"\W+", "_", text.lower(), flags=re.ASCII).strip("_")[:80] or "n"
    return f"n_{name}"[:80] if name[0].isdigit() else name


class _StudyDumper(yaml.SafeDumper):
    """Puts in quotes what the study file's reader would take for a number, such as 1e9."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_number = not isinstance(read_yaml(text).value, str) if text[:1] in "+-.0123456789" else False
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="'" if text and is_number else None
    )


_StudyDumper.add_representer(str, _text)


def flow(value: Any) -> str:
    """Return a value as it stands on one line of YAML."""
    text = yaml.dump(
        value, Dumper=_StudyDumper, default_flow_style=True, width=math.inf, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _var_movable(seen: SeenVar) -> Movable:
    low, high = _span(seen.value, seen.name)
    return Movable(
        name=identifier(seen.name),
        bind={"var": seen.name},
        current=seen.value,
        low=low,
        high=high,
        where=f"var, read in {', '.join(seen.places[:3])}"
        + (f" and {len(seen.places) - 3} more" if len(seen.places) > 3 else ""),
        is_likely=_NOT_MOVED.search(seen.name) is None,
        source=seen.name,
    )


def _cell_movable(cell: SeedCell, cells: Sequence[SeedCell]) -> Movable:
    words = re.findall(r"= (?:'([^']*)'|(\S+))", cell.where)
    columns = {other.column for other in cells if other.seed == cell.seed}
    parts = [cell.seed, *(a or b for a, b in words), *([cell.column] if len(columns) > 1 else [])]
    low, high = _span(cell.value, f"{cell.column}_{cell.where}")
    return Movable(
        name=identifier("_".join(parts)),
        bind={"table": cell.seed, "column": cell.column, "where": cell.where},
        current=cell.value,
        low=low,
        high=high,
        where=f"seed {cell.seed}, column {cell.column}",
        is_likely=_NOT_MOVED.search(cell.column) is None,
        source=cell.seed,
    )


def _span(value: float, name: str) -> tuple[float, float]:
    """Return a range around today's value, of the same kind of number.

    What looks like a share stays between 0 and 1; other numbers may halve or grow by half.
    """
    if isinstance(value, int):
        half = max(1, abs(value) // 2)
        return (min(value, 0) if 0 <= value <= half else value - half), value + half
    if 0 <= value < 0.5:
        return 0.0, _rounded(max(2 * value, 0.02))
    most = 1.0 if value <= 1 and _SHARES.search(name) else math.inf
    near, far = sorted((_rounded(value * 0.5), _rounded(value * 1.5)))
    return min(near, value), max(min(far, most), value)


def _spanned(movable: Movable, span: str) -> Movable:
    try:
        low, high = (_number(part) for part in span.split(":"))
    except ValueError as error:
        raise SpecError(
            f"--parameter {movable.name} must have a range as LOW:HIGH, but got {span!r}"
        ) from error
    if not low < high or not low <= movable.current <= high:
        raise SpecError(
            f"--parameter {movable.name} must have a range LOW:HIGH around its current value "
            f"{number_text(movable.current)}, but got {span!r}"
        )
    return replace(movable, low=low, high=high)


def _number(text: str) -> float:
    fraction = fraction_of(text)
    if fraction is not None:
        return fraction
    return int(text) if re.fullmatch(r"[+-]?\d+", text.strip()) else float(text)


def _rounded(value: float) -> float:
    """Return a number with two digits that count."""
    return 0.0 if value == 0 else float(f"{value:.2g}")
