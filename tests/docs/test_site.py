"""The documentation as a site: built strictly, with nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import search
from search.cli.main import main

pytest.importorskip("mkdocs", reason="needs the extra docs")
ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\s\"'>]+)",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", folder],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        outside = [
            url
            for url in LOADED.findall(page.read_text(encoding="utf-8"))
            if "canonical" not in url
        ]
        assert outside == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_command_line_and_the_api_are_whole(site: Path) -> None:
    commands = (site / "command-line.html").read_text(encoding="utf-8")
    for name in main.commands:
        assert f"scenario-search {name}" in commands, name
    assert "--older-than" in commands and "\b" not in commands
    api = (site / "api.html").read_text(encoding="utf-8")
    for name in search.__all__:
        if name not in ("__version__", "errors"):
            assert f"search.{name}" in api, name


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = re.findall(r"[\w-]+\.md", str(nav))
    assert len(set(listed)) == len(listed)
    pages = {one.name for one in (ROOT / "docs").glob("*.md")}
    assert set(listed) - pages == {"command-line.md", "api.md"}
    assert pages <= set(listed)
