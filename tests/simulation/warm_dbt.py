"""Runs dbt's commands in forks of a process that has imported dbt and read the project once.

Each request is a process of its own that ends with it, as if it had been started alone; what is
shared is what follows from texts: dbt's modules and the syntax trees of macros.
"""

import gc
import json
import os
import sys
from pathlib import Path


def main(project: str, home: str) -> None:
    """Import dbt, parse the project, then answer requests, one a line, until input ends.

    Args:
        project: Folder of the dbt project.
        home: Folder for what parsing writes.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what dbt prints is no answer
    from dbt.cli.main import dbtRunner
    from dbt_common.tests import enable_test_caching

    enable_test_caching()
    places = ["--project-dir", project, "--profiles-dir", project]
    places += ["--target-path", f"{home}/target", "--log-path", f"{home}/logs"]
    # dbt's static parser has threads, which a fork would miss.
    command = ["--quiet", "--no-static-parser", "parse", *places]
    dbtRunner().invoke([*command, "--vars", '{"simulation_year": 2026}'])
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if (pid := os.fork()) == 0:
            _answer(request)
        _, status = os.waitpid(pid, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _answer(request: dict) -> None:
    """Run a request's commands in this process and end it."""
    code = 1
    try:
        said = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        outcomes = [_outcome(arguments) for arguments in request["commands"]]
        Path(request["outcomes"]).write_text(json.dumps(outcomes))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _outcome(arguments: list[str]) -> dict:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner().invoke(arguments)
    DuckDBConnectionManager.close_all_connections()
    nodes = getattr(outcome.result, "results", None) or []
    failed = [node for node in nodes if node.status in ("error", "fail")]
    # An operation's result has no node, only its message.
    names = [node.node.name if hasattr(node, "node") else "operation" for node in failed]
    messages = [f"{name}: {node.message}" for name, node in zip(names, failed, strict=True)]
    if outcome.exception:
        messages.append(str(outcome.exception))
    return {"success": outcome.success, "messages": messages}


if __name__ == "__main__":
    main(*sys.argv[1:])
