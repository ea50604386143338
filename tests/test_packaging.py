"""What a fresh machine gets: a complete lock, an installable package, a Makefile that tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions, entry_points, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = [line for line in LINES if line and not line.startswith("#")]
LOCK = {canonicalize_name(pin.split("==")[0]): pin.split("==")[1] for pin in PINS}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(text)
    for text in [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
]


def test_the_lock_is_sorted_and_holds_nothing_but_exact_pins() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!]+", pin) for pin in PINS)
    names = [canonicalize_name(pin.split("==")[0]) for pin in PINS]
    assert names == sorted(set(names))


@pytest.mark.parametrize("file", ["constraints.txt", "Makefile", "pyproject.toml", ".ci/run"])
def test_no_package_index_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    elsewhere = r"https?://(?!127\.0\.0\.1)"
    assert not re.search(rf"index-url|--index|find-links|{elsewhere}|file://|trusted-host", text)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda one: one.name)
def test_the_lock_meets_each_requirement(requirement: Requirement) -> None:
    pinned = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(Version(pinned))


def needed() -> Iterator[str]:
    """Yield every package that the project, its extras and its build need, transitively."""
    installed: dict[str, Distribution] = {
        canonicalize_name(one.metadata["Name"]): one for one in distributions()
    }
    todo = [(canonicalize_name(one.name), frozenset(one.extras)) for one in REQUIREMENTS]
    seen = set(todo)
    while todo:
        name, extras = todo.pop()
        yield name
        for text in installed[name].requires or []:
            one = Requirement(text)
            contexts = [{"extra": extra} for extra in (*extras, "")]
            if one.marker is None or any(one.marker.evaluate(context) for context in contexts):
                following = (canonicalize_name(one.name), frozenset(one.extras))
                if following not in seen:
                    seen.add(following)
                    todo.append(following)


def test_the_lock_is_complete_and_holds_nothing_else() -> None:
    assert set(LOCK) == set(needed()) | {"setuptools"}  # builds the project itself


def test_the_command_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="scenario-search")
    assert script.value == "search.cli.main:entry_point"


def test_the_package_is_found_from_another_folder(tmp_path: Path) -> None:
    """Ray's workers start elsewhere with the same interpreter."""
    code = "import search; print(search.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == ROOT / "search" / "__init__.py"


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
    )


def test_make_help_lists_the_commands() -> None:
    listed = re.findall(r"^  make (\w+)", make("help").stdout, flags=re.MULTILINE)
    assert {"run", "test", "lint", "bench", "clean", "help"} <= set(listed)


def test_make_refuses_another_python() -> None:
    done = make("install", "PYTHON=false")
    assert done.returncode != 0
    assert "Python 3.11 is needed, but PYTHON is 'false'" in done.stderr


@pytest.mark.parametrize(
    ("code", "reason", "ends_with"),
    [
        (0, "converged", 0),
        (3, "targets_missed", 0),
        (3, "tests_newly_failing", 2),
        (2, "targets_missed", 2),
        (1, "targets_missed", 2),
        (130, "targets_missed", 2),
    ],
)
def test_make_run_forgives_missed_targets_alone(
    tmp_path: Path, code: int, reason: str, ends_with: int
) -> None:
    """make itself ends with 2 whatever the failing command's code was."""
    status = json.dumps({"reason_code": reason}, indent=2)
    program = tmp_path / "scenario-search"
    program.write_text(f"#!/bin/sh\n[ $1 = status ] && echo '{status}' || exit {code}\n")
    program.chmod(0o755)
    for name in ("installed", "census"):
        (tmp_path / name).touch()
    done = make(
        *("--old-file=Makefile", f"BIN={tmp_path}", f"INSTALLED={tmp_path}/installed"),
        *(f"CENSUS={tmp_path}/census", f"--old-file={tmp_path}/census", "run"),
    )
    assert done.returncode == ends_with, done.stderr


def test_pre_commit_runs_what_make_lint_runs() -> None:
    """A commit that the hooks let through passes ``make lint``."""
    rules = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text().replace(".venv/bin", "$(BIN)")
    commands = re.findall(
        r"@(?:cd dbt && \S+ \.\./)?(\$\(BIN\)/\S+(?: check| format --check)?)", rules
    )
    assert len(commands) == 4
    for command in commands:
        assert command in hooks, command


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of what is tracked and not ignored, and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in ("search", "dagster_defs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = (
        "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('..'))"
    )

    def run(kind: str, where: Path) -> Path:
        done = subprocess.run(
            [sys.executable, "-c", build, kind], cwd=where, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return where.parent / done.stdout.split()[-1]

    sdist = run("build_sdist", source)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, run("build_wheel", unpacked)


@pytest.fixture(scope="module")
def outside(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment outside the repository with the wheel installed.

    Its other packages are those of this environment; `make test-versions` installs its own.
    """
    _, wheel = built
    place = tmp_path_factory.mktemp("outside") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # A folder that a .pth names is searched, but its own .pth files are not read: the editable
    # install of the repository is not seen.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--quiet"]
        + ["--no-deps", "--no-index", "--disable-pip-version-check", wheel],
        check=True,
    )
    return place / "bin"


def test_the_wheel_declares_what_it_imports(built: tuple[Path, Path]) -> None:
    """Every package that `search` imports is asked for, without an extra."""
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    with zipfile.ZipFile(built[1]) as wheel:
        names = wheel.namelist()
        texts = [
            wheel.read(name).decode()
            for name in names
            if name.startswith("search/") and name.endswith(".py")
        ]
    assert {"search/py.typed", "dagster_defs/dagster.yaml"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "build", "benchmarks"))]
    imported = {
        word.split(".")[0]
        for text in texts
        for word in re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)
    }
    provided = packages_distributions()
    owners = {
        canonicalize_name(owner)
        for module in imported - set(sys.stdlib_module_names) - {"search"}
        for owner in provided.get(module, ())
    }
    # Behind the extra `excel`; looked for, never needed (fsspec); brought by dbt-core and pydantic.
    optional = {"openpyxl", "fsspec"}
    comes_with = {"dbt-adapters", "dbt-common", "dbt-extractor", "pydantic-core"}
    assert owners - declared - optional <= comes_with


def test_the_version_is_the_same_everywhere(built: tuple[Path, Path], outside: Path) -> None:
    sdist, wheel = built
    wanted = PROJECT["version"]
    assert f"-{wanted}.tar.gz" in sdist.name and f"-{wanted}-" in wheel.name
    code = "import search; print(search.__version__, search.__file__)"
    said = subprocess.run(
        [outside / "python", "-c", code], cwd=outside, capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == wanted
    assert Path(said[1]).is_relative_to(outside.parent)
    told = subprocess.run(
        [outside / "scenario-search", "--version"], cwd=outside, capture_output=True, text=True
    )
    assert told.stdout.strip().endswith(wanted), told.stderr


def test_an_example_of_the_wheel_is_a_study_outside_the_repository(
    outside: Path, tmp_path: Path
) -> None:
    """What a newcomer does first; `make test-versions` runs it too, on every Python."""
    for words in (["init", "--example", "pricing"], ["schema"]):
        done = subprocess.run(
            [outside / "scenario-search", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    checked = subprocess.run(
        [outside / "python", "-c"]
        + ["import search; print(search.load_study('pricing/study.yaml').study)"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.stdout.strip() == "pricing", checked.stderr
    shown = sorted(one.name for one in (tmp_path / "pricing").iterdir())
    assert shown == [
        "dbt_project.yml", "models", "profiles.yml", "seeds", "study.schema.json", "study.yaml",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.dbt
def test_an_example_of_the_wheel_meets_its_targets(outside: Path, tmp_path: Path) -> None:
    for words in (["init", "--example", "pricing"], ["run", "pricing/study.yaml"]):
        done = subprocess.run(
            [outside / "scenario-search", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_what_is_built_is_ignored_and_stays_here() -> None:
    """`build/` of an earlier version once reached a cluster."""
    for file in (".gitignore", ".rayignore"):
        lines = {line.strip("/") for line in (ROOT / file).read_text().splitlines()}
        assert {"build", "dist", "site"} <= lines, file
