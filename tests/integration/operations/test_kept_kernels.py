"""Where compiled kernels are kept: in a folder that can be written, nowhere, on a full disk, beside older ones."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import pytest

import mergestore
from registry import surroundings
from storage.encodings import kernels
from tests.integration.models import fine_tune, llama, save

pytestmark = pytest.mark.usefixtures("surroundings")
ROOT = Path(__file__).parents[3]
INNER = """
@jit
def inner(value):
    return value + 1
"""
OUTER = """
import json
from kernels import inner, jit

@jit
def outer(value):
    return inner(value) * 10

print(json.dumps([outer(1), outer.stats.cache_hits.total(), outer.stats.cache_path]))
"""
VERB = "import sys, cli; sys.exit(cli.main(['--json', *sys.argv[1:]]))"


def double(value: int) -> int:
    return 2 * value


def doubled() -> tuple[int, int]:
    """What a kernel gives in a new process, and how often it was found compiled."""
    kernel = kernels.jit(double)
    return kernel(21), kernel.stats.cache_hits.total()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Path]]:
    """Files of one kind in the folder that compiled kernels are kept in."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kept"))
    return lambda kind: list((tmp_path / "kept").glob(f"*/*{kind}"))


@pytest.fixture
def full() -> Iterator[None]:
    """No byte more can be written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_kernels_are_kept_where_it_is_said(kept: Callable[[str], list[Path]]) -> None:
    assert (doubled(), doubled()) == ((42, 0), (42, 1))
    assert len(kept(".nbc")) == 1


def test_a_full_disk_keeps_nothing_and_ends_nothing(kept: Callable[[str], list[Path]], full: None) -> None:
    assert (doubled(), doubled()) == ((42, 0), (42, 0))
    assert kept("") == []


@pytest.mark.parametrize("kind", [".nbi", ".nbc"])
@pytest.mark.parametrize("size", [0, 100])
def test_what_was_cut_short_is_compiled_and_kept_again(kept: Callable[[str], list[Path]], kind: str, size: int) -> None:
    doubled()
    (file,) = kept(kind)
    file.write_bytes(file.read_bytes()[:size])
    assert (doubled(), doubled()) == ((42, 0), (42, 1))


def child(folder: Path, script: str, *words: str, **environment: str) -> Any:
    """The document that a script prints, run by a user whom permissions bind and who has no home."""
    usual = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    ours = {"HOME": os.devnull, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*bound, sys.executable, "-c", script, *words]
    done = subprocess.run(
        command, cwd=folder.parent, env={**usual, **ours, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lock(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(path.stat().st_mode & ~0o222)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Two files of kernels, of which one calls the other."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "kernels.py").write_text(Path(kernels.__file__).read_text() + INNER)
    (package / "outer.py").write_text(OUTER)
    return package


def test_without_a_folder_kernels_are_compiled_anew(package: Path) -> None:
    lock(package)
    assert child(package, "import outer") == [20, 0, None]


def test_a_kernel_is_not_used_again_where_one_that_it_calls_has_changed(package: Path, tmp_path: Path) -> None:
    """As after an upgrade of mergestore."""
    place = str(tmp_path / "kept")
    assert child(package, "import outer", NUMBA_CACHE_DIR=place)[:2] == [20, 0]
    called = package / "kernels.py"
    called.write_text(called.read_text().replace("return value + 1", "return value + 2"))
    assert child(package, "import outer", NUMBA_CACHE_DIR=place)[:2] == [30, 0]


def told(place: Path) -> tuple[str, str, str]:
    (found,) = [each for each in mergestore.doctor(place / "store")["checks"] if each["name"] == "kernels"]
    return found["level"], found["detail"], found["hint"] or ""


def test_the_doctor_tells_where_kernels_are_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level, detail, _ = told(place)
    assert (level, str(kernels.cache_folder()) in detail) == ("ok", True)
    with monkeypatch.context() as full:
        full.setattr(surroundings, "is_full", lambda path: path.parent == kernels.cache_folder())
        level, detail, hint = told(place)
    assert (level, "its disk is full" in detail, "NUMBA_CACHE_DIR" in hint) == ("warning", True, True)
    monkeypatch.setattr(kernels, "cache_folder", lambda: None)
    level, detail, hint = told(place)
    assert (level, "kept nowhere" in detail, "NUMBA_CACHE_DIR" in hint) == ("warning", True, True)


@pytest.mark.slow
def test_verbs_do_the_same_without_a_folder(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("cli", "merging", "migrations", "registry", "storage"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mergestore.py", package)
    lock(package)
    base = llama()
    save(tmp_path / "base", base)
    save(tmp_path / "tuned", fine_tune(base, 1))
    home = tmp_path / "store"
    with mergestore.open(home) as store:
        store.register_base("base", tmp_path / "base")
        words = ("register", "skill", "math", "tuned", "--base", "base", "--drop-rate", "0.5")
        skill = child(package, VERB, *words, MERGESTORE_HOME=str(home))
        again = store.register_skill("math", tmp_path / "tuned", base="base", drop_rate=0.5)
        assert (again.created, again.digest) == (False, skill["digest"])
    checks = child(package, VERB, "doctor", MERGESTORE_HOME=str(home))["checks"]
    assert [each["level"] for each in checks if each["name"] == "kernels"] == ["warning"]
