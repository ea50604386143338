"""The whole of an apply and a rollback: which values, and the trail afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.audit.republish import republish
from search.errors import NotVerifiedError, TargetsMissedError
from search.parameter_sets.candidates import Candidates, NamedCandidate
from search.parameter_sets.journal import TRIAL, VALUES, Journal, Origin
from search.parameter_sets.sets import Applied, Author, ParameterSets
from search.study import StudySpec
from search.study.layout import Layout
from search.study.space import assigned


def apply_chosen(
    spec: StudySpec,
    results: Path,
    *,
    trial: int | None,
    alternative: int | None = None,
    assignments: Sequence[str],
    author: Author,
    is_dry_run: bool,
    is_unverified: bool = False,
) -> Applied:
    """Apply values, a trial, or the winner of a study.

    Args:
        spec: The study.
        results: Folder of all results.
        trial: The trial; the best one when None, which must then meet all targets.
        alternative: The other plan that meets every target, by its place from 1.
        assignments: ``name=value`` texts, in place of a trial.
        author: Who applies, and why.
        is_dry_run: Work out what would be written, and write nothing.
        is_unverified: Apply a trial although real dbt does not confirm it.

    Raises:
        SearchError: If the values are not there, not allowed, locked, or cannot be written.
    """
    if assignments:
        values, origin = assigned(spec, assignments), Origin(kind=VALUES)
    else:
        candidates = Candidates(spec, results)
        if alternative is not None:
            chosen = candidates.alternative(alternative, option="--alternative")
            _require_met(spec, candidates, chosen, f"alternative {alternative}, {chosen.label},")
        elif trial is None:
            chosen = candidates.find("best", option="what is applied")
            _require_met(spec, candidates, chosen, f"the best {chosen.label}")
        else:
            chosen = candidates.trial(trial, option="--trial")
        verification = candidates.stored.verification(chosen.trial)
        if verification is not None and not verification.is_verified and not is_unverified:
            raise NotVerifiedError(
                f"{chosen.label} is not verified: {verification.text()}; look at it with "
                f"`scenario-search verify --trial {chosen.trial}`, or give --unverified to apply "
                "it all the same"
            )
        values = dict(chosen.values)
        origin = Origin(
            kind=TRIAL,
            study=chosen.study,
            run_id=chosen.run_id,
            trial=chosen.trial,
            metrics=dict(chosen.metrics),
            anchor=candidates.stored.anchor,
        )
    applied = ParameterSets(spec).apply(values, origin, author, is_dry_run=is_dry_run)
    return _noted(spec, results, applied, is_dry_run=is_dry_run)


def roll_back(
    spec: StudySpec, results: Path, *, to: int | None, author: Author, is_dry_run: bool
) -> Applied:
    """Put an earlier set back into force; see ``ParameterSets.roll_back``."""
    applied = ParameterSets(spec).roll_back(to, author, is_dry_run=is_dry_run)
    return _noted(spec, results, applied, is_dry_run=is_dry_run)


def _require_met(
    spec: StudySpec, candidates: Candidates, chosen: NamedCandidate, called: str
) -> None:
    """Refuse a plan that misses what the study file wants now.

    Raises:
        TargetsMissedError: With the way to apply it all the same.
    """
    missed = candidates.missed(chosen.metrics)
    if not missed:
        return
    edited = candidates.stored.edited(spec)
    since = (
        f" as the study file has it now ({', '.join(edited)} edited since it ran); run it again, or"
        if edited
        else ";"
    )
    raise TargetsMissedError(
        f"{called} misses {', '.join(missed)}{since} name it to apply it all the same: "
        f"--trial {chosen.trial}"
    )


def _noted(spec: StudySpec, results: Path, applied: Applied, *, is_dry_run: bool) -> Applied:
    """Bring the study's published trail up to date; a running driver does so itself."""
    if applied.is_changed and not is_dry_run:
        layout = Layout(results, spec.study)
        republish(
            spec,
            layout.folder,
            layout.storage_url(spec),
            lock=layout.lock,
            parameter_sets=Journal.of(spec).records(),
            event=(
                "parameter_set_applied",
                {"version": applied.active.version, "origin": applied.active.origin.text},
            ),
        )
    return applied
