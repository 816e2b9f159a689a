"""Running commands as whole processes and reading what the operating system counted: wall, CPU, memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

FIGURES = ("wall", "cpu", "system", "memory", "private")
_SAMPLE_SECONDS = 0.05
_ENOUGH = 16  # times the model: where there is much memory, to use it all takes long


@dataclass(frozen=True)
class Cost:
    """What a run of a command took, all its descendants included.

    Seconds of wall and CPU time, and of the latter what the kernel took; ``memory``: peak resident MiB of its largest
    process, mapped files included, as the kernel counts it; ``private``: peak MiB of all its processes together that
    no file backs, as sampled.
    """

    wall: float
    cpu: float
    system: float
    memory: float
    private: float = 0.0


@dataclass(frozen=True)
class Work:
    """A row of a table: a command, what has to be done before each run, and what warms it up."""

    name: str
    command: Sequence[str] | Callable[[], Sequence[str]]
    before: Callable[[], object] = lambda: None
    environment: dict[str, str] = field(default_factory=dict)
    warm_up: Callable[[], object] | None = None  # None: one run that is not counted
    often: int = 1  # runs a turn: more for what varies most


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; its output is dropped. Raises RuntimeError, with what it said, where it fails."""
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env={**plain_environment(), **(environment or {})}
        )
        with _Sampler(child.pid) as sampler:
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit status {child.returncode}\n{errors.read().decode()}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_stime, usage.ru_maxrss / 1024, sampler.peak)


def plain_environment() -> dict[str, str]:
    """This environment, without what would lead a command elsewhere or have Python compile its sources every time."""
    led = ("MERGESTORE_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(led)}


class _Sampler:
    """A thread that looks, 20 times a second, how much memory a process and its descendants have for themselves."""

    def __init__(self, pid: int):
        self.peak = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_private, _family(self._pid))))


def _family(pid: int) -> set[int]:
    """A process and all its descendants."""
    found = (path.name for path in Path("/proc").iterdir())
    parents = {child: _parent(child) for child in (int(name) for name in found if name.isdecimal())}
    family, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in family} - family
        family, grown = family | more, bool(more)
    return family


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def _private(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))) / 1024


def interleave(
    works: Iterable[Work], runs: int, largest: int = 0, say: Callable[[str], object] = print
) -> dict[str, list[Cost]]:
    """Every row's costs: all rows in turn, as often as there are runs, so that what disturbs one disturbs all.

    Each run begins alike: what earlier ones left to be written is written, and free memory has just been used, as much
    as a run over a model of ``largest`` bytes may want.
    """
    works = list(works)
    costs: dict[str, list[Cost]] = {work.name: [] for work in works}
    for number in range(runs + 1):
        for work in works:
            if number == 0 and work.warm_up is not None:
                work.warm_up()
                continue
            for _ in range(work.often if number else 1):
                cost = _prepared(work, largest)
                turn = f"run {number}" if number else "warm-up"
                say(f"  {turn:8} {cost.wall:7.2f} s  {cost.cpu:7.2f} CPU s  {work.name}")
                if number:
                    costs[work.name].append(cost)
    return costs


def _prepared(work: Work, largest: int) -> Cost:
    work.before()
    os.sync()
    use_memory(room(largest))
    return run(work.command() if callable(work.command) else work.command, work.environment)


def room(nbytes: int) -> int:
    """Free memory that a run over a model of so many bytes may be given: most of all there is.

    Measured: where half of it was used, a run was often given the other half.
    """
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return min(_ENOUGH * nbytes, free * 7 // 8)


def use_memory(room: int) -> None:
    """Have another process use memory and leave.

    A virtual machine gives free memory back to its host, and pays, up to a second a GiB, when it takes it again:
    what a run would pay depended on which run came before it.
    """
    if room:
        code = f"data = bytearray({room})\nfor place in range(0, {room}, 4096): data[place] = 1"
        subprocess.run([sys.executable, "-S", "-c", code], check=True)


def repeat(runs: int, work: Callable[[], Cost], before: Callable[[], None] = lambda: None) -> Cost:
    """The median of each figure over several runs, after one that is not counted."""
    costs = []
    for number in range(runs + 1):
        before()
        cost = work()
        if number:
            costs.append(cost)
    return Cost(*(median(getattr(cost, figure) for cost in costs) for figure in FIGURES))


def machine() -> str:
    """The processor, cores and memory of this machine, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor()}, {cores()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
