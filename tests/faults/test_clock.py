"""A clock that is set by an hour and by a day, both ways, while a study runs: nothing moves."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from studies import (
    copy_project,
    run_search,
    search_command,
    stored_trials,
    tiny_document,
    write_study,
)

sys.path.insert(0, str(Path(__file__).parent))

from shims import compiled

from search.audit.events import read_events
from search.audit.integrity import verify_trail
from search.audit.reader import AuditReader
from search.storage.existing import existing_storage

pytestmark = [pytest.mark.fault, pytest.mark.dbt, pytest.mark.long]

HOUR, DAY = 3600, 86400

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

/* What is added to the calendar's clock, in seconds: a file that the test writes. */
static long offset(void) {
    static volatile long *moved;
    if (!moved) {
        int file = open(getenv("CLOCK_MOVED"), O_RDONLY);
        moved = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    }
    return *moved;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *given) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given) *given = now.tv_sec;
    return now.tv_sec;
}
"""
"""A clock that is set moves the calendar alone. (libfaketime breaks sleeping as well.)"""

WORDS = ("--set", "search.max_iterations=1", "--set", "search.batch_size=8")
SLOW = [
    {
        "sql": "create or replace table result as select {{ var('x') }} * 10"
        " + (select value from levers) + (select 0 * sum(hash(range) % 7) from range(5000000))"
        " as v"
    }
]


def story(results: Path) -> list[tuple[Any, ...]]:
    trials = stored_trials(results, "tiny")
    return [(one.number, one.state.name, one.params, one.values) for one in trials]


def test_a_clock_that_is_set_both_ways(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("l", 0))
    lying = {"LD_PRELOAD": str(compiled(SHIM, tmp_path, "clock")), "CLOCK_MOVED": str(clock)}

    def move(seconds: int) -> None:
        with clock.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    never = {"v": {"value": 1000.0, "tolerance": 0.0001}}
    document = tiny_document(targets=never, scenario={"steps": SLOW})
    file = write_study(copy_project("tiny", tmp_path / "project"), document)
    results, quiet = tmp_path / "results", tmp_path / "quiet"
    moments = [HOUR, -HOUR, DAY, -DAY, 0]
    refusals = []
    said = ""
    with subprocess.Popen(
        search_command("run", file, "--results", results, *WORDS), cwd=tmp_path,
        env=os.environ | lying, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if "trial" in line and "done" in line and moments:
                move(moments.pop(0))
                if len(moments) == 2:  # a day ahead
                    refusals.append(
                        run_search("run", file, "--results", results, cwd=tmp_path, env=lying)
                    )
    assert process.returncode == 3 and moments == [] and "Traceback" not in said, said
    assert "one driver may run a study at a time" in refusals[0].stderr

    done = run_search("run", file, "--results", quiet, *WORDS, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert story(results) == story(quiet)
    with existing_storage(f"sqlite:///{results / 'tiny' / 'study.db'}") as storage:
        assert verify_trail(results / "tiny", storage, "tiny").findings == ()
    events = list(read_events(results / "tiny"))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    moved = [(b.at - a.at).total_seconds() for a, b in zip(events, events[1:], strict=False)]
    assert max(moved) > HOUR / 2 and min(moved) < -HOUR / 2, "the clock was set"
    (run,) = AuditReader(results / "tiny").runs()
    assert run.wall_seconds is not None and 0 < run.wall_seconds < HOUR / 4
    for trial in AuditReader(results / "tiny").trials():
        assert trial.seconds is None or 0 <= trial.seconds < HOUR / 4
    # The same command goes on, by whatever clock.
    again = run_search("run", file, "--results", results, *WORDS, cwd=tmp_path, env=lying)
    assert again.returncode == 3 and story(results) == story(quiet), again.stderr
