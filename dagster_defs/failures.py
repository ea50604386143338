"""What goes wrong in ``search/``, as Dagster shows it: a message, and whether to try again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from search.errors import EXIT_BAD_INPUT, LeaseError, SearchError


@contextmanager
def search_failures() -> Iterator[None]:
    """Turn a ``SearchError`` into a ``dagster.Failure`` without a traceback of ours.

    A mistake in the input fails again however often it is tried, so it is not retried. A
    study that is locked may be free a little later.
    """
    try:
        yield
    except SearchError as error:
        is_final = error.exit_code == EXIT_BAD_INPUT and not isinstance(error, LeaseError)
        raise dg.Failure(
            description=str(error),
            metadata={name: str(value) for name, value in error.fields.items()},
            allow_retries=not is_final,
        ) from error
