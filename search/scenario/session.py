"""The one way to open a database: set up as dbt-duckdb sets up its own, wherever it is opened.

What a metric, a ``sql:`` step or a replay sees is what a model sees: the profile's options,
settings, extensions, secrets, plugins and attached databases, and relative paths that start in
the project's folder. Databases beside the own one are attached for reading alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from packaging.version import Version

from search.errors import DatabaseError
from search.scenario.duck_limits import (
    RESOURCE_SETTINGS,
    DuckLimits,
    hide_progress_bar,
    open_error,
)
from search.scenario.duckdb_errors import first_line
from search.scenario.held_clock import has_own_clock, hold_clock
from search.scenario.plan import Profile
from search.system.sql_text import escaped

DBTS_OWN = ("secrets", "plugins", "filesystems", "use_credential_provider")
"""Keys of a profile that dbt-duckdb itself puts into effect: it has the code for each."""
PLAIN_ATTACHMENT = frozenset({"path", "alias", "type", "read_only"})
ACCESS_ADVICE = (
    "SQL of a study reaches no file unless scenario.allow_external_access is true; a file that "
    "dbt's models read needs no permission"
)
SEARCH_PATH = "file_search_path"
IS_SEARCH_PATH_OF_CURSOR = Version(duckdb.__version__) < Version("1.5")
"""Before DuckDB 1.5 a connection cannot be opened with it: each cursor is told."""
_SCHEME = re.compile(r"^\w{2,}:")


def open_options(
    profile: Profile, project_dir: Path, limits: DuckLimits
) -> dict[str, str | bool | int | float | list[str]]:
    """Return what a database is opened with: the profile's options within our limits."""
    given = profile.output.get("config_options") or {}
    options = {key: value for key, value in given.items() if key.lower() not in RESOURCE_SETTINGS}
    # dbt runs in the project's folder, so relative paths in its SQL start there.
    if not IS_SEARCH_PATH_OF_CURSOR:
        options.setdefault(SEARCH_PATH, str(project_dir))
    return options | limits.config()


def set_up_instance(connection: Any, profile: Profile, project_dir: Path) -> None:
    """Load and attach what the profile names, in dbt-duckdb's order.

    Raises:
        DatabaseError: If an extension cannot be loaded or a database cannot be attached; it
            names the one.
    """
    output = profile.output
    for extension in output.get("extensions") or []:
        name = str(extension["name"] if isinstance(extension, Mapping) else extension)
        try:
            connection.load_extension(name)
        except duckdb.Error as error:
            raise DatabaseError(
                f"extension {name} of the profile must be installed, but cannot be loaded: "
                f"{first_line(error)}; install it once: duckdb -c 'install {name}'"
            ) from error
    if any(output.get(key) for key in DBTS_OWN):
        from search.scenario.dbt_insides import configure_connection

        configure_connection(connection, output)
    for attachment in output.get("attach") or []:
        try:
            connection.execute(attach_sql(attachment, project_dir))
        except duckdb.Error as error:
            raise DatabaseError(
                f"database {attachment.get('path')} of the profile's attach must be readable: "
                f"{first_line(error)}"
            ) from error


def set_up_cursor(
    connection: Any,
    profile: Profile,
    project_dir: Path,
    without: frozenset[str] = frozenset(),
    moment: datetime | None = None,
) -> None:
    """Put the profile's settings into effect for a connection or a cursor.

    Args:
        connection: It.
        profile: The profile.
        project_dir: Where relative paths start.
        without: Further settings to leave out, beside those that are ours to decide.
        moment: What the time is there; the real time when None.
    """
    if IS_SEARCH_PATH_OF_CURSOR:
        connection.execute(f"set {SEARCH_PATH} = '{escaped(project_dir)}'")
    for key, value in (profile.output.get("settings") or {}).items():
        if key.lower() not in RESOURCE_SETTINGS | without:
            connection.execute(f"set {key} = '{escaped(value)}'")
    hide_progress_bar(connection)
    if moment is not None and not has_own_clock(connection):
        hold_clock(connection, moment)


def attach_sql(attachment: Mapping[str, Any], project_dir: Path) -> str:
    """Return the statement that attaches a database of the profile for reading.

    Example:
        >>> attach_sql({"path": "other.duckdb", "alias": "o"}, Path("/p"))
        "ATTACH IF NOT EXISTS '/p/other.duckdb' AS o (READ_ONLY)"
    """
    place = str(attachment["path"])
    options = attachment.get("options") or {}
    reading = {key: value for key, value in attachment.items() if key != "options"} | {
        "path": place if _SCHEME.match(place) else str(project_dir / Path(place).expanduser()),
        "read_only": True,
    }
    more = {key: value for key, value in options.items() if key.lower() != "read_only"}
    if more or not reading.keys() <= PLAIN_ATTACHMENT:
        from search.scenario.dbt_insides import attachment_sql

        return attachment_sql(reading | ({"options": more} if more else {}))
    alias = f" AS {reading['alias']}" if reading.get("alias") else ""
    kind = f"TYPE {reading['type']}, " if reading.get("type") else ""
    return f"ATTACH IF NOT EXISTS '{escaped(reading['path'])}'{alias} ({kind}READ_ONLY)"


@contextmanager
def dbts_connection(
    path: Path,
    profile: Profile,
    *,
    project_dir: Path,
    limits: DuckLimits,
    read_only: bool = False,
    moment: datetime | None = None,
) -> Iterator[Any]:
    """Open a database file as dbt opens it, and close it whatever happens.

    Raises:
        DatabaseError: If it cannot be opened, or what the profile names cannot be had.
    """
    options = open_options(profile, project_dir, limits)
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=options)
    except duckdb.Error as error:
        raise open_error(path, error) from error
    try:
        with working_in(project_dir):
            set_up_instance(connection, profile, project_dir)
            set_up_cursor(connection, profile, project_dir, moment=moment)
            yield connection
    finally:
        connection.close()


def use_authors_names(connection: Any, profile: Profile) -> None:
    """Let unqualified names of the study author's SQL mean those of the profile's schema."""
    schema = str(profile.output.get("schema", "main"))
    names = connection.execute(
        "select count(*) from information_schema.schemata where schema_name = ?"
        " and catalog_name = current_database()",
        [schema],
    ).fetchone()
    if names and names[0]:
        connection.execute(f"set schema = '{escaped(schema)}'")


def confine(connection: Any, readable: Sequence[str | Path] = ()) -> None:
    """Let a connection reach a few files and folders alone, for good.

    Args:
        connection: Whatever it needs is attached and loaded already.
        readable: They; what is no folder counts as a file.
    """
    folders = [Path(place) for place in readable if os.path.isdir(place)]
    reach_only(connection, (place for place in readable if not os.path.isdir(place)), folders)


def reach_only(connection: Any, files: Iterable[str | Path], folders: Iterable[Path]) -> None:
    """Let an instance of DuckDB reach no file but those that are known, for good.

    A known file could also be written by DuckDB; a statement that writes is refused before it runs,
    and the kernel's wall stands behind that.

    Args:
        connection: Whatever it needs is attached and loaded already.
        files: Files that it may open.
        folders: Folders whose files it may list and open.
    """
    for setting, places in (("allowed_paths", files), ("allowed_directories", folders)):
        listed = ", ".join(f"'{escaped(fromkey)}'" for fromkey in dict.fromkeys(map(str, places)))
        connection.execute(f"set {setting} = [{listed}]")
    connection.execute("set enable_external_access = false")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Let relative paths start in a folder for the block, as they do for dbt.

    DuckDB looks in the process's own folder first, and in ``file_search_path`` after that: a file
    of the same name where a command is started would be taken for the project's.
    """
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
