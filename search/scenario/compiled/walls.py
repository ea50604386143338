"""What a replay may do: it writes nothing, and reads what the recordings read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property

from search.errors import RecordingError
from search.scenario.compiled.emission import Action
from search.scenario.compiled.lexer import tokenize
from search.scenario.compiled.lifting import Template
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.plan import ScenarioPlan
from search.scenario.writes import outside_writes, plain_text

_NUMBER = re.compile(r"[0-9.]+(e[-+]?[0-9]+)?")
"""What changes nothing but itself, wherever it stands: behind a minus, ``-1`` is a comment."""
_DOLLARS = re.compile(r"^\$\w*\$|\$\w*\$$")
_MAY_NAME = re.compile("['\"$]")


class BeyondRecording(Exception):
    """A candidate reads a file that no recording read, so dbt has to evaluate it.

    What it holds is in no fingerprint yet; dbt's evaluation is noticed. The text says who reads it.
    """


def place_of(statement: RecordedStatement | None) -> str:
    """Return who sent a statement, for a message."""
    if statement is None:
        return "the program"
    return statement.node or f"the SQL of {statement.step}"


class ReplayWalls:
    """Looks at statements before they run.

    A text is looked at once, and for each candidate where parameters may change what it names:
    to look at every text took 7 % of a candidate of the flagship. DuckDB's own guard and the
    kernel's stand behind that.

    Args:
        actions: What a replay does.
        plan: Knows what was read while it was recorded.

    Raises:
        RecordingError: If a statement would change anything but its database.
    """

    def __init__(self, actions: Sequence[Action], plan: ScenarioPlan) -> None:
        files, _, self._patterns = plan.may_read()
        self._files = set(files)
        self._is_named_by_numbers: dict[int, bool] = {}
        for action in actions:
            if action.template is None:
                continue
            for write in outside_writes("0".join(action.template.pieces)):
                raise RecordingError(f"a replay must not write, but {write.text()}")
            if action.template.parameters and _MAY_NAME.search("".join(action.template.pieces)):
                self._is_named_by_numbers[id(action)] = _is_named_by_numbers(action.template)

    def require_known(self, action: Action, texts: Mapping[str, str]) -> None:
        """Refuse a statement whose values make it write, or read what no recording read.

        Raises:
            BeyondRecording: If they do.
        """
        template, is_named = action.template, self._is_named_by_numbers.get(id(action))
        if template is None or is_named is None:
            return
        if not is_named and all(_NUMBER.fullmatch(texts[name]) for name in template.parameters):
            return
        sql = template.fill(texts)
        for write in outside_writes(sql):
            raise BeyondRecording(write.text())
        if not self._patterns:
            return  # DuckDB itself knows the single files
        for text in _names(sql):
            if any(fnmatch(text, pattern) for pattern in self._near):
                if text not in self._files and not self._is_matched(text):
                    raise BeyondRecording(f"{text} is read, which no recording read")

    @cached_property
    def _near(self) -> list[str]:
        """Patterns of whatever lies in a folder that DuckDB may list."""
        return [f"{pattern.rpartition('/')[0]}/*" for pattern in self._patterns]

    def _is_matched(self, text: str) -> bool:
        return text in self._patterns or any(fnmatch(text, pattern) for pattern in self._patterns)


def _is_named_by_numbers(template: Template) -> bool:
    """Return whether a number in a hole changes what a text names in quotes."""
    return _names("0".join(template.pieces)) != _names("1".join(template.pieces))


def _names(sql: str) -> list[str]:
    """Return what stands in quotes of any kind: DuckDB takes all of them for paths.

    Example:
        >>> _names('from "b.csv", read_csv($$c.csv$$)'), _names("from 'a.csv'")
        (['b.csv', 'c.csv'], ['a.csv'])
    """
    tokens = [token for token in tokenize(sql) if token.kind in ("string", "quoted")]
    return [plain_text(token.text.lstrip("eE")) or _DOLLARS.sub("", token.text) for token in tokens]
