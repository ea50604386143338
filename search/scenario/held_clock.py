"""Time that stands still: every candidate of a day sees the same moment, in both engines.

DuckDB looks for a function among the temporary macros of a connection first, so that ``now()``
and its kin can be answered there; a view keeps their names, not the moment. Steps are a second
apart, in their order: what a later one loads is later.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

_VARIABLE = "__held_clock"
_MOMENT = f"getvariable('{_VARIABLE}')"
_ANSWERS = {
    "": "now current_timestamp get_current_timestamp transaction_timestamp",
    "::date": "today current_date",
    "::timetz": "get_current_time current_time",
    "::timestamp": "localtimestamp current_localtimestamp",
    "::timestamp::time": "localtime current_localtime",
}
"""Casts of the moment, each with the functions that DuckDB itself gives that type."""
HELD_FUNCTIONS = frozenset(" ".join(_ANSWERS.values()).split())
_MACROS = "".join(
    f"create or replace temp macro {name}() as {_MOMENT}{cast};"
    for cast, names in _ANSWERS.items()
    for name in names.split()
)

MAKES_FUNCTIONS = re.compile(r"\b(macro|function|attach|import)\b", re.IGNORECASE)
"""Words without which no statement gives a database another function."""


@dataclass(frozen=True)
class HeldClock:
    """The moment at which time stands still for scenarios.

    Attributes:
        moment: When the first of their steps begins, with its time zone.
    """

    moment: datetime

    @classmethod
    def of_day(cls, folder: Path, day: str, *, is_kept: bool = True) -> HeldClock:
        """Return the clock of a day, which is set when it is first asked for.

        Args:
            folder: Where the days of all scenarios are kept.
            day: The date (UTC), for example 2026-01-31.
            is_kept: Whether it is written down when it is not there yet.
        """
        file = folder / f"moment-{day}"
        with contextlib.suppress(OSError, ValueError):
            return cls(datetime.fromisoformat(file.read_text(encoding="utf-8")))
        now = datetime.now(UTC).replace(microsecond=0)
        moment = datetime.combine(date.fromisoformat(day), now.timetz())
        if not is_kept:
            return cls(moment)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{file.name}-{os.getpid()}"
        temporary.write_text(moment.isoformat(), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(temporary, file)  # whoever is first decides for all
        temporary.unlink()
        return cls(datetime.fromisoformat(file.read_text(encoding="utf-8")))

    @property
    def day(self) -> str:
        """The date (UTC) as it stands in fingerprints."""
        return self.moment.date().isoformat()

    def at(self, step: int) -> datetime:
        """Return the moment of a step, by its place among the candidate's; below 0 in the setup."""
        return self.moment + timedelta(seconds=step)

    def text(self) -> str:
        """Return the moment for people."""
        return f"{self.moment:%Y-%m-%d %H:%M:%S} UTC"


def has_own_clock(connection: Any) -> bool:
    """Return whether the project made a function that asks for the time itself: it stays so.

    DuckDB lists all of its functions for that, which takes 11 ms.
    """
    own = connection.execute(
        "select count(*) from duckdb_functions() where not internal and function_type = 'macro'"
        f" and database_name <> 'temp' and function_name in {tuple(sorted(HELD_FUNCTIONS))}"
    ).fetchone()
    return bool(own and own[0])


def hold_clock(connection: Any, moment: datetime) -> None:
    """Let the functions of a connection that ask for the time answer with a moment."""
    move_clock(connection, moment)
    connection.execute(_MACROS)


def move_clock(connection: Any, moment: datetime) -> None:
    """Let a connection whose clock is held answer with another moment."""
    connection.execute(f"set variable {_VARIABLE} = '{moment.isoformat()}'::timestamptz")


def held_datetime(moment: datetime) -> dict[str, Any]:
    """Return classes in place of ``datetime`` and ``date`` whose clock stands still.

    Example:
        >>> held = held_datetime(datetime(2026, 1, 31, 12, tzinfo=UTC))
        >>> held["datetime"].now(UTC).isoformat(), held["date"].today().isoformat()
        ('2026-01-31T12:00:00+00:00', '2026-01-31')
        >>> held["datetime"](2026, 1, 1) == datetime(2026, 1, 1)
        True
    """
    local = moment.astimezone().replace(tzinfo=None)

    class HeldDatetime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return local if tz is None else moment.astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return moment.astimezone(UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return local

    class HeldDate(date):
        @classmethod
        def today(cls) -> Any:
            return local.date()

    return {"datetime": HeldDatetime, "date": HeldDate}
