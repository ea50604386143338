"""The rooms of ``search/``: their order, and the imports between them.

python tests/docs/rooms.py    # rooms, files, lines and arrows; exit 1 where an arrow points up
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEARCH = Path(__file__).parents[2] / "search"

ORDER = (
    ("errors.py",),
    ("system",),
    ("study",),
    ("sampling", "scenario"),
    ("storage",),
    ("workers",),
    ("audit",),
    ("parameter_sets",),
    ("driver",),
    ("views",),
    ("report",),
    ("commands",),
    ("api",),
    ("dashboard",),
    ("cli",),
    ("__main__.py", "__init__.py"),
)
"""The rooms from the ground up; a file imports from its own room and from storeys below."""

_STOREY = {room: height for height, rooms in enumerate(ORDER) for room in rooms}


@dataclass(frozen=True)
class Arrow:
    """One import of ours.

    Attributes:
        file: The file that imports.
        room: Its room: a folder of ``search/``, or a file that stands loose.
        target: The room that it imports from.
    """

    file: Path
    room: str
    target: str


def imported(file: Path) -> Iterator[str]:
    """Yield the packages that a file imports, inside functions as well."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def arrows(search: Path) -> Iterator[Arrow]:
    """Yield each import of ours below a folder, those inside functions as well."""
    for file in sorted(search.rglob("*.py")):
        room = file.relative_to(search).parts[0]
        for name in imported(file):
            package, _, rest = name.partition(".")
            if package != "search":
                continue
            target = rest.split(".")[0] or "__init__"
            yield Arrow(file, room, target if (search / target).is_dir() else f"{target}.py")


def is_wrong(arrow: Arrow) -> bool:
    """Return whether an import points up, or to a neighbour on the same storey."""
    return arrow.room != arrow.target and _STOREY[arrow.target] >= _STOREY[arrow.room]


def main() -> int:
    """Print the rooms and the arrows between them; return 1 where one points up."""
    every = list(arrows(SEARCH))
    between = Counter((a.room, a.target) for a in every if a.room != a.target)
    wrong = [a for a in every if is_wrong(a)]
    print(f"{'room':16}{'files':>6}{'lines':>7}  imports from")
    for room in (room for storey in ORDER for room in storey):
        place = SEARCH / room
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        lines = sum(len(file.read_text().splitlines()) for file in files)
        targets = [f"{target} {n}" for (r, target), n in sorted(between.items()) if r == room]
        print(f"{room:16}{len(files):6}{lines:7}  {', '.join(targets)}")
    print(f"{len(between)} arrows between rooms, {len(wrong)} wrong")
    for arrow in wrong:
        print(f"  {arrow.file.relative_to(SEARCH.parent)}: {arrow.room} -> {arrow.target}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
