"""What a process can know of the Ray job that it runs in, from its environment alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from search.errors import JobError

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for the command of a job; holds its runtime environment as JSON."""


def require_lasting(results: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Refuse a results folder inside the copy of the upload, which Ray removes.

    Raises:
        JobError: If this is a job with an upload and the folder is inside of it.
    """
    try:
        job = json.loads(environ.get(JOB_VARIABLE, "{}"))
    except ValueError:
        return
    if not (job.get("runtime_env") or {}).get("working_dir"):
        return
    upload, place = Path.cwd().resolve(), results.resolve()
    if place == upload or upload in place.parents:
        raise JobError(
            f"results of a job must be kept outside of its working directory, which Ray removes, "
            f"but got {str(results)!r}; use --results /a/folder/that/stays or "
            "SCENARIO_SEARCH_RESULTS",
        )
