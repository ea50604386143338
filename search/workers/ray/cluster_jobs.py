"""Studies as jobs of a Ray cluster: sent, followed, and answered with the study's own exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, JobError, WorkerError
from search.workers.ray.upload import plan_upload

_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)


@dataclass(frozen=True)
class Job:
    """What is sent.

    Attributes:
        arguments: The command line after ``scenario-search``.
        folder: The folder that the job runs in, sent with it.
        runtime_env: The runtime environment, without ``working_dir``.
        submission_id: The job's name; None lets Ray choose.
    """

    arguments: Sequence[str]
    folder: Path
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    submission_id: str | None = None

    @property
    def entrypoint(self) -> str:
        """The shell command that the job runs."""
        return shlex.join(["python", "-m", "search", *self.arguments])


class JobClient:
    """Sends jobs to one cluster and follows them.

    Args:
        address: The cluster's dashboard, for example ``http://127.0.0.1:8265``. A token comes
            from ``RAY_AUTH_TOKEN``, ``RAY_AUTH_TOKEN_PATH`` or ``~/.ray/auth_token``.

    Raises:
        JobError: If nothing answers there, or the token is missing or wrong.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        from ray.job_submission import JobSubmissionClient

        for name in _TALKATIVE:  # each sets its own level when it is imported
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            self._client = JobSubmissionClient(address)
        except Exception as error:
            raise self._unreachable(error) from error

    def send(self, job: Job) -> str:
        """Check the upload, send the job, and return its submission id.

        Raises:
            JobError: If the upload holds what must not travel, or the cluster refuses the job.
        """
        plan_upload(job.folder, job.runtime_env.get("excludes") or ())
        try:
            return str(
                self._client.submit_job(
                    entrypoint=job.entrypoint,
                    submission_id=job.submission_id,
                    runtime_env={**job.runtime_env, "working_dir": str(job.folder.absolute())},
                )
            )
        except Exception as error:
            raise JobError(
                f"Ray at {self.address} must take the job, but says: {_words(error)}"
            ) from error

    def follow(self, submission_id: str, write: Callable[[str], None]) -> int:
        """Pass on the job's log until it ends, and return the exit code of its command.

        Raises:
            JobError: If the cluster goes away.
            WorkerError: If the job could not be started.
        """
        try:
            asyncio.run(self._tail(submission_id, write))
            info = self._client.get_job_info(submission_id)
        except Exception as error:
            raise self._unreachable(error) from error
        status = str(info.status)
        if status == "STOPPED":
            return EXIT_INTERRUPTED
        if info.driver_exit_code is not None:
            return int(info.driver_exit_code)
        if status == "SUCCEEDED":
            return EXIT_OK
        if status == "FAILED":
            raise WorkerError(f"job {submission_id} could not run: {info.message}")
        return EXIT_FAILURE

    async def _tail(self, submission_id: str, write: Callable[[str], None]) -> None:
        async for lines in self._client.tail_job_logs(submission_id):
            write(lines)

    def _unreachable(self, error: Exception) -> JobError:
        return JobError(
            f"a Ray cluster's dashboard must answer at {self.address}, but: {_words(error)}; name "
            "it with --address or RAY_API_SERVER_ADDRESS, and its token with RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH and RAY_AUTH_MODE=token"
        )


def use_token() -> None:
    """Let Ray's client send the token that the environment names; before the import of Ray.

    Ray reads the mode once, and without it a token stays unused.
    """
    if any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def job_of(
    *, study: Path, folder: Path, results: Path, options: Sequence[str], runtime_env: Path | None
) -> Job:
    """Return the job that runs a study, after looking for mistakes that can be seen from here.

    Args:
        study: The study file, inside the folder.
        folder: What is sent.
        results: Where results go, on the machine that runs the driver.
        options: Further options of ``run``.
        runtime_env: A YAML file with Ray's runtime environment, or None.

    Raises:
        JobError: If the study file is not in the folder, results are relative, or the runtime
            environment cannot be used.
    """
    home = folder.absolute()
    try:
        inside = study.resolve().relative_to(home.resolve())
    except ValueError as error:
        raise JobError(
            f"the study file must be in the folder that is sent, but {study} is not in {home}; "
            "name a folder that holds both the study file and the dbt project",
        ) from error
    if not results.is_absolute():
        raise JobError(
            f"results of a job must have an absolute path, because the job runs in a copy that "
            f"Ray removes, but got {str(results)!r}; use --results or SCENARIO_SEARCH_RESULTS, "
            "with a folder that outlives the job",
        )
    arguments = ["run", str(inside), "--results", str(results), *options]
    return Job(arguments, home, _runtime_env(runtime_env))


def _runtime_env(file: Path | None) -> dict[str, Any]:
    import yaml

    if file is None:
        return {}
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise JobError(
            f"a runtime environment must be a readable YAML file, but {file} is not: {error}"
        ) from error
    if not isinstance(document, dict) or "working_dir" in document:
        raise JobError(
            f"{file}: a runtime environment must be a mapping without working_dir, which "
            f"--working-dir names, but got {document!r:.200}"
        )
    return document


def _words(error: BaseException) -> str:
    """Return what an error of Ray's says, without the traceback of its server."""
    text = str(error).strip() or type(error).__name__
    if "Traceback (most recent call last)" in text:
        text = text.splitlines()[-1].split("Error: ", 1)[-1]
    text = " ".join(text.split())
    return text if len(text) <= 400 else text[:400] + " ..."
