"""Random dbt projects: the compiled engine gives dbt's metrics, or says why it cannot.

    MADE_PROJECTS=60 pytest tests/scenario/compiled/test_made_projects.py  # many

Without that variable three small projects run, always the same ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from dbt_projects import MadeProject, made_projects
from dbt_scenario import by_dbt
from hypothesis import HealthCheck, Phase, assume, given, note, settings

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.engine import ProgramEvaluatorFactory
from search.scenario.compiled.replay import ISOLATIONS
from search.scenario.outcome import EvaluationRequest

pytestmark = pytest.mark.dbt

MANY = int(os.environ.get("MADE_PROJECTS", "0"))


@settings(
    max_examples=MANY or 3,
    derandomize=not MANY,
    deadline=None,
    database=None,
    # Each run of dbt costs seconds: a failure is shown as it is found.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(project=made_projects(is_small=not MANY))
def test_a_made_project_gives_the_same_metrics_in_both_engines(project: MadeProject) -> None:
    note(project.text())
    folder = Path(tempfile.mkdtemp(prefix="made-project-"))
    try:
        assume(compare(project, folder) != "dbt fails")
    finally:
        shutil.rmtree(folder)


def compare(project: MadeProject, folder: Path) -> str:
    """Evaluate the candidates with both engines; return what came of it, in a few words.

    Raises:
        AssertionError: If the engines disagree.
    """
    mini = project.mini(folder / "mini")
    try:
        expected = by_dbt(mini.factory, project.candidates)
    except ScenarioError as error:
        return f"dbt fails ({error})"
    try:
        mini.compile()
    except RecordingError as error:
        # A reason of the project, not a disagreement that the check after recording found.
        assert not _is_disagreement(error), error
        return f"dbt evaluates, because {error}"
    except ScenarioError as error:
        return f"dbt fails ({error})"
    for isolation in ISOLATIONS:
        evaluator = ProgramEvaluatorFactory(mini.library, isolation)()
        evaluator.open()
        try:
            found = [evaluator.evaluate(EvaluationRequest(0, one)) for one in project.candidates]
        finally:
            evaluator.close()
        failures = [one.failure for one in found if one.failure is not None]
        assert not failures, failures
        assert [one.metrics for one in found] == expected, isolation
    return f"same, programs for each value of {mini.library.fixed()}"


def _is_disagreement(error: RecordingError) -> bool:
    text = str(error)
    return any(
        words in text
        for words in ("replay gives", "fails in replay", "statement fails where dbt's did not")
    )
