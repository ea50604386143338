"""What a study asks dbt about its project before anything is built."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.errors import ProjectError, SpecError
from search.scenario.answers import (
    DbtAnswers,
    Selection,
    answers_key,
    default_profiles_dir,
)
from search.scenario.dbt_session import DbtSession, resolve_profile
from search.scenario.input_content import env_content
from search.scenario.plan import Profile
from search.scenario.read_log import ReadLog
from search.scenario.relations import Relations
from search.scenario.setting import Setting
from search.study.steps import ExpandedStep, place_of


class DbtQuestions:
    """Asks dbt: how its profile resolves, what ``ref`` leads to, what each step selects.

    Args:
        setting: The study, and where it is checked.
        steps: All steps, those of the setup as well.
        first: The step whose vars the project is parsed with.
        further: Steps of the report, which must select something too.
    """

    def __init__(
        self,
        setting: Setting,
        steps: Sequence[ExpandedStep],
        first: ExpandedStep,
        further: Sequence[ExpandedStep] = (),
    ) -> None:
        self._setting = setting
        self._steps = [step for step in steps if step.command is not None]
        self._further = [step for step in further if step.command is not None]
        # A selection is asked for with the vars of the first step that has it.
        asked = [*self._steps, *self._further]
        self._selections = {selection_of(step): step for step in reversed(asked)}
        self._first = first

    def answers(self, files_fingerprint: str) -> DbtAnswers:
        """Return what dbt says about the project; it is asked when that is not known yet."""
        key = None
        with contextlib.suppress(ProjectError):  # dbt says better what is wrong with a profile
            key = self._key(files_fingerprint)
        known = self._setting.answers.find(key) if key is not None else None
        if known is not None:
            return known
        answers = self._ask()
        if key is not None and len(answers.selected) == len(self._selections):
            self._setting.untouched.require("while dbt was asked about the project")
            self._setting.answers.keep(key, answers)
        return answers

    def selected(self, answers: DbtAnswers) -> dict[str, frozenset[str]]:
        """Return the nodes that each step selects; a step that selects nothing is a mistake."""
        told: set[Selection] = set()
        selected: dict[str, frozenset[str]] = {}
        for step in (*self._steps, *self._further):
            selection = selection_of(step)
            nodes = answers.selected.get(selection)
            if step in self._steps:
                selected[step.name] = nodes or frozenset()
            if nodes == frozenset() and selection not in told:
                # A selection that is a mistake is told once, for the first step that has it.
                told.add(selection)
                with self._setting.complaints.checking():
                    raise self._nothing_selected(step)
        return selected

    def _key(self, files_fingerprint: str) -> str:
        setting, scenario = self._setting, self._setting.scenario
        return answers_key(
            setting.project,
            project_fingerprint=files_fingerprint,
            profiles_dir=self._profiles_dir or default_profiles_dir(setting.project.folder),
            asked={
                "profile": scenario.profile,
                "target": scenario.target,
                "vars": dict(scenario.vars),
                "parse_vars": setting.vars_of_step(self._first),
                "selections": [
                    [*selection, setting.vars_of_step(step)]
                    for selection, step in self._selections.items()
                ],
                "database": str(setting.database),
            },
        )

    def _ask(self) -> DbtAnswers:
        setting, scenario = self._setting, self._setting.scenario
        setting.report("parsing the dbt project")
        reads = ReadLog(setting.project.folder, (setting.scratch,))
        profile = resolve_profile(
            setting.project.folder,
            profiles_dir=self._profiles_dir,
            profile=scenario.profile,
            target=scenario.target,
            cli_vars=scenario.vars,
            reads=reads,
        )
        session = self._session(setting.with_catalog(profile), reads)
        relations = Relations.of_manifest(session.parse(setting.vars_of_step(self._first)))
        selected = {}
        for selection, step in self._selections.items():
            command, select, exclude = selection
            with setting.complaints.checking():
                selected[selection] = frozenset(
                    session.list_selected(
                        command,
                        select=select,
                        exclude=exclude,
                        dbt_vars=setting.vars_of_step(step),
                    )
                )
        return DbtAnswers(
            profile,
            relations,
            selected,
            env={name: env_content(name) for name in sorted(reads.env)},
            vars={name: _plain(defaults) for name, defaults in sorted(reads.vars.items())},
        )

    @property
    def _profiles_dir(self) -> Path | None:
        folder = self._setting.scenario.profiles_dir
        return self._setting.spec.resolve_path(folder) if folder else None

    def _session(self, profile: Profile, reads: ReadLog) -> DbtSession:
        # Parsing and selecting open no database of the project; this file is never made.
        return DbtSession(
            project_dir=self._setting.project.folder,
            profile=profile,
            database=self._setting.scratch / "parse" / f"{profile.catalog}.duckdb",
            home=self._setting.scratch / "dbt",
            limits=self._setting.duck_limits,
            reads=reads,
        )

    def _nothing_selected(self, step: ExpandedStep) -> SpecError:
        return self._setting.error(
            f"{place_of(step).split(' ')[0]}.dbt",
            f"must select something, but dbt {step.command} finds no node for "
            f"select {' '.join(step.select) or '(all)'!r}"
            + (f", exclude {' '.join(step.exclude)!r}" if step.exclude else ""),
        )


def selection_of(step: ExpandedStep) -> Selection:
    """Return what a step asks dbt to select."""
    return (step.command or "", step.select, step.exclude)


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return the values that JSON keeps as they are."""
    return [value for value in values if isinstance(value, str | int | float | bool | None)]
