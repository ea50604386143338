"""Every mistake in a study file: one SpecError with file, key, line and words for people."""

# ruff: noqa: E501 - the table of bad inputs reads best with one a line

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import SpecError
from search.study import load_study, study_from_document

GOOD = """\
study: compensation-2026
scenario:
  dbt_project: ../dbt
  vars: {scenario_id: baseline, start: 2026-01-01, none: null}
  setup:
    - dbt: {command: seed}
  steps:
    - for_each: {simulation_year: [2026, 2027]}
      dbt: {command: build, select: "tag:simulation"}
    - sql: "select 1"
  replications: {var: random_seed, values: [1, 2]}
parameters:
  merit: {low: 0.0, high: 0.08, step: 0.0005, current: 0.035, unit: fraction, bind: {var: merit}}
  age: {low: 20, high: 60, step: 5, current: 30, bind: {var: age}}
  scale: {low: 0.01, high: 10.0, log: true, current: 1.0, bind: {table: levers, column: v, where: "n = 1"}}
  timing: {choices: [january, anniversary], current: january, bind: {var: timing}}
constraints:
  - merit * 10 <= age
metrics:
  cost: {sql: "select 1", unit: USD}
  growth: {sql: "select 2", after: each, combine: each}
  heads: {sql: "select {{ year }}", for_each: {year: [1, 2]}}
targets:
  cost: {value: 50_000_000, tolerance: 1e-3, priority: high}
  growth: {value: {2026: 0.03, 2027: 0.02}}
  heads@1: {at_most: 7}
search: {timeout: 20m, confirm_seeds: 5}
resources: {memory_budget: 4GB, workers: 2}
storage: sqlite:///results/study.db
"""

# (text of the good file, what stands there instead, key at fault, parts of the message)
BAD: list[tuple[str, str, str, list[str]]] = [
    # the study
    ("study: compensation-2026", "study: a/b", "study", ["letters", "'a/b'"]),
    ("study: compensation-2026", "study: 5", "study", ["letters", "got 5"]),
    ("study: compensation-2026", "studdy: x", "studdy", ["unknown key `studdy`", "did you mean `study`"]),
    ("storage: sqlite:///results/study.db", "storage: sqlite://", "storage", ["lasting database"]),
    ("storage: sqlite:///results/study.db", "storage: mysql://u:secret@h/d", "storage", ["u:***@h"]),
    # the scenario
    ("  dbt_project: ../dbt", "  dbt_project: 7", "scenario.dbt_project", ["must be a path", "got 7"]),
    ("  dbt_project: ../dbt", "  dbt_projects: x", "scenario.dbt_projects", ["did you mean `dbt_project`"]),
    ("command: seed}", "command: sed}", "scenario.setup[0].dbt.command", ["run, build, seed", "mean `seed`"]),
    ('- sql: "select 1"', "- {}", "scenario.steps[1]", ["exactly one of dbt and sql", "neither"]),
    ('- sql: "select 1"', "- sql: ''", "scenario.steps[1].sql", ["must be SQL text"]),
    ('- sql: "select 1"', "- dbt: {command: run, selects: x}", "scenario.steps[1].dbt.selects",
     ["allowed are command, select", "did you mean `select`"]),
    ('- sql: "select 1"', "- dbt: {command: run, select: 5}", "scenario.steps[1].dbt.select", ["selection text"]),
    ("{simulation_year: [2026, 2027]}", "{simulation_year: [2026, 2026]}",
     "scenario.steps[0].for_each.simulation_year", ["unique", "2026 stands twice"]),
    ("{simulation_year: [2026, 2027]}", "{simulation_year: []}",
     "scenario.steps[0].for_each.simulation_year", ["list of 1 to 1000"]),
    ("{simulation_year: [2026, 2027]}", "{a: [1], b: [2]}", "scenario.steps[0].for_each", ["exactly one name"]),
    ("{simulation_year: [2026, 2027]}", "{merit: [1, 2]}", "scenario.steps[0].for_each.merit",
     ["var of parameter `merit`", "overwrite"]),
    ("values: [1, 2]}", "values: []}", "scenario.replications.values", ["at least 1 entries"]),
    ("values: [1, 2]}", "values: [1, '1']}", "scenario.replications.values", ["unique"]),
    ("{var: random_seed,", "{var: simulation_year,", "scenario.replications.var", ["set by a step"]),
    ("{var: random_seed,", "{var: 'a b',", "scenario.replications.var", ["a name must be", "'a b'"]),
    # parameters
    ("low: 0.0, high: 0.08,", "low: 0.09, high: 0.08,", "parameters.merit.low",
     ["`low < high` must hold", "low 0.09 and high 0.08"]),
    ("low: 0.0, high: 0.08,", "low: '0', high: 0.08,", "parameters.merit.low", ["without quotes"]),
    ("low: 0.0, high: 0.08,", "low: true, high: 0.08,", "parameters.merit.low", ["a number", "got true"]),
    ("low: 0.0, high: 0.08,", "high: 0.08,", "parameters.merit.low", ["`low` is required"]),
    ("low: 0.0, high: 0.08,", "min: 0.0, high: 0.08,", "parameters.merit.min", ["unknown key `min`"]),
    ("low: 0.0, high: 0.08,", "low: -.inf, high: 0.08,", "parameters.merit.low", ["finite", "'-.inf'"]),
    ("low: 0.0, high: 0.08,", "low: 0.0, high: .nan,", "parameters.merit.high", ["finite", "'.nan'"]),
    ("low: 0.0, high: 0.08,", "low: 0.0, high: 99999999999999999999,", "parameters.merit.high", ["64 bits"]),
    ("step: 0.0005,", "step: 0.0003,", "parameters.merit.step", ["must divide", "0.0798 or 0.0801"]),
    ("step: 0.0005,", "step: 0,", "parameters.merit.step", ["`step > 0`", "got 0"]),
    ("step: 0.0005,", "step: 1e-15,", "parameters.merit.step", ["at least (high - low) / 1e9"]),
    ("current: 0.035,", "current: 0.09,", "parameters.merit.current", ["between low 0.0 and high 0.08"]),
    ("current: 0.035,", "current: 0.0351,", "parameters.merit.current", ["whole steps of 0.0005", "0.0351"]),
    ("current: 0.035,", "current: january,", "parameters.merit.current", ["must be a number"]),
    ("current: 0.035,", "", "parameters.merit.current", ["`current` is required"]),
    ("step: 5, current: 30,", "step: 2.5, type: integer, current: 30,", "parameters.age.step", ["whole number"]),
    ("low: 0.01, high: 10.0, log", "low: 0.0, high: 10.0, log", "parameters.scale.low", ["`low > 0`", "log"]),
    ("log: true, current", "log: true, step: 0.01, current", "parameters.scale.step", ["does not go with log"]),
    ("log: true", "log: 1", "parameters.scale.log", ["true or false", "got 1"]),
    ('n = 1"}', 'n = 1; drop table x"}', "parameters.scale.bind.where", ["without `;`"]),
    ("{table: levers,", '{table: "a b",', "parameters.scale.bind.table", ["table's name"]),
    (", column: v,", ", ", "parameters.scale.bind.column", ["`column` is required"]),
    ("{table: levers,", "{var: x, table: levers,", "parameters.scale.bind", ["either {var", "got both"]),
    ("bind: {var: age}", "bind: {}", "parameters.age.bind", ["either {var", "got neither"]),
    ("bind: {var: age}", "bind: []", "parameters.age.bind", ["at least 1"]),
    ("bind: {var: age}", "bind: age", "parameters.age.bind", ["must be a list"]),
    (", bind: {var: age}", "", "parameters.age.bind", ["`bind` is required", "Where the value goes"]),
    ("bind: {var: age}", "bind: {var: merit}", "parameters.age.bind", ["var merit is bound to `merit`"]),
    ("bind: {var: age}", "bind: [{var: age}, {var: age}]", "parameters.age.bind", ["bound to `age`"]),
    ("bind: {var: age}", "bind: {table: Levers, column: V, where: 'n  = 1'}", "parameters.scale.bind",
     ["is bound to `age` already"]),
    ("bind: {var: age}", "bind: {var: random_seed}", "scenario.replications.var", ["var of parameter `age`"]),
    ("[january, anniversary]", "[january]", "parameters.timing.choices", ["at least 2"]),
    ("[january, anniversary]", "[january, january]", "parameters.timing.choices", ["unique"]),
    ("[january, anniversary]", "[january, [a]]", "parameters.timing.choices[1]", ["a single value"]),
    ("[january, anniversary]", "[january, null]", "parameters.timing.choices[1]", ["a single value", "nothing"]),
    ("current: january", "current: july", "parameters.timing.current", ["one of the choices", "'july'"]),
    ("current: january", "low: 1, current: january", "parameters.timing.low", ["does not go with choices"]),
    ("  age: {", "  my age: {", "parameters.my age", ["a name must be"]),
    # constraints
    ("- merit * 10 <= age", "- mert <= 1", "constraints[0]", ["`mert` is not", "did you mean `merit`"]),
    ("- merit * 10 <= age", "- merit + 1", "constraints[0]", ["must be a comparison"]),
    ("- merit * 10 <= age", "- merit >= 0.05", "constraints[0]", ["at the current parameters", "merit 0.035"]),
    ("- merit * 10 <= age", "- timing <= 1", "constraints[0]", ["`timing` is not a numeric parameter"]),
    ("- merit * 10 <= age", "- __import__('os') <= merit", "constraints[0]", ["is not allowed"]),
    ("- merit * 10 <= age", "- 5", "constraints[0]", ["must be text", "got 5"]),
    # metrics
    ('{sql: "select 1", unit: USD}', "{unit: USD}", "metrics.cost.sql", ["`sql` is required"]),
    ('{sql: "select 1", unit: USD}', '{sql: "x", combine: mean}', "metrics.cost.combine", ["only with after: each"]),
    ('{sql: "select 1", unit: USD}', "'select 1'", "metrics.cost", ["must be a mapping"]),
    (", combine: each", "", "metrics.growth.combine", ["`combine` is required"]),
    (", combine: each", ", combine: median", "metrics.growth.combine", ["mean, last", "did you mean `mean`"]),
    (", combine: each", ", combine: each, step: 1", "metrics.growth.step", ["step with for_each (steps[0])"]),
    (", combine: each", ", combine: each, for_each: {x: [1]}", "metrics.growth.for_each", ["after: end"]),
    ('- sql: "select 1"', '- {sql: "select 1", for_each: {x: [1, 2]}}', "metrics.growth.after",
     ["steps[0] and steps[1]", "name one with `step`"]),
    ("    - for_each: {simulation_year: [2026, 2027]}\n      dbt", "    - dbt", "metrics.growth.after",
     ["needs one step with for_each", "none"]),
    # targets
    ("cost: {value: 50_000_000", "costs: {value: 50_000_000", "targets.costs",
     ["must be a metric", "did you mean `cost`"]),
    ("{value: 50_000_000, tolerance: 1e-3, priority: high}", "{}", "targets.cost",
     ["exactly one of value, change", "got none"]),
    ("value: 50_000_000,", "value: 5, at_most: 7,", "targets.cost", ["exactly one", "value and at_most"]),
    ("value: 50_000_000,", "value: 0,", "targets.cost.value", ["give tolerance_abs"]),
    ("value: 50_000_000,", "value: 50M,", "targets.cost.value", ["without quotes and units", "'50M'"]),
    ("value: 50_000_000,", "change: -1,", "targets.cost.change", ["give tolerance_abs"]),
    ("value: 50_000_000,", "minimize: true,", "targets.cost.tolerance", ["does not go with minimize"]),
    ("value: 50_000_000, tolerance: 1e-3,", "minimize: false,", "targets.cost.minimize", ["must be true"]),
    ("value: 50_000_000,", "between: [2, 1],", "targets.cost.between", ["low < high"]),
    ("value: 50_000_000,", "between: [1],", "targets.cost.between", ["at least 2"]),
    ("value: 50_000_000,", "value: {2026: 5},", "targets.cost.value", ["must be one number"]),
    ("tolerance: 1e-3", "tolerance: 3", "targets.cost.tolerance", ["at most 1 (100 %)", "for 3 % write 0.03 or 3%"]),
    ("value: 50_000_000,", "value: 5%,", "targets.cost.value", ["with `unit: fraction`"]),
    ("timeout: 20m", "tolerance: 3", "search.tolerance", ["at most 1", "for 3 % write 0.03 or 3%"]),
    ("tolerance: 1e-3", "tolerance: -1", "targets.cost.tolerance", ["`tolerance > 0`", "got -1"]),
    ("tolerance: 1e-3", "tolerance: 0.1, tolerance_abs: 3", "targets.cost.tolerance_abs", ["not both"]),
    ("priority: high", "priority: hi", "targets.cost.priority", ["high, medium, low"]),
    ("priority: high", "priority: 0", "targets.cost.priority", ["above 0"]),
    ("2027: 0.02", "2028: 0.02", "targets.growth.value.2028", ["2026, 2027", "got 2028"]),
    ("2027: 0.02", "2027: x", "targets.growth.value.2027", ["must be a number"]),
    ("  heads@1: {at_most: 7}", "  heads@3: {at_most: 7}", "targets.heads@3", ["did you mean `heads@"]),
    ("  heads@1: {at_most: 7}", "  growth@2026: {at_most: 7}", "targets.growth@2026", ["one target"]),
    # search and resources
    ("timeout: 20m", "timeout: 20 fortnights", "search.timeout", ["20m, 1h30m"]),
    ("timeout: 20m", "timeout: 0", "search.timeout", ["above 0"]),
    ("timeout: 20m", "max_iteration: 3", "search.max_iteration", ["did you mean `max_iterations`"]),
    ("timeout: 20m", "max_trials: 0", "search.max_trials", ["at least 1", "got 0"]),
    ("timeout: 20m", "max_trials: 1.5", "search.max_trials", ["whole number", "1.5"]),
    ("timeout: 20m", "batch_size: many", "search.batch_size", ["auto or a whole number from 1"]),
    ("timeout: 20m", "sampler: bayes", "search.sampler", ["auto, target, tpe", "'bayes'"]),
    ("timeout: 20m", "tolerance: 0", "search.tolerance", ["above 0"]),
    ("  replications: {var: random_seed, values: [1, 2]}\n", "", "search.confirm_seeds",
     ["needs scenario.seed, or scenario.replications"]),
    ("values: [1, 2]}", "values: [a, b]}", "search.confirm_seeds", ["whole numbers"]),
    ("memory_budget: 4GB", "memory_budget: 4 gigs", "resources.memory_budget", ["units B, KB", "'4 gigs'"]),
    ("workers: 2", "workers: -1", "resources.workers", ["from 0 to 1024"]),
    ("workers: 2", "workers: 2, min_workers: 3", "resources.min_workers",
     ["to be at least 3", "workers 2"]),
    ("workers: 2", "workers: auto, workers_per_node: 3", "resources.workers_per_node",
     ["to be a number", "workers auto"]),
    ("resources: {memory_budget: 4GB, workers: 2}", "resources: 4GB", "resources", ["must be a mapping"]),
    # YAML
    ("constraints:", "study: again\nconstraints:", "study", ["stand once", "lines 1 and 17"]),
    ("  age: {low: 20,", "  age: {low: 20, low: 21,", "parameters.age.low", ["stand once"]),
    ("  vars: {", "  vars: !!python/name:os.system {", "scenario.vars", ["tags must not be used"]),
    ("start: 2026-01-01", "start: !!binary aGk=", "scenario.vars.start", ["tags must not be used"]),
    ("start: 2026-01-01", 'start: "a\\0b"', "scenario.vars.start", ["character #x0000"]),
    ("start: 2026-01-01", 'start: "\\ud800"', "scenario.vars.start", ["character #xd800"]),
    ("start: 2026-01-01", "start: &a [*a]", "scenario.vars.start[0]", ["alias"]),
    ("start: 2026-01-01", "start: " + "[" * 50 + "]" * 50, "", ["nested at most 32"]),
    ("  age: {low", "\tage: {low", "", ["holds a tab"]),
    ("unit: USD}", "unit: USD", "", ["must be YAML", "expected ',' or '}'"]),
    ("storage: sqlite:///results/study.db", "storage: null\n---\nstudy: b", "", ["a second one starts"]),
]  # fmt: skip


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _error(path: Path, *overrides: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load_study(path, overrides=overrides)
    return caught.value


def test_good_file_loads(tmp_path: Path) -> None:
    spec = load_study(_write(tmp_path, GOOD))
    assert spec.search.timeout_seconds == 1200
    assert spec.resources.memory_budget_bytes == 4_000_000_000
    assert spec.scenario.vars == {"scenario_id": "baseline", "start": "2026-01-01", "none": None}
    assert spec.parameters["merit"].kind == "float"
    assert spec.parameters["age"].kind == "integer"
    assert spec.targets["cost"].tolerance == 0.001
    assert spec.file == tmp_path / "study.yaml"
    assert spec.resolve_path("../dbt") == tmp_path / "../dbt"
    assert spec.resolve_path("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    ("old", "new", "key", "says"), BAD, ids=[f"{n}-{one[2] or 'yaml'}" for n, one in enumerate(BAD)]
)
def test_each_mistake_names_file_key_and_line(
    tmp_path: Path, old: str, new: str, key: str, says: list[str]
) -> None:
    assert GOOD.count(old) == 1
    path = _write(tmp_path, GOOD.replace(old, new))
    error = _error(path)
    lines = [line for line in str(error).splitlines() if f" {key}: " in line or not key]
    assert lines, str(error)
    for part in says:
        assert any(part in line for line in lines), str(error)
    assert all(line.startswith(f"{path}:") for line in str(error).splitlines())


def test_a_wrong_entry_does_not_make_its_list_too_short(tmp_path: Path) -> None:
    error = _error(_write(tmp_path, GOOD.replace("bind: {var: age}", "bind: {vr: age}")))
    (line,) = str(error).splitlines()
    assert "parameters.age.bind.vr: unknown key" in line


def test_a_var_that_the_replications_set_is_refused_beside_them(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is the var of scenario.replications, which gives it"):
        load_study(_write(tmp_path, GOOD), overrides=["scenario.vars.random_seed=99"])


def test_fresh_seeds_may_be_counted_where_the_scenario_has_a_seed_alone(tmp_path: Path) -> None:
    alone = GOOD.replace("  replications: {var: random_seed, values: [1, 2]}\n", "  seed: 3\n")
    spec = load_study(_write(tmp_path, alone))
    assert spec.search.confirm_seeds == 5 and spec.scenario.replications is None


@pytest.mark.parametrize(
    ("old", "new", "key", "line"),
    [
        ("low: 0.0, high: 0.08,", "\n    low: 1,\n    high: 0.08,", "parameters.merit.low", 14),
        ("timeout: 20m", "\n  timeout: 20m,\n  seed: x", "search.seed", 29),
        ('- sql: "select 1"', "- dbt:\n        command: bild", "scenario.steps[1].dbt.command", 11),
        ("2027: 0.02", "\n    2027: x", "targets.growth.value.2027", 26),
        ("[january, anniversary]", "[january,\n    [a]]", "parameters.timing.choices[1]", 17),
        ("  dbt_project: ../dbt\n", "", "scenario.dbt_project", 2),
    ],
)
def test_line_is_that_of_the_key(tmp_path: Path, old: str, new: str, key: str, line: int) -> None:
    error = _error(_write(tmp_path, GOOD.replace(old, new)))
    assert (error.fields["key"], error.fields["line"]) == (key, line), str(error)


def test_all_mistakes_are_collected_in_file_order(tmp_path: Path) -> None:
    text = GOOD.replace("current: 0.035,", "current: 7,").replace("2027: 0.02", "2028: 0.02")
    text = text.replace("timeout: 20m", "sede: 1").replace("command: seed}", "command: sed}")
    text = text.replace("- merit * 10 <= age", "- age <= 1")
    error = _error(_write(tmp_path, text))
    keys = [line.split(": ")[1] for line in str(error).splitlines()]
    assert keys == ["scenario.setup[0].dbt.command", "parameters.merit.current", "search.sede"]
    text = text.replace("command: sed}", "command: seed}").replace("sede: 1", "seed: 1")
    keys = [line.split(": ")[1] for line in str(_error(_write(tmp_path, text))).splitlines()]
    assert keys == ["parameters.merit.current", "targets.growth.value.2028"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"null\n", "empty"),
        (b"- a\n- b\n", "mapping with the keys of a study, but got the list"),
        (b"hello", "got the text 'hello'"),
        (b"\xff\xfe\x00", "must be UTF-8"),
        (b"study: \xe9", "byte 7 is 0xe9"),
        (b"study: a\x00b", "control character #x0000"),
        (b"? [a, b]\n: c\n", "a key must be a single word"),
        (b"*nobody", "must be YAML"),
        (b"%YAML 9.9\n---\na: b", "must be YAML"),
        (b'a: "\\UFFFFFFFF"', "must be YAML"),
        (b"a: " + b"9" * 5000, "must be a value of the kind int"),
        (b"a: !!int 'x'", "kind int"),
        (b"a: !!bool maybe", "kind bool"),
        (b"<<: 5\na: b", "`<<` must take a mapping"),
        (b"a: b: c", "in quotes"),
        (b"#" * 1_000_001, "at most 1000000 bytes"),
        (b"[" * 900_000, "nested at most 32"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_files_that_are_no_study(tmp_path: Path, data: bytes, says: str) -> None:
    error = _error(_write(tmp_path, data))
    assert says in str(error)
    assert error.fields["file"] == str(tmp_path / "study.yaml")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    _write(tmp_path, GOOD)
    assert "did you mean `study.yaml`" in str(_error(tmp_path / "stuyd.yaml"))
    assert "there is none" in str(_error(tmp_path / "no" / "where.yaml"))
    assert "folder" in str(_error(tmp_path))
    assert "device or pipe" in str(_error(Path("/dev/null")))
    assert "readable" in str(_error(Path("a\0b")))


def test_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    levels = ["l0: &l0 [a, a, a, a, a, a, a, a, a, a]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    assert "at most 100000 values" in str(_error(_write(tmp_path, "\n".join(levels))))
    assert time.monotonic() - started < 30


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = GOOD.replace(
        "  age: {low: 20, high: 60, step: 5, current: 30, bind: {var: age}}",
        "  age: &age {low: 20, high: 60, step: 5, current: 30, bind: {var: age}}\n"
        "  age2: {<<: *age, current: 35, bind: {var: age2}}",
    )
    spec = load_study(_write(tmp_path, text))
    assert (spec.parameters["age2"].low, spec.parameters["age2"].current) == (20, 35)


def test_overrides_change_what_the_file_says(tmp_path: Path) -> None:
    spec = load_study(
        _write(tmp_path, GOOD.replace("search: {timeout: 20m, confirm_seeds: 5}\n", "")),
        overrides=[
            "search.max_iterations=5",
            "targets.cost.value=21000",
            "targets.growth.value.2026=0.01",
            "scenario.vars.census_employees=1000",
            "scenario.steps[0].dbt.select=[a, b]",
            "search.timeout=null",
            "parameters.merit.high=0.1",
        ],
    )
    assert (spec.search.max_iterations, spec.search.timeout) == (5, None)
    assert spec.targets["cost"].value == 21000
    assert spec.targets["growth"].value == {"2026": 0.01, "2027": 0.02}
    assert spec.scenario.vars["census_employees"] == 1000
    assert spec.scenario.steps[0].dbt is not None
    assert spec.scenario.steps[0].dbt.select == ("a", "b")
    assert spec.parameters["merit"].high == 0.1


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("search.max_iteration=5", "did you mean `max_iterations`"),
        ("serch.max_iterations=5", "did you mean `search`"),
        ("search.max_iterations", "dotted.key=value"),
        ("search.max_iterations=", "must have a value"),
        ("=5", "dotted.key=value"),
        ("search..x=5", "dotted.key=value"),
        ("search.max_iterations=[", "must be YAML"),
        ("study.name=5", "needs a place for `name`"),
        ("scenario.steps[7].sql=x", "needs a place for `7`"),
        ("search.max_iterations=.inf", "finite"),
        ("parameters.merit.low=0.09", "`low < high`"),
    ],
)
def test_bad_overrides_are_named(tmp_path: Path, override: str, says: str) -> None:
    text = str(_error(_write(tmp_path, GOOD), override))
    assert says in text
    assert "override" in text and override in text


def test_document_is_checked_like_a_file_and_not_changed(tmp_path: Path) -> None:
    document = load_study(_write(tmp_path, GOOD)).to_document()
    spec = study_from_document(document, file=tmp_path / "study.yaml", overrides=["search.seed=9"])
    assert spec.search.seed == 9
    assert document["search"]["seed"] == 0
    document["search"]["sede"] = float("nan")
    with pytest.raises(SpecError, match="did you mean `seed`"):
        study_from_document(document, file=tmp_path / "study.yaml")


def _only_spec_errors(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        load_study(path)
    except SpecError as error:
        assert str(error).startswith(str(path))


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_study_or_a_spec_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    _only_spec_errors(tmp_path_factory.getbasetemp() / "fuzz.yaml", data)


def test_mutated_files_give_a_study_or_a_spec_error(tmp_path: Path) -> None:
    """Cut, double, swap and overwrite parts of a good file, with a fixed seed."""
    draw = random.Random(7)
    pieces = [b"{", b"}", b"[", b"]", b": ", b"\n", b"  ", b"- ", b"&a ", b"*a", b"<<: *a"]
    pieces += [
        b"null",
        b".nan",
        b"1e999",
        b"-0",
        b"0x1F",
        b"!!set",
        b"'",
        b'"',
        b"#",
        b"\t",
        b"\xff",
    ]
    pieces += [
        b"? ",
        b"|\n",
        b">-\n",
        b"true",
        b"2026-01-01",
        b"1:30",
        b"@",
        b"%",
        b"999999999999999999",
    ]
    lines = GOOD.encode().splitlines(keepends=True)
    for _ in range(400):
        data = b"".join(draw.sample(lines, len(lines)) if draw.random() < 0.1 else lines)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data))
            length = draw.choice([0, 1, 3, 10, 60])
            middle = draw.choice(
                [*pieces, data[at : at + length] * 2, bytes([draw.randrange(256)])]
            )
            data = data[:at] + middle + data[at + length :]
        _only_spec_errors(tmp_path / "study.yaml", data)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), value=_VALUES)
def test_any_value_in_any_place_gives_a_study_or_a_spec_error(
    data: st.DataObject, value: object
) -> None:
    document = study_from_document(_DOCUMENT, file=Path("study.yaml")).to_document()
    place: object = document
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))  # type: ignore[arg-type]
        key = data.draw(st.sampled_from(keys))
        inner = place[key]  # type: ignore[index]
        if not (isinstance(inner, (dict, list)) and inner) or data.draw(st.booleans()):
            place[key] = value  # type: ignore[index]
            break
        place = inner
    try:
        study_from_document(document, file=Path("study.yaml")).to_document()
    except SpecError as error:
        assert str(error)


_DOCUMENT = {
    "study": "s",
    "scenario": {
        "dbt_project": "dbt",
        "vars": {"a": [1, {"b": None}]},
        "steps": [
            {"dbt": {"command": "run", "select": "x"}, "for_each": {"year": [1, 2]}},
            {"sql": "select 1"},
        ],
        "replications": {"var": "seed", "values": [1]},
    },
    "parameters": {
        "p": {"low": 0, "high": 1, "step": 0.1, "current": 0.5, "bind": {"var": "p"}},
        "q": {
            "choices": ["a", "b"],
            "current": "a",
            "bind": {"table": "t", "column": "c", "where": "true"},
        },
    },
    "constraints": ["p <= 1"],
    "metrics": {"m": {"sql": "select 1"}, "g": {"sql": "x", "after": "each", "combine": "each"}},
    "targets": {"m": {"value": 5}, "g": {"at_most": {"1": 5}}},
    "search": {"timeout": "5m"},
    "resources": {"memory_budget": "8GB"},
    "storage": "sqlite:///x.db",
}
