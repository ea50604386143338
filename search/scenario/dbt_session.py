"""dbt inside this process: the only room that imports dbt.

dbt-core keeps global state (flags, adapters, the working directory) and is not
thread-safe, so a process has one session at a time. Every invocation parses the
project in full: a manifest that was parsed with other vars gives wrong results
silently when a var decides a config, an alias or a ``ref``. What outlives an invocation
is only what follows from a text alone: its Jinja syntax tree, and that it fits its schema.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from search.errors import ProjectError, ScenarioError
from search.scenario.answers import default_profiles_dir
from search.scenario.dbt_insides import Sender, process_state, rare_collections
from search.scenario.dbt_reads import noticing_files, noticing_names
from search.scenario.dbt_results import (
    NodeResult,
    message_of,
    node_error,
    node_result,
    stopped_error,
)
from search.scenario.dbt_switches import switches_off
from search.scenario.duck_limits import RESOURCE_SETTINGS, DuckLimits, takes_progress_bar
from search.scenario.jinja_chance import JinjaChance, drawing_by
from search.scenario.own_files import OwnFiles
from search.scenario.plan import Profile, StatementObserver
from search.scenario.read_log import ReadLog
from search.scenario.seeds import Seeder
from search.scenario.setup_files import SetupFiles
from search.system.confinement import run_confined
from search.system.opened import start_watching


def resolve_profile(
    project_dir: Path,
    *,
    profiles_dir: Path | None = None,
    profile: str | None = None,
    target: str | None = None,
    cli_vars: Mapping[str, Any] | None = None,
    reads: ReadLog | None = None,
) -> Profile:
    """Resolve and render the project's profile as dbt does.

    The folder is, in dbt's order: the one given, ``DBT_PROFILES_DIR``, the project's own
    when it has a ``profiles.yml``, ``~/.dbt``.

    Raises:
        ProjectError: If there is no project, no such profile or target, or it is not DuckDB.
    """
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.config.profile import Profile as DbtProfile
    from dbt.config.profile import read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.clients.system import get_env
    from dbt_common.context import set_invocation_context
    from dbt_common.exceptions import DbtBaseException

    set_invocation_context(get_env())
    name = profile or _profile_of_project(project_dir)
    folder = profiles_dir or default_profiles_dir(project_dir)
    try:
        raw = read_profile(str(folder))
        if name not in raw:
            known = ", ".join(sorted(key for key in raw if key != "config")) or "none"
            raise ProjectError(
                f"profile {name!r} must be in {folder / 'profiles.yml'}, which has: {known}"
            )
        renderer = ProfileRenderer(dict(cli_vars or {}))
        with noticing_names(reads or ReadLog(project_dir)):
            target_name, output = DbtProfile.render_profile(raw[name], name, target, renderer)
    except DbtBaseException as error:
        raise ProjectError(
            f"dbt cannot use the profile in {folder}: {message_of(error)}"
        ) from error
    if output.get("type") != "duckdb":
        raise ProjectError(
            f"profile {name!r}, target {target_name!r} must be of type duckdb, "
            f"but is {output.get('type')!r}"
        )
    path = str(output.get("path", ":memory:"))
    if re.match(r"(md|motherduck|ducklake):", path):
        raise ProjectError(
            f"profile {name!r} must point at a local DuckDB file, but its path is {path!r}"
        )
    catalog = DuckDBCredentials.path_derived_database_name(path)
    flags = raw.get("config") or {}
    return Profile(name=name, target=target_name, output=output, catalog=catalog, flags=flags)


def _profile_of_project(project_dir: Path) -> str:
    file = project_dir / "dbt_project.yml"
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProjectError(
            f"scenario.dbt_project must be a folder with a dbt_project.yml, but {file} "
            f"cannot be read: {error.strerror}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} is not valid YAML: {error}") from error
    name = document.get("profile") if isinstance(document, dict) else None
    if not isinstance(name, str):
        raise ProjectError(f"{file} must name its profile; add `profile: <name>`")
    return name


class DbtSession:
    """Runs dbt commands of one project against a database file of ours.

    Args:
        project_dir: The dbt project; it is only read.
        profile: The resolved profile; its path, threads and resource settings are replaced.
        database: The database file; its stem must be the profile's catalog.
        home: A folder of this session alone, for the written profile, target and logs.
        limits: What DuckDB may take.
        reads: Takes what dbt and DuckDB read beside the project; a log of its own when None.
        files: Where files go that the project writes; a folder inside ``home`` when None.
        given: Files that the setup wrote.

    Attributes:
        reads: What was read so far.
        files: What the project writes.
        moment: What the time is for dbt and for SQL; the real time when None.
    """

    def __init__(
        self,
        *,
        project_dir: Path,
        profile: Profile,
        database: Path,
        home: Path,
        limits: DuckLimits,
        reads: ReadLog | None = None,
        files: Path | None = None,
        given: SetupFiles | None = None,
    ) -> None:
        self._database = database
        self._spill = limits.temp_directory
        self.files = OwnFiles(project_dir, files or home / "files", given=given)
        self.reads = reads if reads is not None else ReadLog(project_dir)
        self._project_dir = project_dir
        self._home = home
        self.moment: datetime | None = None
        self._manifest: Any = None
        self.built: dict[str, NodeResult] = {}
        """What succeeded so far, by dbt's id."""
        self.warning_tests: set[str] = set()
        """Data tests that only warn, by dbt's id."""
        self.drew: set[str] = set()
        """What drew at random while it rendered, by dbt's id."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._write_profile(profile, database, limits)

    def _write_profile(self, profile: Profile, database: Path, limits: DuckLimits) -> None:
        output = copy.deepcopy(dict(profile.output))
        for key in ("settings", "config_options"):
            settings = output.get(key) or {}
            output[key] = {k: v for k, v in settings.items() if k.lower() not in RESOURCE_SETTINGS}
        output["config_options"] |= limits.config()
        if takes_progress_bar():
            output["settings"] |= {"enable_progress_bar": False}  # it would be drawn on stdout
        output |= {"path": str(database), "threads": 1, "keep_open": True}
        output.pop("database", None)
        for attachment in output.get("attach") or []:
            if not attachment.get("options", {}).get("read_only"):
                attachment["read_only"] = True  # shared by all workers
        document = {profile.name: {"target": profile.target, "outputs": {profile.target: output}}}
        if profile.flags:
            document["config"] = dict(profile.flags)
        file = self._home / "profiles.yml"
        # The rendered profile may hold secrets that came from the environment.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            yaml.safe_dump(document, stream)

    def run(
        self,
        command: str,
        *,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        dbt_vars: Mapping[str, Any] | None = None,
        full_refresh: bool = False,
        observer: StatementObserver | None = None,
        seeder: Seeder | None = None,
    ) -> list[NodeResult]:
        """Run ``run``, ``build`` or ``seed`` and return how each node ended.

        Raises:
            ScenarioError: If a node fails, nothing is selected, or dbt itself stops; it
                names the model and gives dbt's message.
        """
        args = [command, *_selection(select, exclude)]
        if full_refresh:
            args.append("--full-refresh")
        if observer is None:
            result = self._invoke([*args, *_vars(dbt_vars)], seeder=seeder)
        else:
            # Handed over as they are: an observed run may carry values that watch their use.
            values = dict(dbt_vars or {})
            result = self._invoke(args, observer=observer, seeder=seeder, vars=values)
        if result.result is None:
            raise stopped_error(result.exception, command)
        nodes = [node_result(of_node) for of_node in result.result.results]
        failed = [node for node in nodes if node.is_failure]
        if failed:
            raise node_error(failed, self.files.attached)
        if not result.success:
            raise stopped_error(result.exception, command)
        if not nodes:
            chosen = " ".join(_selection(select, exclude)) or "the whole project"
            raise ScenarioError(f"dbt {command} found nothing to do for {chosen}", stage="step")
        self.built |= {node.unique_id: node for node in nodes if node.is_built}
        self.warning_tests |= {node.unique_id for node in nodes if node.severity == "WARN"}
        return nodes

    def test(
        self,
        built: Sequence[NodeResult],
        *,
        exclude: Sequence[str],
        dbt_vars: Mapping[str, Any] | None = None,
    ) -> list[NodeResult]:
        """Run the data tests of built nodes, and return how each ended.

        A test counts when each of its parents was built or is something that a built node reads:
        a test that looks at a table which was never asked for says nothing. Unit tests check the
        project's text, not a candidate's data, and are left out.

        Args:
            built: The nodes.
            exclude: What the steps leave out.
            dbt_vars: The vars that the tests are rendered with.

        Raises:
            ScenarioError: If dbt itself stops.
        """
        if not built:
            return []
        args = ["test", *_selection([node.selector for node in built], exclude)]
        args += ["--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"]
        result = self._invoke([*args, *_vars(dbt_vars)])
        if result.result is None:
            raise stopped_error(result.exception, "test")
        ids = {node.unique_id for node in built}
        nodes = [node_result(of_node) for of_node in result.result.results]
        return [node for node in nodes if ids & set(node.parents)]

    def parse(
        self, dbt_vars: Mapping[str, Any] | None = None, *, with_artifacts: bool = False
    ) -> Any:
        """Parse the project and return dbt's manifest.

        Args:
            dbt_vars: The vars that the project is parsed with.
            with_artifacts: Whether dbt writes ``manifest.json`` to ``target/`` of the home too.

        Raises:
            ProjectError: If the project does not parse; dbt's message is passed on.
        """
        artifacts = ["--write-json"] if with_artifacts else []
        result = self._invoke(["parse", *artifacts, *_vars(dbt_vars)])
        if not result.success or result.result is None:
            message = message_of(result.exception) if result.exception else "dbt parse failed"
            raise ProjectError(
                f"the dbt project {self._project_dir} does not parse; dbt says: {message}"
            )
        self._manifest = result.result
        return result.result

    def list_selected(
        self,
        command: str,
        *,
        select: Sequence[str],
        exclude: Sequence[str],
        dbt_vars: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Return the unique ids of the nodes that a step would run.

        Raises:
            ProjectError: If dbt cannot resolve the selection.
        """
        kinds = {
            "run": ["model"],
            "seed": ["seed"],
            "build": ["model", "seed", "snapshot", "test", "unit_test"],
        }[command]
        args = ["list", "--output", "json", "--output-keys", "unique_id"]
        args += [word for kind in kinds for word in ("--resource-type", kind)]
        args += [*_selection(select, exclude), *_vars(dbt_vars)]
        result = self._invoke(args, manifest=self._manifest)
        if self._manifest is not None and not (result.success and result.result):
            # The graph may be another one under these vars.
            result = self._invoke(args)
        if not result.success:
            raise ProjectError(f"dbt cannot select {list(select)}: {message_of(result.exception)}")
        return [json.loads(line)["unique_id"] for line in result.result or []]

    @rare_collections()
    def _invoke(
        self,
        args: list[str],
        *,
        observer: StatementObserver | None = None,
        seeder: Seeder | None = None,
        manifest: Any = None,
        **params: Any,
    ) -> Any:
        from dbt.cli.main import dbtRunner

        place = [
            *("--project-dir", str(self._project_dir)),
            *("--profiles-dir", str(self._home)),
            *("--target-path", str(self._home / "target")),
            *("--log-path", str(self._home / "logs")),
        ]
        quiet = ["--quiet", "--log-level", "none", "--log-level-file", "none", "--no-print"]
        quiet += ["--no-send-anonymous-usage-stats", "--no-partial-parse", "--no-version-check"]
        if "--write-json" not in args:
            quiet.append("--no-write-json")  # nobody reads the artifacts of a folder that goes
        sender = Sender(observer, self.reads, self.files, seeder)
        chance = JinjaChance(seeder)
        runner = dbtRunner(manifest, callbacks=[sender.on_event])

        def invoke() -> Any:
            with (
                switches_off(),
                process_state(sender, self._home / "tmp", self.moment),
                noticing_names(self.reads),
                noticing_files(self.reads),
                drawing_by(chance),
            ):
                os.chdir(self._project_dir)  # relative paths in SQL mean what they mean by hand
                return runner.invoke([*quiet, args[0], *place, *args[1:]], **params)

        start_watching()
        try:
            return run_confined(invoke, self._writable())
        finally:
            self.drew |= chance.drawn

    def _writable(self) -> list[Path]:
        """Return where dbt and its models may write: our own folders, and DuckDB's extensions."""
        for folder in (self._spill, self.files.written.folder):
            folder.mkdir(parents=True, exist_ok=True)
        extensions = Path.home() / ".duckdb" / "extensions"
        return [
            self._home,
            self._database.parent,
            self._spill,
            self.files.written.folder,
            extensions,
        ]


def _selection(select: Sequence[str], exclude: Sequence[str]) -> list[str]:
    words = ["--select", *select] if select else []
    return words + (["--exclude", *exclude] if exclude else [])


def _vars(dbt_vars: Mapping[str, Any] | None) -> list[str]:
    """Return vars as dbt reads them: as YAML, to which JSON's 1e-05 is a text."""
    if not dbt_vars:
        return []
    plain = json.loads(json.dumps(dict(dbt_vars)))
    return ["--vars", yaml.safe_dump(plain, default_flow_style=True, width=sys.maxsize)]
