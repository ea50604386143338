"""Random dbt projects: the compiled engine gives dbt's metrics, or says why it cannot.

    MADE_PROJECTS=60 pytest tests/scenario/compiled/test_made_projects.py  # many

Without that variable three small projects run, always the same ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from dbt_projects import MadeProject, made_projects
from dbt_scenario import Mini, by_dbt
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from isolations import ISOLATIONS

from search.errors import RecordingError, ScenarioError
from search.scenario.compiled.program_evaluator import ProgramEvaluatorFactory
from search.scenario.outcome import EvaluationRequest

MANY = int(os.environ.get("MADE_PROJECTS", "0"))
pytestmark = [pytest.mark.dbt, *([pytest.mark.timeout(0)] if MANY else [])]
"""Many projects take hours in one test, which the limit of a test would cut off."""
LOG = Path(os.environ["MADE_PROJECTS_LOG"]) if "MADE_PROJECTS_LOG" in os.environ else None
"""Takes a line for each project of a long run, which then goes on behind a wrong one."""


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
        result = compare(project, folder)
    except AssertionError as error:
        write_log(project, f"WRONG {' '.join(str(error).split())[:300]}", with_text=True)
        if not LOG:
            raise
        return  # the log has it; the others are tried as well
    finally:
        shutil.rmtree(folder)
    write_log(project, result)
    assume(not result.startswith("dbt fails"))


def test_nothing_in_the_log_is_wrong() -> None:
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG and LOG.exists() else []
    assert not [line for line in lines if "\tWRONG " in line]


def write_log(project: MadeProject, result: str, *, with_text: bool = False) -> None:
    """Add a line to the log: the project's world, its seed, what came of it."""
    if LOG is None:
        return
    with LOG.open("a", encoding="utf-8") as lines:
        lines.write(f"{','.join(project.world) or '-'}\t{project.seed}\t{result}\n")
    if with_text:
        with LOG.with_suffix(".wrong").open("a", encoding="utf-8") as texts:
            texts.write(f"{project.text()}\n=== {result}\n\n")


def compare(project: MadeProject, folder: Path) -> str:
    """Evaluate the candidates with both engines; return what came of it, in a few words.

    Raises:
        AssertionError: If the engines disagree, or the outside world has changed.
    """
    mini = project.mini(folder / "mini")
    before = checksums(mini.folder)
    result = _compare(project, mini)
    assert checksums(mini.folder) == before, "the outside world has changed"
    return result


def checksums(folder: Path) -> dict[str, str]:
    """Return the content of each file of the project, as it must stay."""
    ours = ("scratch", "programs")
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).parts[0] not in ours
    }


def _compare(project: MadeProject, mini: Mini) -> str:
    is_unseeded = "draw" in project.world and project.seed is None
    try:
        expected = by_dbt(mini.factory, project.candidates)
    except ScenarioError as error:
        return f"dbt fails ({error})"
    try:
        mini.compile()
    except RecordingError as error:
        # A reason of the project, not a disagreement that the check after recording found.
        is_told = is_unseeded and "not repeatable" in str(error)
        assert is_told or not _is_disagreement(error), error
        return f"dbt evaluates, because {error}"
    except ScenarioError as error:
        return f"dbt fails ({error})"
    engines = set()
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
        engines |= {one.engine for one in found}
    variants = mini.library.variants()
    return f"same by {'+'.join(sorted(engines))}, programs by {variants}"


def _is_disagreement(error: RecordingError) -> bool:
    text = str(error)
    return any(
        words in text
        for words in ("replay gives", "fails in replay", "statement fails where dbt's did not")
    )
