"""The rooms of ``search/``: their order, and the imports between them.

python tests/docs/rooms.py           # rooms, files, lines, arrows; exit 1 where one points up
python tests/docs/rooms.py FOLDER    # the sums alone, of another ``search/``, whatever its rooms
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
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


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """Return all that a file consists of."""
    return tuple(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def imported(file: Path) -> Iterator[str]:
    """Yield the packages that a file imports, inside functions as well."""
    for node in nodes_of(file):
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


def sums(search: Path) -> str:
    """Return how many rooms, loose files, arrows and pairs of rooms that know each other."""
    names = {file.relative_to(search).parts[0] for file in search.rglob("*.py")}
    between = {(arrow.room, arrow.target) for arrow in arrows(search) if arrow.room != arrow.target}
    mutual = sorted((a, b) for a, b in between if (b, a) in between and a < b)
    loose = [name for name in names if name.endswith(".py") and not name.startswith("__")]
    return (
        f"{len(names)} rooms, of these loose files {len(loose)}; {len(between)} arrows; "
        f"mutual: {', '.join(' and '.join(pair) for pair in mutual) or 'none'}"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the rooms and the arrows between them; return 1 where one points up."""
    if arguments:
        print(sums(Path(arguments[0])))
        return 0
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
    print(f"{sums(SEARCH)}; wrong: {len(wrong)}")
    for arrow in wrong:
        print(f"  {arrow.file.relative_to(SEARCH.parent)}: {arrow.room} -> {arrow.target}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
