"""Files that a project writes: each candidate's lie in a folder of its own.

A statement of the project that would write a file gets another place to write to, and whoever
reads that file later in the same run reads it there. What lies where the project points is never
touched. What cannot be led elsewhere with certainty is refused by name.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from search.errors import OUTSIDE, ScenarioError
from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.file_names import (
    MAYBE_READS,
    READER,
    REMOTE,
    WRITES_FILES,
    covers,
    for_reading,
    is_left_out,
    lists_relations,
    names_relation,
    who_is,
)
from search.scenario.setup_files import SetupFiles
from search.scenario.writes import REFUSAL, Write, outside_writes, plain_text

_LONGEST_PATH = 4096
_QUOTE = re.compile(r"['\"]")


@dataclass(frozen=True)
class Written:
    """A file or folder that the project wrote.

    Attributes:
        node: dbt's id of who wrote it; None for a hook that dbt does not name.
        statement: The statement, as the project has it.
        is_read: Whether somebody has read it since.
        is_database: Whether it is a database that was attached.
        is_given: Whether the setup wrote it, and it lies where all candidates read it.
    """

    node: str | None
    statement: str
    is_read: bool = False
    is_database: bool = False
    is_given: bool = False


class OwnFiles:
    """Leads the files of one run elsewhere.

    Args:
        project_dir: Where relative paths start.
        folder: Where the files go; it is made when the first one is written.
        given: What the setup wrote, which is there before the run; only read where it lies.
        on_reading: Told of a write once somebody reads the file again.
    """

    def __init__(
        self,
        project_dir: Path,
        folder: Path,
        *,
        given: SetupFiles | None = None,
        on_reading: Callable[[Written], None] = lambda written: None,
    ) -> None:
        self.folder = folder
        self.on_reading = on_reading
        self._project_dir = project_dir
        self.given = given
        self._written = self._of_setup()
        self.attached: dict[str, None] = {}
        """Databases that the project attached, as it names them, and that are only read."""
        self.notes: dict[str, None] = {}
        """What became of what the project writes, one sentence each."""

    def forget(self) -> None:
        """Begin anew: remove the files of the candidate before."""
        self._written = self._of_setup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of_setup(self) -> dict[Path, Written]:
        if self.given is None:
            return {}
        databases = self.given.databases
        return {
            Path(path): Written(node, "", is_database=path in databases, is_given=True)
            for path, node in self.given.writers.items()
        }

    def folders(self) -> tuple[Path, ...]:
        """Return where files lie that the project wrote."""
        return (self.folder, self.given.folder) if self.given else (self.folder,)

    def written(self) -> SetupFiles | None:
        """Return what was written so far, for whoever runs next; None when nothing was."""
        if not self._written:
            return None
        return SetupFiles(
            self.folder,
            self.folder,
            {str(path): written.node for path, written in self._written.items()},
            tuple(str(path) for path, written in self._written.items() if written.is_database),
        )

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
        return (
            self._read_here(self.absolute(sql), f"the study's {who}")
            if self._written
            else (self.absolute(sql))
        )

    def absolute(self, sql: str) -> str:
        """Return SQL that names files of the project in full.

        It then means the same wherever a process was started.
        """
        if not _QUOTE.search(sql):
            return sql
        tokens = tokenize(sql)
        new = {}
        for index in self._reading_tokens(tokens, None, ()):
            text = plain_text(tokens[index].text) or ""
            is_name = tokens[index].kind == "quoted" and not {".", "/"} & set(text)
            if not is_name and self._is_relative_file(text):
                new[index] = str(self._place(text))
        return _with_paths(tokens, new)

    def _is_relative_file(self, text: str) -> bool:
        if not text.strip("./") or len(text) > _LONGEST_PATH or REMOTE.match(text):
            return False
        if text.startswith(("/", "~")):
            return False
        place = self._project_dir / text
        is_there = place.is_file() or place in self._written
        return is_there or (glob.has_magic(text) and bool(glob.glob(str(place), recursive=True)))

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
            path = self._place(write.path) if write.kind == "attach" and write.path else None
            if path is not None and path.is_file() and path not in self._written:
                return f"{for_reading(sql)};"
        return sql

    def _for_replay(self, sql: str, node: str | None) -> str:
        if self.given is not None and self._may_name_written(sql):
            sql = self._read_here(sql, node, only_given=True)
        return self.absolute(sql)

    def _may_name_written(self, sql: str) -> bool:
        if not self._written:
            return False
        mentions = any(path.name in sql for path in self._written)
        return mentions or bool(MAYBE_READS.search(sql))

    def _run_one(
        self, text: str, node: str | None, connection: Any, execute: Callable[[str], Any]
    ) -> Any:
        writes = outside_writes(text)
        if not writes:
            return execute(self._read_here(text, node))
        write = writes[0]
        if len(writes) > 1 or (write.kind in WRITES_FILES and write.position is None):
            raise self._refused(write, node, "name the file by a plain text, in a statement alone")
        if write.kind in WRITES_FILES:
            path = self._place(write.path or "")
            self._take_over(path)
            self._written.setdefault(path, Written(node, text))
            result = execute(self._write_here(write, path, node))
            self._written[path] = replace(self._written[path], node=node, statement=text)
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

    def _place(self, path: str) -> Path:
        plain = path.removeprefix("file://")
        place = Path(os.path.normpath(self._project_dir / Path(plain).expanduser()))
        for own in (self.given.folder, self.given.home) if self.given else ():
            if place.is_relative_to(own):  # as a view of the setup names it
                return Path("/") / place.relative_to(own)
        return place

    def _here(self, path: Path) -> Path:
        return self.folder / path.relative_to("/")

    def _there(self, path: Path) -> Path:
        """Return where what the setup wrote lies."""
        assert self.given is not None
        return self.given.folder / path.relative_to("/")

    def _take_over(self, asked: Path) -> None:
        """Make what the setup wrote the candidate's own, before it changes."""
        for path, written in list(self._written.items()):
            if written.is_given and covers(asked, path):
                self._make_folders(path)
                here, there = self._here(path), self._there(path)
                if there.is_dir():
                    shutil.copytree(there, here, copy_function=shutil.copyfile)
                else:
                    shutil.copyfile(there, here)
                self._written[path] = replace(written, is_given=False)

    def _write_here(self, write: Write, path: Path, node: str | None) -> str:
        """Return the statement with its own place to write to.

        Folders are there as they are where the project points: DuckDB makes none for a file.
        """
        if REMOTE.match(write.path or "") and not str(write.path).startswith("file:"):
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
        is_new = not (REMOTE.match(write.path) or path.exists())
        self._take_over(path)
        if not is_new and path not in self._written:
            self.attached[write.path] = None
            self._note(f"{who_is(node)} attaches {write.path}", "it is attached for reading alone")
            return for_reading(write.statement)
        if path not in self._written:
            self._make_folders(path)
            self._written[path] = Written(node, write.statement, is_database=True)
            self._note(
                f"{who_is(node)} makes {write.path}", "each candidate's own goes to a folder"
            )
        return self._read_here(write.statement, node, {write.position or 0: str(self._here(path))})

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

    # --- reading again --------------------------------------------------------

    def _read_here(
        self,
        text: str,
        node: str | None,
        places: dict[int, str] | None = None,
        *,
        only_given: bool = False,
    ) -> str:
        """Return a statement that reads what was written where it was written.

        Args:
            text: The statement.
            node: Who sends it.
            places: Paths for tokens of it, by their number.
            only_given: Whether that counts for what the setup wrote alone.
        """
        tokens = tokenize(text)
        new = dict(places or {})
        if self._written:
            for index in self._reading_tokens(tokens, node, places or {}):
                text_there = plain_text(tokens[index].text) or ""
                if path := self._led(text_there, node, only_given=only_given):
                    new[index] = path
        return _with_paths(tokens, new)

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
            is_listing = lists_relations(token, is_listing)
            if token.text == "(":
                is_reader = before is not None and bool(READER.fullmatch(before.name or ""))
                if is_reader:
                    self._require_plain(tokens, places[number + 1 :], node)
                open_calls.append((is_reader, is_listing))
            elif token.text == ")" and open_calls:
                is_listing = open_calls.pop()[1]
            elif place not in known and token.kind in ("string", "quoted", "word"):
                is_relation = before is not None and names_relation(before, is_listing)
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
        if not self._written:
            return
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
                    f"{who_is(node)} reads files by a computed name, after {who_is(written.node)} "
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
        if not self._written:
            return
        text = plain_text(token.text) or ""
        asked = self._place(text) if 0 < len(text) < _LONGEST_PATH else None
        if asked in self._written or any(
            path.name in text and " " in text and MAYBE_READS.search(text) for path in self._written
        ):
            raise ScenarioError(
                f"{who_is(node)} names {text!r}, which an earlier statement wrote: {REFUSAL}, "
                "because it cannot be told whether the file is read; read it in FROM or by a "
                "reader such as read_csv",
                stage=OUTSIDE,
                model=node,
            )

    def _led(self, text: str, node: str | None, *, only_given: bool) -> str | None:
        """Return where a path that was written is, and tell that it is read."""
        if not text.strip("./") or len(text) > _LONGEST_PATH or REMOTE.match(text):
            return None
        asked = self._place(text)
        hits = [path for path in self._written if covers(asked, path)]
        if not hits:
            return None
        self._require_all_ours(asked, hits, node)
        is_given = all(self._written[path].is_given for path in hits)
        if is_given:
            return str(self._there(asked))
        if only_given:
            return None
        self._take_over(asked)
        for path in hits:
            self._tell_reading(path)
        return str(self._here(asked))

    def _require_all_ours(self, asked: Path, hits: list[Path], node: str | None) -> None:
        """Refuse a pattern that matches files of the project beside those that were written."""
        if asked in hits and not asked.is_dir():
            return
        pattern = str(asked / "**") if asked.is_dir() else str(asked)
        others = [
            path
            for path in map(Path, glob.glob(pattern, recursive=True))
            if path.is_file() and path not in hits
        ]
        if others:
            raise ScenarioError(
                f"{who_is(node)} reads {asked}, which is in part written by "
                f"{who_is(self._written[hits[0]].node)} and in part as it was ({others[0]}): "
                f"{REFUSAL}; let the one write to a folder of its own",
                stage=OUTSIDE,
                model=node,
            )

    def _tell_reading(self, path: Path) -> None:
        written = self._written[path]
        if written.is_database or written.is_read:
            return
        self._written[path] = replace(written, is_read=True)
        self.on_reading(written)

    def lead_views_of_setup(self, connection: Any) -> None:
        """Let views of the baseline read what the setup wrote, where that was brought."""
        for path in self._written:
            self._lead_views(path, connection)

    def _lead_views(self, path: Path, connection: Any) -> None:
        """Let views that read a file read the one that was written last."""
        views = connection.execute(
            "select sql from duckdb_views() where not internal and contains(sql, ?)", [path.name]
        ).fetchall()
        for (sql,) in views:
            led = self._read_here(sql, None)
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


def _with_paths(tokens: list[Token], new: Mapping[int, str]) -> str:
    """Return the text of tokens with other paths in place of some strings, by their number."""
    return "".join(
        "'" + new[i].replace("'", "''") + "'" if i in new else token.text
        for i, token in enumerate(tokens)
    )
