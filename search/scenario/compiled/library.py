"""Programs on disk: found by the content of all that they depend on, published whole or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from search.errors import RecordingError
from search.scenario.compiled.compiler import (
    NeedsVariants,
    Source,
    all_values,
    compile_program,
)
from search.scenario.compiled.literals import literal_class
from search.scenario.compiled.program import FORMAT_VERSION, PROGRAM_FILE, Program, load
from search.scenario.hashing import hash_file, hash_parts
from search.study.values import Scalar
from search.system import files
from search.system.child import Report
from search.system.seal import Seal, users_seal

INDEX_FILE = "index.json"
LOCK_FILE = "compiling.lock"
CHECKSUM_FILE = "checksums.json"

MAX_TYPED = 8
"""Programs for types of literals; dbt evaluates candidates of yet another type."""

Values = Mapping[str, Scalar]


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


@dataclass(frozen=True)
class Library:
    """The programs of one scenario, one for each combination of its fixed parameters' values.

    Attributes:
        folder: Where they are kept.
        source: What they are compiled from.
        seal: What says that a program was made by this user.
    """

    folder: Path
    source: Source
    seal: Seal

    @classmethod
    def of(cls, source: Source, cache: Path) -> Library:
        """Return the library of a scenario inside the folder of all programs."""
        seal = users_seal().for_purpose("programs")
        return cls(cache / f"{_key(source)}-{seal.name}", source, seal)

    def fixed(self) -> tuple[str, ...] | None:
        """Return the parameters with programs of their own a value; None before the first."""
        variants = self.variants()
        return None if variants is None else variants.fixed

    def variants(self) -> Variants | None:
        """Return what the programs differ in; None before the first."""
        try:
            document = json.loads((self.folder / INDEX_FILE).read_text(encoding="utf-8"))
            content = {key: document[key] for key in ("format_version", "fixed", "typed")}
            is_ours = self.seal.is_on(document["seal"], INDEX_FILE, json.dumps(content))
            if is_ours and content["format_version"] == FORMAT_VERSION:
                return Variants(tuple(content["fixed"]), tuple(content["typed"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def files(self) -> tuple[str, ...]:
        """Return the names of the files of all programs, seen from the folder, without locks."""
        found = [*self.folder.glob(INDEX_FILE), *self.folder.glob("[!.]*/*")]
        return tuple(sorted(str(one.relative_to(self.folder)) for one in found if one.is_file()))

    def find(self, candidate: Values, report: Report | None = None) -> tuple[Program, Path] | None:
        """Return the program for a candidate and its folder, or None.

        One that is damaged, or that this user did not make, is removed, which ``report`` is told.
        """
        variants = self.variants()
        if variants is None:
            return None
        folder = self.folder / variants.name_of(candidate)
        if not folder.exists():
            return None
        try:
            self._check_content(folder)
            return load(folder), folder
        except RecordingError as error:
            if report is not None:
                report(f"{error}; recording anew")
            shutil.rmtree(folder, ignore_errors=True)
            return None

    def find_or_compile(self, candidate: Values, *, report: Report) -> tuple[Program, Path]:
        """Return the program for a candidate and its folder, compiled when there is none.

        Raises:
            RecordingError: If the scenario cannot be replayed; says which model and why.
            SearchError: If the scenario fails at the recorded values.
        """
        found = self.find(candidate, report)
        if found is not None:
            report("the compiled scenario is in the cache")
            return found
        if (others := _others(self.folder)) is not None:
            report(others)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Compiling costs several dbt runs: who needs the same program waits for it.
        with files.locked(self.folder / LOCK_FILE):
            found = self.find(candidate)
            return found or self._compile(candidate, report)

    def adopted_by(self, source: Source, cache: Path) -> Library:
        """Return the library of the same scenario, now that more is known of what it reads.

        Its programs move there: under the name that they were compiled for, they would be
        found again after what they read has changed.
        """
        known = Library.of(source, cache)
        if known.folder == self.folder:
            return known
        variants = self.variants()
        known.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(known.folder / LOCK_FILE):
            for program in self.folder.glob("[!.]*/"):
                if not (known.folder / program.name).exists():
                    program.rename(known.folder / program.name)
            if variants is not None:
                known._write_index(variants)
        shutil.rmtree(self.folder, ignore_errors=True)
        return known

    def _compile(self, candidate: Values, report: Report) -> tuple[Program, Path]:
        variants = self.variants() or Variants()
        self._refuse_many_types(variants)
        why: list[str] = []
        with files.building_folder(self.folder) as building:
            while True:
                content = building / f"attempt-{len(why)}"
                content.mkdir()
                try:
                    compile_program(
                        self.source,
                        candidate,
                        content,
                        fixed=variants.fixed,
                        typed=variants.typed,
                        report=report,
                    )
                    break
                except NeedsVariants as needed:
                    variants = Variants(needed.names, needed.typed)
                    why.append(str(needed))
                    report(f"{needed}; so {variants.text()}")
                except RecordingError as error:
                    if variants.typed and why:  # the types were not the reason, or not alone
                        raise RecordingError(f"{why[-1]}; {error}") from error
                    raise
            folder = self.folder / variants.name_of(candidate)
            self._publish(content, folder)
            self._write_index(variants)
        return load(folder), folder

    def _refuse_many_types(self, variants: Variants) -> None:
        known = sum(1 for _ in self.folder.glob(f"[!.]*/{PROGRAM_FILE}")) if variants.typed else 0
        if known >= MAX_TYPED:
            raise RecordingError(
                f"{', '.join(variants.typed)}: {known} programs for types of literals are enough"
            )

    def _write_index(self, variants: Variants) -> None:
        document = {"format_version": FORMAT_VERSION, **asdict(variants)}
        document["seal"] = self.seal.of(INDEX_FILE, json.dumps(document))
        files.write_durably(self.folder / INDEX_FILE, json.dumps(document).encode())

    def _check_content(self, folder: Path) -> None:
        """Refuse a program whose files are not those that this user published.

        Raises:
            RecordingError: If a file is missing, has another content, or the seal is not ours.
        """
        try:
            document = json.loads((folder / CHECKSUM_FILE).read_text(encoding="utf-8"))
            expected = document["files"]
            text = json.dumps(expected, sort_keys=True)
            if not self.seal.is_on(document["seal"], folder.name, text):
                raise RecordingError(f"the program in {folder} was not made with this user's key")
            for name, checksum in expected.items():
                if hash_file(folder / name) != checksum:
                    raise RecordingError(f"{folder / name} is damaged")
        except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
            raise RecordingError(f"the program in {folder} is not whole: {error}") from error

    def _publish(self, content: Path, folder: Path) -> None:
        checksums = {file.name: hash_file(file) for file in sorted(content.iterdir())}
        seal = self.seal.of(folder.name, json.dumps(checksums, sort_keys=True))
        document = {"files": checksums, "seal": seal}
        (content / CHECKSUM_FILE).write_text(json.dumps(document), encoding="utf-8")
        # Another process may have finished the same program first.
        files.publish_folder(content, folder, lambda there: (there / PROGRAM_FILE).exists())


def _key(source: Source) -> str:
    """Return the name of a scenario's library: a hash of all that its programs depend on.

    The values that a parameter may have count when they are few: templates that look at it
    were recorded at just those. So does the code here: a program's tables are named after
    what it finds.
    """
    plan = source.factory.plan
    binds = [vars(one) for one in (*plan.var_binds, *plan.table_binds)]
    few = {name: all_values(one) for name, one in source.parameters.items()}
    code = [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
    parts = [plan.fingerprints["scenario"], json.dumps(binds), json.dumps(few), *code]
    return hash_parts([f"program format {FORMAT_VERSION}", *parts])[:16]


def _others(folder: Path) -> str | None:
    """Return that programs of the scenario are there which are not this user's; None if not."""
    scenario = folder.name.partition("-")[0]
    if folder.exists() or not any(folder.parent.glob(f"{scenario}*")):
        return None
    return (
        f"the compiled scenario in {folder.parent} was made with another key than this user's, so "
        "it is not run; recording anew"
    )
