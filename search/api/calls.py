"""Load, run, evaluate and compare studies from Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from search.api.results import StudyResult
from search.commands.compare import Side, compare_candidates
from search.commands.evaluate import evaluate_once
from search.commands.run import RunOptions
from search.commands.run import run_study as run_spec
from search.driver.progress import Progress, Standing, TrialNews
from search.driver.results import Evaluation
from search.errors import ArgumentError
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
    if on_progress is not None and not callable(on_progress):
        raise ArgumentError(
            f"on_progress must be a function that takes a line, but got {_shown(on_progress)}"
        )
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
    file = _path(path, "path")
    given = {**_mapping(set, "set"), **_vars(_mapping(vars, "vars"))}
    overrides = [f"{key}={_yaml(value, key)}" for key, value in given.items()]
    return require_active(lambda: load_spec(file, overrides=overrides))


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
        ArgumentError: If something is of the wrong kind.
        SearchError: If something of the user's is wrong, or the study cannot go on.
        KeyboardInterrupt: If interrupted; the state is saved before.
    """
    spec = _study(study)
    options = RunOptions(results=_path(results, "results"), is_restart=restart)
    return StudyResult.of_run(run_spec(spec, options, _progress(on_progress)))


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
        ArgumentError: If something is of the wrong kind.
        SpecError: If there is no such parameter, or its value is not allowed.
    """
    given = _mapping(values, "values")
    return evaluate_once(
        _study(study),
        assignments=[f"{name}={_plain(value, name)}" for name, value in given.items()],
        from_trial=None,
        results=_path(results, "results"),
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
    for name in (a, *others):
        if not isinstance(name, str):
            raise ArgumentError(
                f"a candidate must be named by a text such as 'best' or 'trial:7', but got {name!r}"
            )
    return compare_candidates(
        _study(study),
        a,
        list(others),
        results=_path(results, "results"),
        progress=_progress(on_progress),
    )


def _study(study: object) -> StudySpec:
    if not isinstance(study, StudySpec):
        hint = f"; load it first: search.load_study({study!r})" if _is_path(study) else ""
        raise ArgumentError(
            f"study must be what search.load_study returns, but got {_shown(study)}{hint}"
        )
    return study


def _path(path: object, name: str) -> Path:
    if not _is_path(path):
        raise ArgumentError(f"{name} must be a path, but got {_shown(path)}")
    return Path(str(path))


def _is_path(path: object) -> bool:
    return isinstance(path, str | Path)


def _mapping(given: object, name: str) -> Mapping[str, object]:
    """Return what a caller gave by name; nothing for None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ArgumentError(f"{name} must be a dict from names to values, but got {_shown(given)}")
    return given


def _vars(given: Mapping[str, object]) -> dict[str, object]:
    return {f"scenario.vars.{name}": value for name, value in given.items()}


def _plain(value: object, name: str) -> str:
    """Return a parameter's value as the command line would be given it."""
    value = value.item() if hasattr(value, "item") else value  # a number of numpy's
    if not isinstance(value, bool | int | float | str):
        raise ArgumentError(
            f"the value of {name} must be a number, a text or a boolean, but got {_shown(value)}"
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yaml(value: object, name: str) -> str:
    """Return a value as YAML that reads as the same value: the text ``yes`` stays a text."""
    if isinstance(value, str) and not value.strip():
        return json.dumps(value)
    if isinstance(value, str | Path):
        return str(value) if isinstance(_read(str(value)), str) else json.dumps(str(value))
    try:
        return json.dumps(value, default=lambda number: number.item())
    except (AttributeError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"the value of {name} must be one that YAML can hold, but got {_shown(value)}"
        ) from error


def _read(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _shown(value: object) -> str:
    return f"{value!r:.80} ({type(value).__name__})"
