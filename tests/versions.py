"""`make test-versions`: the wheel on every Python here, with the lowest and newest packages.

For each Python 3.11 to 3.13 that is found (pyenv, PATH) a fresh environment outside the repository
gets the wheel and, once, the lowest versions of what decides results, once the newest allowed ones;
further rows replace one package. In each, a newcomer's commands are run. A Python that is missing
is skipped with the reason. With `--write` the table goes into docs/versions.md.

    python tests/versions.py --only 3.12 --write
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
PYTHONS = ("3.11", "3.12", "3.13")
DECISIVE = ("duckdb", "dbt-core", "dbt-duckdb", "optuna", "ray")
BEGIN, END = "<!-- made by make test-versions -->", "<!-- end -->"
HEADER = ["Python", "packages", *DECISIVE, "install", "pricing", "engines agree", "2 Ray workers"]
INSTALL_SECONDS, RUN_SECONDS = 1200, 900

MIXTURES: Mapping[str, Sequence[Sequence[str]]] = {
    "lowest": (),  # filled from pyproject.toml
    "newest": (),
    # pip cannot build what dbt-core 1.12 asks for from the package registry alone.
    "dbt-core 1.12": (["--no-deps", "dbt-core>=1.12,<1.13"], ["--no-deps", "metricflow"]),
}
"""Name to what is installed on top of the wheel."""


@dataclass(frozen=True)
class Place:
    """A fresh environment.

    Attributes:
        folder: Outside the repository.
        python: Its interpreter.
    """

    folder: Path
    python: Path

    def pip(self, *words: str) -> None:
        """Install something; raises with what pip said last."""
        run([self.python, "-m", "pip", "install", "--quiet", "--no-input",
             "--disable-pip-version-check", *words], self.folder, INSTALL_SECONDS)  # fmt: skip

    def search(self, *words: str) -> str:
        """Run a command of the wheel and return what it said."""
        return run([self.python.with_name("scenario-search"), *words], self.folder, RUN_SECONDS)


def run(words: Sequence[object], cwd: Path, seconds: float) -> str:
    """Run a program and return its stdout; raises a RuntimeError with its last words."""
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=seconds
    )
    if done.returncode != 0:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-1:]
        raise RuntimeError(f"exit code {done.returncode}: {' '.join(last)[:160]}")
    return done.stdout


def interpreter(version: str) -> Path | None:
    """Return a Python of a version, from pyenv or the PATH; None where there is none."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    on_path = shutil.which(f"python{version}")
    for one in [*found, *([Path(on_path)] if on_path else [])]:
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([one, "-c", code], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return one
    return None


def floors() -> list[str]:
    """Return the lowest versions that pyproject.toml allows of what decides results."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = {
        one.name: spec.version
        for one in map(Requirement, asked)
        for spec in one.specifier
        if spec.operator == ">="
    }
    return [f"{name}=={lowest[name]}" for name in DECISIVE]


def wheel_in(folder: Path) -> Path:
    """Build the wheel, from a copy: building leaves files beside what it builds."""
    source = folder / "source"
    for name in ("search", "dagster_defs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", folder, source], folder, INSTALL_SECONDS)  # fmt: skip
    return next(folder.glob("*.whl"))


def cpu_seconds() -> float:
    """Return the processor time of all ended children, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tried(name: str, python: Path, wheel: Path) -> Iterator[str]:
    """Yield the cells of a row behind Python and packages; stops at what fails, and says so."""
    with tempfile.TemporaryDirectory(prefix="scenario-search-versions-") as temporary:
        folder = Path(temporary)
        run([python, "-m", "venv", folder / "venv"], folder, INSTALL_SECONDS)
        place = Place(folder, folder / "venv" / "bin" / "python")
        place.pip(str(wheel), *(floors() if name == "lowest" else []))
        for words in MIXTURES[name]:
            place.pip(*words)
        code = (
            "import json, importlib.metadata as m;"
            f"print(json.dumps([m.version(n) for n in {DECISIVE!r}]))"
        )
        yield from json.loads(run([place.python, "-c", code], folder, 60))
        yield "ok"
        began = cpu_seconds()
        place.search("init", "--example", "pricing")
        result = json.loads(place.search("run", "pricing/study.yaml", "--json"))
        assert result["reason_code"] == "targets_met", result["reason_code"]
        yield f"met, {result['engine']}, {cpu_seconds() - began:.0f} CPU s"
        place.search(
            *("evaluate", "pricing/study.yaml", "--set", "price_factor=1.1", "--engine", "both")
        )
        yield "yes"
        place.search("init", "--example", "compensation")
        place.search("run", "compensation/study.yaml", "--workers", "2",
                     "--set", "resources.memory_budget=4GB")  # fmt: skip
        yield "met"


def row(version: str, name: str, wheel: Path) -> list[str]:
    """Return a row of the table."""
    python = interpreter(version)
    if python is None:
        return [version, name, f"skipped: no Python {version} on this machine"]
    full = run([python, "-c", "import platform; print(platform.python_version())"], ROOT, 60)
    cells = [full.strip(), name]
    try:
        cells.extend(tried(name, python, wheel))
    except (RuntimeError, AssertionError, subprocess.TimeoutExpired) as error:
        cells.append(f"failed: {str(error)[:160]}".replace("|", "/"))
    return cells


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table of a page."""
    width = len(HEADER)
    lines = [HEADER, ["---"] * width, *([*one, *[""] * (width - len(one))] for one in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(rows: Sequence[Sequence[str]]) -> None:
    """Put the table into its page."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")


def main() -> int:
    """Try every combination; returns 1 where one fails."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", action="append", choices=PYTHONS, help="these Pythons alone")
    options.add_argument("--mix", action="append", choices=list(MIXTURES), help="these alone")
    options.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="scenario-search-wheel-") as folder:
        wheel = wheel_in(Path(folder))
        for version in given.only or PYTHONS:
            for name in given.mix or MIXTURES:
                if name not in ("lowest", "newest") and version != PYTHONS[0] and not given.mix:
                    continue  # one package differs: on one Python
                rows.append(row(version, name, wheel))
                sys.stdout.write(" | ".join(rows[-1]) + "\n")
                sys.stdout.flush()
    if given.write:
        write(rows)
    return int(any("failed" in cell for one in rows for cell in one))


if __name__ == "__main__":
    sys.exit(main())
