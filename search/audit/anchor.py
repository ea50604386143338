"""The head of a trail in one word, to be kept where nobody who edits the trail comes.

Whoever may write to the results folder may rewrite all of it, hashes included. An anchor that
stands elsewhere (a terminal's log, Dagster, a parameter set in git) shows that it was done: the
event of that number no longer has that hash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.audit.events import HASH
from search.errors import SpecError

_FORM = re.compile(r"(\d{1,12}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Anchor:
    """Number and hash of the event that was a log's last one at some time.

    Attributes:
        sequence: The event's number, from 1.
        hash: Its hash, which covers all events before it.
    """

    sequence: int
    hash: str

    @property
    def text(self) -> str:
        """The anchor in one word.

        Example:
            >>> Anchor(7, "ab" * 32).text[:8], Anchor.parse(Anchor(7, "ab" * 32).text).sequence
            ('7:ababab', 7)
        """
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Return the anchor of a word.

        Raises:
            SpecError: If it is none.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise SpecError(
                "an anchor must be a number, a colon and 64 hexadecimal digits, as a run prints "
                f"it at its end, but got {text!r:.100}",
                key="--anchor",
            )
        return cls(int(match[1]), match[2])

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> Anchor:
        """Return the anchor of a log's head."""
        return cls(int(head["sequence"]), str(head[HASH]))
