"""What a page that is passed on does not say: who ran it, on which machine, in which folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from markupsafe import escape

from search.report.facts import StudyFacts


def without_names(facts: StudyFacts) -> StudyFacts:
    """Return what the trail says without users and hosts."""
    nobody = {"user_name": None, "host": None}
    return replace(
        facts,
        runs=tuple(run.model_copy(update=nobody) for run in facts.runs),
        other_versions=tuple(run.model_copy(update=nobody) for run in facts.other_versions),
        parameter_sets=tuple(
            applied.model_copy(update={"applied_by": None}) for applied in facts.parameter_sets
        ),
    )


def without_paths(text: str, facts: StudyFacts) -> str:
    """Return a page on which paths begin where its commands are started, or at home.

    Args:
        text: The page.
        facts: The study, whose folders are known.
    """
    study_file = Path(facts.run.study_file or "study.yml")
    for folder in (Path.cwd(), facts.folder.absolute().parent.parent, study_file.absolute().parent):
        if folder != Path(folder.anchor):
            text = text.replace(f"{escape(folder)}{os.sep}", "")
    home = Path.home()
    return text if home == Path(home.anchor) else text.replace(str(escape(home)), "~")
