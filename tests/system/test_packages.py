"""Versions that do not fit are refused with what fits; a missing extra is named."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from search.errors import EXIT_BAD_INPUT, ExtraMissingError, UnsupportedVersionError
from search.system.packages import EXTRAS, WORKS_BEYOND, extra_missing, fits, require_supported

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def given(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Pretend that other versions are installed."""
    version = metadata.version
    named = {name.replace("_", "-"): text for name, text in versions.items()}
    monkeypatch.setattr(metadata, "version", lambda name: named.get(name) or version(name))


def test_what_is_installed_fits() -> None:
    require_supported()
    assert {"duckdb", "dbt-core", "ray"} <= {fit.name for fit in fits() if fit.is_fitting}


def test_a_version_that_does_not_fit_is_refused_with_what_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(monkeypatch, duckdb="1.3.2", optuna="4.0.0")
    with pytest.raises(UnsupportedVersionError) as refused:
        require_supported()
    text = str(refused.value)
    assert "duckdb must be <2.1,>=2.0" in text and "is 1.3.2" in text
    assert "optuna must be" in text and "pip install 'duckdb<2.1" in text
    assert refused.value.exit_code == EXIT_BAD_INPUT


def test_a_package_without_a_say_in_results_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(monkeypatch, rich="1.0")
    require_supported()
    assert [fit.name for fit in fits() if not fit.is_fitting] == ["rich"]


def test_what_works_beyond_the_declared_range_holds_it() -> None:
    """What pip may choose must be among what is accepted."""
    for text in PROJECT["dependencies"]:
        one = Requirement(text)
        if one.name in WORKS_BEYOND:
            floor = next(spec.version for spec in one.specifier if spec.operator == ">=")
            assert f">={floor}" in WORKS_BEYOND[one.name]


def test_a_missing_extra_is_named() -> None:
    error = extra_missing("openpyxl.styles", "a file that ends with .xlsx")
    assert isinstance(error, ExtraMissingError)
    assert str(error).endswith("pip install 'scenario-search[excel]'")
    assert extra_missing("yaml", "it") is None
    assert set(EXTRAS.values()) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("module", ["dagster_defs", "dagster_defs.ui"])
def test_dagsters_commands_say_which_extra_they_need(module: str, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules['dagster'] = sys.modules['dagster_webserver'] = None\n"
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "pip install 'scenario-search[dagster]'" in done.stderr
    assert "Traceback" not in done.stderr
