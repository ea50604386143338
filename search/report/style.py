"""The report's look and its few lines of script; both stand in the page itself."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "templates"

CSS = (_FOLDER / "page.css").read_text(encoding="utf-8")
JS = "".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("explorer.js", "page.js"))
