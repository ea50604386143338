"""A run's timeline for people: text for the terminal, a picture for a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from search.views.text import wrapped

WIDTH = 40
"""Characters of the bars."""
LEAST_SHARE = 0.01
"""Of the whole run; shorter stages have no row of their own."""


@dataclass(frozen=True)
class Stage:
    """One row of a timeline.

    Attributes:
        label: What was done.
        begin: When it began, seconds after the start.
        end: When the next began.
    """

    label: str
    begin: float
    end: float


def stages(document: Mapping[str, Any]) -> list[Stage]:
    """Return what the driver said it was doing, each until it said the next, and the workers.

    A stage too short to be seen joins the one before it.
    """
    total = float(document["seconds"])
    rows: list[Stage] = []
    marks = [(float(at), str(line)) for at, line in document["marks"]]
    for (begin, line), end in zip(marks, [at for at, _ in marks[1:]] + [total], strict=True):
        if rows and end - begin < LEAST_SHARE * total:
            rows[-1] = Stage(rows[-1].label, rows[-1].begin, end)
        else:
            rows.append(Stage(line.strip(), begin, end))
    lanes: dict[str, list[tuple[float, float]]] = {}
    for worker, begin, end in document["evaluations"]:
        lanes.setdefault(str(worker), []).append((float(begin), float(end)))
    for worker, spans in sorted(lanes.items()):
        label = f"{worker}: {len(spans)} evaluations, {sum(e - b for b, e in spans):.1f} s"
        rows.append(Stage(label, min(b for b, _ in spans), max(e for _, e in spans)))
    return rows


def timeline_text(document: Mapping[str, Any]) -> str:
    """Return a timeline for the terminal: a bar for each stage, in seconds after the start."""
    total = max(float(document["seconds"]), 1e-9)
    lines = [f"run of {document['started_at'][:19].replace('T', ' ')} UTC: {total:.1f} s", ""]
    for stage in stages(document):
        first = min(int(stage.begin / total * WIDTH), WIDTH - 1)
        length = max(1, round((stage.end - stage.begin) / total * WIDTH))
        bar = (" " * first + "#" * length)[:WIDTH].ljust(WIDTH)
        label = stage.label if len(stage.label) <= 90 else f"{stage.label[:87]}..."
        lines.append(f"{stage.begin:7.1f} s |{bar}| {stage.end - stage.begin:6.1f} s  {label}")
    lines += ["", wrapped("a stage lasts until the next line was told; below them the workers")]
    return "\n".join(lines)


def timeline_svg(document: Mapping[str, Any]) -> str:
    """Return a timeline as an SVG picture."""
    total = max(float(document["seconds"]), 1e-9)
    rows = stages(document)
    height = 24 * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="960" height="{height}" fill="#ffffff"/>',
    ]
    for number, stage in enumerate(rows):
        top = 24 * number + 8
        left = 360 + 580 * stage.begin / total
        wide = max(1.0, 580 * (stage.end - stage.begin) / total)
        label = stage.label if len(stage.label) <= 52 else f"{stage.label[:49]}..."
        parts.append(f'<text x="8" y="{top + 13}" fill="#222222">{escape(label)}</text>')
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="17" fill="#2a6f97">'
            f"<title>{stage.begin:.1f} to {stage.end:.1f} s</title></rect>"
        )
    axis = height - 10
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = 360 + 580 * share
        anchor = "end" if share == 1.0 else "middle"
        parts.append(
            f'<text x="{x:.0f}" y="{axis}" text-anchor="{anchor}" fill="#555555">'
            f"{total * share:.1f} s</text>"
        )
    return "\n".join([*parts, "</svg>", ""])
