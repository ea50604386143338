"""Words the errors of pydantic the way the study file's author thinks."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.study.mistakes import ERROR_TYPE, Mistake, Path, did_you_mean, given, listed


def translate(error: ValidationError, root: type[BaseModel], document: Any) -> list[Mistake]:
    """Return the mistakes that a validation found, each at its path in the document.

    Args:
        error: What pydantic raised.
        root: The model that was validated.
        document: The plain document that was validated.
    """
    mistakes: list[Mistake] = []
    for detail in error.errors(include_url=False):
        path = _path_in(document, detail["loc"])
        if _counts_wrong_entries(detail):
            continue
        if detail["type"] == ERROR_TYPE:
            mistakes += [
                Mistake(_path_in(document, (*path, *inner.path)), inner.message)
                for inner in detail["ctx"]["mistakes"]
            ]
        else:
            mistakes.append(Mistake(path, _message(detail, path, root)))
    return list(dict.fromkeys(mistakes))


def _counts_wrong_entries(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries are wrong, which is told."""
    entries = detail["input"]
    return (
        detail["type"] == "too_short"
        and isinstance(entries, list | tuple)
        and len(entries) >= detail["ctx"]["min_length"]
    )


def _path_in(document: Any, location: tuple[int | str, ...]) -> Path:
    """Return the location without the parts that pydantic adds (union tags, list wrappers)."""
    path: list[str | int] = []
    value = document
    for position, part in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(value, Mapping):
            key = next((key for key in value if str(key) == str(part)), None)
            if key is not None:
                path.append(str(key))
                value = value[key]
            elif is_last and isinstance(part, str) and part != "[key]":
                path.append(part)
        elif isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value):
            path.append(part)
            value = value[part]
    return tuple(path)


def _message(detail: ErrorDetails, path: Path, root: type[BaseModel]) -> str:
    kind, got = detail["type"], given(detail["input"])
    if kind == "extra_forbidden":
        model = _model_at(root, path[:-1])
        known = list(model.model_fields) if model else []
        return (
            f"unknown key `{path[-1]!s:.80}`; allowed are {listed(known)}"
            f"{did_you_mean(path[-1], known)}"
        )
    if kind == "missing":
        model = _model_at(root, path[:-1])
        field = model.model_fields.get(str(path[-1])) if model else None
        what = f": {field.description}" if field and field.description else ""
        return f"`{path[-1]}` is required{what}"
    words = _WORDS.get(kind)
    if words is None:
        return f"{detail['msg']}, but got {got}"
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        return f"must be one of {expected}, but got {got}" + did_you_mean(
            detail["input"], expected.split(", ")
        )
    return words(detail.get("ctx", {})) + f", but got {got}"


_Words = Callable[[Mapping[str, Any]], str]

_WORDS: dict[str, _Words] = {
    "literal_error": lambda ctx: "",
    "string_type": lambda ctx: "must be text (put it in quotes if it looks like a number)",
    "bool_type": lambda ctx: "must be true or false",
    "int_type": lambda ctx: "must be a whole number",
    "int_from_float": lambda ctx: "must be a whole number",
    "float_type": lambda ctx: "must be a number",
    "finite_number": lambda ctx: "must be a finite number",
    "model_type": lambda ctx: "must be a mapping (key: value)",
    "model_attributes_type": lambda ctx: "must be a mapping (key: value)",
    "dict_type": lambda ctx: "must be a mapping (key: value)",
    "tuple_type": lambda ctx: "must be a list",
    "greater_than": lambda ctx: f"must be above {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "too_short": lambda ctx: f"must have at least {ctx['min_length']} entries",
    "too_long": lambda ctx: f"must have at most {ctx['max_length']} entries",
    "string_too_short": lambda ctx: "must not be empty",
    "string_unicode": lambda ctx: "must be text without broken characters",
}


def _model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model that stands at a path of the study file."""
    model: type[BaseModel] | None = root
    skip: str | None = None
    for part in path:
        if (skip == "dict") or (skip == "list" and isinstance(part, int)):
            skip = None
            continue
        field = model.model_fields.get(str(part)) if model else None
        model, skip = _inner(field.annotation) if field else (None, None)
    return model


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str | None]:
    """Return the model inside an annotation, and the container (dict, list) around it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    origin = get_origin(annotation)
    container = {dict: "dict", tuple: "list"}.get(origin) if origin else None
    if container or origin in (Union, types.UnionType, Annotated):
        for argument in get_args(annotation):
            model, inner = _inner(argument)
            if model is not None:
                return model, container or inner
    return None, None
