"""A seed's CSV file, edited row by row: what is not changed stays as it is, to the byte."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.errors import ProjectError

_BOM = "\ufeff"


@dataclass(frozen=True)
class SeedRow:
    """One record of the file.

    Attributes:
        text: As it stands in the file, without the line end.
        end: The line end.
        cells: Its values.
        line: Line of the file that it begins on, from 1; 0 for a new row.
    """

    text: str
    end: str
    cells: tuple[str, ...]
    line: int = 0


class SeedFile:
    """A CSV file with a header, as dbt seeds it.

    Attributes:
        path: Where it is.
        columns: The header.
        rows: The records after the header, blank lines among them (without cells).

    Raises:
        ProjectError: If the file is not such a CSV file.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._wrong(f"must be UTF-8 text, but byte {error.start} is not") from error
        self._head = _BOM if text.startswith(_BOM) else ""
        self._is_ended = text.endswith(("\n", "\r"))
        records = list(self._records(text.removeprefix(_BOM)))
        if not records or not records[0].cells:
            raise self._wrong("must begin with a line of column names, but does not")
        self._header = records[0]
        self.columns = self._header.cells
        self.rows: list[SeedRow] = records[1:]
        self._line_end = self._header.end or "\n"
        for row in self.rows:
            if row.cells and len(row.cells) != len(self.columns):
                text = f"line {row.line} must have {len(self.columns)} values like the header"
                raise self._wrong(f"{text}, but has {len(row.cells)}")

    @property
    def content(self) -> bytes:
        """The file with its changes."""
        parts = [self._header, *self.rows]
        text = "".join(row.text + (row.end or self._line_end) for row in parts[:-1])
        # Whether the last line ends is the file's own style.
        last_end = (parts[-1].end or self._line_end) if self._is_ended else ""
        return (self._head + text + parts[-1].text + last_end).encode()

    def require(self, columns: Sequence[str]) -> None:
        """Refuse columns that the file does not have.

        Raises:
            ProjectError: If one is missing.
        """
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise self._wrong(
                f"must have the column {missing[0]}, but has {', '.join(self.columns)}"
            )

    def cell(self, row: SeedRow, column: str) -> str:
        """Return a row's value in a column."""
        return row.cells[self.columns.index(column)]

    def matching(self, wanted: Mapping[str, str]) -> list[int]:
        """Return the positions of the rows whose columns hold these values."""
        self.require(list(wanted))
        return [
            position
            for position, row in enumerate(self.rows)
            if row.cells and all(same_cell(self.cell(row, c), v) for c, v in wanted.items())
        ]

    def set(self, position: int, values: Mapping[str, str]) -> None:
        """Change cells of a row."""
        row = self.rows[position]
        cells = [
            values.get(column, old) for column, old in zip(self.columns, row.cells, strict=True)
        ]
        self.rows[position] = self._row(cells, end=row.end, line=row.line)

    def new_row(self, values: Mapping[str, str]) -> str:
        """Return the text of a row with these values, the other columns empty."""
        return self._row([values.get(column, "") for column in self.columns]).text

    def put(self, removed: Sequence[int], texts: Sequence[str], *, after: int) -> None:
        """Put rows in the place of others.

        Args:
            removed: Positions of the rows that go; the first is where the new ones stand.
            texts: The new rows as they shall stand in the file.
            after: Position after which they stand when none goes; -1 for the top.
        """
        place = min(removed) if removed else after + 1
        rows = [
            replace(row, line=0)
            for text in texts
            for row in self._records(text)
        ]  # fmt: skip
        gone = set(removed)
        before = [row for at, row in enumerate(self.rows[:place]) if at not in gone]
        behind = [row for at, row in enumerate(self.rows) if at >= place and at not in gone]
        self.rows = [*before, *rows, *behind]

    def place_of(self, row: SeedRow) -> str:
        """Return where a row stands, for a message."""
        return f"{self.path.name} line {row.line}"

    def _row(self, cells: Sequence[str], *, end: str = "", line: int = 0) -> SeedRow:
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(cells)
        return SeedRow(text=out.getvalue(), end=end, cells=tuple(cells), line=line)

    def _records(self, text: str) -> Iterator[SeedRow]:
        """Yield the records with the text that each is made of."""
        lines = list(io.StringIO(text, newline=""))
        consumed: list[str] = []

        def feed() -> Iterator[str]:
            for line in lines:
                consumed.append(line)
                yield line

        reader = csv.reader(feed(), strict=True)
        line = 1
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._wrong(f"must be CSV, but line {line}: {error}") from error
            raw = "".join(consumed)
            body = raw.rstrip("\r\n")
            yield SeedRow(text=body, end=raw[len(body) :], cells=tuple(cells), line=line)
            line += len(consumed)
            consumed.clear()

    def _wrong(self, text: str) -> ProjectError:
        return ProjectError(f"{self.path}: the seed {text}")


def same_cell(left: str, right: str) -> bool:
    """Return whether two cells hold the same: the same text, or the same number.

    Example:
        >>> same_cell("0.040", "0.04"), same_cell("a", "a"), same_cell("", "0")
        (True, True, False)
    """
    if left == right:
        return True
    try:
        return float(left) == float(right)
    except ValueError:
        return False
