"""Vars that a study gives or binds: that the project reads them, and what they are today."""

from __future__ import annotations

import re
from collections.abc import Collection

from search.scenario.answers import DbtAnswers
from search.scenario.given_vars import is_same, is_single, unread_text, unread_vars
from search.scenario.plan import Profile, VarBind
from search.scenario.project import VarReads
from search.scenario.setting import Setting

_DIVISION = re.compile(r"[^:/]//[^/]")
"""Not the slashes of an address."""


class VarChecks:
    """Looks for slips of the pen among the vars of a study.

    Args:
        setting: The study, and where it is checked.
        reads: The vars that the project's files read.
    """

    def __init__(self, setting: Setting, reads: VarReads) -> None:
        self._setting = setting
        self._reads = reads

    def check_binds(self, looked_up: Collection[str]) -> None:
        """Refuse a parameter that is bound to a var that nothing reads.

        Args:
            looked_up: Vars that dbt asked for while it parsed.
        """
        texts = [metric.sql for metric in self._setting.spec.metrics.values()]
        for step in (*self._setting.scenario.setup, *self._setting.scenario.steps):
            texts += [part.sql for _, part in step.parts("") if part.sql is not None]
        for bind in self._setting.var_binds:
            with self._setting.complaints.checking():
                if bind.var not in looked_up:
                    self._check_bind(bind, "\n".join(texts))

    def check_given(self, answers: DbtAnswers) -> None:
        """Refuse slips of the pen among the vars that the study gives; tell of unread ones."""
        unread = unread_vars(
            self._setting.spec, self._reads, answers.vars, self._setting.project_vars
        )
        for var in unread:
            if var.is_mistake:
                with self._setting.complaints.checking():
                    raise self._setting.error(var.given.key, var.text())
        told = unread_text(var for var in unread if not var.is_mistake)
        self._setting.complaints.warnings += [told] if told else []

    def compare_current(self, answers: DbtAnswers) -> None:
        """Tell where ``current`` is not what the project itself gives the bound var today."""
        for bind in self._setting.var_binds:
            current = self._setting.spec.parameters[bind.parameter].current
            defaults = answers.vars.get(bind.var, ())
            if bind.var in self._setting.project_vars:
                today, where = self._setting.project_vars[bind.var], "dbt_project.yml"
            elif len(defaults) == 1:
                today, where = defaults[0], "the default where it is read"
            else:
                continue
            if not is_single(today):
                continue
            self._tell_of_type(bind, today, where, answers)
            if not is_same(today, current):
                self._setting.complaints.warnings.append(
                    f"parameters.{bind.parameter}.current is {current!r}, but var {bind.var} "
                    f"is {today!r} today ({where})"
                )

    def _tell_of_type(self, bind: VarBind, today: object, where: str, answers: DbtAnswers) -> None:
        """Tell where a project divides by a whole number, and the search gives it a decimal."""
        parameter = self._setting.spec.parameters[bind.parameter]
        is_decimal = parameter.is_numeric and parameter.kind == "float"
        if type(today) is not int or not is_decimal:
            return
        places = self._reads.places.get(bind.var, [])
        if not _divides_whole_numbers(answers.profile):
            places = [place for place in places if self._divides(place)]
        if places:
            self._setting.complaints.warnings.append(
                f"var {bind.var} is the whole number {today} today ({where}), and the search gives "
                f"decimals such as {float(today)}, which {', '.join(places)} may divide otherwise; "
                f"with whole numbers for low, high and step parameter {bind.parameter} stays whole"
            )

    def _divides(self, place: str) -> bool:
        """Whether a file of the project divides with ``//``."""
        try:
            file = self._setting.project.folder / place
            return _DIVISION.search(file.read_text(encoding="utf-8", errors="replace")) is not None
        except OSError:
            return False

    def _check_bind(self, bind: VarBind, sql_text: str) -> None:
        if (
            bind.var in self._reads.places
            or f"'{bind.var}'" in sql_text
            or f'"{bind.var}"' in sql_text
        ):
            return
        if self._reads.has_dynamic:
            self._setting.complaints.warnings.append(
                f"parameter {bind.parameter} is bound to var {bind.var}, which no file of the "
                "dbt project reads by that name; some var is read by a computed name"
            )
            return
        nearest = self._reads.nearest(bind.var)
        hint = f"; did you mean {nearest!r}?" if nearest else ""
        raise self._setting.error(
            f"parameters.{bind.parameter}.bind.var",
            f"must be a var that the dbt project reads, but no file reads {bind.var!r}{hint}",
        )


def _divides_whole_numbers(profile: Profile) -> bool:
    """Whether ``/`` of whole numbers gives a whole number under a profile."""
    settings = profile.output.get("settings") or {}
    return str(settings.get("integer_division", "")).lower() in ("true", "1")
