"""A real Ray cluster of one node on this machine, ended by process id."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

DEADLINE_SECONDS = 90.0
PORTS = (
    "--port", "--dashboard-port", "--dashboard-agent-listen-port", "--ray-client-server-port",
    "--metrics-export-port",
)  # fmt: skip
HIDING = ("unshare", "--mount", "sh", "-c")
FOREIGN = ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "SCENARIO_SEARCH_RESULTS", "PYTHONPATH")


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        api: Address of its dashboard, for jobs.
        gcs: Address for workers and drivers.
        token: What it wants to see of clients.
        home: Ray's files.
        temp: The temp folder of its jobs.
        head: The process that started it.
    """

    api: str
    gcs: str
    token: str
    home: Path
    temp: Path
    head: psutil.Process

    def environment(self) -> dict[str, str]:
        """The environment of a client, as a person's shell has it."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return kept | {
            "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_API_SERVER_ADDRESS": self.api,
        }

    def processes(self, *words: str) -> list[psutil.Process]:
        """The cluster's processes whose command has all of these words."""
        found = []
        for process in self.head.children(recursive=True):
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in command for word in words):
                found.append(process)
        return found


@contextmanager
def running_cluster(cpus: int = 2) -> Iterator[Cluster]:
    """Start a head node with Ray's defaults, token included, and end it with all it started."""
    token = secrets.token_hex(32)
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))  # sockets need a short path
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        (temp := home / "temp").mkdir()
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        log = stack.enter_context((home / "head.log").open("wb"))
        head = subprocess.Popen(
            [Path(sys.prefix, "bin", "ray"), "start", "--head", "--block", "--disable-usage-stats"]
            + ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--num-cpus={cpus}"]
            + ["--object-store-memory=80000000", f"--temp-dir={home / 'ray'}"]
            + [f"{name}={port}" for name, port in ports.items()],
            env=kept
            | {
                "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": token,
                "TMPDIR": str(temp),
                # Ray's default is 3 s, which a machine busy with other tests may not keep.
                "RAY_JOB_STOP_WAIT_TIME_S": "30",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(end, head)
        cluster = Cluster(
            api=f"http://127.0.0.1:{ports['--dashboard-port']}",
            gcs=f"127.0.0.1:{ports['--port']}",
            token=token,
            home=home,
            temp=temp,
            head=psutil.Process(head.pid),
        )
        deadline = time.monotonic() + DEADLINE_SECONDS
        while answer(f"{cluster.api}/api/version", token) != 200:
            said = (home / "head.log").read_text()
            assert head.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.2)
        assert answer(f"{cluster.api}/api/version", "") == 401, "the token must be asked for"
        yield cluster


@dataclass(frozen=True)
class Node:
    """A node that joined.

    Attributes:
        process: The process that started it.
        temp: The temp folder of its workers.
    """

    process: psutil.Process
    temp: Path

    def lose(self) -> None:
        """End it as a power cut would: every process at once, by id."""
        family = [*self.process.children(recursive=True), self.process]
        for one in family:
            one.kill()
        psutil.wait_procs(family, timeout=10)


@contextmanager
def joined_node(
    cluster: Cluster, name: str, *, cpus: int = 1, hidden: Path | None = None
) -> Iterator[Node]:
    """Add a node to a cluster, and end it.

    Args:
        cluster: What it joins.
        name: Names its temp folder.
        cpus: What it offers.
        hidden: A folder that it does not see: its processes have a mount namespace of their
            own, with an empty folder in that place. Needs the right to make one.
    """
    (temp := cluster.home / name).mkdir()
    start = [str(Path(sys.prefix, "bin", "ray")), "start", f"--address={cluster.gcs}", "--block"]
    start += ["--disable-usage-stats", "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}"]
    start += ["--object-store-memory=80000000"]
    if hidden is not None:
        start = [*HIDING, 'mount -t tmpfs none "$0" && exec "$@"', str(hidden), *start]
    with ExitStack() as stack:
        log = stack.enter_context((cluster.home / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            start,
            env=cluster.environment() | {"TMPDIR": str(temp)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(end, process)
        yield Node(psutil.Process(process.pid), temp)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def answer(url: str, token: str) -> int:
    """Return the HTTP status, 0 when nothing answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def end(head: subprocess.Popen[bytes]) -> None:
    """End the head node and whatever of its family is left, by process id."""
    family = psutil.Process(head.pid).children(recursive=True) if head.poll() is None else []
    head.terminate()
    try:
        head.wait(20)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)
