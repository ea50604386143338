"""Applying parameter sets to a dbt project, and going back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from search.errors import ProjectError, SpecError
from search.parameter_sets.commit import commit, exclusive, finish_pending
from search.parameter_sets.journal import (
    FOUND,
    ROLLBACK,
    Journal,
    Origin,
    ParameterSet,
    now,
    project_of,
    sets_folder,
)
from search.parameter_sets.places import Place, Stamp, places_of, require_unlocked
from search.parameter_sets.working_copy import FileChange, WorkingCopy
from search.study import StudySpec
from search.study.space import constraints_hold, validate_candidate
from search.study.values import Scalar
from search.system.provenance import who

_Write = Callable[[Sequence[Place], WorkingCopy, Stamp], None]
"""Takes the places, the working copy and the stamp; changes the working copy."""

MAX_TEXT = 500
"""Characters of a reason or an author."""


@dataclass(frozen=True)
class Applied:
    """What an apply or a rollback did.

    Attributes:
        active: The set in force now; the one before when nothing changed.
        previous: The values in force before.
        changes: The files that were written.
        kept: Versions that were recorded first, because the files had been edited by hand.
        is_changed: Whether there was anything to do.
    """

    active: ParameterSet
    previous: Mapping[str, Scalar]
    changes: tuple[FileChange, ...]
    kept: tuple[int, ...]
    is_changed: bool


@dataclass(frozen=True)
class Author:
    """Who changes the set in force, and why."""

    name: str
    reason: str

    @classmethod
    def of(cls, reason: str, name: str | None) -> Author:
        """Return the author; the account's name when none is given.

        Raises:
            SpecError: If a text is empty, too long or more than a line.
        """
        for option, text in (("--reason", reason), ("--author", name)):
            if text is not None and not (0 < len(text.strip()) <= MAX_TEXT and text.isprintable()):
                raise SpecError(
                    f"{option} must be one line of 1 to {MAX_TEXT} characters, but got {text!r:.80}"
                )
        return cls(who().user_name if name is None else name.strip(), reason.strip())


class ParameterSets:
    """The parameter sets of one study.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._folder = sets_folder(spec)

    def journal(self) -> Journal:
        """Return the sets, after finishing what a crash left half done.

        Raises:
            AuditError: If the journal is damaged.
        """
        finish_pending(self._folder)
        return Journal.of(self._spec)

    def drift(self) -> list[str]:
        """Return the parameters whose place in the files is no longer as the active set left it."""
        active = self.journal().active
        if active is None:
            return []
        return self._drift(active, WorkingCopy(project_of(self._spec)), places_of(self._spec))

    def apply(self, values: Mapping[str, Scalar], origin: Origin, author: Author, *,
              is_dry_run: bool = False) -> Applied:  # fmt: skip
        """Make values the ones in force; parameters left out stay as they are.

        Args:
            values: Parameter name to value, in the study's range.
            origin: Where they come from.
            author: Who applies them, and why.
            is_dry_run: Work out what would be written, and write nothing.

        Raises:
            SpecError: If a value is not allowed, or a locked parameter would change.
            ProjectError: If the project has no place for a value.
            AuditError: If the journal is damaged or cannot be written.
        """
        wanted = validate_candidate(self._spec, values, partial=True)

        def write(places: Sequence[Place], files: WorkingCopy, stamp: Stamp) -> None:
            concerned = [place for place in places if place.parameter in wanted]
            before = {place.name: place.image(files) for place in concerned}
            locks = WorkingCopy(files.folder)
            for place in concerned:
                place.write(files, wanted[place.parameter], stamp)
            self._check_constraints(places, files)
            moved = [place for place in concerned if place.image(files) != before[place.name]]
            require_unlocked(moved, locks)

        return self._change(write, origin, author, is_dry_run=is_dry_run)

    def roll_back(self, to: int | None, author: Author, *, is_dry_run: bool = False) -> Applied:
        """Put an earlier set back into force, exactly as it stood in the files.

        Args:
            to: Its version; the one before the active set's when None.
            author: Who goes back, and why.
            is_dry_run: Work out what would be written, and write nothing.

        Raises:
            SpecError: If there is no such set, or a locked parameter would change.
            ProjectError: If the project lacks the places of that time.
            AuditError: If the journal is damaged or cannot be written.
        """
        target = self._rollback_target(self.journal(), to)

        def write(places: Sequence[Place], files: WorkingCopy, stamp: Stamp) -> None:
            locks = WorkingCopy(files.folder)
            moved = []
            for place in places:
                image = target.images.get(place.parameter, {}).get(place.name)
                if image is None:
                    raise ProjectError(
                        f"set {target.version} must say what stands in {place.name}, but it was "
                        "applied when the study file had other places; apply values instead"
                    )
                if image != place.image(files):
                    place.restore(files, image)
                    moved.append(place)
            require_unlocked(moved, locks)

        origin = Origin(kind=ROLLBACK, version=target.version)
        return self._change(write, origin, author, is_dry_run=is_dry_run)

    def _change(self, write: _Write, origin: Origin, author: Author, *,
                is_dry_run: bool) -> Applied:  # fmt: skip
        # Once without the lock, so that a refusal leaves no folder behind.
        planned = self._planned(write, origin, author)
        if is_dry_run or not planned.is_changed:
            return planned
        with exclusive(self._folder):
            planned = self._planned(write, origin, author)
            if planned.is_changed:
                commit(self._folder, planned.changes)
        return planned

    def _planned(self, write: _Write, origin: Origin, author: Author) -> Applied:
        """Work out the files and the journal with the change in them."""
        journal = Journal.of(self._spec)
        files = WorkingCopy(project_of(self._spec))
        places = places_of(self._spec)
        added: list[ParameterSet] = []
        active = journal.active
        if active is None or self._drift(active, files, places):
            why = "before the first set" if active is None else "the files were edited by hand"
            planned = self._set(files, places, Origin(kind=FOUND), Author(author.name, why))
            active = self._next(planned, active, added)
        previous = dict(active.values)
        write(places, files, Stamp(author.name, now().date()))
        chosen = self._set(files, places, origin, author)
        changes = files.changes()
        is_changed = bool(changes) or not journal.sets or chosen.values != active.values
        if not is_changed:
            return Applied(journal.active or active, previous, (), (), is_changed=False)
        kept = tuple(parameter_set.version for parameter_set in added)
        active = self._next(chosen, active, added)
        before = journal.path.read_bytes() if journal.path.exists() else None
        changes.append(FileChange(journal.path, before, journal.content_with(tuple(added))))
        return Applied(active, previous, tuple(changes), kept, is_changed=True)

    def _set(
        self, files: WorkingCopy, places: Sequence[Place], origin: Origin, author: Author
    ) -> ParameterSet:
        """Return what stands in the files as a set, its place in the journal not yet known."""
        images: dict[str, dict[str, list[str]]] = {}
        values: dict[str, list[Scalar | None]] = {}
        for place in places:
            images.setdefault(place.parameter, {})[place.name] = place.image(files)
            values.setdefault(place.parameter, []).append(place.value(files))
        return ParameterSet(
            parameter_set=self._spec.study,
            version=0,
            at=now(),
            author=author.name,
            reason=author.reason,
            origin=origin,
            values={
                name: value[0]
                for name, value in values.items()
                if value[0] is not None and all(other == value[0] for other in value)
            },
            images=images,
            scenario_search_version=version("scenario-search"),
        )

    def _next(
        self, planned: ParameterSet, before: ParameterSet | None, added: list[ParameterSet]
    ) -> ParameterSet:
        numbered = planned.model_copy(update={"version": before.version + 1 if before else 0})
        sealed = numbered.sealed(before.hash if before else "")
        added.append(sealed)
        return sealed

    def _drift(
        self, active: ParameterSet, files: WorkingCopy, places: Sequence[Place]
    ) -> list[str]:
        """Return the parameters that somebody else changed since; places new since are none."""
        drifted = []
        for place in places:
            image = active.images.get(place.parameter, {}).get(place.name)
            if image is not None and image != place.image(files):
                drifted.append(place.parameter)
        return list(dict.fromkeys(drifted))

    def _check_constraints(self, places: Sequence[Place], files: WorkingCopy) -> None:
        """Refuse values that break a constraint with what is in force for the others."""
        together = {place.parameter: place.value(files) for place in places}
        known = {name: value for name, value in together.items() if value is not None}
        if len(known) == len(self._spec.parameters) and not constraints_hold(self._spec, known):
            shown = ", ".join(f"{name} {value}" for name, value in known.items())
            raise SpecError(
                "the constraints must hold for what is applied and what stays in force, but got "
                f"{shown}",
                key="constraints",
            )

    def _rollback_target(self, journal: Journal, to: int | None) -> ParameterSet:
        active = journal.active
        if active is None:
            raise SpecError(
                f"a set must have been applied before a rollback, but study {self._spec.study} has "
                "none; `scenario-search apply` makes the first"
            )
        if to is None:
            # After a rollback to 3, the next one goes to 2.
            stands_for = active.origin.version if active.origin.kind == ROLLBACK else active.version
            to = int(stands_for if stands_for is not None else active.version) - 1
        target = journal.get(to)
        if target is None:
            last = journal.sets[-1].version
            raise SpecError(f"--to must be a set from 0 to {last}, but got {to}; see `history`")
        return target
