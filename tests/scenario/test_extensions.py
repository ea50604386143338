"""Extensions of a profile that cannot be had are told before a run."""

from __future__ import annotations

from pathlib import Path

from search.scenario.extensions import missing_extensions
from search.scenario.plan import Profile


def test_an_extension_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    output = {"type": "duckdb", "extensions": ["no_such_extension", "core_functions"]}
    (told,) = missing_extensions(Profile("p", "dev", output, "p"), tmp_path)
    assert told.is_mistake and "extension no_such_extension of the profile" in told.text
    assert list(missing_extensions(Profile("p", "dev", {}, "p"), tmp_path)) == []
