"""Running a command as a whole process and reading what the operating system counted: wall, CPU, peak memory."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Cost:
    """What one run of a process took: seconds of wall and CPU time, and peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; its output is dropped. Raises CalledProcessError where it fails."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    errors = child.stderr.read()  # drained, so that the child never waits for us
    _, status, usage = os.wait4(child.pid, 0)
    child.stderr.close()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command, stderr=errors)
    return Cost(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def repeat(runs: int, work: Callable[[], Cost], before: Callable[[], None] = lambda: None) -> Cost:
    """The median of each figure over several runs, after one that is not counted."""
    costs = []
    for number in range(runs + 1):
        before()
        cost = work()
        if number:
            costs.append(cost)
    return Cost(*(median(getattr(cost, figure) for cost in costs) for figure in ("wall", "cpu", "memory")))


def machine() -> str:
    """The processor, cores and memory of this machine, in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
