"""Files that a project writes: each candidate's lie in a folder of its own.

A statement of the project that would write a file gets another place to write to, and whoever
reads that file later in the same run reads it there. What lies where the project points is never
touched. What cannot be led elsewhere with certainty is refused by name.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shutil
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import OUTSIDE, ScenarioError
from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.writes import REFUSAL, Write, outside_writes, plain_text

_READER = re.compile(r"read_\w+|parquet_\w+|\w+_scan|glob|sniff_csv|st_read\w*|query_table")
"""Functions that read files, by their names."""
_MAYBE_READS = re.compile(r"read_|parquet_|_scan|glob|sniff|from|join|attach|import", re.IGNORECASE)
_REMOTE = re.compile(r"\w{2,}:")
_MAGIC = re.compile(r"[*?\[]")
_LONGEST_PATH = 4096
_WRITES_FILES = ("copy", "export")


@dataclass(frozen=True)
class Written:
    """A file or folder that the project wrote.

    Attributes:
        node: dbt's id of who wrote it; None for a hook that dbt does not name.
        statement: The statement, as the project has it.
        is_read: Whether somebody has read it since.
        is_database: Whether it is a database that was attached.
    """

    node: str | None
    statement: str
    is_read: bool = False
    is_database: bool = False


class OwnFiles:
    """Leads the files of one run elsewhere.

    Args:
        project_dir: Where relative paths start.
        folder: Where the files go; it is made when the first one is written.
        is_kept: Whether the files outlive the run as long as its database: else what reads one
            again is refused, because the database would point at a file that is gone.
        on_reading: Told of a write once somebody reads the file again.
    """

    def __init__(
        self,
        project_dir: Path,
        folder: Path,
        *,
        is_kept: bool,
        on_reading: Callable[[Written], None] = lambda written: None,
    ) -> None:
        self.folder = folder
        self.on_reading = on_reading
        self._project_dir = project_dir
        self._is_kept = is_kept
        self._written: dict[Path, Written] = {}
        self.attached: dict[str, None] = {}
        """Databases that the project attached, as it names them, and that are only read."""
        self.notes: dict[str, None] = {}
        """What became of what the project writes, one sentence each."""

    def forget(self) -> None:
        """Begin anew: remove the files of the candidate before."""
        self._written.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

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
        if not outside_writes(sql) and not self._may_name_written(sql):
            return execute(sql)
        result = None
        for statement in duckdb.extract_statements(sql):
            result = self._run_one(statement.query, node, connection, execute)
        return result

    def led(self, sql: str, who: str) -> str:
        """Return SQL of the study's author that reads what was written where it was written."""
        return self._read_here(sql, f"the study's {who}") if self._written else sql

    def observed(self, sql: str) -> str:
        """Return the SQL without statements whose files nobody has read so far."""
        if not outside_writes(sql):
            return sql
        kept = [one.query for one in duckdb.extract_statements(sql) if not _is_left_out(one.query)]
        return "".join(kept)

    def _may_name_written(self, sql: str) -> bool:
        if not self._written:
            return False
        mentions = any(path.name in sql for path in self._written)
        return mentions or bool(_MAYBE_READS.search(sql))

    def _run_one(
        self, text: str, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        writes = outside_writes(text)
        if not writes:
            return execute(self._read_here(text, node))
        write = writes[0]
        if len(writes) > 1 or (write.kind in _WRITES_FILES and write.position is None):
            raise self._refused(write, node, "name the file by a plain text, in a statement alone")
        if write.kind in _WRITES_FILES:
            path = self._place(write.path or "")
            self._written.setdefault(path, Written(node, text))
            result = execute(self._write_here(write, path, node))
            self._written[path] = replace(self._written[path], node=node, statement=text)
            self._note(f"{_who(node)} writes {write.path}", "each candidate's own goes to a folder")
            self._lead_views(path, connection)
            return result
        if write.kind == "attach":
            return execute(self._attach_here(write, node))
        if write.kind == "install":
            return self._install(write, node, connection, execute)
        if write.kind == "log":
            self._note(f"{_who(node)}: {write.text()}", "it is left out")
            return execute("select 1")
        raise self._refused(write, node, "take it out of the project, or into a profile")

    # --- writing --------------------------------------------------------------

    def _place(self, path: str) -> Path:
        plain = path.removeprefix("file://")
        return Path(os.path.normpath(self._project_dir / Path(plain).expanduser()))

    def _here(self, path: Path) -> Path:
        return self.folder / path.relative_to("/")

    def _write_here(self, write: Write, path: Path, node: str | None) -> str:
        """Return the statement with its own place to write to.

        Folders are there as they are where the project points: DuckDB makes none for a file.
        """
        if _REMOTE.match(write.path or "") and not str(write.path).startswith("file:"):
            raise self._refused(write, node, "a file on this machine can be led elsewhere")
        self._make_folders(path)
        return self._read_here(write.statement, node, {write.position or 0: str(self._here(path))})

    def _make_folders(self, path: Path) -> None:
        there = next(parent for parent in path.parents if parent.is_dir())
        self._here(there).mkdir(parents=True, exist_ok=True)

    def _attach_here(self, write: Write, node: str | None) -> str:
        """Return the statement for reading alone, or with a new database of the candidate's own."""
        if write.path is None:
            raise self._refused(write, node, "name the database by a plain text")
        path = self._place(write.path)
        is_new = not (_REMOTE.match(write.path) or path.exists())
        if not is_new and path not in self._written:
            self.attached[write.path] = None
            self._note(f"{_who(node)} attaches {write.path}", "it is attached for reading alone")
            return _for_reading(write.statement)
        if path not in self._written:
            self._make_folders(path)
            self._written[path] = Written(node, write.statement, is_database=True)
            self._note(f"{_who(node)} makes {write.path}", "each candidate's own goes to a folder")
        return self._read_here(write.statement, node, {write.position or 0: str(self._here(path))})

    def _install(
        self, write: Write, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        """Leave out what is installed already; refuse the rest."""
        words = [one.name for one in tokenize(write.statement) if one.name]
        name = words[words.index("install") + 1] if "install" in words[:-1] else ""
        known = connection.execute(
            "select 1 from duckdb_extensions() where installed and extension_name = ?", [name]
        ).fetchall()
        if known and "force" not in words:
            return execute("select 1")
        raise self._refused(write, node, f"install it once by hand: duckdb -c 'install {name}'")

    # --- reading again --------------------------------------------------------

    def _read_here(self, text: str, node: str | None, places: dict[int, str] | None = None) -> str:
        """Return a statement that reads what was written where it was written.

        Args:
            text: The statement.
            node: Who sends it.
            places: Paths for tokens of it, by their number.
        """
        tokens = tokenize(text)
        new = dict(places or {})
        if self._written:
            for index in self._reading_tokens(tokens, node, places or {}):
                if path := self._led(plain_text(tokens[index].text) or "", node):
                    new[index] = path
        return "".join(
            "'" + new[i].replace("'", "''") + "'" if i in new else token.text
            for i, token in enumerate(tokens)
        )

    def _reading_tokens(
        self, tokens: list[Token], node: str | None, known: Container[int]
    ) -> Iterator[int]:
        """Yield the numbers of the strings that name files to read, but for known ones."""
        places = [i for i, token in enumerate(tokens) if token.is_significant]
        open_calls: list[tuple[bool, bool]] = []  # whether it reads files, whether FROM is open
        is_listing = False
        for number, place in enumerate(places):
            token = tokens[place]
            before = tokens[places[number - 1]] if number else None
            is_listing = _lists_relations(token, is_listing)
            if token.text == "(":
                is_reader = before is not None and bool(_READER.fullmatch(before.name or ""))
                if is_reader:
                    self._require_plain(tokens, places[number + 1 :], node)
                open_calls.append((is_reader, is_listing))
            elif token.text == ")" and open_calls:
                is_listing = open_calls.pop()[1]
            elif place not in known and token.kind in ("string", "quoted", "word"):
                is_relation = before is not None and _names_relation(before, is_listing)
                reads = token.kind == "string" and any(is_reader for is_reader, _ in open_calls)
                if token.kind == "word":
                    if is_relation:
                        self._require_no_dotted(tokens, places[number:], node)
                elif reads or is_relation:
                    yield place
                elif token.kind == "string":
                    self._require_no_mention(token, node)

    def _require_plain(self, tokens: list[Token], places: list[int], node: str | None) -> None:
        """Refuse a reader whose files are computed: they may be what was written."""
        depth = 0
        previous = ","
        for place in places:
            text = tokens[place].text
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text, 0)
            is_plain = tokens[place].kind == "string" or text in ("[", "]", ",", "(")
            if depth < 0 or (depth == 0 and text == ","):
                return
            if not is_plain or (tokens[place].kind == "string" and previous not in ",[("):
                path, written = next(iter(self._written.items()))
                raise ScenarioError(
                    f"{_who(node)} reads files by a computed name, after {_who(written.node)} "
                    f"wrote {path}: {REFUSAL}, because it cannot be told whether it is that one; "
                    "name the file plainly",
                    stage=OUTSIDE,
                    model=node,
                )
            previous = text

    def _require_no_dotted(self, tokens: list[Token], places: list[int], node: str | None) -> None:
        """Refuse a written file that is named without quotes, as in ``from out.csv``."""
        name = ""
        for place in places:
            token = tokens[place]
            if (token.kind == "word") != (name == "" or name.endswith(".")):
                break
            if token.kind != "word" and token.text != ".":
                break
            name += token.text
        if self._place(name) in self._written:
            self._require_no_mention(Token("string", f"'{name}'"), node)

    def _require_no_mention(self, token: Token, node: str | None) -> None:
        """Refuse a written file's name where it may be read by a macro or a computed query."""
        text = plain_text(token.text) or ""
        asked = self._place(text) if 0 < len(text) < _LONGEST_PATH else None
        if asked in self._written or any(
            path.name in text and " " in text and _MAYBE_READS.search(text)
            for path in self._written
        ):
            raise ScenarioError(
                f"{_who(node)} names {text!r}, which an earlier statement wrote: {REFUSAL}, "
                "because it cannot be told whether the file is read; read it in FROM or by a "
                "reader such as read_csv",
                stage=OUTSIDE,
                model=node,
            )

    def _led(self, text: str, node: str | None) -> str | None:
        """Return where a path that was written is, and tell that it is read."""
        if not text.strip("./") or len(text) > _LONGEST_PATH or _REMOTE.match(text):
            return None
        asked = self._place(text)
        hits = [path for path in self._written if _covers(asked, path)]
        if not hits:
            return None
        self._require_all_ours(asked, hits, node)
        for path in hits:
            self._tell_reading(path, node)
        return str(self._here(asked))

    def _require_all_ours(self, asked: Path, hits: list[Path], node: str | None) -> None:
        """Refuse a pattern that matches files of the project beside those that were written."""
        if asked in hits and not asked.is_dir():
            return
        pattern = str(asked / "**") if asked.is_dir() else str(asked)
        others = [
            one
            for one in map(Path, glob.glob(pattern, recursive=True))
            if one.is_file() and one not in hits
        ]
        if others:
            raise ScenarioError(
                f"{_who(node)} reads {asked}, which is in part written by "
                f"{_who(self._written[hits[0]].node)} and in part as it was ({others[0]}): "
                f"{REFUSAL}; let the one write to a folder of its own",
                stage=OUTSIDE,
                model=node,
            )

    def _tell_reading(self, path: Path, node: str | None) -> None:
        written = self._written[path]
        if written.is_database:
            return
        if not self._is_kept:
            raise ScenarioError(
                f"{_who(node)} reads {path}, which {_who(written.node)} writes: {REFUSAL} here, "
                "where the database is kept and the file is not; build both in scenario.steps, or "
                "as tables",
                stage=OUTSIDE,
                model=written.node,
            )
        if not written.is_read:
            self._written[path] = replace(written, is_read=True)
            self.on_reading(written)

    def _lead_views(self, path: Path, connection: Any) -> None:
        """Let views that read a file read the one that was just written instead."""
        found = connection.execute(
            "select sql from duckdb_views() where not internal and contains(sql, ?)", [path.name]
        ).fetchall()
        for (sql,) in found:
            led = self._read_here(sql, None)
            if led != sql:
                connection.execute(re.sub(r"(?i)^create\s+", "create or replace ", led, count=1))

    # --- telling --------------------------------------------------------------

    def _note(self, what: str, becomes: str) -> None:
        self.notes[f"{what}; {becomes}, and the project's stays as it is"] = None

    def _refused(self, write: Write, node: str | None, advice: str) -> ScenarioError:
        return ScenarioError(
            f"{_who(node)}: {write.text()}, {REFUSAL}; {advice}",
            stage=OUTSIDE,
            model=node,
        )


def _lists_relations(token: Token, is_listing: bool) -> bool:
    """Whether strings are relations here: between FROM and the clause that follows."""
    word = token.text.lower() if token.kind == "word" else ""
    if word in ("from", "join"):
        return True
    ends = ("where", "select", "group", "order", "on", "limit", "values", "set", "having", "using")
    return is_listing and word not in ends


def _names_relation(before: Token, is_listing: bool) -> bool:
    word = before.text.lower()
    starts = ("from", "join", "database", "attach", "exists", "summarize", "describe")
    return word in starts or (is_listing and before.text == ",")


def _covers(asked: Path, written: Path) -> bool:
    """Whether a path or pattern that is read includes what was written."""
    if asked == written or asked.is_relative_to(written) or written.is_relative_to(asked):
        return True
    is_pattern = bool(_MAGIC.search(str(asked)))
    return is_pattern and (
        fnmatch.fnmatch(str(written), str(asked)) or str(asked).startswith(f"{written}/")
    )


def _is_left_out(statement: str) -> bool:
    return any(
        write.kind in (*_WRITES_FILES, "log", "install") for write in outside_writes(statement)
    )


def _for_reading(statement: str) -> str:
    """Return an ATTACH with READ_ONLY."""
    plain = re.sub(r"(?i),?\s*\bread_write\b|,?\s*\bread_only\s+\S*?(?=[,)\s])", "", statement)
    plain = plain.strip().rstrip(";").rstrip()
    if plain.endswith(")") and "(" in plain:
        head, _, options = plain[:-1].rpartition("(")
        return f"{head}({options}, READ_ONLY)" if options.strip() else f"{head}(READ_ONLY)"
    return f"{plain} (READ_ONLY)"


def _who(node: str | None) -> str:
    """Return the name of a node for people: model exported_sales, hook of shop-on-run-end-0."""
    if node is None:
        return "a hook of the project"
    if " " in node:
        return node
    kind, _, name = node.partition(".")
    short = name.rsplit(".", 1)[-1]
    return f"hook {short}" if kind == "operation" else f"{kind} {short}"
