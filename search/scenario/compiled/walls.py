"""What a replay may do: it writes nothing, and reads what the recordings read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

from search.errors import RecordingError
from search.scenario.compiled.emission import Action
from search.scenario.compiled.lexer import tokenize
from search.scenario.compiled.recording import RecordedStatement
from search.scenario.plan import ScenarioPlan
from search.scenario.writes import outside_writes, plain_text


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

    A text is looked at once, and for each candidate where parameters change a string of it.
    DuckDB's own guard and the kernel's stand behind that.

    Args:
        actions: What a replay does.
        plan: Knows what was read while it was recorded.

    Raises:
        RecordingError: If a statement would change anything but its database.
    """

    def __init__(self, actions: Sequence[Action], plan: ScenarioPlan) -> None:
        files, _, self._patterns = plan.may_read()
        self._files = set(files)
        self._watched: set[int] = set()
        for action in actions:
            if action.template is None:
                continue
            for write in outside_writes("0".join(action.template.pieces)):
                raise RecordingError(f"a replay must not write, but {write.text()}")
            if action.template.parameters and any("'" in piece for piece in action.template.pieces):
                self._watched.add(id(action))

    def require_known(self, action: Action, texts: Mapping[str, str]) -> None:
        """Refuse a statement whose values make it write, or read what no recording read.

        Raises:
            BeyondRecording: If they do.
        """
        if id(action) not in self._watched or action.template is None:
            return
        sql = action.template.fill(texts)
        for write in outside_writes(sql):
            raise BeyondRecording(write.text())
        if not self._patterns:
            return  # DuckDB itself knows the single files
        for token in tokenize(sql):
            text = plain_text(token.text) if token.kind == "string" else None
            if text and any(fnmatch(text, pattern) for pattern in self._near):
                if text not in self._files and not self._is_matched(text):
                    raise BeyondRecording(f"{text} is read, which no recording read")

    @property
    def _near(self) -> list[str]:
        """Return patterns of whatever lies in a folder that DuckDB may list."""
        return [f"{pattern.rpartition('/')[0]}/*" for pattern in self._patterns]

    def _is_matched(self, text: str) -> bool:
        return text in self._patterns or any(fnmatch(text, pattern) for pattern in self._patterns)
