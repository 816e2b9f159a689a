"""What it costs that objects lie in an object storage: beside the same work in a folder, and beside moving the bytes.

    python -m benchmarks.object_storage [--size 0.1B] [--runs 3] [--work .bench] [--bucket s3://BUCKET]

Without a bucket Ceph's gateway is started on loopback, in memory: then the network costs nothing, and its processes
share the cores with what is measured, also while bytes are moved alone. Keys of a bucket of one's own come from the
environment (AWS_…); what was stored there stays, below a prefix for each run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Work, interleave
from benchmarks.ours import WEIGHTS, OurStore, expression
from benchmarks.results import FOLDER, Result, describe, save
from benchmarks.shapes import make, parameters

SKILLS = ("math", "code", "chat")
_PART = 16 << 20
_CONNECTIONS = 8
GET, PUT = "the base alone, from the bucket into a file", "the base alone, into the bucket"


def main() -> None:
    given = _arguments()
    if given.move is not None:
        _move(*given.move)
        return
    work = Path(given.work) / "object-storage"
    shutil.rmtree(work, ignore_errors=True)
    load = os.getloadavg()[0]
    with _bucket(given.bucket) as (bucket, environment):
        rows = _measured(work, given.size, bucket, environment, given.runs)
    about = {**describe(), "runs": given.runs, "load": [load, os.getloadavg()[0]]}
    about["server"] = "a bucket of one's own" if given.bucket else "Ceph's gateway on loopback, in memory"
    facts = {"size": given.size, "parameters": parameters(given.size)}
    result = Result("objects", f"objects-{given.size}", about, facts, rows)
    print("\n".join(block(result)))
    print(f"kept in {save(result, Path(given.output))}")


def block(result: Result) -> list[str]:
    """The table: seconds and memory, and each beside the same work in a folder and beside moving the bytes alone."""
    head = "| work | wall s | CPU s | peak MiB | wall, beside a folder | wall, beside the bytes alone |"
    about = result.about
    setting = (
        f"{about['machine']}. {about['date']}; {result.facts['size']} ({result.facts['parameters']:,} parameters); "
    )
    setting += f"{about['server']}; median of {about['runs']} runs. "
    setting += f"Load average before and after: {about['load'][0]:.1f}, {about['load'][1]:.1f}."
    lines = [setting, "", head, "|---|---:|---:|---:|---:|---:|"]
    for row in result.rows:
        wall, cpu, memory = (result.figure(row, figure) for figure in ("wall", "cpu", "memory"))
        local = row.replace("in a bucket", "in a folder").removesuffix(", small objects in the read cache")
        beside = f"{wall / result.figure(local, 'wall'):.2f}" if local != row else ""
        alone = PUT if row.startswith("register") else GET
        bytes_alone = f"{wall / result.figure(alone, 'wall'):.2f}" if "in a bucket" in row else ""
        lines.append(f"| {row} | {wall:.2f} | {cpu:.2f} | {memory:,.0f} | {beside} | {bytes_alone} |")
    return lines


def _measured(
    work: Path, size: str, bucket: str, environment: dict[str, str], runs: int
) -> dict[str, list[dict[str, Any]]]:
    base = make(work.parent / f"base-{size}", size)
    tuned = [make(work.parent / f"skill-{size}-{number}", size, "--fine-tune", str(number)) for number in range(3)]
    os.environ.update(environment)
    here, there = OurStore(work / "folder").clear(), OurStore(work / "bucket")
    _initialized(there, f"{bucket}/kept-{uuid.uuid4().hex}")
    for store in (here, there):
        store.register_base(base)
        for name, path in zip(SKILLS, tuned, strict=True):
            store.register(name, path)
    target, output = expression(SKILLS, WEIGHTS), work / "out"
    fresh = {"a folder": OurStore(work / "fresh"), "a bucket": OurStore(work / "fresh-remote")}

    def anew(where: str) -> None:
        fresh[where].clear()  # as a store in a folder
        if where == "a bucket":
            _initialized(fresh[where], f"{bucket}/fresh-{uuid.uuid4().hex}")

    def emptied(*, cache: bool) -> None:
        shutil.rmtree(output, ignore_errors=True)
        if cache:
            shutil.rmtree(there.folder / "objects-cache", ignore_errors=True)

    def materialize(store: OurStore) -> list[str]:
        return store.materialize_command(target, output, "task_arithmetic")

    def move(direction: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "benchmarks.object_storage",
            "--move",
            direction,
            bucket,
            str(base),
            f"{output}.bin",
        ]

    works = [
        Work(PUT, move("put"), lambda: emptied(cache=False)),
        Work(GET, move("get"), lambda: emptied(cache=False)),
        *(
            Work(f"register the base in {where}", store.register_base_command(base), lambda where=where: anew(where))
            for where, store in fresh.items()
        ),
        Work("materialize 3 skills in a folder", materialize(here), lambda: emptied(cache=False)),
        Work("materialize 3 skills in a bucket", materialize(there), lambda: emptied(cache=True)),
        Work(
            "materialize 3 skills in a bucket, small objects in the read cache",
            materialize(there),
            lambda: emptied(cache=False),
        ),
    ]
    largest = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    costs = interleave(works, runs, largest, lambda line: print(line, file=sys.stderr))
    return {row: [asdict(cost) for cost in found] for row, found in costs.items()}


def _initialized(store: OurStore, url: str) -> None:
    subprocess.run(store.command("init", "--objects", url), check=True, stdout=subprocess.DEVNULL)


def _move(direction: str, bucket: str, folder: str, output: str) -> None:
    """The weights of a model as one object, with the client that mergestore uses and nothing besides."""
    import obstore
    from obstore.store import S3Store

    store = S3Store.from_url(bucket, client_options={"allow_http": True})
    (file,) = Path(folder).glob("*.safetensors")
    if direction == "put":
        obstore.put(store, "moved", file, chunk_size=_PART, max_concurrency=4)
        return
    size = int(obstore.head(store, "moved")["size"])
    with Path(output).open("wb") as target, ThreadPoolExecutor(_CONNECTIONS) as pool:

        def fetch(start: int) -> None:
            os.pwrite(
                target.fileno(), obstore.get_range(store, "moved", start=start, end=min(start + _PART, size)), start
            )

        list(pool.map(fetch, range(0, size, _PART)))
        os.fsync(target.fileno())


@contextmanager
def _bucket(given: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """A bucket, and the environment that its clients need."""
    if given is not None:
        yield given, {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return
    from tests.integration.objects.gateway import Gateway, free_port

    home = Path(tempfile.mkdtemp(prefix="mergestore-rgw-", dir="/tmp"))  # paths of sockets must be short
    gateway = Gateway(home, free_port(), free_port(), room=16 << 30)
    try:
        gateway.start()
        yield gateway.make_bucket(), gateway.environment()
    finally:
        gateway.stop()
        shutil.rmtree(home, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="0.1B")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=".bench", help="folder for models and stores")
    parser.add_argument("--bucket", help="s3://BUCKET of one's own, instead of a gateway on loopback")
    parser.add_argument("--output", default=str(FOLDER), help="folder for the results file")
    parser.add_argument("--move", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
