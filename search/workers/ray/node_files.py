"""Files that evaluators read, brought once to each node of a cluster that does not see them.

The driver says which files there are, with size and time of change. A worker that sees the same
files under the same paths, because its node shares them, reads them there. Otherwise the driver
puts them into Ray's object store, and the first worker of the node that asks writes them to a
folder named after their content; the others of the node find it. The last worker that ends in
order removes it, and what killed workers left goes with the next one that starts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from search.errors import WorkspaceError
from search.scenario.belongings import Belonging
from search.system import files, process_start

CHUNK_BYTES = 16 * 2**20
"""How much travels at once: an object store holds 75 MiB at least, and others use it as well."""
PREFIX = "scenario-node-"

Put = Callable[[bytes], Any]
Get = Callable[[Any], bytes]


@dataclass(frozen=True)
class Stock:
    """A belonging as the driver sees it.

    Attributes:
        name: What it is.
        folder: Where the driver has it.
        files: Name, size in bytes and time of change in nanoseconds of each file.
    """

    name: str
    folder: Path
    files: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, belonging: Belonging) -> Stock:
        """Return how a belonging is now."""
        states = []
        for name in belonging.files:
            state = (belonging.folder / name).stat()
            states.append((name, state.st_size, state.st_mtime_ns))
        return cls(belonging.name, belonging.folder, tuple(states))

    def is_here(self) -> bool:
        """Whether this machine sees the very files of the driver."""
        for name, size, changed in self.files:
            try:
                state = (self.folder / name).stat()
            except OSError:
                return False
            if (state.st_size, state.st_mtime_ns) != (size, changed):
                return False
        return True


@dataclass(frozen=True)
class PackedFile:
    """A file on its way.

    Attributes:
        name: Seen from the folder.
        sha256: Of its content.
        chunks: Ray's references to its content, in order.
    """

    name: str
    sha256: str
    chunks: tuple[Any, ...]


@dataclass(frozen=True)
class Parcel:
    """A belonging on its way.

    Attributes:
        name: What it is.
        files: Its files.
    """

    name: str
    files: tuple[PackedFile, ...]

    @property
    def key(self) -> str:
        """The folder's name on a node: a hash of names and contents."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.sha256}\0".encode())
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Delivery:
    """What one node lacks.

    Attributes:
        parcels: The belongings.
        get: Gets a chunk, on the node.
    """

    parcels: tuple[Parcel, ...]
    get: Get


def pack(stock: Stock, put: Put) -> Parcel:
    """Return a parcel of a belonging's files.

    Args:
        stock: What to send.
        put: Puts a chunk where nodes can get it.
    """
    packed = []
    for name, _, _ in stock.files:
        digest, chunks = hashlib.sha256(), []
        with (stock.folder / name).open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                chunks.append(put(chunk))
        packed.append(PackedFile(name, digest.hexdigest(), tuple(chunks)))
    return Parcel(stock.name, tuple(packed))


class NodeFiles:
    """The folder of a node in which its workers keep what was brought.

    Every move in it happens under one lock, so that two workers that ask at once fetch once.

    Args:
        parent: Where the folder is; the system's temp folder when None.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._root = (parent or Path(tempfile.gettempdir())) / f"{PREFIX}{os.getuid()}"
        self._mark = f"{os.getpid()}-{process_start.started()}"

    def bring(self, delivery: Delivery) -> dict[str, Path]:
        """Return the folder of each parcel by its name, fetched when the node has it not.

        Raises:
            WorkspaceError: If there is no room, or what arrives is not what was sent.
        """
        try:
            with self._locked():
                self._sweep(kept={parcel.key for parcel in delivery.parcels})
                return {sent.name: self._content(sent, delivery.get) for sent in delivery.parcels}
        except OSError as error:
            raise WorkspaceError(
                f"a node that does not see the results folder must have room for the baseline and "
                f"the project in {self._root}, but: {error.strerror or error}; free some disk, or "
                "start Ray there with TMPDIR set to a larger one"
            ) from error

    def leave(self) -> None:
        """Say that this worker needs nothing any more; the last one removes everything."""
        if not self._root.exists():
            return
        with self._locked():
            for users in self._root.glob("*/users"):
                (users / self._mark).unlink(missing_ok=True)
            self._sweep(kept=set())
            if not any(self._root.iterdir()):
                self._root.rmdir()

    def _content(self, parcel: Parcel, get: Get) -> Path:
        folder = self._root / parcel.key
        if not folder.exists():
            with files.building_folder(self._root) as building:
                content = building / "content"
                (content / "users").mkdir(parents=True)
                for file in parcel.files:
                    _write(content / "files" / file.name, file, get)
                # After a crash of the machine no worker lives, and it is swept.
                files.publish_folder(content, folder, Path.is_dir, is_lasting=False)
        (folder / "users" / self._mark).touch()
        return folder / "files"

    def _sweep(self, kept: set[str]) -> None:
        """Remove what no living worker uses; under the lock nothing else is being written."""
        for folder in self._root.iterdir():
            used = any(_is_alive(mark.name) for mark in folder.glob("users/*"))
            if not used and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = files.lock_path(self._root, self._opened)
        assert descriptor is not None
        try:
            yield
        finally:
            os.close(descriptor)

    def _opened(self) -> int:
        self._root.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if os.fstat(descriptor).st_uid != os.getuid():
            os.close(descriptor)
            raise WorkspaceError(f"{self._root} must be this user's own folder")
        return descriptor


def _write(path: Path, file: PackedFile, get: Get) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for chunk in file.chunks:
            content = get(chunk)
            digest.update(content)
            stream.write(content)
    if digest.hexdigest() != file.sha256:
        raise WorkspaceError(f"{file.name} must arrive as it was sent, but did not")


def _is_alive(mark: str) -> bool:
    pid, _, started = mark.partition("-")
    try:
        return process_start.is_same(int(pid), float(started))
    except (psutil.Error, ValueError):
        return False
