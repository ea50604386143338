"""Where a study stands, read from its storage while a driver may be writing to it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.audit.assemble import best_stored, resolved_goals
from search.scenario.verdict import VERIFIED, Verification
from search.storage.attributes import FINGERPRINTS, RUNS, SPEC
from search.storage.lock import StudyLock
from search.storage.reading import StudyRecord, read_study
from search.storage.trials import Trial, read_trials
from search.storage.urls import masked
from search.study import StudySpec, edited_keys, study_as_ran, study_fingerprint
from search.study.figures import with_unit
from search.study.layout import REPORT_NAME, Layout
from search.study.preference import Preference
from search.study.targets import Goal, all_met, goals_of, variance
from search.views.targets import target_document
from search.views.text import counted, duration_text, table_text


def status_summary(
    spec: StudySpec, results: Path, *, looked_at: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return where a study stands, for programs: what ``status --json`` prints.

    Nothing is written and no lock is taken for longer than a look.

    Args:
        spec: The study.
        results: Folder of all results.
        looked_at: Other folders in which there are none.

    Raises:
        StorageError: If the storage is there and cannot be read.
    """
    layout = Layout(results, spec.study)
    url = layout.storage_url(spec)
    records = read_study(url, spec.study)
    running = _holder(layout.lock)
    summary: dict[str, Any] = {
        "study": spec.study,
        "state": _state(records, is_running=running is not None),
        "running": running,
        "versions": [_version_document(record) for record in records],
        "paths": _paths(layout, url),
        "last_published_at": _modified_at(layout.folder / "audit.duckdb"),
        "trials": {},
        "iterations": 0,
        "best": None,
        "targets": [],
        "is_all_targets_met": None,
        "verification": None,
        "reason_code": None,
        "changed_since": [],
        "looked_at": [str(place / spec.study) for place in looked_at],
    }
    if records:
        summary |= _latest(spec, records[-1])
    summary["next"] = _next(spec, results, summary)
    return summary


def _holder(lock: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError):
        return StudyLock(lock).holder()
    return None


def _state(records: Sequence[StudyRecord], *, is_running: bool) -> str:
    """Return ``running``, ``never run``, ``cut off``, or how the last run ended."""
    if is_running:
        return "running"
    runs = _runs(records[-1]) if records else []
    if not runs:
        return "never run"
    state = str(runs[-1].get("state", "finished"))
    return "cut off" if state == "running" else state


def _runs(version: StudyRecord) -> list[dict[str, Any]]:
    stored = version.attributes.get(RUNS)
    runs = list(stored.values()) if isinstance(stored, dict) else []
    return sorted(runs, key=lambda run: str(run.get("started_at")))


def _version_document(stored: StudyRecord) -> dict[str, Any]:
    keys = ("run_id", "state", "started_at", "finished_at", "user_name", "host", "pid", "reason")
    return {
        "name": stored.version.name,
        "version": stored.version.version,
        "trials": len(stored.trials),
        "runs": [{key: run.get(key) for key in keys} for run in _runs(stored)],
    }


def _paths(layout: Layout, url: str) -> dict[str, str | None]:
    def if_there(path: Path) -> str | None:
        return str(path) if path.exists() else None

    return {
        "folder": if_there(layout.folder),
        "storage": masked(url),
        "audit": if_there(layout.folder / "audit.duckdb"),
        "report": if_there(layout.folder / REPORT_NAME),
    }


def _modified_at(path: Path) -> str | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return None


def _latest(spec: StudySpec, latest: StudyRecord) -> dict[str, Any]:
    """Return what is known of the newest version, by its own targets."""
    counts: dict[str, int] = {}
    trials = read_trials(latest.trials)
    for trial in trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    stored = latest.attributes.get(FINGERPRINTS) or {}
    changed: list[str] = []
    if stored and stored.get("spec") != study_fingerprint(spec):
        changed = edited_keys(latest.attributes.get(SPEC), spec) or ["the study file"]
    spec = study_as_ran(latest.attributes.get(SPEC), spec) if changed else spec
    preference = Preference.stored(spec, latest.attributes)
    goals = resolved_goals(goals_of(spec), latest.trials, preference)
    best = best_stored(trials, goals, preference)
    metrics = best.metrics if best is not None else {}
    if best is not None and preference.fits(best.candidate):
        goals = tuple(preference.judged(goals, best.candidate))
    is_judged = bool(metrics) and all(_is_judged(goal, metrics) for goal in goals)
    runs = _runs(latest)
    said = (latest.attributes.get(VERIFIED) or {}).get(str(best.number)) if best else None
    verification = Verification.of_document(said) if said else None
    return {
        "trials": counts,
        "iterations": max((trial.iteration or 0 for trial in trials), default=0),
        "best": None
        if best is None
        else {
            "trial": best.number,
            "parameters": best.candidate,
            "metrics": metrics,
            "variances": {
                goal.metric: variance(goal, metrics[goal.metric])
                for goal in goals
                if _is_judged(goal, metrics)
            },
        },
        "targets": [target_document(goal, metrics.get(goal.metric)) for goal in goals],
        "is_all_targets_met": all_met(goals, metrics) if is_judged else None,
        "verification": None
        if verification is None
        else {
            "verified": verification.is_verified,
            "metrics_verified": verification.is_equal,
            "tests": verification.tests.document(),
            "text": verification.text(),
        },
        "reason_code": runs[-1].get("reason_code") if runs else None,
        "last_trial_at": _last_end(latest.trials),
        "last_failure": _last_failure(latest.trials),
        "changed_since": changed,
    }


def _is_judged(goal: Goal, metrics: Mapping[str, float]) -> bool:
    return goal.metric in metrics and (goal.kind != "equal" or goal.value is not None)


def _last_end(trials: Sequence[Trial]) -> str | None:
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    return max(ends).astimezone(UTC).isoformat(timespec="seconds") if ends else None


def _last_failure(trials: Sequence[Trial]) -> str | None:
    failed = [trial for trial in read_trials(trials) if trial.state == "failed"]
    if not failed:
        return None
    return f"trial {failed[-1].number}: {failed[-1].failure.message or 'no message'}"


def _next(spec: StudySpec, results: Path, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what can be done now: a command and what it is for, the likeliest first."""

    def words(verb: str, *more: str) -> str:
        return shlex.join(
            ["scenario-search", verb, _shown(spec.file), *more, "--results", str(results)]
        )

    run, report = words("run"), {"command": words("report"), "why": "write the report"}
    state = summary["state"]
    if state == "never run":
        return [
            {"command": words("doctor"), "why": "check the study before any work"},
            {"command": run, "why": "start the study"},
        ]
    if state == "running":
        return [report | {"why": "write the report of what is known so far"}]
    if summary["changed_since"]:
        return [{"command": run, "why": "start the study's next version"}, report]
    if state in ("cut off", "interrupted"):
        return [{"command": run, "why": "go on where it stopped"}, report]
    if state == "failed":
        return [
            {"command": words("doctor"), "why": "find out what is wrong"},
            {"command": run, "why": "go on where it stopped"},
        ]
    on = " ".join([run, *_more(spec, summary)])
    steps = [] if summary["is_all_targets_met"] else [{"command": on, "why": "search on"}]
    steps.append(report)
    if summary["best"] is not None:
        again = words("evaluate", "--from-trial", str(summary["best"]["trial"]))
        steps.append({"command": again, "why": "evaluate the best trial again"})
    return steps


def _more(spec: StudySpec, summary: Mapping[str, Any]) -> list[str]:
    """Return the settings to raise so that a search goes on."""
    iterations = max(spec.search.max_iterations, int(summary["iterations"])) + 10
    options = [f"--set search.max_iterations={iterations}"]
    ended = sum(summary["trials"].values())
    if ended >= spec.search.max_trials:
        options.append(f"--set search.max_trials={ended + 100}")
    return options


def _shown(file: Path) -> str:
    """Return the study file as one would type it here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def status_text(summary: Mapping[str, Any]) -> str:
    """Return where a study stands, for people."""
    parts = [_headline(summary), *_version_lines(summary)]
    trials = summary["trials"]
    if trials:
        listed = ", ".join(f"{count} {state}" for state, count in sorted(trials.items()))
        parts.append(f"trials: {listed}; {counted(summary['iterations'], 'iteration')}")
    if summary.get("last_failure"):
        parts.append(f"last failure: {summary['last_failure']}")
    if summary["best"] is not None:
        verdict = {True: "meets every target", False: "does not meet every target", None: ""}
        best = f"best: trial {summary['best']['trial']} "
        parts += ["", best + verdict[summary["is_all_targets_met"]], _targets_text(summary)]
        if summary["verification"] is not None:
            mark = "" if summary["verification"]["verified"] else "NOT VERIFIED: "
            parts.append(f"{mark}{summary['verification']['text']}")
    if summary["changed_since"]:
        changed = ", ".join(summary["changed_since"])
        judged = "; what is above is judged by what it ran for" if summary["best"] else ""
        text = f"the study file has other values now ({changed}){judged}"
        parts += ["", f"{text}: a run starts the next version"]
    paths = [
        f"{name}: {summary['paths'][name]}"
        for name in ("storage", "audit", "report")
        if summary["paths"][name] is not None and summary["state"] != "never run"
    ]
    if summary["last_published_at"]:
        paths.append(f"last published: {_when(summary['last_published_at'])}")
    parts += ["", *paths] if paths else []
    parts += ["", "next:"]
    parts += [f"  {step['command']}\n      {step['why']}" for step in summary["next"]]
    return "\n".join(parts)


def _headline(summary: Mapping[str, Any]) -> str:
    name, state = summary["study"], summary["state"]
    if state == "never run":
        looked = ", ".join(summary["looked_at"])
        return f"{name}: has not run yet (no trial in {looked or summary['paths']['storage']})"
    if state == "running":
        holder = summary["running"]
        if not holder:
            return f"{name}: a driver is just starting"
        return (
            f"{name}: running, pid {holder.get('pid')} on {holder.get('host')} "
            f"since {_when(holder.get('since'))}"
        )
    last = summary["versions"][-1]["runs"][-1]
    why = f" - {last['reason']}" if last.get("reason") else ""
    if state == "cut off":
        why = f" - its driver (pid {last.get('pid')} on {last.get('host')}) ended without a word"
    return f"{name}: {state}{why}"


def _version_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for version in summary["versions"]:
        runs = version["runs"]
        last = runs[-1] if runs else {}
        who = f", last by {last['user_name']}" if last.get("user_name") else ""
        when = f", started {_when(last['started_at'])}" if last.get("started_at") else ""
        lines.append(
            f"version {version['version']} ({version['name']}): "
            f"{counted(version['trials'], 'trial')}, {counted(len(runs), 'run')}{who}{when}"
        )
    return lines


def _targets_text(summary: Mapping[str, Any]) -> str:
    rows = []
    for target in summary["targets"]:
        verdict = {True: "met", False: "missed", None: "unknown"}[target["is_met"]]
        rows.append(
            [
                target["metric"],
                target["wanted"],
                with_unit(target["achieved"], target["unit"]),
                target["variance_text"],
                "-" if target["is_objective"] else verdict,
            ]
        )
    return table_text(["target", "wanted", "achieved", "variance", "verdict"], rows)


def _when(text: str | None) -> str:
    """Return a moment for people, with how long ago it was."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    ago = (datetime.now(UTC) - at).total_seconds()
    shown = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{shown} ({duration_text(ago)} ago)" if ago >= 0 else shown
