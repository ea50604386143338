"""Files that a project writes: each candidate's lie in a folder of its own.

A statement of the project that would write a file gets another place to write to, and whoever
reads that file later in the same run reads it there. What lies where the project points is never
touched. What cannot be led elsewhere with certainty is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from search.errors import OUTSIDE, ScenarioError
from search.scenario.compiled.lexer import tokenize
from search.scenario.file_names import REMOTE, WRITES_FILES, is_left_out, who_is
from search.scenario.led_reads import LedReads
from search.scenario.setup_files import SetupFiles
from search.scenario.writes import REFUSAL, Write, for_reading, outside_writes
from search.scenario.written_files import WrittenFiles


class OwnFiles:
    """Leads the files of one run elsewhere.

    Args:
        project_dir: Where relative paths start.
        folder: Where the files go; it is made when the first one is written.
        given: What the setup wrote, which is there before the run; only read where it lies.

    Attributes:
        written: What was written so far.
        attached: Databases that the project attached, as it names them, and that are only read.
        notes: What became of what the project writes, and what else its user should know of its
            statements, one sentence each.
    """

    def __init__(self, project_dir: Path, folder: Path, *, given: SetupFiles | None = None) -> None:
        self.written = WrittenFiles(project_dir, folder, given)
        self._reads = LedReads(self.written)
        self.attached: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def run(
        self, sql: str, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        """Run the project's SQL so that it changes nothing but its database and our folder.

        Args:
            sql: One or more statements.
            node: dbt's id of who sends them.
            connection: Where they run.
            execute: Runs SQL there.

        Returns:
            What the last statement yields.

        Raises:
            ScenarioError: If a statement does what cannot be led elsewhere.
        """
        if not outside_writes(sql) and not self._reads.may_name_written(sql):
            return execute(sql)
        result = None
        for statement in duckdb.extract_statements(sql):
            result = self._run_one(statement.query, node, connection, execute)
        return result

    def led(self, sql: str, who: str) -> str:
        """Return SQL of the study's author that reads what was written where it was written."""
        absolute = self.absolute(sql)
        return self._reads.led(absolute, f"the study's {who}") if self.written else absolute

    def absolute(self, sql: str) -> str:
        """Return SQL that names files of the project in full.

        It then means the same wherever a process was started.
        """
        return self._reads.absolute(sql)

    def observed(self, sql: str, node: str | None = None) -> str:
        """Return the SQL as a replay may send it.

        Statements whose files nobody has read so far are left out, and what the setup wrote is
        read where it lies.
        """
        if not outside_writes(sql):
            return self._for_replay(sql, node)
        statements = [statement.query for statement in duckdb.extract_statements(sql)]
        kept = [
            self._attached_for_reading(statement)
            for statement in statements
            if not is_left_out(statement)
        ]
        return "".join(self._for_replay(place, node) for place in kept)

    def _attached_for_reading(self, sql: str) -> str:
        """Return an ATTACH of a database that is there as it will run; other SQL as it is."""
        for write in outside_writes(sql):
            path = self.written.place(write.path) if write.kind == "attach" and write.path else None
            if path is not None and path.is_file() and path not in self.written:
                return f"{for_reading(sql)};"
        return sql

    def _for_replay(self, sql: str, node: str | None) -> str:
        if self.written.given is not None and self._reads.may_name_written(sql):
            sql = self._reads.led(sql, node, only_given=True)
        return self._reads.absolute(sql)

    def _run_one(
        self, text: str, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        writes = outside_writes(text)
        if not writes:
            return execute(self._reads.led(text, node))
        write = writes[0]
        if len(writes) > 1 or (write.kind in WRITES_FILES and write.position is None):
            raise self._refused(write, node, "name the file by a plain text, in a statement alone")
        if write.kind in WRITES_FILES:
            path = self.written.place(write.path or "")
            self.written.take_over(path)
            self.written.claim(path, node, text)
            result = execute(self._write_here(write, path, node))
            self.written.rewrite(path, node, text)
            self._note(
                f"{who_is(node)} writes {write.path}", "each candidate's own goes to a folder"
            )
            self._lead_views(path, connection)
            return result
        if write.kind == "attach":
            return execute(self._attach_here(write, node))
        if write.kind == "install":
            return self._install(write, node, connection, execute)
        if write.kind == "log":
            self._note(f"{who_is(node)}: {write.text()}", "it is left out")
            return execute("select 1")
        raise self._refused(write, node, "take it out of the project, or into a profile")

    # --- writing --------------------------------------------------------------

    def _write_here(self, write: Write, path: Path, node: str | None) -> str:
        """Return the statement with its own place to write to.

        Folders are there as they are where the project points: DuckDB makes none for a file.
        """
        if REMOTE.match(write.path or "") and not str(write.path).startswith("file:"):
            raise self._refused(write, node, "a file on this machine can be led elsewhere")
        self.written.make_folders(path)
        return self._led_to(write, path, node)

    def _attach_here(self, write: Write, node: str | None) -> str:
        """Return the statement for reading alone, or with a new database of the candidate's own."""
        if write.path is None:
            raise self._refused(write, node, "name the database by a plain text")
        path = self.written.place(write.path)
        is_new = not (REMOTE.match(write.path) or path.exists())
        self.written.take_over(path)
        if not is_new and path not in self.written:
            self.attached[write.path] = None
            self._note(f"{who_is(node)} attaches {write.path}", "it is attached for reading alone")
            return for_reading(write.statement)
        if path not in self.written:
            self.written.make_folders(path)
            self.written.claim(path, node, write.statement, is_database=True)
            self._note(
                f"{who_is(node)} makes {write.path}", "each candidate's own goes to a folder"
            )
        return self._led_to(write, path, node)

    def _led_to(self, write: Write, path: Path, node: str | None) -> str:
        own = str(self.written.here(path))
        return self._reads.led(write.statement, node, {write.position or 0: own})

    def _install(
        self, write: Write, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        """Leave out what is installed already; refuse the rest."""
        words = [token.name for token in tokenize(write.statement) if token.name]
        name = words[words.index("install") + 1] if "install" in words[:-1] else ""
        known = connection.execute(
            "select 1 from duckdb_extensions() where installed and extension_name = ?", [name]
        ).fetchall()
        if known and "force" not in words:
            return execute("select 1")
        raise self._refused(write, node, f"install it once by hand: duckdb -c 'install {name}'")

    def lead_views_of_setup(self, connection: Any) -> None:
        """Let views of the baseline read what the setup wrote, where that was brought."""
        for path in self.written:
            self._lead_views(path, connection)

    def _lead_views(self, path: Path, connection: Any) -> None:
        """Let views that read a file read the one that was written last."""
        views = connection.execute(
            "select sql from duckdb_views() where not internal and contains(sql, ?)", [path.name]
        ).fetchall()
        for (sql,) in views:
            led = self._reads.led(sql, None)
            if led != sql:
                connection.execute(re.sub(r"(?i)^create\s+", "create or replace ", led, count=1))

    # --- telling --------------------------------------------------------------

    def _note(self, what: str, becomes: str) -> None:
        self.notes[f"{what}; {becomes}, and the project's stays as it is"] = None

    def _refused(self, write: Write, node: str | None, advice: str) -> ScenarioError:
        return ScenarioError(
            f"{who_is(node)}: {write.text()}, {REFUSAL}; {advice}",
            stage=OUTSIDE,
            model=node,
        )
