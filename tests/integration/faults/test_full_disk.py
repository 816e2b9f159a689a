"""A small filesystem that is really full, and limits that the kernel really sets: the verbs as people meet them."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.faults.conftest import Counts
from tests.integration.faults.laboratory import Laboratory, finish, records, require_sound, temporary
from tests.integration.faults.scenarios import SCENARIOS
from tests.integration.faults.test_kills import whole

pytestmark = pytest.mark.usefixtures("surroundings")

ENVIRONMENT = 7
SIZE = 8 << 20
PAGE = 4096
LEVELS = (0, 4, 16, 48)
"""Pages that are free when a verb begins."""


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A filesystem of a few megabytes in the place of a folder."""
    options = f"size={SIZE}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, text=True)
    if done.returncode:
        reason = f"no filesystem can be mounted here: {done.stderr.strip()}"
        (pytest.fail if os.environ.get("CI") and os.geteuid() == 0 else pytest.skip)(reason)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, pages: int) -> Path:
    """Leave so many pages free."""
    filler = place / "filler"
    with filler.open("wb") as opened:
        found = os.statvfs(place)
        opened.write(bytes(max(0, found.f_bavail * found.f_bsize - pages * PAGE)))
    return filler


def at_levels(laboratory: Laboratory, counts: Counts, name: str, levels: tuple[int, ...]) -> None:
    scenario = SCENARIOS[name]
    with small_disk(laboratory.root):
        _, expected = whole(laboratory, name)
        laboratory.reset()
        before, refused = records(laboratory.root), 0
        for pages in levels:
            laboratory.reset()
            filler = fill(laboratory.root, pages)
            trial = laboratory.trial(scenario)
            assert trial.status == 0, (name, pages, trial)
            answer = trial.answers[-1]
            assert answer["code"] in (0, ENVIRONMENT), (name, pages, answer)
            if answer["code"]:
                refused += 1
                assert any(word in answer["err"] for word in ("No space left", "is full", "free", "disk")), answer
                assert temporary(laboratory.root) == [], (name, pages)
            filler.unlink()
            require_sound(laboratory.root, scenario, before)
            assert finish(laboratory.root, scenario) == expected, (name, pages)
    counts.add("full disk", name, points=len(levels), tried=len(levels), refused=refused)
    assert refused


def test_a_disk_that_is_full(laboratory: Laboratory, counts: Counts) -> None:
    at_levels(laboratory, counts, "register skill (exact)", (0, 8, 24))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "init (upgrade)"])
def test_a_disk_that_is_full_at_many_levels(laboratory: Laboratory, counts: Counts, name: str) -> None:
    at_levels(laboratory, counts, name, LEVELS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "values", "said"),
    [
        (resource.RLIMIT_NOFILE, range(3, 40, 4), "Too many open files"),
        (resource.RLIMIT_FSIZE, (0, 100, 1000, 4096, 40_000, 400_000), "File too large"),
    ],
)
@pytest.mark.parametrize("name", ["register skill (exact)", "materialize to a folder", "backup (first)", "import"])
def test_limits_of_the_kernel(
    laboratory: Laboratory, counts: Counts, name: str, limit: int, values: tuple[int, ...], said: str
) -> None:
    scenario = SCENARIOS[name]
    _, expected = whole(laboratory, name)
    laboratory.reset()
    before, refused = records(laboratory.root), 0
    for value in values:
        laboratory.reset()
        trial = laboratory.trial(scenario, limits=[(limit, value)])
        assert trial.status == 0, (value, trial)
        answer = trial.answers[-1]
        assert answer["code"] in (0, ENVIRONMENT), (value, answer)
        refused += answer["code"] == ENVIRONMENT
        require_sound(laboratory.root, scenario, before)
        assert finish(laboratory.root, scenario) == expected, value
    counts.add(said, name, points=len(values), tried=len(values), refused=refused)
    assert refused
