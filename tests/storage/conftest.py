"""A PostgreSQL server of the tests' own, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PASSWORD = "p@ss:w/rd"
START_SECONDS = 60.0


@pytest.fixture(scope="session")
def postgresql(installed: Callable[[str], str]) -> Iterator[Callable[[], str]]:
    """Starts a server; what it yields makes a database and returns its URL."""
    programs = Path(installed("postgresql"))
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others.
    user = "postgres" if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="scenario-search-postgresql-"))
    try:
        (home / "password").write_text(PASSWORD)
        if user is not None:
            shutil.chown(home, user)
            shutil.chown(home / "password", user)
        words = [str(programs / "initdb"), "-D", str(home / "data"), "-U", "tester", "-A"]
        words += ["scram-sha-256", f"--pwfile={home / 'password'}", "--no-sync", "-E", "UTF8"]
        subprocess.run(words, user=user, cwd=home, check=True, capture_output=True, timeout=120)
        yield from _served(programs, home, user)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _served(programs: Path, home: Path, user: str | None) -> Iterator[Callable[[], str]]:
    import psycopg

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    words = [str(programs / "postgres"), "-D", str(home / "data")]
    words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(words, user=user, cwd=home, stdout=log, stderr=log)
    login = {"host": "127.0.0.1", "port": port, "user": "tester", "password": PASSWORD}
    names = iter(f"studies{number}" for number in range(10_000))

    def new_database() -> str:
        name = next(names)
        connection = psycopg.connect(dbname="postgres", **login)
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        connection.close()
        return f"postgresql://tester:p%40ss%3Aw%2Frd@127.0.0.1:{port}/{name}"

    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(dbname="postgres", **login).close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.1)
        yield new_database
    finally:
        server.terminate()  # waits for nobody: open connections are the tests' own
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
