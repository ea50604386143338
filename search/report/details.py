"""The report's second half, for whoever checks: all trials, failures, costs, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from search.audit.records import RunRecord, TrialMetric, TrialRecord
from search.report.facts import StudyFacts, Target
from search.report.page import (
    Cell,
    Row,
    bare,
    cell,
    command,
    definitions,
    heading,
    moment,
    percent,
    repeat_words,
    row,
    seconds_text,
    section,
    small,
    table,
    what_if_words,
    wide,
)
from search.report.plots import SHADES, filled_bar, stacked_bar
from search.report.render import joined, part
from search.report.shapes import box, svg
from search.study.budget import format_bytes
from search.views.text import whole_shares

MAX_CELLS = 45_000
"""Cells of the table of trials; beyond, only the best and the latest trials are listed."""
MAX_MESSAGE = 600
"""Characters of an error message in the table of trials; the list of failures has all."""
MAX_GROUPS = 50
"""Different failures that are listed."""


def trials_section(facts: StudyFacts) -> Markup:
    """Return every trial in a table that its headings sort."""
    if not facts.trials:
        return Markup()
    scored = [target for target in facts.targets if not target.goal.is_objective]
    header = [
        ("trial", False),
        ("iteration", False),
        ("state", True),
        ("loss", False),
        *((heading(parameter.name, parameter.unit), False) for parameter in facts.parameters),
        *((heading(name, unit), False) for name, unit in facts.units.items()),
        *((_variance_heading(target), False) for target in scored),
        ("evaluation (s)", False),
        ("peak memory (MB)", False),
        ("worker", True),
        ("lineage", True),
    ]
    shown = _listed(facts, MAX_CELLS // len(header))
    has_errors = any(trial.error_message for trial in shown)
    header += [("error", True)] if has_errors else []
    rows = [_trial_row(facts, trial, scored, has_errors=has_errors) for trial in shown]
    body = part("frame", table(header, rows, class_="dense", is_sortable=True), "scroll")
    total = len(facts.trials)
    intro = "A click on a heading sorts; the best trial is marked."
    if len(shown) < total:
        intro += (
            f" The best and latest {len(shown):,} of {total:,} trials are listed; all of them "
            "are in audit.duckdb (view trial_summary)."
        )
    return section("trials", "Trials", body, intro=intro)


def _listed(facts: StudyFacts, most: int) -> Sequence[TrialRecord]:
    if len(facts.trials) <= most:
        return facts.trials
    latest = {trial.trial for trial in facts.trials[-most // 4 :]} | {facts.best}
    others = [t for t in facts.trials if t.trial not in latest]
    others.sort(key=lambda t: (t.loss is None, t.loss or 0.0))
    kept = latest | {t.trial for t in others[: most - len(latest)]}
    return [trial for trial in facts.trials if trial.trial in kept]


def _trial_row(
    facts: StudyFacts, trial: TrialRecord, scored: Sequence[Target], *, has_errors: bool
) -> Row:
    values = trial.candidate if isinstance(trial.candidate, dict) else {}
    records = facts.metrics.get(trial.trial, {})
    numbers = [bare(values.get(parameter.name), parameter.unit) for parameter in facts.parameters]
    numbers += [
        bare(records[name].value, unit) if name in records else ""
        for name, unit in facts.units.items()
    ]
    for target in scored:
        name = target.goal.metric
        numbers.append(_variance_cell(target, records[name]) if name in records else "")
    memory = trial.peak_memory_bytes
    numbers.append("" if trial.seconds is None else f"{trial.seconds:.2f}")
    numbers.append(f"{memory / 1e6:,.0f}" if memory else "")
    texts = [trial.worker or "", trial.lineage or ""]
    cells = [
        Cell(str(trial.trial)),
        Cell("" if trial.iteration is None else str(trial.iteration)),
        Cell(trial.state, "t"),
        Cell("" if trial.loss is None else f"{trial.loss:.4g}"),
        *(Cell(number) for number in numbers),
        *(Cell(text, "t") for text in texts),
    ]
    if has_errors:
        message = trial.error_message or ""
        short = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + " …"
        cells.append(Cell(short, "t m"))
    kind = "best" if trial.trial == facts.best else "failed" if trial.state == "failed" else None
    return Row(cells, kind)


def _variance_heading(target: Target) -> str:
    unit = target.goal.unit if target.goal.value == 0 else "fraction"
    return heading(f"{target.goal.metric} variance", unit)


def _variance_cell(target: Target, record: TrialMetric) -> str:
    off = record.variance
    if off is None:
        return ""
    is_absolute = record.value is not None and target.is_absolute(record.value)
    return bare(off, target.goal.unit) if is_absolute else f"{off * 100:+.4g}"


def failures_section(facts: StudyFacts) -> Markup:
    """Return why trials failed, the same failure once; empty when none did."""
    groups: dict[tuple[str, ...], list[TrialRecord]] = {}
    for trial in facts.failed():
        where = ", ".join(
            part for part in (trial.error_stage, trial.error_step, trial.error_model) if part
        )
        groups.setdefault((where, trial.error_message or "no message"), []).append(trial)
    if not groups:
        return Markup()
    rows = []
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    for (where, message), trials in ordered[:MAX_GROUPS]:
        numbers = ", ".join(str(trial.trial) for trial in trials[:12])
        numbers += f" and {len(trials) - 12:,} more" if len(trials) > 12 else ""
        rows.append(
            row(
                cell(f"{len(trials):,}"),
                cell(numbers, is_text=True),
                cell(where, is_text=True),
                cell(message, is_text=True),
            )
        )
    header = [("failed trials", False), ("numbers", True), ("where", True), ("why", True)]
    intro = f"{len(facts.failed()):,} of {len(facts.trials):,} trials failed."
    if len(ordered) > MAX_GROUPS:
        intro += f" The {MAX_GROUPS} most frequent of {len(ordered):,} failures are listed."
    example = small("Run the first of them alone, to look closer:")
    example += command(_again(facts, ordered[0][1][0]))
    return section("failures", "Failures", wide(table(header, rows)), example, intro=intro)


def _again(facts: StudyFacts, trial: TrialRecord) -> list[str]:
    if facts.is_newest:
        return repeat_words(facts, trial.trial)
    return what_if_words(facts, trial.candidate if isinstance(trial.candidate, dict) else {})


def costs_section(facts: StudyFacts) -> Markup:
    """Return where time went and what memory was taken."""
    run = facts.run
    totals: dict[str, float] = {}
    for trial in facts.trials:
        stages = trial.stage_seconds if isinstance(trial.stage_seconds, dict) else {}
        for stage, seconds in stages.items():
            totals[stage] = totals.get(stage, 0.0) + float(seconds)
    evaluated = sum(trial.seconds or 0.0 for trial in facts.trials)
    count = sum(trial.seconds is not None for trial in facts.trials)
    pairs = [
        ("last run, start to end", _known(run.wall_seconds)),
        ("of it until the first trial", _known(run.startup_seconds)),
        ("evaluating, all trials together", _known(evaluated)),
        ("an evaluation, on average", _known(evaluated / count if count else None)),
        ("workers", None if run.workers is None else str(run.workers or "none: the driver itself")),
    ]
    parts = [definitions(pairs)]
    if totals and evaluated > 0:
        parts.append(_stages(totals, evaluated, count))
    body = part("columns", [joined(parts), _memory(facts)])
    return section("costs", "Time and memory", body)


def _known(seconds: float | None) -> str | None:
    return None if seconds is None else seconds_text(seconds)


def _stages(totals: Mapping[str, float], evaluated: float, count: int) -> Markup:
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    outside = evaluated - sum(totals.values())
    if outside > 0.0005 * evaluated:
        ordered.append(("between the stages", outside))
    if len(ordered) > SHADES:
        rest = sum(seconds for _, seconds in ordered[SHADES - 1 :])
        names = len(ordered) - SHADES + 1
        ordered = [*ordered[: SHADES - 1], (f"{names} other stages", rest)]
    rows = []
    shares = whole_shares([seconds for _, seconds in ordered])
    for number, (stage, seconds) in enumerate(ordered):
        key = svg(10, 10, [box(0, 0, 10, 10, f"s{number}", 2)], label="")
        rows.append(
            row(
                cell(key + " " + stage, is_text=True),
                cell(seconds_text(seconds)),
                cell(percent(shares[number], has_sign=False)),
                cell(seconds_text(seconds / max(1, count))),
            )
        )
    bar = stacked_bar(shares, label_text="time by stage")
    header = [("stage", True), ("total", False), ("share", False), ("per trial", False)]
    return part("subtitle", "Evaluation by stage") + bar + table(header, rows)


def _memory(facts: StudyFacts) -> Markup:
    run = facts.run
    peaks = [trial.peak_memory_bytes for trial in facts.trials if trial.peak_memory_bytes]
    pairs = [
        ("budget", _bytes(run.memory_budget_bytes)),
        ("peak, all processes together", _bytes(run.peak_memory_bytes)),
        ("greatest peak of a worker", _bytes(max(peaks, default=None))),
    ]
    bar = Markup()
    if run.peak_memory_bytes and run.memory_budget_bytes:
        share = run.peak_memory_bytes / run.memory_budget_bytes
        words = f"{percent(share, has_sign=False)} of the budget"
        bar = small(words) + filled_bar(share, label_text=words)
    return definitions(pairs) + bar


def _bytes(size: int | None) -> str | None:
    return format_bytes(size) if size else None


def repeat_section(facts: StudyFacts) -> Markup:
    """Return the command that repeats a trial."""
    trial = facts.best_trial or (facts.trials[0] if facts.trials else None)
    if trial is None:
        return Markup()
    run = facts.run
    parts = []
    if facts.is_newest:
        parts.append(command(repeat_words(facts, trial.trial)))
        parts.append(
            small(
                "Put any other trial's number there. The command evaluates the same candidate "
                "again and says whether every metric is exactly the same."
            )
        )
    else:
        parts.append(command(_again(facts, trial)))
        words = (
            f"{facts.study} is an earlier version of the study, so its trials are repeated by "
            "their values, with the inputs of that time."
        )
        parts.append(small(words))
    conditions = []
    if run.git_commit:
        dirty = ", which had uncommitted changes then" if run.git_is_dirty else ""
        conditions.append(f"the study's repository at commit {run.git_commit}{dirty}")
    conditions.append("the versions and fingerprints below")
    if run.threads_per_worker and run.threads_per_worker > 1:
        conditions.append(
            f"sums to about 1e-9 only, since a worker had {run.threads_per_worker} threads"
        )
    parts.append(small("It takes " + ", ".join(conditions) + "."))
    return section("repeat", "Repeat a trial", *parts)


def provenance_section(facts: StudyFacts) -> Markup:
    """Return who ran what, with which versions of everything."""
    run = facts.run
    dirty = ", with uncommitted changes" if run.git_is_dirty else ""
    inputs = definitions(
        [
            ("study file", run.study_file),
            ("commit", f"{run.git_commit}{dirty}" if run.git_commit else "not under git"),
            ("study fingerprint", run.spec_fingerprint),
            ("dbt project fingerprint", run.project_fingerprint),
            ("baseline fingerprint", run.baseline_fingerprint),
            ("program fingerprint", run.program_fingerprint),
            ("sampler", run.sampler),
            ("seed", None if run.sampler_seed is None else str(run.sampler_seed)),
            ("engine", run.engine),
            ("isolation", run.isolation),
            ("threads of a worker", _count(run.threads_per_worker)),
            ("storage", run.storage_url),
        ]
    )
    names = ["scenario_search", "dbt_core", "dbt_duckdb", "duckdb", "optuna", "ray", "python"]
    versions = definitions(
        [(name.replace("_", "-"), getattr(run, f"{name}_version")) for name in names]
    )
    parts = [
        part(
            "columns",
            [part("subtitle", "Inputs") + inputs, part("subtitle", "Versions") + versions],
        ),
        part("subtitle", "Runs"),
        wide(_runs(facts.runs)),
    ]
    if facts.other_versions:
        parts += [
            part("subtitle", "Other versions of this study"),
            wide(_runs(facts.other_versions, has_study=True)),
        ]
    if facts.parameter_sets:
        parts += [part("subtitle", "Applied parameter sets"), _parameter_sets(facts)]
    if facts.document:
        text = json.dumps(facts.document, indent=2, ensure_ascii=False)
        parts.append(part("folded", "Study file, defaults filled in", part("plain", text)))
    return section("provenance", "Provenance", *parts)


def _count(number: int | None) -> str | None:
    return None if number is None else str(number)


def _runs(runs: Sequence[RunRecord], *, has_study: bool = False) -> Markup:
    header = [("study", True)] if has_study else []
    header += [("run", True), ("state", True), ("started", True), ("took", False)]
    header += [("trials", False), ("by", True), ("outcome", True)]
    rows = []
    for run in runs:
        who = "@".join(part for part in (run.user_name, run.host) if part)
        cells = [cell(run.study, is_text=True)] if has_study else []
        cells += [
            cell(run.run_id, is_text=True),
            cell(run.state, is_text=True),
            cell(moment(run.started_at) or "", is_text=True),
            cell(seconds_text(run.wall_seconds)),
            cell("-" if run.trials is None else f"{run.trials:,}"),
            cell(who, is_text=True),
            cell(run.reason or "-", is_text=True),
        ]
        rows.append(Row(cells))
    return table(header, rows)


def _parameter_sets(facts: StudyFacts) -> Markup:
    header = [("set", True), ("version", False), ("active", True), ("trial", False)]
    header += [("applied", True), ("by", True), ("reason", True)]
    rows = [
        row(
            cell(applied.parameter_set, is_text=True),
            cell(str(applied.version)),
            cell("active" if applied.is_active else "-", is_text=True),
            cell("-" if applied.trial is None else str(applied.trial)),
            cell(moment(applied.applied_at) or "-", is_text=True),
            cell(applied.applied_by or "-", is_text=True),
            cell(applied.reason or "-", is_text=True),
        )
        for applied in facts.parameter_sets
    ]
    return wide(table(header, rows))
