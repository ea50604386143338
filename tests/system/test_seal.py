from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from search.system.seal import (
    KEY_FILE_VARIABLE,
    PASSING_KEY_VARIABLE,
    Seal,
    key_file,
    users_seal,
)


def test_a_seal_is_on_what_it_was_made_for_alone() -> None:
    seal = Seal(b"k" * 32)
    mark = seal.of("program", "abc")
    assert seal.is_on(mark, "program", "abc")
    for parts in (("program", "abd"), ("programa", "bc"), ("programabc",), ("program", "abc", "")):
        assert not seal.is_on(mark, *parts)
    assert not Seal(b"l" * 32).is_on(mark, "program", "abc")
    assert not seal.is_on(None, "program", "abc") and not seal.is_on("\ud800", "program", "abc")


def test_a_seal_of_a_purpose_does_not_show_the_key() -> None:
    seal = Seal(b"k" * 32)
    programs = seal.for_purpose("programs")
    assert programs.name != seal.name and programs != seal.for_purpose("baselines")
    assert b"k" * 32 not in pickle.dumps(programs)
    assert "kkk" not in repr(seal) and pickle.loads(pickle.dumps(programs)) == programs


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as pool:
            seals = list(pool.map(lambda _: users_seal(environment), range(32)))
    finally:
        os.umask(before)
    assert len({seal.name for seal in seals}) == 1 and seals[0].is_lasting
    path = key_file(environment)
    assert path == tmp_path / "config" / "scenario-search" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["key"]
    path.chmod(0o644)
    assert users_seal(environment).name == seals[0].name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_key_is_made_anew(tmp_path: Path) -> None:
    environment = {KEY_FILE_VARIABLE: str(tmp_path / "key")}
    (tmp_path / "key").write_bytes(b"short")
    seal = users_seal(environment)
    assert seal.is_lasting and users_seal(environment) == seal
    assert len((tmp_path / "key").read_bytes()) == 32


@pytest.mark.parametrize("what", ["a file where the folder must be", "a link", "no home"])
def test_without_a_place_for_the_key_child_processes_have_it_all_the_same(
    tmp_path: Path, what: str
) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    if what == "a link":
        (tmp_path / "config" / "scenario-search").mkdir(parents=True)
        (tmp_path / "config" / "scenario-search" / "key").symlink_to("/etc/hostname")
    elif what == "no home":
        environment = {"XDG_CONFIG_HOME": "/proc/nothing"}
    else:
        (tmp_path / "config").write_text("")
    seal = users_seal(environment)
    assert not seal.is_lasting and PASSING_KEY_VARIABLE in environment
    assert users_seal(environment) == seal
    code = "from search.system.seal import users_seal; print(users_seal().name)"
    said = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True
    )
    assert said.stdout.strip() == seal.name
