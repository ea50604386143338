"""The dbt project's manifest, which the dbt assets are made from: built once for each content."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from search.errors import ProjectError
from search.scenario.hashing import hash_parts
from search.scenario.project import DbtProject, package_versions
from search.scenario.relations import Relations, names_of
from search.system import files
from search.system.child import Report, run_in_child

MANIFEST = "manifest.json"
PARTIAL_PARSE = "partial_parse.msgpack"
KEPT_MANIFESTS = 3
"""Manifests of earlier contents that are kept: for processes that still load them."""


def prepared_manifest(project_dir: Path, folder: Path) -> Path:
    """Return the project's manifest, built when there is none for its present content.

    Several processes may ask at once (web server, daemon, runs): one of them builds under
    a lock while the others wait, and a reader never sees a half-written file.

    Args:
        project_dir: The dbt project; it is only read.
        folder: Where manifests are kept, a folder for each content.

    Raises:
        ProjectError: If the project does not parse; dbt's message is passed on.
    """
    manifest = folder / _content_of(project_dir) / MANIFEST
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        if not manifest.exists():
            # In a process of its own: Dagster's keep neither dbt nor what its imports leave behind.
            run_in_child(_build, project_dir, manifest.parent, report=lambda line: None)
            _forget_old(folder)
    return manifest


def relations_of(manifest: Path) -> Relations:
    """Return what ``ref`` and ``source`` resolve to in the project of a manifest."""
    document = json.loads(manifest.read_text(encoding="utf-8"))
    refs = {
        name: node["relation_name"]
        for node in document["nodes"].values()
        if node["resource_type"] in ("model", "seed", "snapshot") and node["relation_name"]
        for name in names_of(
            node["name"], node["package_name"], node.get("version"), node.get("latest_version")
        )
    }
    sources = {
        f"{source['source_name']}.{source['name']}": source["relation_name"]
        for source in document["sources"].values()
    }
    return Relations(refs, sources)


def _content_of(project_dir: Path) -> str:
    """Return a hash of what the manifest depends on."""
    project = DbtProject(project_dir)
    env = [f"{name}={value}" for name, value in project.env_named().items()]
    versions = [f"{name}={version}" for name, version in sorted(package_versions().items())]
    # dbt writes the place of the project into the manifest.
    return hash_parts([str(project_dir), project.fingerprint(), *env, *versions])[:16]


def _build(project_dir: Path, target: Path, *, report: Report) -> None:
    from search.scenario.dbt_session import DbtSession, resolve_profile
    from search.scenario.duck_limits import DuckLimits

    with files.building_folder(target.parent) as private:
        profile = resolve_profile(project_dir)
        limits = DuckLimits(
            memory_limit_bytes=2**28, threads=1, temp_directory=private, max_temp_bytes=0
        )
        session = DbtSession(
            project_dir=project_dir,
            profile=profile,
            database=private / f"{profile.catalog}.duckdb",
            home=private,
            limits=limits,
        )
        session.parse(with_artifacts=True)
        finished = private / "finished"
        finished.mkdir()
        for name in (MANIFEST, PARTIAL_PARSE):
            if (private / "target" / name).exists():
                os.replace(private / "target" / name, finished / name)
        if not (finished / MANIFEST).exists():
            raise ProjectError(f"dbt parsed {project_dir} but wrote no {MANIFEST}")
        files.publish_folder(finished, target, lambda there: (there / MANIFEST).exists())


def _forget_old(folder: Path) -> None:
    """Remove all but the newest manifests; under the lock."""
    built = sorted(folder.glob(f"*/{MANIFEST}"), key=lambda file: file.stat().st_mtime)
    for file in built[: -1 - KEPT_MANIFESTS]:
        shutil.rmtree(file.parent, ignore_errors=True)
