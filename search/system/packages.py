"""Which versions of other packages fit, and which extra brings a package that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from search.errors import ExtraMissingError, UnsupportedVersionError

PACKAGE = "scenario-search"

DECISIVE = ("duckdb", "dbt-core", "dbt-duckdb", "optuna", "ray")
"""Packages whose insides are used, or whose version decides what a scenario computes."""

WORKS_BEYOND = {"dbt-core": ">=1.11.16,<1.13"}
"""What works where it is installed already, although the package does not ask for it."""

EXTRAS = {
    "dagster": "dagster",
    "dagster_dbt": "dagster",
    "dagster_webserver": "dagster",
    "psycopg": "postgresql",
    "openpyxl": "excel",
    "pandas": "notebook",
    "ipykernel": "notebook",
    "mkdocs": "docs",
    "material": "docs",
}
"""Module to the extra of this package that brings it."""


@dataclass(frozen=True)
class Fit:
    """How a package that is needed stands.

    Attributes:
        name: The package.
        allowed: Versions that fit, as pip writes them.
        version: The one that is installed; None when there is none.
        is_fitting: Whether it fits.
    """

    name: str
    allowed: str
    version: str | None
    is_fitting: bool

    def mistake(self) -> str:
        """Return what is wrong, for people."""
        given = f"is {self.version}" if self.version else "is not installed"
        return f"{self.name} must be {self.allowed}, but {given}"


def fits() -> Iterator[Fit]:
    """Yield how each package stands that is needed without an extra; none when not installed."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    try:
        needed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return
    for text in needed:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        allowed = WORKS_BEYOND.get(requirement.name, str(requirement.specifier))
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Fit(requirement.name, allowed, None, False)
            continue
        is_fitting = SpecifierSet(allowed).contains(version, prereleases=True)
        yield Fit(requirement.name, allowed, version, is_fitting)


def require_supported() -> None:
    """Refuse to go on with a version that nothing here was made for.

    Raises:
        UnsupportedVersionError: If DuckDB, dbt, Optuna or Ray is of another version, or missing;
            says what fits.
    """
    wrong = [fit for fit in fits() if fit.name in DECISIVE and not fit.is_fitting]
    if wrong:
        advice = " ".join(f"'{fit.name}{fit.allowed}'" for fit in wrong)
        raise UnsupportedVersionError(
            f"{'; '.join(fit.mistake() for fit in wrong)}; pip install {advice}"
        )


def extra_missing(module: str, purpose: str) -> ExtraMissingError | None:
    """Return the error for a module that is not installed; None when no extra brings it.

    Args:
        module: What could not be imported.
        purpose: What needs it, the start of a sentence.

    Example:
        >>> print(extra_missing("dagster", "this command"))
        this command needs the package dagster; pip install 'scenario-search[dagster]'
    """
    extra = EXTRAS.get(module.partition(".")[0])
    if extra is None:
        return None
    return ExtraMissingError(
        f"{purpose} needs the package {module.partition('.')[0]}; pip install '{PACKAGE}[{extra}]'"
    )
