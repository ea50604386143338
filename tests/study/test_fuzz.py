"""Study files that nobody would write: a message a mistake, no traceback, nothing written."""

# ruff: noqa: E501 - values and the good study read best in few lines

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.commands.suggestions import flow
from search.errors import SpecError
from search.study import StudySpec, json_schema, load_study

SCHEMA = json_schema()
GOOD: dict[str, Any] = {
    "study": "s",
    "scenario": {
        "dbt_project": "dbt",
        "steps": [{"dbt": {"command": "run"}, "for_each": {"year": [2026, 2027]}}],
    },
    "parameters": {
        "p": {"low": 0, "high": 1, "current": 0.5, "bind": {"var": "p"}},
        "q": {"low": 0, "high": 9, "current": 5, "bind": {"table": "t", "column": "c", "where": "k = 1"}},
        "r": {"choices": ["a", "b"], "current": "a", "bind": [{"var": "r"}]},
    },
    "metrics": {"m": {"sql": "select 1", "after": "each", "combine": "each"}},
    "targets": {"m": {"value": 1.0}},
}  # fmt: skip

NASTY = st.sampled_from(
    [
        "", " ", "'", '"', "'; drop table t; --", 'a"b', "select 1; attach 'x'", "{{ var('x') }}",
        "{% for x in range(10**9) %}{% endfor %}", "../../etc", "/", "~", "a\nb", "a\tb", "é", "\u202e",
        "\ufeff", "😀", "1e999", "-0", "0x1F", "null", "yes", "2026-01-01", "12:30", "${HOME}", "%s",
        "%(x)s", "a" * 3000, "a.b", "a@b", "m@2026", "p", "__import__('os')", "p ** p ** p <= 1",
        "(" * 200 + "p", "not p", "p < q < 1", "sqlite:////dev/null",
    ]
)  # fmt: skip
NUMBERS = st.sampled_from(
    [0, 1, -1, 0.0, -0.0, 1e308, -1e308, 5e-324, 2**53 + 1, 2**63, -(2**63), 2**64, 10**400]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | NUMBERS | NASTY | st.floats() | st.text(max_size=6)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NASTY | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32-be", "latin-1"])


def obeying(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that the schema allows, as far as it says (rules over keys are our own)."""
    if "$ref" in schema:
        return st.deferred(lambda: obeying(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]))
    if "anyOf" in schema:
        return st.one_of([obeying(one) for one in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", "null")
    if isinstance(kinds, list):
        return st.one_of([obeying(schema | {"type": kind}) for kind in kinds])
    return OF_KIND[kinds](schema)


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties = schema.get("properties")
    if properties is None:
        names = st.sampled_from(["m", "p", "q", "year", "m@2026"]) | NASTY
        inner = schema.get("additionalProperties", True)
        values = ANYTHING if inner is True else obeying(inner)
        return st.dictionaries(names, values, max_size=3)
    required = set(schema.get("required", ()))
    strategies = {name: obeying(one) for name, one in properties.items()}
    return st.fixed_dictionaries(
        {name: one for name, one in strategies.items() if name in required},
        optional={name: one for name, one in strategies.items() if name not in required},
    )


def _number(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if schema["type"] == "integer":
        return st.integers(low, schema.get("maximum"))
    return st.floats(low, schema.get("maximum"), allow_nan=False) | NUMBERS


OF_KIND: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _object,
    "array": lambda one: st.lists(obeying(one.get("items", {"type": "null"})), max_size=3),
    "string": lambda _: NASTY | st.text(max_size=6),
    "integer": _number,
    "number": _number,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a document."""
    if not isinstance(value, (dict, list)):
        return []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in pairs:
        found += [(*path, key), *places(inner, (*path, key))]
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Return the good study with up to four places replaced, removed, renamed or added to."""
    document = copy.deepcopy(GOOD)
    sections = st.sampled_from(sorted(SCHEMA["properties"]))
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            name = draw(sections)
            document[name] = draw(obeying(SCHEMA["properties"][name]))
            continue
        all_places = places(document)
        if not all_places:
            break
        *path, key = draw(st.sampled_from(all_places))
        holder: Any = document
        for step in path:
            holder = holder[step]
        deed = draw(st.sampled_from(["replace", "remove", "rename"]))
        if deed == "replace" or isinstance(holder, list):
            holder[key] = draw(ANYTHING)
        elif deed == "remove":
            del holder[key]
        else:
            holder[draw(NASTY)] = holder.pop(key)
    return document


def loaded(path: Path, data: bytes) -> StudySpec | None:
    """Load a study file; check that it is answered with a study or a message, and no more."""
    path.write_bytes(data)
    try:
        spec = load_study(path)
    except SpecError as error:
        lines = str(error).split("\n")
        assert all(line.startswith(f"{path}") for line in lines), lines
        assert all(len(line) < 2000 for line in lines)
        said = "\n".join(line[len(str(path)) :] for line in lines)
        for leak in ("Traceback", "pydantic", "validation error"):
            assert leak not in said, said
        # A file of keys names the key at fault, or the line where it stops being YAML.
        is_place_known = error.fields.get("key") or error.fields.get("line")
        assert is_place_known or re.search(r"file is empty|UTF-8|bytes|must be YAML", said), said
        spec = None
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    return spec


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "study.yaml"


SLOW_IS_FINE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SLOW_IS_FINE
@given(document=obeying(SCHEMA))
def test_whatever_the_schema_allows(file: Path, document: Any) -> None:
    loaded(file, yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@settings(SLOW_IS_FINE, max_examples=400)
@given(document=mutated(), encoding=ENCODINGS, is_json=st.booleans())
def test_a_good_study_with_odd_values_in_odd_places(
    file: Path, document: Any, encoding: str, is_json: bool
) -> None:
    text = json.dumps(document) if is_json else yaml.safe_dump(document, allow_unicode=True)
    spec = loaded(file, text.encode(encoding, "replace"))
    if spec is not None:
        # What was accepted says the same when it is written down, as `init` does, and read again.
        again = loaded(file, flow(spec.to_document()).encode())
        assert again is not None and again.to_document() == spec.to_document()


def test_the_good_study_is_good(file: Path) -> None:
    assert loaded(file, yaml.safe_dump(GOOD).encode()) is not None
