"""What a study means once it is read: steps, metrics, documents, fingerprints, constraints."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search.errors import SpecError
from search.study import (
    StudySpec,
    changed_keys,
    expand,
    expand_metrics,
    json_schema,
    load_study,
    metric_ids,
    scenario_fingerprint,
    study_fingerprint,
    study_from_document,
)
from search.study.constraints import Constraint
from search.study.values import parse_duration

DOCUMENT: dict[str, Any] = {
    "study": "s",
    "scenario": {
        "dbt_project": "dbt",
        "vars": {"lever": None, "sizes": [1, {"a": 2}]},
        "setup": [{"dbt": {"command": "seed"}}],
        "steps": [
            {
                "dbt": {"command": "build", "select": "tag:a tag:b", "vars": {"x": 1}},
                "for_each": {"year": [2026, 2027]},
            },
            {"sql": "insert into t select {{ k }}", "for_each": {"k": ["a", True]}},
            {"sql": "select 1"},
        ],
        "replications": {"var": "seed", "values": [1]},
    },
    "parameters": {
        "merit": {"low": 0, "high": 1, "current": 0.5, "bind": {"var": "merit"}},
        "cola": {"low": 0, "high": 1, "step": 0.1, "current": 0.1, "bind": [{"var": "cola"}]},
    },
    "constraints": ["merit + cola <= 0.9"],
    "metrics": {
        "cost": {"sql": "select 1", "unit": "USD"},
        "growth": {"sql": "g", "after": "each", "combine": "each", "step": 0},
        "mean_growth": {"sql": "g", "after": "each", "combine": "mean", "step": 1},
        "heads": {"sql": "h {{ year }}", "for_each": {"year": [2026]}},
    },
    "targets": {"cost": {"value": 5}, "growth": {"value": {2026: 1}}},
}


def make(**changes: Any) -> StudySpec:
    return study_from_document(copy.deepcopy(DOCUMENT) | changes, file=Path("/studies/s.yaml"))


def edited(path: str, value: Any) -> StudySpec:
    return study_from_document(
        DOCUMENT, file=Path("/studies/s.yaml"), overrides=[f"{path}={json.dumps(value)}"]
    )


def test_steps_are_unrolled_in_order() -> None:
    steps = expand(make().scenario.steps)
    assert [step.name for step in steps] == [
        "steps[0] year=2026",
        "steps[0] year=2027",
        "steps[1] k=a",
        "steps[1] k=true",
        "steps[2]",
    ]
    assert [step.is_last_of_loop for step in steps] == [False, True, False, True, False]
    first, sql = steps[0], steps[2]
    assert (first.kind, first.command, first.sql) == ("dbt", "build", None)
    assert first.select == ("tag:a", "tag:b")
    assert first.vars == {"x": 1, "year": 2026}
    assert (sql.kind, sql.command, sql.loop, sql.vars) == ("sql", None, ("k", "a"), {})
    assert expand(make().scenario.setup, kind="setup")[0].name == "setup[0]"


def test_metrics_are_unrolled_with_their_own_names() -> None:
    metrics = {metric.name: metric for metric in expand_metrics(make())}
    assert tuple(metrics) == metric_ids(make())
    assert list(metrics) == ["cost", "growth@2026", "growth@2027", "mean_growth", "heads@2026"]
    assert metrics["growth@2027"].loop == ("year", 2027)
    assert (metrics["growth@2027"].step, metrics["growth@2027"].key) == (0, "growth")
    assert (metrics["mean_growth"].step, metrics["mean_growth"].loop) == (1, None)
    assert (metrics["heads@2026"].step, metrics["heads@2026"].loop) == (None, ("year", 2026))


def test_document_survives_json_and_loads_again() -> None:
    spec = make(storage="postgresql://me:se:cr:et@host/db")
    document = json.loads(json.dumps(spec.to_document(), allow_nan=False))
    assert document["scenario"]["vars"] == {"lever": None, "sizes": [1, {"a": 2}]}
    assert document["storage"] == "postgresql://me:***@host/db"
    again = study_from_document(document, file=Path("/studies/s.yaml"))
    assert again.to_document() == document
    assert study_fingerprint(again) == study_fingerprint(spec)


def test_study_pickles_with_its_file() -> None:
    spec = pickle.loads(pickle.dumps(make()))
    assert spec == make()
    assert spec.file == Path("/studies/s.yaml")
    assert spec.resolve_path("../dbt") == Path("/studies/../dbt")
    assert spec.resolve_path("/abs") == Path("/abs")


def test_study_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make().study = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "value", "is_scenario", "is_study"),
    [
        ("scenario.vars.lever", 1, True, True),
        ("scenario.steps[0].dbt.select", "tag:c", True, True),
        ("parameters.merit.bind", {"var": "other"}, True, True),
        ("metrics.cost.sql", "select 2", True, True),
        ("scenario.replications.var", "other", True, True),
        ("scenario.replications.values", [1, 2], False, True),
        ("parameters.merit.high", 2, False, True),
        ("targets.cost.value", 6, False, True),
        ("constraints", [], False, True),
        ("search.seed", 1, False, True),
        ("search.sampler", "tpe", False, True),
        ("search.max_trials", 7, False, False),
        ("resources.workers", 1, False, False),
        ("scenario.dbt_project", "moved", False, False),
        ("metrics.cost.unit", "EUR", False, False),
        ("storage", "sqlite:///other.db", False, False),
        ("description", "words", False, False),
    ],
)
def test_fingerprints_change_with_what_they_stand_for(
    path: str, value: Any, is_scenario: bool, is_study: bool
) -> None:
    spec, base = edited(path, value), make()
    assert (scenario_fingerprint(spec) != scenario_fingerprint(base)) is is_scenario
    assert (study_fingerprint(spec) != study_fingerprint(base)) is is_study
    top = path.split(".")[0].split("[")[0]
    assert changed_keys(base.to_document(), spec.to_document())[0].startswith(top)


def test_changed_keys_tell_types_and_missing_keys_apart() -> None:
    assert changed_keys({"a": 1, "b": {"c": 1}}, {"a": 1.0, "b": {"d": None}}) == [
        "a",
        "b.c",
        "b.d",
    ]
    assert changed_keys({"a": True}, {"a": 1}) == ["a"]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"low": 0, "high": 10, "step": 1, "current": 5}, "integer"),
        ({"low": 0, "high": 10, "current": 5}, "float"),
        ({"low": 0, "high": 10, "current": 5, "type": "integer"}, "integer"),
        ({"low": 0, "high": 10, "step": 1, "current": 5, "type": "float"}, "float"),
        ({"low": 0, "high": 10, "step": 1.0, "current": 5}, "float"),
        ({"low": 0.0, "high": 10, "step": 1, "current": 5}, "float"),
        ({"choices": [1, 2], "current": 2}, "categorical"),
    ],
)
def test_kind_follows_how_numbers_are_written(written: dict[str, Any], kind: str) -> None:
    parameters = {"merit": written | {"bind": {"var": "merit"}}}
    assert make(parameters=parameters, constraints=[]).parameters["merit"].kind == kind


def test_target_by_repetition() -> None:
    spec = make()
    assert spec.targets["growth"].level(2026) == 1
    assert spec.targets["growth"].level(2027) is None
    assert spec.targets["cost"].level(None) == 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("2d", 172800), ("1h30m", 5400), ("1.5s", 1.5), ("1 h", 3600), (7, 7)]
)
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1m1h", "-5s", "1e3s", 0, -1, float("inf"), True])
def test_bad_durations(text: Any) -> None:
    with pytest.raises(ValueError, match="20m"):
        parse_duration(text)


def test_constraint_is_exact_at_its_limit() -> None:
    limit = Constraint.parse("merit + cola <= 0.09", ["merit", "cola"])
    assert limit.margin({"merit": 0.07, "cola": 0.02}) == 0
    assert limit.margin({"merit": 0.07, "cola": 0.03}) == pytest.approx(0.01)
    assert not limit.holds({"merit": 0.07, "cola": 0.0200000001})
    assert Constraint.parse("0.3 - (a + b) >= 0", ["a", "b"]).holds({"a": 0.1, "b": 0.2})


@pytest.mark.parametrize(
    ("text", "values", "is_held"),
    [
        ("a < b", (1, 1), False),
        ("a <= b", (1, 1), True),
        ("a > b", (2, 1), True),
        ("0 < a <= b < 3", (1, 2), True),
        ("0 < a <= b < 3", (1, 3), False),
        ("abs(a - b) <= 0.5", (1, 2), False),
        ("max(a, b, 3) - min(a, b) >= 2", (1, 2), True),
        ("-a * 2 / b >= -1", (1, 2), True),
        ("a / b <= 1", (1, 0), False),
        ("a <= +b", (1, 2), True),
    ],
)
def test_constraints_hold(text: str, values: tuple[float, float], is_held: bool) -> None:
    constraint = Constraint.parse(text, ["a", "b"])
    candidate = dict(zip("ab", values, strict=True))
    assert constraint.holds(candidate) is is_held
    assert (constraint.margin(candidate) <= 0) is is_held
    assert pickle.loads(pickle.dumps(constraint)) == constraint


_TERMS = st.recursive(
    st.sampled_from(["a", "b", "0.5", "3"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(
        lambda t: f"({' '.join(t)})"
    ),
    max_leaves=6,
)


@given(left=_TERMS, right=_TERMS, a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6))
def test_margin_is_finite_and_agrees_with_python(left: str, right: str, a: float, b: float) -> None:
    try:
        constraint = Constraint.parse(f"{left} <= {right}", ["a", "b"])
    except ValueError:
        assert "a" not in left + right and "b" not in left + right
        return
    margin = constraint.margin({"a": a, "b": b})
    assert margin == margin and abs(margin) < float("inf")
    try:
        sides = [eval(side, {"a": a, "b": b}) for side in (left, right)]
    except (ZeroDivisionError, OverflowError):
        return
    scale = max(map(abs, [*sides, 1.0]))
    if abs(margin) > 1e-3 * scale:
        assert (sides[0] <= sides[1] + 1e-3 * scale) or margin > 0


@given(text=st.text(alphabet="ab01.+-*/()<>= ,'[]{}:lmin", max_size=30))
def test_any_text_is_a_constraint_or_a_value_error(text: str) -> None:
    try:
        constraint = Constraint.parse(text, ["a", "b"])
    except ValueError as error:
        assert str(error)
    else:
        constraint.margin({"a": 1.5, "b": -2})


def _undescribed(schema: dict[str, Any], models: dict[str, Any]) -> list[str]:
    return [
        f"{title}.{name}"
        for title, model in {"StudySpec": schema, **models}.items()
        for name, field in model["properties"].items()
        if not field.get("description") and "$ref" not in field
    ]


def test_json_schema_helps_an_editor() -> None:
    schema = json_schema()
    json.dumps(schema, allow_nan=False)
    assert _undescribed(schema, schema["$defs"]) == []
    assert all(model["description"] for model in schema["$defs"].values())
    assert schema["additionalProperties"] is False
    assert schema["properties"]["study"]["examples"] == ["compensation-2026"]
    bind = schema["$defs"]["ParameterSpec"]["properties"]["bind"]
    assert {"$ref": "#/$defs/BindSpec"} in bind["anyOf"]


def test_docs_mention_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text()
    schema = json_schema()
    keys = {name for model in (schema, *schema["$defs"].values()) for name in model["properties"]}
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_docs_example_is_a_valid_study(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text()
    example = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    spec = study_from_document(yaml.safe_load(example), file=tmp_path / "study.yaml")
    assert spec.parameters and spec.constraints


def test_pure_rooms_import_nothing_heavy() -> None:
    code = (
        "import sys, search.study, search.study.space, search.study.targets, search.study.budget\n"
        "heavy = {'ray', 'duckdb', 'dbt', 'dagster', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_missing_study_key_is_reported_without_line() -> None:
    document = {key: value for key, value in DOCUMENT.items() if key != "study"}
    with pytest.raises(SpecError, match="`study` is required"):
        study_from_document(document, file=Path("s.yaml"))


def test_a_file_of_the_first_version_loads_with_the_same_fingerprints() -> None:
    """Other hashes would throw away every cached program and refuse to resume old studies."""
    spec = load_study(Path(__file__).parent / "study_v1.yaml")
    assert metric_ids(spec)[-1] == "headcount@2028"
    assert scenario_fingerprint(spec)[:16] == "4098f07cc6e92a79"
    assert study_fingerprint(spec)[:16] == "064a6ee4ba8012e9"
