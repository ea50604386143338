"""Several invocations of dbt in one process: each sees the project as it is then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import yaml
from studies import MIB, copy_project

from search.errors import ScenarioError
from search.scenario.dbt_results import node_result
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.duck_limits import DuckLimits

pytestmark = pytest.mark.dbt

VALUES = {"x": 2, "y": 3}
MACRO = "{% macro factor() %}10{% endmacro %}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = copy_project("tiny", tmp_path / "project")
    model = folder / "models" / "fct_result.sql"
    model.write_text(model.read_text().replace("* 10", "* {{ factor() }}"))
    (folder / "macros").mkdir()
    (folder / "macros" / "factor.sql").write_text(MACRO)
    return folder


@pytest.fixture
def session(project: Path, tmp_path: Path) -> DbtSession:
    return DbtSession(
        project_dir=project,
        profile=resolve_profile(project),
        database=tmp_path / "tiny.duckdb",
        home=tmp_path / "home",
        limits=DuckLimits(200 * MIB, 1, tmp_path / "spill", 200 * MIB),
    )


def result(tmp_path: Path) -> object:
    with duckdb.connect(tmp_path / "tiny.duckdb", read_only=True) as connection:
        return connection.execute("select result from fct_result").fetchall()


def test_an_edited_macro_counts_at_the_next_invocation(
    session: DbtSession, project: Path, tmp_path: Path
) -> None:
    session.run("run", dbt_vars=VALUES)
    assert result(tmp_path) == [(23,)]
    (project / "macros" / "factor.sql").write_text(MACRO.replace("10", "100"))
    session.run("run", dbt_vars=VALUES)
    assert result(tmp_path) == [(203,)]
    (project / "macros" / "factor.sql").write_text(MACRO)
    session.run("run", dbt_vars=VALUES)
    assert result(tmp_path) == [(23,)]


def test_a_wrong_config_is_refused_each_time_and_a_mended_one_taken(
    session: DbtSession, project: Path, tmp_path: Path
) -> None:
    properties = project / "models" / "properties.yml"
    wrong = "models: [{name: fct_result, config: {tags: [a], enabled: 'perhaps'}}]\n"
    session.run("run", dbt_vars=VALUES)
    for _ in range(2):
        properties.write_text(wrong)
        with pytest.raises(ScenarioError, match="perhaps"):
            session.run("run", dbt_vars=VALUES)
        properties.write_text(wrong.replace("'perhaps'", "true"))
        session.run("run", dbt_vars=VALUES | {"x": 1})
    assert result(tmp_path) == [(13,)]


def test_nothing_of_ours_stays_in_dbts_classes(session: DbtSession) -> None:
    from dbt_common.clients.jinja import MacroFuzzEnvironment
    from dbt_common.dataclass_schema import dbtClassMixin

    before = vars(dbtClassMixin)["validate"]
    session.run("run", dbt_vars=VALUES)
    assert vars(dbtClassMixin)["validate"] is before
    assert "compile" not in vars(MacroFuzzEnvironment)


def test_a_template_is_compiled_once_and_again_when_its_text_changed(
    session: DbtSession, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jinja2 import Environment

    compiled: list[str] = []
    generate: Any = Environment._generate

    def noted(self: Any, source: Any, *args: Any, **options: Any) -> Any:
        code = generate(self, source, *args, **options)
        compiled.append(code)
        return code

    session.run("run", dbt_vars=VALUES)
    monkeypatch.setattr(Environment, "_generate", noted)
    session.run("run", dbt_vars=VALUES | {"x": 1})
    assert compiled == [] and result(tmp_path) == [(13,)]
    model = project / "models" / "fct_result.sql"
    model.write_text(model.read_text() + " -- and\nlimit 1 {# edited #}")
    session.run("run", dbt_vars=VALUES | {"x": 2})
    assert 1 <= len(compiled) <= 3


def test_the_config_block_of_profiles_yml_counts_as_for_dbt(project: Path, tmp_path: Path) -> None:
    """Global flags stand there in older projects."""
    document = yaml.safe_load((project / "dbt_project.yml").read_text())
    document.pop("flags")  # dbt refuses both
    (project / "dbt_project.yml").write_text(yaml.safe_dump(document))
    profiles = project / "profiles.yml"
    text = profiles.read_text()
    (project / "models" / "fct_result.sql").write_text(
        "select {{ 7 if flags.FAIL_FAST else 5 }} + {{ var('x') }} as result"
    )
    for number, (config, expected) in enumerate(
        [("", 7), ("config: {fail_fast: true, send_anonymous_usage_stats: false}\n", 9)]
    ):
        profiles.write_text(config + text)
        folder = tmp_path / str(number)
        folder.mkdir()
        session = DbtSession(
            project_dir=project,
            profile=resolve_profile(project),
            database=folder / "tiny.duckdb",
            home=folder / "home",
            limits=DuckLimits(200 * MIB, 1, folder / "spill", 200 * MIB),
        )
        session.run("run", dbt_vars=VALUES)
        assert result(folder) == [(expected,)]


def test_a_message_has_no_colours_of_a_terminal() -> None:
    coloured = SimpleNamespace(status="fail", message="\x1b[31mgot 1\x1b[0m", execution_time=0.1)
    assert node_result(coloured).message == "got 1"
