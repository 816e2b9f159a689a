"""A process that works on a store until it is killed.

Reads orders from stdin, a JSON document a line, and forks a child for each: the child inherits everything imported
and compiled, so that forty deaths take seconds. A child kills itself where its order says, or is killed from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import mergestore
from merging.engines import numba_engine
from merging.engines.combination import Combine, Contribution
from storage.encodings.chunks import KeptChunk
from storage.encodings.coding import EXACT, dare_coding
from storage.encodings.encode import encode_chunk
from storage.encodings.measure_kernels import sum_magnitudes
from storage.encodings.numeric import read_only

DISK = frozenset(
    {"open", "write", "pwrite", "fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "ioctl", "execute"}
    | {"executemany", "commit", "rollback", "sendfile", "copyfileobj"}
)
DECIDING = frozenset({"commit", "rename"})  # what makes something count


class Trap:
    """Counts the calls of this process, and kills it at a chosen one.

    ``call``: any call or return; ``disk``: before one that touches the disk; ``decided``: after a commit or a rename.
    """

    def __init__(self, kind: str, number: int):
        self.kind, self.number = kind, number
        self.counts = {"call": 0, "disk": 0, "decided": 0}

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        self.counts["call"] += 1
        if event == "c_call" and argument.__name__ in DISK:
            self.counts["disk"] += 1
        if event == "c_return" and argument.__name__ in DECIDING:
            self.counts["decided"] += 1
        if self.counts[self.kind] == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


def steps(store: Any, number: int, models: Path, out: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What one child does: a base, skills, a merge, and its model in the cache and in a folder; a merge by EMR too."""
    yield "base", lambda: store.register_base(f"base-{number}", models / f"base-{number}")
    skill = models / f"skill-{number}"
    yield "skill", lambda: store.register_skill(f"skill-{number}", skill, base="tiny", encoding="exact")
    yield "dare", lambda: store.register_skill(f"dare-{number}", skill, base="tiny", drop_rate=0.5)
    yield "merge", lambda: store.merge(f"merge-{number}", f"tiny + skill-{number}")
    yield "twin", lambda: store.register_skill(f"twin-{number}", skill, base="tiny", encoding="sign")
    both = f"tiny + skill-{number} + twin-{number}"
    yield "emr", lambda: store.merge(f"emr-{number}", both, method="emr")
    yield "task", lambda: store.materialize(f"emr-{number}", task=f"twin-{number}", wait=False)
    yield "alias", lambda: store.alias(f"skill-{number}@1", "prod")
    yield "cache", lambda: store.materialize(f"merge-{number}", wait=False)
    yield (
        "out",
        lambda: store.materialize(
            f"merge-{number}", output=out / f"out-{number}", wait=False, force=True, cache=False, shard_size=600
        ),
    )


def work(order: dict[str, Any]) -> None:
    """Do every step, and write each down once it has returned."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    trap = Trap(*(order["trap"] or ("call", -1)))
    with mergestore.open(order["home"], database=order["database"], create=False) as store:
        threading.setprofile(trap)
        sys.setprofile(trap)
        for name, step in steps(store, order["number"], Path(order["models"]), Path(order["out"])):
            answer = step()
            document = answer if isinstance(answer, dict) else answer.to_dict()
            os.write(log, json.dumps({"step": name, **document}).encode() + b"\n")
        sys.setprofile(None)
    os.write(log, json.dumps({"step": "end", **trap.counts}).encode() + b"\n")


def warm() -> None:
    """Import and compile what a child will run. Nothing here may start a thread: threads do not survive a fork."""
    for module in ("store", "merges", "materializing", "unified", "hub"):
        import_module(f"registry.{module}")
    import_module("registry.registering.register_base")
    import_module("registry.registering.register_skill")
    import_module("merging.passes.unified_writer")
    sum_magnitudes(read_only(np.ones(8, np.float32)))
    base = np.arange(0x3F00, 0x3F40, dtype=np.uint16)
    for dtype, bits in (("BF16", base), ("F32", base.astype(np.uint32) << 16)):
        for coding in (EXACT, dare_coding(0.5, 0, "int4")):
            data = encode_chunk(bits, dtype, bits + 1, dtype, coding, 1, 0).data
            chunk = KeptChunk(data, coding, 1, 0, bits.size, dtype, dtype, "warm")
            parts, out = (Contribution(chunk, 1.0, 1.0),), np.empty_like(bits)
            numba_engine.merge(bits, dtype, parts, Combine(False, False, 1.0, 1.0), dtype, out)


def main() -> None:
    warm()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            try:
                work(json.loads(line))
            finally:
                os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()  # until then a child that has ended keeps its number
        os.waitpid(child, 0)
        print("done", flush=True)


if __name__ == "__main__":
    main()
