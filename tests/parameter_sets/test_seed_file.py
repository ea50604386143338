"""Editing a CSV file leaves all of it as it was but what was changed."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import ProjectError
from search.parameter_sets.seed_file import SeedFile

PATH = Path("levers.csv")
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6
    ).filter(lambda rows: all(any(row) for row in rows))
)


def text_of(rows: list[list[str]], *, end: str, is_ended: bool) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows(rows)
    text = out.getvalue()
    return (text if is_ended else text.removesuffix(end)).encode()


@given(rows=TABLES, end=st.sampled_from(["\n", "\r\n"]), is_ended=st.booleans())
def test_what_is_not_changed_stays_to_the_byte(
    rows: list[list[str]], end: str, is_ended: bool
) -> None:
    content = text_of(rows, end=end, is_ended=is_ended)
    seed = SeedFile(PATH, content)
    assert seed.content == content
    assert [list(row.cells) for row in seed.rows] == rows[1:]


@given(rows=TABLES, end=st.sampled_from(["\n", "\r\n"]), is_ended=st.booleans(), data=st.data())
def test_rows_put_in_and_taken_out_again_leave_the_file_as_it_was(
    rows: list[list[str]], end: str, is_ended: bool, data: st.DataObject
) -> None:
    content = text_of(rows, end=end, is_ended=is_ended)
    seed = SeedFile(PATH, content)
    after = data.draw(st.integers(-1, len(seed.rows) - 1))
    new = ["x"] * len(seed.columns)
    seed.put([], [",".join(new)], after=after)
    again = SeedFile(PATH, seed.content)
    assert [list(row.cells) for row in again.rows] == [
        *rows[1 : after + 2], new, *rows[after + 2 :]
    ]  # fmt: skip
    again.put([after + 1], [], after=-1)
    assert again.content == content


def test_numbers_written_in_another_way_are_the_same() -> None:
    seed = SeedFile(PATH, b"lever,value\na,0.040\nb,0.05\n")
    assert seed.matching({"value": "0.04"}) == [0]
    assert seed.matching({"lever": "b"}) == [1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must begin with a line of column names"),
        (b"a,b\n1\n", "line 2 must have 2 values like the header, but has 1"),
        (b"a,b\n1,\xff\n", "must be UTF-8 text, but byte 6 is not"),
        (b'a,b\n"1,2\n', "must be CSV, but line 2"),
    ],
)
def test_what_is_no_seed_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(ProjectError, match=says):
        SeedFile(PATH, content)
