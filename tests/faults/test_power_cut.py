"""Power is cut: what was not synced is gone. After every sync of a run the study goes on.

A library between the driver and the kernel keeps what each sync made durable. After the n-th sync
a disk holds the files as of their last sync, under the names as of then or of the last sync of
their folder, and nothing else. The driver, storage, log, spool and publication are the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shims import compiled

pytestmark = [pytest.mark.fault, pytest.mark.long]

IS_ALL = os.environ.get("FAULTS") == "all"
HERE = Path(__file__).parent

SHIM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int count;

/* Keep what a sync made durable: number, kind, inode and path, then the content or the names. */
static void keep(int descriptor) {
    char link[64], path[4096], name[4096], buffer[65536];
    const char *root = getenv("POWER_ROOT"), *folder = getenv("POWER_KEPT");
    if (!root || !folder) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return;
    path[size] = 0;
    if (strncmp(path, root, strlen(root)) || strstr(path, " (deleted)")) return;
    struct stat state;
    if (fstat(descriptor, &state)) return;
    snprintf(name, sizeof name, "%s/%06d", folder, ++count);
    FILE *kept = fopen(name, "w");
    int is_folder = S_ISDIR(state.st_mode);
    fprintf(kept, "%c %lu %s\n", is_folder ? 'D' : 'F', (unsigned long)state.st_ino, path);
    /* The inodes of the folders around it, from the root on. */
    for (char *end = path + strlen(root); end; end = strchr(end + 1, '/')) {
        struct stat around;
        char was = *end;
        *end = 0;
        if (!stat(path, &around)) fprintf(kept, "%lu ", (unsigned long)around.st_ino);
        *end = was;
        if (!was) break;
    }
    fprintf(kept, "\n");
    if (is_folder) {
        DIR *names = opendir(path);
        struct dirent *entry;
        while (names && (entry = readdir(names)))
            if (entry->d_name[0] != '.' || (entry->d_name[1] && entry->d_name[1] != '.'))
                fprintf(kept, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
        if (names) closedir(names);
    } else {
        /* Closing another descriptor of the file would give up SQLite's locks. */
        int is_ours = (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_WRONLY;
        int file = is_ours ? open(path, O_RDONLY) : descriptor;
        off_t place = 0;
        while ((size = pread(file, buffer, sizeof buffer, place)) > 0) {
            fwrite(buffer, 1, size, kept);
            place += size;
        }
        if (is_ours) close(file);
    }
    fclose(kept);
}

int fsync(int descriptor) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    int result = real(descriptor);
    if (!result) keep(descriptor);
    return result;
}

int fdatasync(int descriptor) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    int result = real(descriptor);
    if (!result) keep(descriptor);
    return result;
}
"""

RECORD = """
import sys
from pathlib import Path
import harness
harness.study(Path(sys.argv[1]))
harness.search(Path(sys.argv[1]))
"""

# Forks a run for each folder that it reads: what it holds at first, how the run ends, what is left.
GO_ON = """
import json, sys
from pathlib import Path
import harness

for line in sys.stdin:
    folder = Path(line.strip())
    before = harness._story_in_child(folder)
    code = harness.in_child(lambda: harness.search(folder))
    after = harness._story_in_child(folder)
    print(json.dumps([before, code, after, list(harness.faults_of(folder))]), flush=True)
"""


def states(kept: Path, root: Path) -> Iterator[dict[Path, bytes]]:
    """Yield what a disk holds after each sync, by path seen from the root.

    A file's sync keeps its name as well, and those of the folders around it, as journals do.
    """
    contents: dict[str, bytes] = {}
    folders: dict[str, dict[str, str]] = {}
    for file in sorted(kept.iterdir()):
        head, around, content = file.read_bytes().split(b"\n", 2)
        kind, inode, path = head.decode().split(" ", 2)
        above = around.decode().split()
        names = Path(path).relative_to(root).parts
        for parent, name, child in zip(above, names, [*above[1:], inode], strict=False):
            folders.setdefault(parent, {})[name] = child
        if kind == "F":
            contents[inode] = content
        else:
            lines = [line.split(" ", 1) for line in content.decode().splitlines()]
            folders[inode] = {name: number for number, name in lines}
        yield dict(_walked(Path(), (above or [inode])[0], contents, folders))


def _walked(
    place: Path, inode: str, contents: dict[str, bytes], folders: dict[str, dict[str, str]]
) -> Iterator[tuple[Path, bytes]]:
    for name, child in folders.get(inode, {}).items():
        if child in folders:
            if (place / name).parts[0] == "project":
                continue  # the user's own
            yield from _walked(place / name, child, contents, folders)
        elif name != "project":  # which nobody syncs: it was there before
            yield place / name, contents.get(child, b"")


def test_every_sync_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    root, kept = tmp_path / "run", tmp_path / "kept"
    for folder in (root, kept):
        folder.mkdir()
    library = compiled(SHIM, tmp_path, "power")
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    recording = {"LD_PRELOAD": library, "POWER_ROOT": root, "POWER_KEPT": kept}
    subprocess.run(
        [sys.executable, "-c", RECORD, str(root)], check=True, timeout=300,
        env=environment | {name: str(value) for name, value in recording.items()},
    )  # fmt: skip
    all_states = list(states(kept, root))
    assert len(all_states) > 60, "a run of nine trials syncs that often"
    project = {path: path.read_bytes() for path in (root / "project").rglob("*") if path.is_file()}
    every = 1 if IS_ALL else len(all_states) // 3
    chosen = list(range(0, len(all_states), every))
    folders = []
    for number in chosen:
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        for path, content in project.items():  # the user's, there before
            (folder / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.relative_to(root)).write_bytes(content)
        for name, content in all_states[number].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        folders.append(folder)
    done = subprocess.run(
        [sys.executable, "-c", GO_ON], input="".join(f"{folder}\n" for folder in [root, *folders]),
        env=environment, capture_output=True, text=True, timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(folders) + 1
    (_, code, reference, faults), *cuts = reports
    assert (code, faults, len(reference)) == (0, [], 9)
    complete_before: list[Any] = []
    for number, (before, code, after, faults) in zip(chosen, cuts, strict=True):
        assert code == 0, f"after sync {number}: {done.stderr[-2000:]}"
        assert faults == [], f"after sync {number}"
        assert after == reference, f"after sync {number}"
        complete = [trial for trial in before if trial[1] == "COMPLETE"]
        assert all(trial in complete for trial in complete_before), "what was kept once stays"
        complete_before = complete
    assert not IS_ALL or len(complete_before) == 9
