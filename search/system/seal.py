"""A seal that only this user can make: what carries it was written here and by nobody else.

Programs, baselines and dbt's answers in a results folder are executed, or say what is. Their seal
is an HMAC under a key that lies in the user's configuration folder, so that a results folder from
somebody else is data: its caches are left alone and made anew.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from search.system import files

KEY_FILE_VARIABLE = "SCENARIO_SEARCH_KEY_FILE"
"""Names another key file: one that people who share results share too."""
PASSING_KEY_VARIABLE = "SCENARIO_SEARCH_PASSING_KEY"
"""A key that lasts as long as a command and its children, where none can be kept."""
KEY_BYTES = 32


@dataclass(frozen=True)
class Seal:
    """Marks what this user wrote. Travels to workers, which get one of their own purpose.

    Attributes:
        is_lasting: Whether the next command has the same key.
    """

    _key: bytes = field(repr=False)
    is_lasting: bool = True

    @property
    def name(self) -> str:
        """Eight digits that tell seals apart and say nothing of the key."""
        return self.of("name")[:8]

    def of(self, *parts: str) -> str:
        """Return the seal of texts, 64 hexadecimal digits."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            content = part.encode()
            digest.update(f"{len(content)}:".encode() + content)
        return digest.hexdigest()

    def is_on(self, mark: object, *parts: str) -> bool:
        """Whether a mark is the seal of texts."""
        return isinstance(mark, str) and hmac.compare_digest(
            mark.encode("utf-8", "replace"), self.of(*parts).encode()
        )

    def for_purpose(self, *purpose: str) -> Seal:
        """Return a seal from which this one cannot be had back."""
        return Seal(bytes.fromhex(self.of("purpose", *purpose)), self.is_lasting)


def key_file(environment: MutableMapping[str, str] = os.environ) -> Path:
    """Return where this user's key is: ``scenario-search/key`` in the configuration folder.

    Source:
        XDG Base Directory Specification: ``XDG_CONFIG_HOME``, ``~/.config`` when it is not set or
        not absolute.
    """
    if named := environment.get(KEY_FILE_VARIABLE):
        return Path(named).expanduser()
    configured = Path(environment.get("XDG_CONFIG_HOME") or "")
    home = Path(os.path.expanduser("~")) / ".config"
    for folder in (configured, home):
        if folder.is_absolute():
            return folder / "scenario-search" / "key"
    return Path(os.devnull) / "key"  # a user without a home: no file can be there


def users_seal(environment: MutableMapping[str, str] = os.environ) -> Seal:
    """Return this user's seal; its key is made when there is none.

    Where it can neither be read nor kept (a home that is read-only or not there), a key for this
    command and its child processes stands in the environment.
    """
    if PASSING_KEY_VARIABLE in environment:
        with suppress(ValueError):
            return Seal(bytes.fromhex(environment[PASSING_KEY_VARIABLE]), is_lasting=False)
    path = key_file(environment)
    with suppress(OSError):
        key = _read(path) or _made(path)
        if key is not None:
            return Seal(key)
    passing = secrets.token_bytes(KEY_BYTES)
    environment[PASSING_KEY_VARIABLE] = passing.hex()
    return Seal(passing, is_lasting=False)


def _read(path: Path) -> bytes | None:
    """Return the key of a file that nobody but this user (or root, or its group) can have made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if state.st_uid not in (os.getuid(), 0) and not os.environ.get(KEY_FILE_VARIABLE):
            raise PermissionError(f"{path} must be this user's")
        allowed = 0o770 if os.environ.get(KEY_FILE_VARIABLE) else 0o700
        mode = stat.S_IMODE(state.st_mode)
        if state.st_uid == os.getuid() and mode & ~allowed:
            os.fchmod(file.fileno(), mode & allowed)
        key = file.read(KEY_BYTES + 1)
    return key if len(key) == KEY_BYTES else None


def _made(path: Path) -> bytes | None:
    """Make a key, or return the one that another process made first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:  # another process was first, unless what is there is torn
            if _read(path) is None:
                files.replace_durably({draft: path})
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)
