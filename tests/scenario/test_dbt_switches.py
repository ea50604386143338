from __future__ import annotations

from pathlib import Path

import pytest
from studies import MIB, copy_project

from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.dbt_switches import (
    CHANGING,
    switches_off,
    unused_switches,
    unused_text,
)
from search.scenario.duck_limits import DuckLimits

HARMLESS = frozenset(
    "CLEAN_PROJECT_FILES_ONLY DEBUG EXPORT_SAVED_QUERIES INCLUDE_SAVED_QUERY LOG_CACHE_EVENTS"
    " LOG_FILE_MAX_BYTES LOG_FORMAT LOG_FORMAT_FILE LOG_LEVEL LOG_LEVEL_FILE LOG_PATH NO_PRINT"
    " PARTIAL_PARSE PARTIAL_PARSE_FILE_DIFF PARTIAL_PARSE_FILE_PATH PRINT PRINTER_WIDTH"
    " PROFILES_DIR QUIET SEND_ANONYMOUS_USAGE_STATS SHOW_RESOURCE_REPORT TARGET_PATH"
    " UPLOAD_TO_ARTIFACTS_INGEST_API USE_COLORS USE_COLORS_FILE VERSION_CHECK WRITE_JSON".split()
)
"""Switches that change what dbt prints, logs or keeps, which is ours to decide as well."""


def test_every_switch_of_dbts_command_line_is_known() -> None:
    """The canary: a release of dbt with a new switch turns this red."""
    from dbt.cli.main import cli

    named: set[str] = set()
    for command in (cli, *cli.commands.values()):
        for parameter in command.params:
            variables = parameter.envvar or []
            named |= {variables} if isinstance(variables, str) else set(variables)
    plain = {name.removeprefix("DBT_").removeprefix("ENGINE_") for name in named}
    assert plain - CHANGING - HARMLESS == set()
    assert CHANGING & HARMLESS == set()


def test_those_that_change_something_are_named() -> None:
    found = unused_switches({"DBT_TARGET": "prod", "DBT_LOG_LEVEL": "debug", "DBT_ENV_X": "1"})
    assert found == ["DBT_TARGET"]
    assert "scenario.target" in unused_text(found)
    assert unused_switches({"DBT_RECORDER_MODE": "record"}) == ["DBT_RECORDER_MODE"]


@pytest.mark.dbt
def test_dbt_does_not_see_them_and_env_var_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    project = copy_project("tiny", tmp_path / "project")
    (project / "models" / "told.sql").write_text(
        "select '{{ env_var(\"DBT_TARGET\") }}' as told, (select count(*) from"
        " {{ ref('base') }}) as rows, {{ flags.FULL_REFRESH or false }} as refreshed"
    )
    (project / "models" / "base.sql").write_text(
        "{{ config(materialized='table') }} select unnest([1, 2]) as a"
    )
    for name, value in {
        "DBT_TARGET": "prod",
        "DBT_EMPTY": "1",
        "DBT_ENGINE_FULL_REFRESH": "1",
        "DBT_RECORDER_MODE": "record",
        "DBT_WARN_ERROR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    session = DbtSession(
        project_dir=project,
        profile=resolve_profile(project),
        database=tmp_path / "tiny.duckdb",
        home=tmp_path / "home",
        limits=DuckLimits(256 * MIB, 1, tmp_path / "spill", 0),
    )
    session.run("run", select=["base", "told"])
    with duckdb.connect(str(tmp_path / "tiny.duckdb"), read_only=True) as connection:
        assert connection.execute("select * from told").fetchone() == ("prod", 2, False)
    assert list(project.rglob("*record*")) == []


def test_click_is_as_before_afterwards() -> None:
    import click

    @click.command()
    @click.option("--name", envvar="SOME_NAME")
    def command(name: str | None) -> None:
        raise SystemExit(name or "none")

    def told() -> str:
        with pytest.raises(SystemExit) as caught:
            command.main([], standalone_mode=False)
        return str(caught.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_NAME", "x")
        with switches_off():
            assert told() == "none"
        assert told() == "x"
