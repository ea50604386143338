"""What is brought to a node arrives whole and once, and goes with the last that used it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import WorkspaceError
from search.scenario.belongings import Belonging
from search.workers.ray import node_files
from search.workers.ray.node_files import Delivery, NodeFiles, PackedFile, Parcel, Stock, pack


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    folder = tmp_path / "mine"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "a.sql").write_text("select 1")
    (folder / "big.duckdb").write_bytes(os.urandom(3000))
    return Stock.of(Belonging("project", folder, ("big.duckdb", "models/a.sql")))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    monkeypatch.setattr(node_files, "CHUNK_BYTES", 1000)
    return []


def putter(store: list[bytes]) -> Callable[[bytes], int]:
    def put(content: bytes) -> int:
        store.append(content)
        return len(store) - 1

    return put


def test_what_the_driver_sees_is_here(stock: Stock) -> None:
    assert stock.is_here()
    file = stock.folder / "models" / "a.sql"
    before = file.stat()
    file.write_text("select 2")
    assert not stock.is_here()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stock.is_here()
    file.unlink()
    assert not stock.is_here()


def test_content_arrives_and_the_last_user_removes_it(
    stock: Stock, store: list[bytes], tmp_path: Path
) -> None:
    parcel = pack(stock, putter(store))
    assert len(store) == 4  # three chunks and one
    one = NodeFiles(tmp_path / "node")
    (tmp_path / "node").mkdir()
    folder = one.bring(Delivery((parcel,), store.__getitem__))["project"]
    for name, _, _ in stock.files:
        assert (folder / name).read_bytes() == (stock.folder / name).read_bytes()

    def refuse(_: int) -> bytes:
        raise AssertionError("it is there already")

    assert one.bring(Delivery((parcel,), refuse)) == {"project": folder}
    one.leave()
    assert not list((tmp_path / "node").iterdir())
    one.leave()


def test_what_killed_workers_left_goes_with_the_next(
    stock: Stock, store: list[bytes], tmp_path: Path
) -> None:
    parcel = pack(stock, putter(store))
    (tmp_path / "node").mkdir()
    folder = NodeFiles(tmp_path / "node").bring(Delivery((parcel,), store.__getitem__))["project"]
    (mark,) = folder.parent.glob("users/*")
    mark.rename(mark.with_name("1-0.0"))  # a pid that is another process by now
    torn = folder.parents[1] / ".building-1-0-torn"
    (torn / "users").mkdir(parents=True)

    (stock.folder / "models" / "a.sql").write_text("select 2")
    newer = pack(stock, putter(store))
    assert newer.key != parcel.key
    fresh = NodeFiles(tmp_path / "node").bring(Delivery((newer,), store.__getitem__))["project"]
    assert (fresh / "models" / "a.sql").read_text() == "select 2"
    assert not folder.exists() and not torn.exists()


def test_other_content_than_was_sent_is_refused(store: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    wrong = Parcel("baseline", (PackedFile("x.duckdb", "0" * 64, (0,)),))
    files = NodeFiles(tmp_path / "node")
    with pytest.raises(WorkspaceError, match="x.duckdb must arrive as it was sent"):
        files.bring(Delivery((wrong,), lambda _: b"other"))
    files.leave()
    assert not list((tmp_path / "node").iterdir())


def test_no_room_is_told(stock: Stock, store: list[bytes], tmp_path: Path) -> None:
    parcel = pack(stock, putter(store))
    with pytest.raises(WorkspaceError, match="must have room .* No such file or directory; free"):
        NodeFiles(tmp_path / "nowhere").bring(Delivery((parcel,), store.__getitem__))


def _bring(parent: Path, parcel: Parcel, fetched: Path, barrier: object) -> None:
    def get(_: int) -> bytes:
        with fetched.open("a") as stream:
            stream.write("x")
        return b"content"

    files = NodeFiles(parent)
    barrier.wait()  # type: ignore[attr-defined]
    (folder,) = files.bring(Delivery((parcel,), get)).values()
    assert (folder / "f").read_bytes() == b"content"
    barrier.wait()  # type: ignore[attr-defined]
    files.leave()


def test_workers_that_ask_at_once_fetch_once(tmp_path: Path) -> None:
    sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # of b"content"
    parcel = Parcel("baseline", (PackedFile("f", sha256, (0,)),))
    (parent := tmp_path / "node").mkdir()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    arguments = (parent, parcel, tmp_path / "fetched", barrier)
    workers = [context.Process(target=_bring, args=arguments) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert (tmp_path / "fetched").read_text() == "x"
    assert not list(parent.iterdir())
