"""Rows that an incremental model writes twice are written once, where that is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from isolations import ISOLATIONS
from sql_scenario import Compiled, Script, run_plainly

SETUP = ["create table raw as select range as k, range * 0.1 as v from range(50)"]
MODEL = "create table t as select k, v * {x} as v from raw"
NEW = "create temporary table new as (select k + 100 as k, v + {x} as v from raw)"
PASS = 'insert into t ("k", "v") ( select "k", "v" from "new" )'

PASSED_ON = {
    "as dbt writes it": [MODEL, NEW, PASS],
    "without columns and parentheses": [MODEL, NEW, "insert into t select k, v from new"],
    "order inside a window": [
        MODEL,
        NEW.replace("v + {x}", "sum(v + {x}) over (order by k)"),
        PASS,
    ],
    "after a change of what it reads": [
        MODEL,
        "create table own as select * from raw where v <> {x}",
        "update own set v = v + {x} where k = 3",
        NEW.replace("raw", "own"),
        PASS,
    ],
}
STAYS = {
    "read twice": [MODEL, NEW, "delete from t where k in (select k from new)", PASS],
    "reads the model": [MODEL, NEW.replace("from raw", "from t"), PASS],
    "ordered": [MODEL, NEW.replace("from raw", "from raw order by v desc"), PASS],
    "limited": [MODEL, NEW.replace("from raw", "from raw limit 3"), PASS],
    "some of the rows": [MODEL, NEW, "insert into t select k, v from new where k < 120"],
    "computed on": [MODEL, NEW, "insert into t select k, v + 1 from new"],
    "all columns by a star": [MODEL, NEW, "insert into t select * from new"],
    "what it reads changes in between": [
        MODEL,
        "create table own as select * from raw where v <> {x}",
        NEW.replace("raw", "own"),
        "update own set v = v + {x} where k = 3",
        PASS,
        "insert into t select k, v from own",
    ],
    "changed itself": [MODEL, NEW, "update new set v = v + 1", PASS],
    "reached by no parameter": [MODEL, NEW.replace("{x}", "1"), PASS],
    "not temporary": [MODEL, NEW.replace("temporary ", ""), PASS],
}


@pytest.mark.parametrize("case", [*PASSED_ON, *STAYS])
def test_rows_are_written_once_where_that_is_the_same(case: str, tmp_path: Path) -> None:
    lines = (PASSED_ON | STAYS)[case]
    metrics = {
        "sum": "select sum(v * (k + 1)) + count(*) from t",
        "order": "select sum(v * r) from (select v, row_number() over () as r from t)",
    }
    script = Script(SETUP, lines, metrics)
    compiled = Compiled(script, tmp_path)
    assert bool(compiled.program.passed_on) == (case in PASSED_ON)
    for isolation in ISOLATIONS:
        replay = compiled.replay(isolation)
        try:
            for values in ({"x": 0.25}, {"x": -3.0}):
                expected = run_plainly(script, compiled.baseline, values)
                assert compiled.metrics(replay, values) == expected
        finally:
            replay.close()
