"""Lifts parameters out of recorded SQL: every place that differs becomes a hole, or a reason."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.compiled.recording import RUN_VALUE, RecordedStatement, Recording
from search.scenario.compiled.statements import is_bookkeeping, shortened
from search.study.values import Scalar

RUN_HOLE = "\x00run"
"""The hole that takes a fresh invocation id in every evaluation."""
MAX_READINGS = 1000
"""Ways to read a literal as text with values in it, that are looked through."""
_MARK = "\x01"
_ASIDE = ("string", "comment")
_CLOCK_SYMBOLS = frozenset("0123456789-:.+TZ ")


@dataclass(frozen=True)
class Template:
    """SQL text with holes.

    Attributes:
        pieces: Texts between the holes; one more than there are holes.
        holes: What fills them, in order: a parameter's name, or ``RUN_HOLE``.
    """

    pieces: tuple[str, ...]
    holes: tuple[str, ...] = ()

    @property
    def parameters(self) -> frozenset[str]:
        """The parameters that fill holes."""
        return frozenset(self.holes) - {RUN_HOLE}

    def fill(self, texts: Mapping[str, str]) -> str:
        """Return the SQL with each hole filled.

        Example:
            >>> Template(("select ", " + 1"), ("x",)).fill({"x": "0.5"})
            'select 0.5 + 1'
        """
        if not self.holes:
            return self.pieces[0]
        parts = [self.pieces[0]]
        for hole, piece in zip(self.holes, self.pieces[1:], strict=True):
            parts += [texts[hole], piece]
        return "".join(parts)


def rendered(value: Scalar) -> str:
    """Return the text that dbt's Jinja prints for a value.

    Example:
        >>> rendered(0.1), rendered(1e-05), rendered(True), rendered("july")
        ('0.1', '1e-05', 'True', 'july')
    """
    return str(value)


def hole_texts(values: Mapping[str, Scalar]) -> dict[str, str]:
    """Return what fills the holes of one evaluation."""
    return {name: rendered(value) for name, value in values.items()} | {RUN_HOLE: str(uuid.uuid4())}


class Unliftable(Exception):
    """Two recordings differ elsewhere than in a probe's literal; the text says where.

    Args:
        message: Where they differ.
        names: Parameters that cannot be told apart, when that is the reason.
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


def lift(
    first: Recording,
    first_values: Mapping[str, Scalar],
    second: Recording,
    second_values: Mapping[str, Scalar],
    *,
    existing: Collection[str] = (),
) -> list[tuple[RecordedStatement, Template]]:
    """Return the statements of two recordings as one list of templates.

    Look-ups in the catalog are left out; a project's own queries stay, because the text that
    dbt renders may follow from what they return.

    Args:
        first: A recording.
        first_values: Its values.
        second: Another one.
        second_values: Its values.
        existing: Names of the baseline's relations, lower case.

    Raises:
        Unliftable: If the recordings differ elsewhere than where a probe stands, or in the
            name of a relation.
    """
    left, right = _compared(first), _compared(second)
    relations = frozenset(existing) | _made(left) | _made(right)
    for statement, other in zip(left, right, strict=False):
        if (statement.node, statement.step, statement.effect.kind) != (
            other.node,
            other.step,
            other.effect.kind,
        ):
            raise Unliftable(f"{_place(statement)} sends other statements for other values")
    if len(left) != len(right):
        longer = max(left, right, key=len)[min(len(left), len(right))]
        raise Unliftable(f"{_place(longer)} sends more statements for some values than for others")
    texts = (
        {name: rendered(value) for name, value in first_values.items()},
        {name: rendered(value) for name, value in second_values.items()},
    )
    lifted = []
    asked: dict[str | None, str] = {}
    for statement, other in zip(left, right, strict=True):
        try:
            template = _template(statement, other, *texts)
        except Unliftable as error:
            if error.names or statement.node not in asked:
                raise
            raise Unliftable(
                f"{error}; it asks for data while it renders its SQL: "
                f"{shortened(asked[statement.node])}"
            ) from error
        if statement.effect.kind == "read" and not statement.is_test:
            asked[statement.node] = statement.sql
        if template.parameters:
            _refuse_holes_in_names(statement, other, template, relations)
        lifted.append((statement, template))
    return lifted


def _made(statements: Iterable[RecordedStatement]) -> frozenset[str]:
    """Return the names of the relations that statements make or change."""
    effects = [statement.effect for statement in statements]
    targets = {effect.target.name for effect in effects if effect.target is not None}
    return frozenset(targets | {effect.new_name.lower() for effect in effects if effect.new_name})


def _refuse_holes_in_names(
    first: RecordedStatement,
    second: RecordedStatement,
    template: Template,
    relations: Collection[str],
) -> None:
    """Refuse values in names of relations: what depends on what would hold for one value."""
    left, right = _signed(tokenize(first.sql)), _signed(tokenize(second.sql))
    for a, b in zip(left, right, strict=True):
        if a.text != b.text and (a.name in relations or b.name in relations):
            raise Unliftable(
                f"{_place(first)} names another relation for other values: {a.text} and {b.text}",
                sorted(template.parameters),
            )


def _compared(recording: Recording) -> list[RecordedStatement]:
    """Return what must be the same: all but dbt's own catalog look-ups, whose order varies."""
    return [
        statement
        for statement in recording.statements
        if statement.effect.kind != "read" or not is_bookkeeping(statement.sql)
    ]


def _place(statement: RecordedStatement) -> str:
    return f"{statement.node or 'the SQL'} in {statement.step}"


def _template(
    first: RecordedStatement,
    second: RecordedStatement,
    first_texts: Mapping[str, str],
    second_texts: Mapping[str, str],
) -> Template:
    if first.sql == second.sql and RUN_VALUE not in first.sql:
        return Template((first.sql,))
    left, right = _signed(tokenize(first.sql)), _signed(tokenize(second.sql))
    if len(left) != len(right):
        raise Unliftable(f"{_place(first)} renders other SQL for other values")
    builder = _TemplateBuilder()
    for a, b in zip(left, right, strict=True):
        if a.text == b.text:
            builder.text(a.text)
        else:
            _lift_token(builder, a, b, first, first_texts, second_texts)
    return builder.build()


def _signed(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens with a minus sign and the number behind it as one.

    A parameter may be negative at one point and positive at the other.
    """
    signed: list[Token] = []
    for token in tokens:
        if token.kind == "number" and signed and signed[-1].text == "-":
            signed[-1] = Token("number", f"-{token.text}")
        else:
            signed.append(token)
    return signed


def _lift_token(
    builder: _TemplateBuilder,
    a: Token,
    b: Token,
    statement: RecordedStatement,
    first_texts: Mapping[str, str],
    second_texts: Mapping[str, str],
) -> None:
    readings = _readings(a.text, b.text, first_texts, second_texts)
    if len(readings) == 1:
        builder.text(readings[0].pieces[0])
        for name, piece in zip(readings[0].holes, readings[0].pieces[1:], strict=True):
            builder.hole(name)
            builder.text(piece)
        return
    fitting = sorted(holes_of(readings))
    if _is_clock(a.text) and _is_clock(b.text):
        builder.text(a.text)
        return
    texts = f"it renders {a.text!r} and {b.text!r}"
    if fitting:
        what = f"{' or '.join(fitting)} cannot be told apart: {texts}"
    else:
        names = [name for name, text in first_texts.items() if text != second_texts[name]]
        whose = names[0] if len(names) == 1 else "a parameter"
        what = f"renders what is no value of {whose} (Jinja computes it, or each run): {texts}"
    raise Unliftable(f"{_place(statement)} {what}", fitting)


def _readings(
    first: str, second: str, first_texts: Mapping[str, str], second_texts: Mapping[str, str]
) -> list[Template]:
    """Return the templates that give one text at the first values and the other at the second.

    Two are enough: then the parameters cannot be told apart.
    """
    names = [name for name, text in first_texts.items() if text != second_texts[name]]
    readings: list[Template] = []
    waiting = [(0, 0, 0, Template(("",)))]
    for _ in range(MAX_READINGS):
        if not waiting or len(readings) > 1:
            return readings
        start, i, j, made = waiting.pop()
        while True:
            for name in names:
                left, right = first_texts[name], second_texts[name]
                if first.startswith(left, i) and second.startswith(right, j):
                    pieces = (*made.pieces[:-1], first[start:i], "")
                    longer = Template(pieces, (*made.holes, name))
                    waiting.append((i + len(left), i + len(left), j + len(right), longer))
            if i >= len(first) or j >= len(second) or first[i] != second[j]:
                break
            i, j = i + 1, j + 1
        if i == len(first) and j == len(second) and made.holes:
            readings.append(Template((*made.pieces[:-1], first[start:i]), made.holes))
    return []


def _is_clock(text: str) -> bool:
    """Whether a literal is the time of the run: dates differ between any two recordings."""
    inner = text.strip("'")
    return len(inner) >= 10 and text.startswith("'") and set(inner) <= _CLOCK_SYMBOLS


class _TemplateBuilder:
    """Puts a template together; the mark of a run value in a text becomes a hole."""

    def __init__(self) -> None:
        self._pieces = [""]
        self._holes: list[str] = []

    def text(self, text: str) -> None:
        first, *rest = text.split(RUN_VALUE)
        self._pieces[-1] += first
        for piece in rest:
            self.hole(RUN_HOLE)
            self._pieces[-1] += piece

    def hole(self, name: str) -> None:
        self._holes.append(name)
        self._pieces.append("")

    def build(self) -> Template:
        return Template(tuple(self._pieces), tuple(self._holes))


def agrees(
    lifted: Sequence[tuple[RecordedStatement, Template]],
    recording: Recording,
    values: Mapping[str, Scalar],
) -> bool:
    """Whether the templates, filled with these values, are the recorded statements."""
    texts = hole_texts(values) | {RUN_HOLE: RUN_VALUE}
    filled = [template.fill(texts) for _, template in lifted]
    return filled == [statement.sql for statement in _compared(recording)]


def holes_of(templates: Iterable[Template]) -> frozenset[str]:
    """Return every parameter that fills a hole somewhere."""
    return frozenset().union(*(template.parameters for template in templates))


def bare_holes(
    lifted: Iterable[tuple[RecordedStatement, Template]], values: Mapping[str, Scalar]
) -> frozenset[str]:
    """Return the parameters that stand in SQL as a literal or a name, not within a string.

    Args:
        lifted: Statements with their templates.
        values: A value of each parameter.
    """
    texts = hole_texts(values)
    bare: set[str] = set()
    for _, template in lifted:
        for name in template.parameters - bare:
            marked = template.fill(dict.fromkeys(template.holes, "0") | texts | {name: _MARK})
            if any(_MARK in t.text and t.kind not in _ASIDE for t in tokenize(marked)):
                bare.add(name)
    return frozenset(bare)
