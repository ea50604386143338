"""A table as plain text cells, for whoever renders it."""

from __future__ import annotations

from dataclasses import dataclass

from search.views.text import table_text


@dataclass(frozen=True)
class Grid:
    """A table as plain text cells.

    Attributes:
        header: Names of the columns; the first one is of text.
        rows: Cells, as many as columns.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self, *, strong: str | None = None) -> str:
        """Return the table as aligned text; the column named ``strong`` stands out."""
        return table_text(self.header, self.rows, strong=strong)
