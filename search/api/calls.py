"""Load, run, evaluate and compare studies from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from search.api.results import StudyResult
from search.commands.compare import Side, compare_candidates
from search.commands.evaluate import evaluate_once
from search.commands.run import RunOptions
from search.commands.run import run_study as run_spec
from search.driver.progress import Progress, Standing, TrialNews
from search.driver.results import Evaluation
from search.parameter_sets.in_force import require_active
from search.study import StudySpec
from search.study import load_study as load_spec
from search.study.values import Scalar
from search.system.packages import require_supported
from search.views.news import standing_line, trial_line

Show = Callable[[str], None]
"""Takes a line of news for a person: ``print``, a logger's method, a widget's."""

DEFAULT_RESULTS = Path("results")


class _Lines:
    """News as lines, for a function of the caller's; none when there is no function."""

    def __init__(self, show: Show | None) -> None:
        self._show = show or (lambda line: None)

    def note(self, line: str) -> None:
        """Hand on a line about what is going on."""
        self._show(line)

    def trial(self, news: TrialNews) -> None:
        """Hand on how a trial ended."""
        self._show(trial_line(news))

    def standing(self, standing: Standing) -> None:
        """Hand on where the study stands, at the end of an iteration."""
        if standing.done == standing.size:
            self._show(standing_line(standing))


def _progress(on_progress: Show | Progress | None) -> Progress:
    """Return what takes the news: the caller's own ``Progress``, or one that makes lines."""
    if isinstance(on_progress, Progress):
        return on_progress
    return _Lines(on_progress)


def load_study(
    path: str | Path,
    *,
    set: Mapping[str, object] | None = None,
    vars: Mapping[str, object] | None = None,
) -> StudySpec:
    """Read a study file.

    Args:
        path: The file.
        set: Dotted keys of the study file to other values: ``{"search.max_iterations": 5}``.
        vars: dbt vars of the scenario: ``{"census_path": "data/census.csv"}``.

    Raises:
        SpecError: If the file or a change breaks a rule; the message says where, what was given
            and what is allowed.
        UnsupportedVersionError: If DuckDB, dbt, Optuna or Ray is of a version that does not fit.
    """
    require_supported()
    changes = dict(set or {}) | {f"scenario.vars.{name}": v for name, v in (vars or {}).items()}
    overrides = [f"{key}={_text(value)}" for key, value in changes.items()]
    return require_active(lambda: load_spec(Path(path), overrides=overrides))


def run_study(
    study: StudySpec,
    *,
    results: str | Path = DEFAULT_RESULTS,
    on_progress: Show | Progress | None = None,
    restart: bool = False,
) -> StudyResult:
    """Search for the parameters that meet the targets; goes on where it stopped.

    Args:
        study: The study, from ``load_study``.
        results: Folder of all results, as ``--results`` of the command line.
        on_progress: Takes lines of news (``print``), or an object with the methods of
            ``search.driver.progress.Progress``.
        restart: Start anew; what was found before is kept.

    Raises:
        SearchError: If something of the user's is wrong, or the study cannot go on.
        KeyboardInterrupt: If interrupted; the state is saved before.
    """
    options = RunOptions(results=Path(results), is_restart=restart)
    return StudyResult.of_run(run_spec(study, options, _progress(on_progress)))


def evaluate(
    study: StudySpec,
    values: Mapping[str, Scalar] | None = None,
    *,
    results: str | Path = DEFAULT_RESULTS,
    on_progress: Show | Progress | None = None,
) -> Evaluation:
    """Evaluate one candidate: what would happen if.

    Args:
        study: The study, from ``load_study``.
        values: Parameters that differ from their current values.
        results: Folder of all results; a prepared scenario is found and kept there.
        on_progress: As for ``run_study``.

    Raises:
        SpecError: If there is no such parameter, or its value is not allowed.
    """
    return evaluate_once(
        study,
        assignments=[f"{name}={_text(value)}" for name, value in (values or {}).items()],
        from_trial=None,
        results=Path(results),
        progress=_progress(on_progress),
    )


def compare(
    study: StudySpec,
    a: str,
    *others: str,
    results: str | Path = DEFAULT_RESULTS,
    on_progress: Show | Progress | None = None,
) -> Sequence[Side]:
    """Return candidates side by side, by name: ``current``, ``best``, ``trial:17``, ``set:3``.

    Raises:
        SpecError: If a name stands for nothing.
    """
    return compare_candidates(
        study, a, list(others), results=Path(results), progress=_progress(on_progress)
    )


def _text(value: object) -> str:
    """Return a value as the command line would be given it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
