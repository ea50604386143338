"""A PostgreSQL server of the tests' own, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    words = [str(programs / "postgres"), "-D", str(home / "data")]
    words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    login = {"host": "127.0.0.1", "port": port, "user": "tester", "password": PASSWORD}
    server = Server(words, home, user, login)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Server:
    """A running server. Called, it makes a database and returns its URL."""

    def __init__(
        self, words: list[str], home: Path, user: str | None, login: dict[str, Any]
    ) -> None:
        self._words, self._home, self._user, self._login = words, home, user, login
        self._names = iter(f"studies{number}" for number in range(10_000))

    def __call__(self) -> str:
        """Make a database and return its URL."""
        import psycopg

        name = next(self._names)
        connection = psycopg.connect(dbname="postgres", **self._login)
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        connection.close()
        return f"postgresql://tester:p%40ss%3Aw%2Frd@127.0.0.1:{self._login['port']}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        log = self._home / "log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                self._words, user=self._user, cwd=self._home, stdout=stream, stderr=stream
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(dbname="postgres", **self._login).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop it and wait for nobody: open connections are the tests' own."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()
