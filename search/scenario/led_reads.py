"""SQL that reads what the project wrote where it was written, or is refused by name."""

from __future__ import annotations

import glob
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from search.errors import OUTSIDE, ScenarioError
from search.scenario.compiled.lexer import Token, tokenize
from search.scenario.file_names import (
    MAYBE_READS,
    READER,
    REMOTE,
    covers,
    lists_relations,
    names_relation,
    who_is,
)
from search.scenario.writes import REFUSAL, plain_text
from search.scenario.written_files import WrittenFiles
from search.system.sql_text import literal

_LONGEST_PATH = 4096
_QUOTE = re.compile(r"['\"]")


class LedReads:
    """Leads statements to the files of one run.

    Args:
        written: What the run wrote so far.
    """

    def __init__(self, written: WrittenFiles) -> None:
        self._written = written

    def may_name_written(self, sql: str) -> bool:
        """Whether SQL may read what was written; False is certain."""
        if not self._written:
            return False
        mentions = any(path.name in sql for path in self._written)
        return mentions or bool(MAYBE_READS.search(sql))

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
                new[index] = str(self._written.place(text))
        return _with_paths(tokens, new)

    def _is_relative_file(self, text: str) -> bool:
        if not text.strip("./") or len(text) > _LONGEST_PATH or REMOTE.match(text):
            return False
        if text.startswith(("/", "~")):
            return False
        place = self._written.project_dir / text
        is_there = place.is_file() or place in self._written
        return is_there or (glob.has_magic(text) and bool(glob.glob(str(place), recursive=True)))

    def led(
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
        if self._written.place(name) in self._written:
            self._require_no_mention(Token("string", f"'{name}'"), node)

    def _require_no_mention(self, token: Token, node: str | None) -> None:
        """Refuse a written file's name where it may be read by a macro or a computed query."""
        if not self._written:
            return
        text = plain_text(token.text) or ""
        asked = self._written.place(text) if 0 < len(text) < _LONGEST_PATH else None
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
        asked = self._written.place(text)
        hits = [path for path in self._written if covers(asked, path)]
        if not hits:
            return None
        self._require_all_ours(asked, hits, node)
        is_given = all(self._written[path].is_given for path in hits)
        if is_given:
            return str(self._written.there(asked))
        if only_given:
            return None
        self._written.take_over(asked)
        for path in hits:
            self._written.tell_reading(path)
        return str(self._written.here(asked))

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


def _with_paths(tokens: list[Token], new: Mapping[int, str]) -> str:
    """Return the text of tokens with other paths in place of some strings, by their number."""
    return "".join(literal(new[i]) if i in new else token.text for i, token in enumerate(tokens))
