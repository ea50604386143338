"""The study file as a whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from search.study.apply import ApplySpec
from search.study.cross_checks import check_sections
from search.study.goals import MetricSpec, TargetSpec
from search.study.mistakes import given, wrong, wrongs
from search.study.parameters import ParameterSpec
from search.study.report import ReportSpec
from search.study.scenario import ScenarioSpec
from search.study.settings import ResourcesSpec, ResultsSpec, SearchSpec
from search.study.values import Identifier, Items, Model, StudyName

DEFAULT_FUTURES = 20
"""Fresh seeds that a scenario with chance is run under when its study file does not say."""
_STORAGE = re.compile(r"sqlite:///\S.*|postgresql(\+\w+)?://\S+", re.DOTALL)
_PASSWORD = re.compile(r"(://[^:/@]*:)[^@]*(@)")


def _storage(value: Any) -> Any:
    if value is None or (isinstance(value, str) and _STORAGE.fullmatch(value)):
        return value
    shown = _PASSWORD.sub(r"\1***\2", value) if isinstance(value, str) else value
    raise wrong(
        "must be the URL of a lasting database, sqlite:///path/study.db or postgresql://..., "
        f"but got {given(shown)}"
    )


def _without_none(value: Any) -> Any:
    """Drop what was left out; a null among dbt vars is a value and stays."""
    if isinstance(value, dict):
        return {
            key: inner if key == "vars" else _without_none(inner)
            for key, inner in value.items()
            if inner is not None
        }
    return [_without_none(item) for item in value] if isinstance(value, list) else value


class StudySpec(Model):
    """A study: which scenario, which parameters to move, which targets to meet."""

    study: StudyName = Field(examples=["compensation-2026"])
    """Name of the study; the same name in the same storage goes on where it stopped."""
    description: str | None = None
    """What the study is for, for people."""
    scenario: ScenarioSpec
    """The dbt run that turns a candidate into metrics."""
    parameters: dict[Identifier, ParameterSpec] = Field(min_length=1, max_length=100)
    """The parameters, by name."""
    constraints: Items[str] = Field(default=(), examples=[["merit_budget + cola_rate <= 0.09"]])
    """Comparisons over numeric parameters; a candidate that violates one is never run."""
    metrics: dict[Identifier, MetricSpec] = Field(min_length=1, max_length=1000)
    """The numbers to read, by name."""
    targets: dict[str, TargetSpec] = Field(min_length=1, max_length=1000)
    """What metrics should be, by the metric's name; `metric@2026` for one repetition."""
    search: SearchSpec = SearchSpec()
    """How to search, and when to stop."""
    apply: ApplySpec = ApplySpec()
    """Where `scenario-search apply` writes values that a var carries."""
    report: ReportSpec = ReportSpec()
    """Further tables and charts of today's values, the plan and the alternatives."""
    resources: ResourcesSpec = ResourcesSpec()
    """What the study may use of the machine."""
    results: ResultsSpec = ResultsSpec()
    """Who may read what the study writes."""
    storage: Annotated[str | None, BeforeValidator(_storage)] = Field(
        default=None, examples=["sqlite:///results/study.db"]
    )
    """Optuna storage URL, its path relative to the working directory; chosen when left out."""

    _file: Path = PrivateAttr(default_factory=lambda: Path.cwd() / "study.yaml")
    _active: frozenset[str] = PrivateAttr(default=frozenset())
    _asked_vars: frozenset[str] = PrivateAttr(default=frozenset())
    _from_vars_file: frozenset[str] = PrivateAttr(default=frozenset())

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        if mistakes := check_sections(dict(self)):
            raise wrongs(mistakes)
        return self

    @property
    def seeds_to_confirm(self) -> int:
        """Fresh seeds to run the winner under: as many as asked for, 20 where there is chance."""
        asked = self.search.confirm_seeds
        if asked is not None:
            return asked
        return DEFAULT_FUTURES if self.scenario.has_chance else 0

    @property
    def file(self) -> Path:
        """Absolute path of the study file."""
        return self._file

    @property
    def active(self) -> frozenset[str]:
        """Parameters whose current value is that of the active parameter set."""
        return self._active

    @property
    def asked_vars(self) -> frozenset[str]:
        """Vars of the scenario that stand on the command line."""
        return self._asked_vars

    @property
    def from_vars_file(self) -> frozenset[str]:
        """Vars of the scenario that its ``vars_file`` gives."""
        return self._from_vars_file

    def at(
        self,
        file: Path,
        *,
        active: frozenset[str] = frozenset(),
        asked_vars: frozenset[str] = frozenset(),
        from_vars_file: frozenset[str] = frozenset(),
    ) -> StudySpec:
        """Return this spec as read from ``file``, against which its paths are resolved.

        Args:
            file: The study file.
            active: Parameters whose current value was taken from the active parameter set.
            asked_vars: Vars of the scenario that stand on the command line.
            from_vars_file: Vars of the scenario that its ``vars_file`` gives.
        """
        copy = self.model_copy()
        copy._file = file.absolute()
        copy._active = active
        copy._asked_vars = asked_vars
        copy._from_vars_file = from_vars_file
        return copy

    def resolve_path(self, path: str | Path) -> Path:
        """Return a path of the file as an absolute one.

        Relative paths start at the study file's folder and ``~`` is the home folder.
        ``storage`` is no path: its URL follows SQLAlchemy, relative to the working directory.
        """
        expanded = Path(path).expanduser()
        return expanded if expanded.is_absolute() else self._file.parent / expanded

    def to_document(self) -> dict[str, Any]:
        """Return everything in the file, defaults filled in, as JSON-safe values.

        The storage's password is left out, so that the document may be stored and shown.
        Durations are in seconds and sizes in bytes; the result loads as a study again.
        """
        document: dict[str, Any] = _without_none(self.model_dump(mode="json"))
        if self.storage is not None:
            document["storage"] = _PASSWORD.sub(r"\1***\2", self.storage)
        # Its vars stand in `vars`, so that the document says all by itself.
        document["scenario"].pop("vars_file", None)
        # What is not in the documents of earlier versions goes unsaid where it is the default.
        if self.apply == ApplySpec():
            del document["apply"]
        if self.report == ReportSpec():
            del document["report"]
        if not self.scenario.checks:
            del document["scenario"]["checks"]
        for parameter in document["parameters"].values():
            if parameter["weight"] == 1.0:
                del parameter["weight"]
        return document
