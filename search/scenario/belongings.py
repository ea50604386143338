"""What an evaluator reads from disk, so that it can be brought to where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Belonging:
    """Files below one folder that an evaluator reads.

    Attributes:
        name: What it is: ``baseline``, ``project`` or ``programs``.
        folder: Where it is.
        files: Names of the files, seen from the folder.
    """

    name: str
    folder: Path
    files: tuple[str, ...]


@runtime_checkable
class Portable(Protocol):
    """A factory of evaluators that knows what they read, and can be told that it lies elsewhere."""

    def belongings(self) -> tuple[Belonging, ...]:
        """Return what the evaluators read."""

    def moved(self, folders: Mapping[str, Path]) -> Any:
        """Return the same factory with some belongings, by name, in other folders."""


def belongings_of(factory: object) -> tuple[Belonging, ...]:
    """Return what a factory's evaluators read; nothing when it does not say."""
    return factory.belongings() if isinstance(factory, Portable) else ()


def moved(factory: Any, folders: Mapping[str, Path]) -> Any:
    """Return a factory with some belongings in other folders."""
    return factory.moved(folders) if folders else factory
