"""Programs on disk: found by the content of all that they depend on, published whole or not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.errors import RecordingError
from search.scenario.compiled.compiler import compile_program, compile_recorded
from search.scenario.compiled.program import PROGRAM_FILE, Program, load
from search.scenario.compiled.recorded import Recordings, known_metrics, require_sure
from search.scenario.compiled.shelf import check_content, key_of, publish
from search.scenario.compiled.source import Source
from search.scenario.compiled.true_to_plan import as_planned
from search.scenario.compiled.variants import (
    INDEX_FILE,
    NeedsVariants,
    Variants,
    read_variants,
    write_variants,
)
from search.study.values import Scalar
from search.system import files
from search.system.child import Report
from search.system.seal import Seal, users_seal

LOCK_FILE = "compiling.lock"

MAX_TYPED = 8
"""Programs for types of literals; dbt evaluates candidates of yet another type."""

Values = Mapping[str, Scalar]


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
        key = key_of(source, source.factory.plan.fingerprints["scenario"])
        return cls(cache / f"{key}-{seal.name}", source, seal)

    def fixed(self) -> tuple[str, ...] | None:
        """Return the parameters with programs of their own a value; None before the first."""
        variants = self.variants()
        return None if variants is None else variants.fixed

    def variants(self) -> Variants | None:
        """Return what the programs differ in; None before the first."""
        return read_variants(self.folder, self.seal)

    def files(self) -> tuple[str, ...]:
        """Return the names of the files of all programs, seen from the folder, without locks."""
        kept = [*self.folder.glob(INDEX_FILE), *self.folder.glob("[!.]*/*")]
        return tuple(sorted(str(path.relative_to(self.folder)) for path in kept if path.is_file()))

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
            check_content(folder, self.seal)
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
            SearchError: If the scenario fails at the recorded values, or the project or what it
                reads is not what the plan was made from.
        """
        kept = self.find(candidate, report)
        if kept is not None:
            report("the compiled scenario is in the cache")
            return kept
        if (others := _others(self.folder)) is not None:
            report(others)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Compiling costs several dbt runs: who needs the same program waits for it.
        with files.locked(self.folder / LOCK_FILE):
            kept = self.find(candidate)
            return (
                kept or self._from_recorded(candidate, report) or self._compile(candidate, report)
            )

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
                write_variants(known.folder, variants, known.seal)
        shutil.rmtree(self.folder, ignore_errors=True)
        return known

    def _from_recorded(self, candidate: Values, report: Report) -> tuple[Program, Path] | None:
        """Make a candidate's program from what was recorded for other metrics, where that is sure.

        None where dbt must be recorded anew; it is told why.
        """
        recordings = Recordings.of(self.source, self.folder.parent)
        recorded = None if recordings is None else recordings.find(candidate)
        if recorded is None:
            return None
        program, variants = recorded
        plan = self.source.factory.plan
        try:
            require_sure(program, plan)
        except RecordingError as error:
            report(f"dbt is recorded anew: {error}")
            return None
        known = known_metrics(program, plan)
        fresh = [metric.name for metric in plan.metrics if metric.name not in known]
        report("what dbt sends was recorded before")
        with files.building_folder(self.folder) as building:
            content = building / "recorded"
            content.mkdir()
            try:
                compile_recorded(
                    self.source,
                    program,
                    known,
                    content,
                    report=report,
                )
            except RecordingError as error:
                report(f"dbt is recorded anew: {error}")
                return None
            if plan.world is not None and plan.recorded is not None:
                plan.world.take_over(plan.recorded)
            folder = self.folder / variants.name_of(candidate)
            publish(content, folder, self.seal)
            write_variants(self.folder, variants, self.seal)
        if fresh:
            report(f"new since then: {', '.join(fresh)}; dbt is asked for it with the winner")
        return load(folder), folder

    def _compile(self, candidate: Values, report: Report) -> tuple[Program, Path]:
        untouched = as_planned(self.source.factory.plan)
        variants = self.variants() or Variants()
        self._refuse_many_types(variants)
        why: list[str] = []
        with files.building_folder(self.folder) as building:
            while True:
                content = building / f"attempt-{len(why)}"
                content.mkdir()
                try:
                    program = compile_program(
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
            if untouched is not None:
                untouched.require("while dbt was recorded")
            publish(content, folder, self.seal)
            write_variants(self.folder, variants, self.seal)
            if (recordings := Recordings.of(self.source, self.folder.parent)) is not None:
                recordings.keep(program, candidate, variants)
        return load(folder), folder

    def _refuse_many_types(self, variants: Variants) -> None:
        known = sum(1 for _ in self.folder.glob(f"[!.]*/{PROGRAM_FILE}")) if variants.typed else 0
        if known >= MAX_TYPED:
            raise RecordingError(
                f"{', '.join(variants.typed)}: {known} programs for types of literals are enough"
            )


def _others(folder: Path) -> str | None:
    """Return that programs of the scenario are there which are not this user's; None if not."""
    scenario = folder.name.partition("-")[0]
    if folder.exists() or not any(folder.parent.glob(f"{scenario}*")):
        return None
    return (
        f"the compiled scenario in {folder.parent} was made with another key than this user's, so "
        "it is not run; recording anew"
    )
