"""Disks that are full or fill up, under the store and under the output: said so, and nothing is left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.integration.bad_input.refusal import BASE
from tests.integration.models import fine_tune, floats, llama, save
from tests.integration.shell import Shell, listing

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def disk(tmp_path):
    """Make a small filesystem: ``disk(size)`` mounts one of so many bytes and returns its folder."""
    mounted = []

    def make(size, **options):
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        said = ",".join(f"{key}={value}" for key, value in {"size": size, **options}.items())
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", said, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a small filesystem needs root: {done.stderr.strip()}")
        mounted.append(place)
        return place

    if os.geteuid() != 0:
        pytest.skip("mounting a small filesystem needs root")
    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(folder, leave):
    """Use the space of a filesystem up but for ``leave`` bytes."""
    free = os.statvfs(folder)
    size = max(0, free.f_bavail * free.f_frsize - leave)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size) if size else None


@pytest.mark.parametrize("leave", [0, 4096, 16384, 32768, 65536, 98304])
def test_a_full_disk_under_the_store(home, disk, tmp_path, leave):
    place = disk("8m")
    subprocess.run(["cp", "-r", home, place / "store"], check=True)
    shell = Shell(place / "store", tmp_path / "out")
    (tmp_path / "out").mkdir()
    base, tuned = save(tmp_path / "b", llama(seed=8)), save(tmp_path / "x", fine_tune(BASE, 8))
    before = shell.state()
    for words in (
        ("register", "base", "new", base),
        ("register", "skill", "new-skill", tuned, "--base", "tiny", "--encoding", "exact"),
        ("materialize", "assistant", "--no-wait"),
    ):
        fill(place, leave)
        code, out, _ = shell(*words, "--json")
        assert code in (0, 7), out
        if code == 7:
            error = json.loads(out)["error"]
            assert error["kind"] == "environment"
            assert "space" in error["message"] + error["hint"]
        (place / "filler").unlink()
        after = shell.state()
        if code == 7:
            assert after["rows"] == before["rows"] | {"lease": after["rows"]["lease"]}, "a lease runs out by itself"
            assert not [path for path in listing(place / "store") if path.endswith(".tmp")]
            assert shell.json("verify")["ok"] is True
            assert shell(*words)[0] == 0, "with space again, the same command succeeds"
        before = shell.state()
    assert leave or code == 7


def test_a_full_disk_under_the_output(shell, disk):
    place = disk("512k")
    fill(place, 16384)
    before = listing(place)
    found = shell.refused(7, "materialize", "assistant", "-o", place / "out", "--no-wait")
    assert f"no space left for {place / 'out'}" in found["message"]
    assert "are needed" in found["message"]
    assert found["hint"]
    assert listing(place) == before


@pytest.mark.parametrize("options", [{"size": "36k"}, {"size": "1m", "nr_inodes": 6}])
def test_a_disk_that_fills_up_under_the_output(shell, disk, options):
    place = disk(**options)
    watched = Shell(shell.home, place)
    found = watched.refused(7, "materialize", "assistant", "-o", place / "out", "--no-wait", "--shard-size", "4kB")
    assert str(place) in found["message"]
    assert "No space left on device" in found["message"]
    assert "free some space" in found["hint"]
    assert listing(place) == {}


def test_a_file_that_may_not_grow(tmp_path):
    """What a quota does, without being root: the system refuses the write, in the middle of a file."""
    shell, wide = Shell(tmp_path / "store"), {"w": floats(np.zeros(1_500_000))}
    shell.json("init")
    shell.json("register", "base", "wide", save(tmp_path / "base", wide))
    tuned = save(tmp_path / "x", fine_tune(wide, 1))
    shell.json("register", "skill", "thin", tuned, "--base", "wide")
    before = listing(tmp_path)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000));"
    command = [sys.executable, "-c", limit + "import cli; sys.exit(cli.main())", "--json", "--store", shell.home]
    for words in (
        ("materialize", "wide + thin", "-o", tmp_path / "out", "--no-wait"),
        ("register", "base", "again", tmp_path / "x"),
        ("register", "skill", "again", tuned, "--base", "wide", "--values", "bf16", "--drop-rate", "0"),
    ):
        done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 7, done.stdout + done.stderr
        assert "File too large" in json.loads(done.stdout)["error"]["message"]
        assert listing(tmp_path) == before
