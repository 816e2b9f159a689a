"""Where the sums of a collection are saved while it is under way: one place for the same one, one process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.collecting.readying import Job, Ready
from registry.home import Home
from registry.software import package_version
from storage.digests import json_digest
from storage.errors import Conflict, InputRefused, UsageError
from storage.files import disk_errors, remove_tree
from storage.locks import held


@contextmanager
def under_way(home: Home, job: Job, ready: Ready) -> Iterator[Path]:
    """Where sums are saved: of one collection always the same place, and one process at a time."""
    import torch

    if job.asked.forward is not None:
        # What a function computes is not known, so nothing is gone on with.
        folder = home.blobs.scratch("collecting")
        folder.mkdir()
        try:
            yield folder
        finally:
            remove_tree(folder)
        return
    key = json_digest(
        {
            "kind": job.asked.kind,
            "skill": job.skill.digest,
            "model": ready.digest,
            "data": job.data.digest,
            "examples": job.data.examples,
            "settings": ready.settings,
            "memory": job.asked.memory,
            "device": job.asked.device,
            "threads": torch.get_num_threads(),  # sums are rounded otherwise by another number
            "versions": {name: package_version(name) for name in ("mergestore", "torch", "transformers")},
        }
    )
    folder = home.collecting / key.removeprefix("sha256:")[:32]
    with contextlib.ExitStack() as stack:
        with disk_errors(f"cannot write in {home.collecting}"):
            folder.mkdir(parents=True, exist_ok=True)
            ours = stack.enter_context(held(folder.with_suffix(".lock")))
        if not ours:
            raise Conflict(
                f"another process is collecting the same {job.asked.kind} of {job.skill.reference}",
                hint="wait for it: it goes on record when it is done",
            )
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except (InputRefused, UsageError):
            remove_tree(folder)  # nothing would ever go on from here
            raise
        finally:
            _tidy(home, folder)


def _tidy(home: Home, folder: Path) -> None:
    """Leave nothing behind where nothing was saved."""
    if folder.exists() and any(folder.iterdir()):
        return
    remove_tree(folder)
    folder.with_suffix(".lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are collected there
        home.collecting.rmdir()
