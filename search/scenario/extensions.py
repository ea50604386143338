"""DuckDB extensions that a profile names: whether a run could load them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from search.scenario.plan import Profile


@dataclass(frozen=True)
class MissingExtension:
    """An extension that is not installed.

    Attributes:
        text: What is wrong, and what to do.
        is_mistake: Whether a run would stop at it, because it cannot be installed either.
    """

    text: str
    is_mistake: bool


def missing_extensions(profile: Profile, scratch: Path) -> Iterator[MissingExtension]:
    """Yield the extensions of a profile that cannot be loaded; nothing is installed for good.

    Args:
        profile: The resolved profile.
        scratch: A folder of the caller's, where installing is tried.
    """
    for given in profile.output.get("extensions") or []:
        name = str(given["name"] if isinstance(given, Mapping) else given)
        repository = str(given.get("repo") or "") if isinstance(given, Mapping) else ""
        with duckdb.connect() as connection:
            try:
                connection.load_extension(name)
                continue
            except duckdb.Error as error:
                why = str(error).split("\n", 1)[0]
        failure = _try_to_install(name, repository, scratch)
        if failure is None:
            text = f"extension {name} of the profile is not installed yet; a run installs it"
            yield MissingExtension(text, is_mistake=False)
            continue
        yield MissingExtension(
            f"extension {name} of the profile must be installed, but cannot be loaded ({why}) and "
            f"cannot be installed from here: {failure}; install it where there is a network, or "
            "remove it from the profile",
            is_mistake=True,
        )


def _try_to_install(name: str, repository: str, scratch: Path) -> str | None:
    """Return why an extension cannot be installed; None when it can."""
    folder = str(scratch / "extensions")
    try:
        with duckdb.connect(config={"extension_directory": folder}) as connection:
            connection.install_extension(name, repository=repository or None)
            connection.load_extension(name)
    except (duckdb.Error, TypeError) as error:
        return str(error).split("\n", 1)[0]
    return None
