"""A study over two machines: each with its own network, name and files, joined by a cable.

The machines are namespaces of the kernel, so nothing of them is seen on this machine's network.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ray_cluster import FOREIGN, end
from studies import copy_project, search_command, stored_trials, tiny_document, write_study

PATIENCE_SECONDS = 120.0
NAMESPACES = ("--net", "--uts", "--mount")
GCS_PORT = 6379
CPUS = {"head": 0, "far": 2}
"""The head holds no worker, so that everything that is evaluated goes over the cable."""

pytestmark = [pytest.mark.ray, pytest.mark.dbt, pytest.mark.fault, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Machine:
    """A machine of its own, as far as its processes can tell.

    Attributes:
        name: Its host name.
        address: Its address on the cable.
        holder: The process that keeps its namespaces.
        folder: Holds its temp folder and logs.
    """

    name: str
    address: str
    holder: subprocess.Popen[str]
    folder: Path

    def command(self, *words: object) -> list[str]:
        """Return a command that runs there."""
        return ["nsenter", f"--target={self.holder.pid}", *NAMESPACES, *map(str, words)]

    def do(self, *words: object) -> None:
        """Run a command there that must succeed."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def environment(self, token: str) -> dict[str, str]:
        """The environment of its programs."""
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return kept | {
            "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "TMPDIR": str(self.folder),
        }


@contextmanager
def machine(name: str, address: str, home: Path) -> Iterator[Machine]:
    """Make a machine without a cable; its processes end before it does."""
    (folder := home / name).mkdir()
    script = f"hostname {name} && ip link set lo up && echo up && exec cat"
    with subprocess.Popen(
        ["unshare", *NAMESPACES, "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield Machine(name, address, holder, folder)


def connect(one: Machine, other: Machine) -> None:
    """Lay a cable between two machines."""
    one.do("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
    one.do("ip", "link", "set", "there", "netns", other.holder.pid)
    for end_of, device in ((one, "here"), (other, "there")):
        end_of.do("ip", "address", "add", f"{end_of.address}/24", "dev", device)
        end_of.do("ip", "link", "set", device, "up")


def start_ray(place: Machine, token: str, *words: str, stack: ExitStack) -> None:
    """Start Ray on a machine, ended with the stack."""
    log = stack.enter_context((place.folder / "ray.log").open("wb"))
    program = Path(sys.prefix, "bin", "ray")
    command = place.command(program, "start", "--block", "--disable-usage-stats", *words)
    command += [f"--node-ip-address={place.address}", f"--num-cpus={CPUS[place.name]}"]
    command += ["--object-store-memory=80000000"]
    process = subprocess.Popen(
        command,
        env=place.environment(token),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    stack.callback(end, process)


@pytest.fixture()
def home() -> Iterator[Path]:
    """A folder with a short path, which sockets need."""
    with tempfile.TemporaryDirectory(prefix="net-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_study_runs_over_the_network(home: Path, tmp_path: Path) -> None:
    script = "hostname far && ip link add here type veth peer name there"
    absent = [one for one in ("unshare", "nsenter", "ip") if shutil.which(one) is None]
    if absent:
        pytest.skip(f"two machines on one need {', '.join(absent)}, which is not installed")
    probe = subprocess.run(
        ["unshare", *NAMESPACES, "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip(f"two machines on one need the right to make namespaces: {probe.stderr}")

    folder = copy_project("tiny", tmp_path / "hidden" / "project")
    results = tmp_path / "hidden" / "results"
    document = tiny_document(
        targets={"v": {"value": 1000.0}},
        search={"max_iterations": 3, "batch_size": 4, "early_stop": False},
        resources={"workers": 2, "engine": "auto", "memory_budget": "4GB"},
    )
    study = write_study(folder, document)
    token = secrets.token_hex(32)
    with ExitStack() as stack:
        head = stack.enter_context(machine("head", "10.77.0.1", home))
        far = stack.enter_context(machine("far", "10.77.0.2", home))
        connect(head, far)
        far.do("mount", "-t", "tmpfs", "none", tmp_path / "hidden")  # it has other files
        gcs = f"{head.address}:{GCS_PORT}"
        start_ray(
            head, token, "--head", f"--port={GCS_PORT}", "--dashboard-host=127.0.0.1", stack=stack
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        health = head.command(Path(sys.prefix, "bin", "ray"), "health-check", f"--address={gcs}")
        environment = head.environment(token)
        while subprocess.run(health, env=environment, capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, (head.folder / "ray.log").read_text()
        start_ray(far, token, f"--address={gcs}", stack=stack)

        run = subprocess.run(
            head.command(*search_command("run", study, "--results", results)),
            env=environment | {"RAY_ADDRESS": gcs},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS * 2,
        )
        assert run.returncode == 3, run.stdout + run.stderr
        assert not list(far.folder.glob("scenario-node-*/*/users/*")), "nobody uses what is there"

    trials = stored_trials(results, "tiny")
    workers = {str(one.user_attrs["outcome"]["worker"]).split(":")[0] for one in trials[1:]}
    assert "far" in workers, workers
    for one in trials:
        expected = one.params["x"] * 10 + one.params["rate"]
        assert one.user_attrs["metric:v"] == pytest.approx(expected, abs=1e-9)
