"""Why a worker died, in words that say what to do next."""

from __future__ import annotations

import re
from pathlib import Path

from search.workers.contract import OUT_OF_MEMORY_ADVICE
from search.workers.ray.actor import Identity

_KERNEL_COUNTERS = {
    Path("/proc/vmstat"): re.compile(r"^oom_kill (\d+)", re.MULTILINE),
    Path("/sys/fs/cgroup/memory.events"): re.compile(r"^oom_kill (\d+)", re.MULTILINE),
    Path("/sys/fs/cgroup/memory/memory.oom_control"): re.compile(r"^oom_kill (\d+)", re.MULTILINE),
}


class OomCounter:
    """Notices that the kernel's out-of-memory killer was at work.

    The kernel does not tell whom it killed to processes without privileges, so this is
    circumstantial: a worker died, and the kernel killed something for want of memory
    since this was asked last.

    Source:
        ``oom_kill`` in ``/proc/vmstat`` (proc_vmstat(5)) and in the cgroup's ``memory.events``.
    """

    def __init__(self) -> None:
        self._count = _oom_kills()

    def grew(self) -> bool:
        """Return whether the kernel killed something since the last call."""
        before, self._count = self._count, _oom_kills()
        return self._count > before


def death_message(
    identity: Identity | None, error: BaseException, *, is_oom: bool, folder: Path | None
) -> str:
    """Return what died and of what.

    Args:
        identity: The worker; None when it died before it said who it is.
        error: What Ray raised.
        is_oom: Whether the kernel killed something for want of memory meanwhile.
        folder: The private Ray's folder, whose log may hold the worker's last words.
    """
    who = f"worker {identity.name}" if identity else "a worker that was starting"
    text = str(error)
    if is_oom or "OutOfMemoryError" in type(error).__name__ or "out of memory" in text.lower():
        return f"{who} was killed for want of memory; {OUT_OF_MEMORY_ADVICE}"
    how = _how_it_ended(text)
    words = _last_words(identity, folder)
    return f"{who} died ({how})" + (f", its last words: {words}" if words else "")


def _how_it_ended(text: str) -> str:
    """Return Ray's account of an actor's death, in one short phrase.

    Example:
        >>> _how_it_ended("The actor died. exit_type: X Worker exits with an exit code 3. Bye")
        'exit code 3'
        >>> _how_it_ended("Worker unexpectedly exits with a connection error code 2.")
        'killed by a signal, SIGKILL or a crash most likely'
    """
    if code := re.search(r"exit code (-?\d+)", text):
        return f"exit code {code[1]}"
    if "connection error" in text or "killed by SIGKILL" in text:
        return "killed by a signal, SIGKILL or a crash most likely"
    if "node" in text and ("died" in text or "dead" in text):
        return "its node died"
    return text.strip().splitlines()[-1].strip() if text.strip() else "unknown reason"


def _last_words(identity: Identity | None, folder: Path | None) -> str:
    if identity is None or folder is None:
        return ""
    for log in folder.glob(f"session_*/logs/worker-*-{identity.pid}.err"):
        try:
            lines = log.read_bytes()[-2000:].decode(errors="replace").splitlines()
        except OSError:  # Ray moves the logs of the dead away
            continue
        spoken = [line.strip() for line in lines if line.strip() and not line.startswith(":")]
        if spoken:
            return spoken[-1][:200]
    return ""


def _oom_kills() -> int:
    total = 0
    for path, pattern in _KERNEL_COUNTERS.items():
        try:
            count = pattern.search(path.read_text())
        except OSError:
            continue
        total += int(count[1]) if count else 0
    return total
