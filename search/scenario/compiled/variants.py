"""Which candidates have a program of their own, remembered beside the programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from search.scenario.compiled.literals import literal_class
from search.scenario.compiled.program import FORMAT_VERSION
from search.scenario.hashing import hash_parts
from search.study.values import Scalar
from search.system import files
from search.system.seal import Seal

INDEX_FILE = "index.json"

Values = Mapping[str, Scalar]


class NeedsVariants(Exception):
    """dbt renders other statements for other values of these parameters.

    Args:
        names: Parameters with few values, for each of which a program is compiled.
        why: What showed it.
        typed: Parameters of which a program is compiled for each type that their text may have
            in SQL.
    """

    def __init__(self, names: Sequence[str], why: str, typed: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.names = tuple(names)
        self.typed = tuple(typed)


@dataclass(frozen=True)
class Variants:
    """What the programs of one scenario differ in.

    Attributes:
        fixed: Parameters with a program for each value.
        typed: Parameters with a program for each type that their text has in SQL.
    """

    fixed: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()

    def name_of(self, candidate: Values) -> str:
        """Return the name of a candidate's program."""
        values: dict[str, Scalar] = {name: candidate[name] for name in self.fixed}
        values |= {name: literal_class(candidate[name]) for name in self.typed}
        return hash_parts([json.dumps(values, sort_keys=True)])[:16] if values else "all"

    def text(self) -> str:
        """Return who gets programs of their own, in words."""
        parts = []
        if self.fixed:
            parts.append(f"{', '.join(self.fixed)} gets a program for each of its values")
        if self.typed:
            parts.append(
                f"{', '.join(self.typed)} gets a program for each type that its digits give it"
            )
        return " and ".join(parts)


def read_variants(folder: Path, seal: Seal) -> Variants | None:
    """Return what the programs in a folder differ in; None where that is not known.

    Args:
        folder: Of the programs.
        seal: What must be on it.
    """
    try:
        document = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        content = {key: document[key] for key in ("format_version", "fixed", "typed")}
        is_ours = seal.is_on(document["seal"], INDEX_FILE, json.dumps(content))
        if is_ours and content["format_version"] == FORMAT_VERSION:
            return Variants(tuple(content["fixed"]), tuple(content["typed"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_variants(folder: Path, variants: Variants, seal: Seal) -> None:
    """Remember what the programs in a folder differ in, under a seal."""
    document = {"format_version": FORMAT_VERSION, **asdict(variants)}
    document["seal"] = seal.of(INDEX_FILE, json.dumps(document))
    files.write_durably(folder / INDEX_FILE, json.dumps(document).encode())
