"""Where the value of one bind stands in the dbt project when no search runs."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from search.errors import ProjectError, SpecError
from search.parameter_sets.seed_file import SeedFile, SeedRow, same_cell
from search.parameter_sets.working_copy import WorkingCopy
from search.study import StudySpec
from search.study.apply import VAR, ApplySpec
from search.study.parameters import BindSpec, ParameterSpec
from search.study.values import Scalar, value_text

_TRUE = ("true", "t", "1", "yes", "y")


@dataclass(frozen=True)
class Stamp:
    """Who changes a value, and when."""

    author: str
    on: date


@dataclass(frozen=True)
class Place(ABC):
    """Where one value stands.

    Attributes:
        parameter: The parameter's name.
        spec: The parameter.
    """

    parameter: str
    spec: ParameterSpec

    @property
    @abstractmethod
    def name(self) -> str:
        """The place in words; the same for the same place."""

    @abstractmethod
    def image(self, files: WorkingCopy) -> list[str]:
        """Return all that stands at the place, as text."""

    @abstractmethod
    def text(self, files: WorkingCopy) -> str | None:
        """Return the one value that stands there; None when there is none, or several."""

    @abstractmethod
    def locks(self, files: WorkingCopy) -> list[str]:
        """Return which rows forbid a change, in words."""

    @abstractmethod
    def write(self, files: WorkingCopy, value: Scalar, stamp: Stamp) -> None:
        """Put a value there."""

    @abstractmethod
    def restore(self, files: WorkingCopy, image: Sequence[str]) -> None:
        """Put back what ``image`` returned once."""

    def value(self, files: WorkingCopy) -> Scalar | None:
        """Return the value that stands there as one of the parameter; None when it is none."""
        text = self.text(files)
        return None if text is None else parsed(self.spec, text)


def places_of(spec: StudySpec) -> list[Place]:
    """Return where the values of all parameters stand, in the order of the study file."""
    places: list[Place] = []
    for name, parameter in spec.parameters.items():
        for bind in parameter.bind:
            if bind.table is not None:
                places.append(SeedCells(name, parameter, bind, spec.apply))
            elif spec.apply.seed is None or bind.var in spec.apply.project_vars:
                places.append(ProjectVar(name, parameter, str(bind.var)))
            else:
                identity = spec.apply.identity(str(bind.var), spec.scenario.vars)
                columns = {column: value_text(value) for column, value in identity.items()}
                places.append(ParameterRows(name, parameter, str(bind.var), spec.apply, columns))
    return places


def parsed(spec: ParameterSpec, text: str) -> Scalar | None:
    """Return a text as a value of a parameter; None when it is none.

    Example:
        >>> parsed(ParameterSpec(low=0.0, high=1.0, current=0.5, bind=[{"var": "x"}]), "0.040")
        0.04
    """
    if spec.choices is not None:
        return next(
            (choice for choice in spec.choices if same_cell(value_text(choice), text)), None
        )
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if spec.kind == "integer" and number.is_integer() else number


@dataclass(frozen=True)
class ParameterRows(Place):
    """The rows of one parameter in a seed that has a row for each.

    A var holds for the whole scenario, so that the value takes the place of all rows of the
    parameter, those of single levels and years among them.
    """

    var: str
    apply: ApplySpec
    identity: dict[str, str]

    @property
    def name(self) -> str:
        """The place in words."""
        columns = ", ".join(f"{column} {value}" for column, value in self.identity.items())
        return f"seed {self.apply.seed}: {columns}"

    def image(self, files: WorkingCopy) -> list[str]:
        """Return the parameter's rows."""
        seed = self._seed(files)
        return [seed.rows[position].text for position in seed.matching(self.identity)]

    def text(self, files: WorkingCopy) -> str | None:
        """Return the value of the parameter's only row."""
        seed = self._seed(files)
        rows = seed.matching(self.identity)
        if len(rows) != 1 or not self._is_whole(seed, seed.rows[rows[0]]):
            return None
        return seed.cell(seed.rows[rows[0]], str(self.apply.value))

    def locks(self, files: WorkingCopy) -> list[str]:
        """Return the locked rows of the parameter, those that it inherits among them."""
        if self.apply.locked is None:
            return []
        seed = self._seed(files)
        inherited = {
            column: value_text(self.apply.inherits.get(column, value))
            for column, value in self.identity.items()
        }
        positions = {*seed.matching(self.identity), *seed.matching(inherited)}
        rows = [seed.rows[position] for position in sorted(positions)]
        return [seed.place_of(row) for row in rows if _is_true(seed.cell(row, self.apply.locked))]

    def write(self, files: WorkingCopy, value: Scalar, stamp: Stamp) -> None:
        """Put one row with the value in the place of the parameter's rows."""
        seed = self._seed(files)
        rows = seed.matching(self.identity)
        text = value_text(value)
        changed = {str(self.apply.value): text} | stamped(self.apply, stamp)
        if len(rows) == 1 and self._is_whole(seed, seed.rows[rows[0]]):
            if not same_cell(seed.cell(seed.rows[rows[0]], str(self.apply.value)), text):
                seed.set(rows[0], changed)
            return
        unlocked = {self.apply.locked: "false"} if self.apply.locked else {}
        row = seed.new_row(self.identity | unlocked | changed)
        seed.put(rows, [row], after=self._last_neighbour(seed))

    def restore(self, files: WorkingCopy, image: Sequence[str]) -> None:
        """Put the parameter's rows back."""
        if list(image) == self.image(files):
            return
        seed = self._seed(files)
        seed.put(seed.matching(self.identity), image, after=self._last_neighbour(seed))

    def _seed(self, files: WorkingCopy) -> SeedFile:
        seed = files.seed(str(self.apply.seed))
        named = (self.apply.value, self.apply.locked, self.apply.date, self.apply.author)
        seed.require([*self.apply.row, *(column for column in named if column)])
        return seed

    def _is_whole(self, seed: SeedFile, row: SeedRow) -> bool:
        """Whether a row holds for the parameter as a whole: nothing else tells it apart."""
        named = (self.apply.value, self.apply.locked, self.apply.date, self.apply.author)
        return all(
            cell == "" or column in self.identity or column in named
            for column, cell in zip(seed.columns, row.cells, strict=True)
        )

    def _last_neighbour(self, seed: SeedFile) -> int:
        """Return the last row of the same scenario, or of the file."""
        var_column = next(name for name, value in self.apply.row.items() if value == VAR)
        others = {name: value for name, value in self.identity.items() if name != var_column}
        neighbours = seed.matching(others) if others else []
        return neighbours[-1] if neighbours else len(seed.rows) - 1


@dataclass(frozen=True)
class SeedCells(Place):
    """The cells of a seed that a table bind names."""

    bind: BindSpec
    apply: ApplySpec

    @property
    def name(self) -> str:
        """The place in words."""
        return f"seed {self.bind.place.removeprefix('table ')}"

    def image(self, files: WorkingCopy) -> list[str]:
        """Return the rows that hold the cells."""
        seed = self._seed(files)
        return [seed.rows[position].text for position in self._picked(seed)]

    def text(self, files: WorkingCopy) -> str | None:
        """Return the value of the cells when all hold the same."""
        seed = self._seed(files)
        texts = [seed.cell(seed.rows[at], self._column) for at in self._picked(seed)]
        is_one = bool(texts) and all(same_cell(text, texts[0]) for text in texts)
        return texts[0] if is_one else None

    def locks(self, files: WorkingCopy) -> list[str]:
        """Return the locked ones of the rows."""
        if not self._has_marks or self.apply.locked is None:
            return []
        seed = self._seed(files)
        rows = [seed.rows[position] for position in self._picked(seed)]
        return [seed.place_of(row) for row in rows if _is_true(seed.cell(row, self.apply.locked))]

    def write(self, files: WorkingCopy, value: Scalar, stamp: Stamp) -> None:
        """Set the cells."""
        seed = self._seed(files)
        changed = {self._column: value_text(value)}
        changed |= stamped(self.apply, stamp) if self._has_marks else {}
        for position in self._picked(seed):
            if not same_cell(seed.cell(seed.rows[position], self._column), value_text(value)):
                seed.set(position, changed)

    def restore(self, files: WorkingCopy, image: Sequence[str]) -> None:
        """Put the rows back."""
        if list(image) == self.image(files):
            return
        seed = self._seed(files)
        picked = self._picked(seed)
        if len(picked) != len(image):
            raise ProjectError(
                f"{seed.path} must have {len(image)} rows for {self.parameter} (where "
                f"{self.bind.where}), as when the set was applied, but has {len(picked)}"
            )
        for position, text in zip(picked, image, strict=True):
            seed.put([position], [text], after=-1)

    @property
    def _column(self) -> str:
        return str(self.bind.column)

    @property
    def _table(self) -> str:
        return str(self.bind.table).split(".")[-1].strip('"')

    @property
    def _has_marks(self) -> bool:
        """Whether the study file says how rows of this seed are locked and stamped."""
        return (self.apply.seed or "").lower() == self._table.lower()

    def _seed(self, files: WorkingCopy) -> SeedFile:
        seed = files.seed(self._table)
        seed.require([self._column])
        return seed

    def _picked(self, seed: SeedFile) -> list[int]:
        """Return the positions of the rows that the bind's condition picks."""
        import duckdb  # late: most binds name no condition

        rows = [position for position, row in enumerate(seed.rows) if row.cells]
        try:
            picked = _picked_rows(seed, self._table, str(self.bind.where), len(rows))
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise ProjectError(
                f"parameters.{self.parameter}.bind.where must pick rows of {seed.path}, but: "
                f"{reason}"
            ) from error
        if not picked:
            raise ProjectError(
                f"parameters.{self.parameter}.bind.where must pick rows of {seed.path}, but "
                f"none fits: {self.bind.where}"
            )
        return [rows[at] for at in picked]


@dataclass(frozen=True)
class ProjectVar(Place):
    """A var that ``dbt_project.yml`` sets."""

    var: str

    @property
    def name(self) -> str:
        """The place in words."""
        return f"var {self.var} of dbt_project.yml"

    def image(self, files: WorkingCopy) -> list[str]:
        """Return the value as it is written."""
        return [files.project.text_of(self.var)]

    def text(self, files: WorkingCopy) -> str | None:
        """Return the value as text."""
        value: Any = files.project.value_of(self.var)
        return None if value is None else value_text(value)

    def locks(self, files: WorkingCopy) -> list[str]:
        """Return nothing: vars are not locked."""
        return []

    def write(self, files: WorkingCopy, value: Scalar, stamp: Stamp) -> None:
        """Set the var."""
        present = self.text(files)
        if present is not None and same_cell(present, value_text(value)):
            return
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
        files.project.set_text(self.var, text)

    def restore(self, files: WorkingCopy, image: Sequence[str]) -> None:
        """Write the value as it was written."""
        files.project.set_text(self.var, image[0])


def stamped(apply: ApplySpec, stamp: Stamp) -> dict[str, str]:
    """Return the cells that say who changed a row, and when."""
    cells = {apply.date: stamp.on.isoformat(), apply.author: stamp.author}
    return {column: text for column, text in cells.items() if column is not None}


def require_unlocked(places: Sequence[Place], files: WorkingCopy) -> None:
    """Refuse to change what is locked.

    Raises:
        SpecError: If a place is locked; the message names all of them.
    """
    locked = {place.parameter: place.locks(files) for place in places}
    named = [f"{name} ({', '.join(rows)})" for name, rows in locked.items() if rows]
    if named:
        raise SpecError(
            f"locked parameters must not change, but the set changes {'; '.join(named)}; unlock "
            "them there, or apply values that leave them as they are"
        )


def _picked_rows(seed: SeedFile, table: str, where: str, count: int) -> list[int]:
    """Return which rows of a seed a condition picks, counted without blank lines."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    try:
        # Not the file itself: other values may have been put into the copy in memory.
        with tempfile.NamedTemporaryFile(prefix="scenario-search-", suffix=".csv") as copy:
            copy.write(seed.content)
            copy.flush()
            connection.execute(
                f'create table "{table}" as select *, row_number() over () - 1 as picked_row '
                "from read_csv(?, header = true, delim = ',', quote = '\"', sample_size = -1)",
                [copy.name],
            )
        connection.execute("set enable_external_access = false")
        (rows,) = connection.execute(f'select count(*) from "{table}"').fetchall()[0]
        if rows != count:
            raise duckdb.InvalidInputException(f"{count} rows are there, but {rows} are read")
        query = f'select picked_row from "{table}" where {where}\n order by picked_row'
        return [int(row) for (row,) in connection.execute(query).fetchall()]
    finally:
        connection.close()


def _is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE
