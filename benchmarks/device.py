"""Resident mode and loading from cold, on one device: in-process times, and the bandwidths they are held against.

    python -m benchmarks.device cold STORE EXPRESSION DEVICE load|resident     (one cold load, in a process of its own)

On a machine without CUDA it can be run on ``cpu``, which shows that it works and says nothing about a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.results import Result, describe, place
from benchmarks.shapes import make, parameters

SKILLS = 4
Rows = dict[str, list[dict[str, float]]]


class DeviceBench:
    """A store with a base and four skills of one size, kept on one device in every way there is."""

    def __init__(self, work: Path, size: str, device: str):
        self.size, self.device = size, device
        self.names = [f"skill{number}" for number in range(SKILLS)]
        folder = work / size
        self.base = make(folder / "base", size)
        self.fine_tune = make(folder / "fine-tune0", size, "--fine-tune", "0")
        self.store = ours.OurStore(folder / "device-store")

    def measure(self, runs: int) -> Result:
        """Every figure of this device."""
        self._fill()
        name = device_name(self.device)
        rows = {**self._resident(runs), **self._cold(runs)}
        about = {**describe(), "place": place(name), "device": name, "size": self.size, "runs": runs}
        return Result("device", f"device-{self.size}", about, self._facts(), rows)

    def _fill(self) -> None:
        self.store.clear().register_base(self.base)
        for seed, name in enumerate(self.names):  # masks, and so contents, differ by seed
            self.store.register(name, self.fine_tune, "--seed", str(seed))

    def _facts(self) -> dict[str, Any]:
        weights = self.base / "model.safetensors"
        words = [sys.executable, "-m", "benchmarks.bandwidth", str(weights)]
        limits = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        if not self.device.startswith("cuda"):  # then memory is the device
            limits |= {"device copy": 2 * limits["memory"], "host to device": limits["memory"]}
        return {"model bytes": weights.stat().st_size, "parameters": parameters(self.size), "limits": limits}

    def _resident(self, runs: int) -> Rows:
        rows: Rows = {}
        for label, options, counts in self._ways():
            for count, walls in self._loads(options, counts, runs):
                rows[f"resident, {count} skill{'s' * (count > 1)}{label}"] = [{"wall": wall} for wall in walls]
        return rows

    def _ways(self) -> list[tuple[str, dict[str, str], tuple[int, ...]]]:
        """Label, options of resident mode, numbers of skills."""
        ways: list[tuple[str, dict[str, str], tuple[int, ...]]] = [
            ("", {}, (1, 2, 3, 4)),
            (", masks drawn", {"masks": "drawn"}, (3,)),
            (", deltas on the host", {"deltas": "host"}, (3,)),
        ]
        return ways if self.device.startswith("cuda") else ways[:1]

    def _loads(self, options: dict[str, str], counts: tuple[int, ...], runs: int) -> Iterator[tuple[int, list[float]]]:
        import mergestore

        with (
            mergestore.open(self.store.folder) as store,
            store.resident("base", self.names, device=self.device, **options) as resident,
        ):
            target = resident.load(ours.expression(self.names))
            for count in counts:
                expression = ours.expression(self.names[:count])
                yield count, self._timed(lambda e=expression: resident.load_into(e, target), runs)

    def _timed(self, work: Callable[[], object], runs: int) -> list[float]:
        """Seconds of each run until the device is done, after two that are not counted."""
        walls = []
        for _ in range(runs + 2):
            started = time.perf_counter()
            work()
            synchronize(self.device)
            walls.append(time.perf_counter() - started)
        return walls[2:]

    def _cold(self, runs: int) -> Rows:
        """New processes, files out of the page cache; the device is in use already when the clock starts."""
        words = [sys.executable, "-m", "benchmarks.device", "cold", str(self.store.folder)]
        rows: Rows = {"cold to device, load": [], "cold to device, resident": []}
        for _ in range(runs):
            for row in rows:
                drop_from_cache(self.store.folder)
                command = [*words, ours.expression(self.names[:3]), self.device, row.rpartition(" ")[2]]
                rows[row].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        return rows


def cold(folder: Path, expression: str, device: str, way: str) -> dict[str, float]:
    """Seconds until a merged model is in the device's memory."""
    import torch

    import mergestore

    torch.zeros(1, device=device)
    synchronize(device)
    names = [word.rpartition("*")[2] for word in expression.split(" + ")[1:]]
    with mergestore.open(folder) as store:
        started = time.perf_counter()
        if way == "load":
            store.load(expression, device=device)
        else:
            store.resident("base", names, device=device).load(expression)
        synchronize(device)
        return {"wall": time.perf_counter() - started}


def drop_from_cache(folder: Path) -> None:
    """Let the system forget the content of all files below a folder."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def synchronize(device: str) -> None:
    """Wait until the device is done."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def present(device: str) -> bool:
    """Whether this machine has it."""
    try:
        import torch
    except ImportError:
        return False
    return not device.startswith("cuda") or torch.cuda.is_available()


def device_name(device: str) -> str:
    """The device's name, or the processor's."""
    if not device.startswith("cuda"):
        return ""
    import torch

    return torch.cuda.get_device_name()


if __name__ == "__main__":
    print(json.dumps(cold(Path(sys.argv[2]), *sys.argv[3:6])))
