"""Reads a study file: any bytes in, a checked study or one SpecError with all mistakes out."""

from __future__ import annotations

import copy
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from search.errors import SpecError
from search.study.active import resolve_active
from search.study.cross_checks import check_sections
from search.study.messages import translate
from search.study.mistakes import Mistake, did_you_mean, dotted, given, one_line
from search.study.models import StudySpec
from search.study.overrides import Override, apply_override, parse_override
from search.study.percent import read_percentages
from search.study.vars_file import merge_vars_file
from search.study.yaml_reader import MAX_BYTES, Document, read_yaml

MAX_MISTAKES = 50
"""Mistakes that one error lists."""

_VARS = ("scenario", "vars")
_Found = tuple[Mistake, int | None]


def load_study(path: Path, *, overrides: Sequence[str] = ()) -> StudySpec:
    """Return the study that a file describes, with every rule of the study file checked.

    Args:
        path: The YAML file.
        overrides: ``dotted.key=yaml value`` texts, applied in order before the checks.

    Raises:
        SpecError: If the file cannot be read or breaks a rule. It carries the file, and
            key and line of the first mistake; its message lists all of them, one a line.
    """
    return StudyFile(path).study(overrides)


class StudyFile:
    """A study file that is read once, for several studies that differ in their overrides.

    Args:
        path: The YAML file.

    Raises:
        SpecError: If the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._text = _read(self._path)

    def study(self, overrides: Sequence[str] = ()) -> StudySpec:
        """Return the study with these overrides; see ``load_study``."""
        return _study(read_yaml(self._text), self._path, overrides)


def study_from_document(
    document: Mapping[str, Any], *, file: Path, overrides: Sequence[str] = ()
) -> StudySpec:
    """Return the study that a plain document describes, checked like a file.

    Args:
        document: What YAML or JSON would hold; it is not changed.
        file: Stands for the study file: in messages, and as base of relative paths.
        overrides: As for ``load_study``.

    Raises:
        SpecError: If the document breaks a rule.
    """
    return _study(Document(value=copy.deepcopy(dict(document))), Path(file), overrides)


def study_as_ran(document: Mapping[str, Any] | None, spec: StudySpec) -> StudySpec:
    """Return the study as a version of it ran; today's where that cannot be read any more.

    What ran is judged by what it ran for: an edited file says nothing of it.

    Args:
        document: The study file that the version ran with; None when it kept none.
        spec: The study as its file is today.
    """
    try:
        return study_from_document(document or {}, file=spec.file)
    except SpecError:
        return spec


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the study file, for editors and Dagster's launchpad."""
    schema = StudySpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _study(document: Document, file: Path, overrides: Sequence[str]) -> StudySpec:
    located_mistakes = list(document.mistakes)
    if document.value is None and not located_mistakes:
        located_mistakes.append((Mistake((), "must be a study, but the file is empty"), None))
    elif document.value is not None and not isinstance(document.value, dict):
        text = f"must be a mapping with the keys of a study, but got {given(document.value)}"
        located_mistakes.append((Mistake((), text), 1))
    if not isinstance(document.value, dict):
        raise _error(located_mistakes, file)
    applied, failed = _apply(document, overrides)
    read_percentages(document.value)
    from_file, unreadable = merge_vars_file(document.value, file)
    failed += unreadable
    active, inactive = resolve_active(document.value, file)
    failed += inactive
    located = {*inactive, *unreadable}
    study, mistakes = _validate(document.value)
    broken = [mistake.path for mistake, _ in located_mistakes] + [
        mistake.path for mistake in failed
    ]
    located_mistakes += [
        (mistake, document.line(mistake.path) if mistake in located else None) for mistake in failed
    ]
    for mistake in mistakes:
        if not any(path and mistake.path[: len(path)] == path for path in broken):
            located_mistakes.append((_by_override(mistake, applied), document.line(mistake.path)))
    if located_mistakes or study is None:
        raise _error(located_mistakes, file)
    asked = {
        str(override.path[2])
        for override in applied
        if override.path[:2] == _VARS and len(override.path) > 2
    }
    return study.at(
        file, active=active, asked_vars=frozenset(asked), from_vars_file=from_file - asked
    )


def _read(path: Path) -> str:
    shown = str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SpecError("must be a study file (YAML), but it is a folder", file=shown)
        if not stat.S_ISREG(status.st_mode):
            raise SpecError("must be a regular file, but it is a device or pipe", file=shown)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        text = f"must be a study file, but there is none{_neighbour(path)}"
        raise SpecError(text, file=shown) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"must be readable, but reading fails: {reason}", file=shown) from error
    if len(content) > MAX_BYTES:
        raise SpecError(f"must be at most {MAX_BYTES} bytes, but is larger", file=shown)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        text = f"must be UTF-8 text, but byte {error.start} is {byte:#04x}; save the file as UTF-8"
        raise SpecError(text, file=shown, line=line) from error


def _neighbour(path: Path) -> str:
    try:
        names = [
            neighbour.name
            for neighbour in path.parent.iterdir()
            if neighbour.suffix in (".yaml", ".yml")
        ]
    except OSError:
        return ""
    return did_you_mean(path.name, sorted(names)[:1000])


def _apply(document: Document, overrides: Sequence[str]) -> tuple[list[Override], list[Mistake]]:
    applied: list[Override] = []
    failed: list[Mistake] = []
    for text in overrides:
        try:
            override = parse_override(text)
        except ValueError as error:
            failed.append(Mistake((), f"override {error}"))
            continue
        mistake = apply_override(document, override)
        failed += [mistake] if mistake else []
        applied += [] if mistake else [override]
    return applied, failed


def _validate(document: dict[str, Any]) -> tuple[StudySpec | None, list[Mistake]]:
    try:
        return StudySpec.model_validate(document), []
    except ValidationError as error:
        mistakes = translate(error, StudySpec, document)
        is_whole = any(not detail["loc"] for detail in error.errors(include_url=False))
    if not is_whole:
        wrong_sections = {mistake.path[0] for mistake in mistakes if mistake.path}
        mistakes += check_sections(_right_sections(document, wrong_sections))
    return None, mistakes


def _right_sections(document: dict[str, Any], wrong_sections: set[str | int]) -> dict[str, Any]:
    """Return the sections that are right in themselves, so that the others hide nothing."""
    sections: dict[str, Any] = {}
    for name, field in StudySpec.model_fields.items():
        if name in wrong_sections:
            continue
        if name in document:
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            sections[name] = adapter.validate_python(document[name])
        elif not field.is_required():
            sections[name] = field.get_default(call_default_factory=True)
    return sections


def _by_override(mistake: Mistake, applied: Sequence[Override]) -> Mistake:
    for override in reversed(applied):
        shorter = min(len(mistake.path), len(override.path))
        if shorter and mistake.path[:shorter] == override.path[:shorter]:
            return Mistake(mistake.path, f"{mistake.message} (override {override.text!r:.120})")
    return mistake


def _error(mistakes: Sequence[_Found], file: Path) -> SpecError:
    """Return one error for all mistakes, in the order of the file."""
    ordered = sorted(
        dict.fromkeys(mistakes), key=lambda fromkey: (fromkey[1] is None, fromkey[1] or 0)
    )
    first, first_line = ordered[0]
    lines = [one_line(first.message)]
    for mistake, line in ordered[1:MAX_MISTAKES]:
        message = one_line(mistake.message)
        place = SpecError(message, file=str(file), key=dotted(mistake.path), line=line)
        lines.append(str(place))
    if len(ordered) > MAX_MISTAKES:
        lines.append(f"{file}: and {len(ordered) - MAX_MISTAKES} more mistakes")
    return SpecError(
        "\n".join(lines), file=str(file), key=dotted(first.path) or None, line=first_line
    )
