"""What dbt said is used again exactly as long as nothing that it depends on has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from studies import copy_project, dbt_document, write_study

from search.scenario.answers import AnswerCache, DbtAnswers, answers_key
from search.scenario.input_content import env_content
from search.scenario.plan import Profile
from search.scenario.project import DbtProject
from search.scenario.relations import Relations

ANSWERS = DbtAnswers(
    profile=Profile("tiny", "dev", {"type": "duckdb", "path": "a.duckdb", "threads": 2}, "a"),
    relations=Relations({"m": '"a"."main"."m"'}, {"s.t": '"a"."main"."t"'}, {"m": "model.t.m"}),
    selected={("run", ("tag:a",), ()): frozenset({"model.t.m"}), ("seed", (), ("x",)): frozenset()},
)

PREPARE = """
import sys
from pathlib import Path
from search.driver.engine import prepare_engine
from search.workers.resources import evaluator_factory, memory_plan, preparation_limits
from search.scenario.preparation import prepare
from search.study import load_study

spec, results, lines = load_study(Path(sys.argv[1])), Path(sys.argv[2]), []
memory = memory_plan(spec)
limits = preparation_limits(spec, memory)
prepared = prepare(spec, results / "baselines", limits, report=lines.append)
factory = evaluator_factory(spec, prepared.plan, memory)
engine = prepare_engine(factory, spec, results / "programs", report=lines.append)
print(engine.name, "dbt" in sys.modules, "parsing the dbt project" in lines)
"""


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(tmp_path / "answers")


def test_answers_survive_the_disk(cache: AnswerCache) -> None:
    assert cache.find("k") is None
    cache.keep("k", ANSWERS)
    assert cache.find("k") == ANSWERS


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("tag:a", "tag:b"),
        lambda text: "[]",
        lambda text: json.dumps({"checksum": 3}),
    ],
)
def test_a_damaged_file_is_as_good_as_none(
    cache: AnswerCache, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    cache.keep("k", ANSWERS)
    file = tmp_path / "answers" / "k.json"
    file.write_text(damage(file.read_text()))
    assert cache.find("k") is None


def test_answers_of_another_user_count_for_nothing(
    cache: AnswerCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep("k", ANSWERS)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody"))
    assert AnswerCache(tmp_path / "answers").find("k") is None


@pytest.mark.parametrize(
    "output",
    [
        {"secrets": [{"type": "s3", "key_id": "a"}]},
        {"plugins": [{"config": {"password": "p"}}]},
        {"odd": {1, 2}},
    ],
)
def test_credentials_and_what_json_cannot_hold_are_not_written(
    cache: AnswerCache, tmp_path: Path, output: dict[str, object]
) -> None:
    cache.keep("k", DbtAnswers(Profile("p", "t", output, "a"), Relations(), {}))
    assert cache.find("k") is None and not (tmp_path / "answers").exists()


def test_the_key_follows_the_profile_and_what_is_asked(tmp_path: Path) -> None:
    project = DbtProject(copy_project("tiny", tmp_path / "project"))
    profiles = tmp_path / "profiles.yml"
    profiles.write_text("tiny: {path: a.duckdb}")

    def key(**asked: object) -> str:
        return answers_key(
            project, project_fingerprint="f", profiles_dir=tmp_path, asked={"vars": {}} | asked
        )

    first = key()
    assert key() == first
    assert key(vars={"x": 1}) != first
    profiles.write_text("tiny: {path: c.duckdb}")
    assert key() != first


def test_answers_hold_for_the_environment_that_was_read(
    cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_PATH", "a.duckdb")
    answers = replace(ANSWERS, env={"TINY_PATH": env_content("TINY_PATH")}, vars={"x": [1.0]})
    cache.keep("k", answers)
    assert cache.find("k") == answers
    monkeypatch.setenv("TINY_PATH", "b.duckdb")
    assert cache.find("k") is None
    monkeypatch.delenv("TINY_PATH")
    assert cache.find("k") is None


@pytest.mark.dbt
def test_a_second_start_imports_no_dbt(tmp_path: Path) -> None:
    project = copy_project("tiny", tmp_path / "project")
    file = write_study(project, dbt_document(resources={"engine": "compiled"}))

    def start() -> str:
        words = [sys.executable, "-c", PREPARE, str(file), str(tmp_path / "results")]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    assert start() == "compiled True True"
    assert start() == "compiled False False"
    model = next((project / "models").rglob("*.sql"))
    model.write_text(model.read_text() + "\n-- changed\n")
    assert start() == "compiled True True"
