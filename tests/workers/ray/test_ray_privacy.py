"""What a study's private Ray shows to others: nothing off this machine, no folder on it."""

from __future__ import annotations

import socket
import sys
from ipaddress import IPv6Address
from pathlib import Path

import psutil
import pytest
import ray

from search.workers.ray.host import RayHost

pytestmark = pytest.mark.ray

LISTEN = "0A"


def address_of(hexadecimal: str) -> str:
    """Return the address of a line of /proc/net/tcp or tcp6: words in the machine's byte order."""
    words = [hexadecimal[n : n + 8] for n in range(0, len(hexadecimal), 8)]
    raw = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    address = IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    links = Path(f"/proc/{pid}/fd").glob("*")
    names = set()
    for link in links:
        try:
            names.add(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    return {name[8:-1] for name in names if name.startswith("socket:[")}


def listening(processes: list[psutil.Process]) -> dict[tuple[str, int], str]:
    """Return address and port of what processes listen at, with the process's name."""
    owners = {inode: one.name() for one in processes for inode in sockets_of(one.pid)}
    places = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            inode = rest[5]
            if state == LISTEN and inode in owners:
                address, port = local.split(":")
                places[address_of(address), int(port, 16)] = owners[inode]
    return places


@ray.remote
def name_of_node() -> str:
    return ray.util.get_node_ip_address()


def test_a_private_ray_listens_on_loopback_alone() -> None:
    host = RayHost(cpus=1)
    try:
        host.wait()
        assert ray.get(name_of_node.remote()) == "127.0.0.1"
        me = psutil.Process()
        places = listening([me, *me.children(recursive=True)])
        names = set(places.values())
        assert {"gcs_server", "raylet"} <= names and len(places) >= 6, places
        assert {address for address, _ in places} == {"127.0.0.1"}, places
    finally:
        host.stop()
