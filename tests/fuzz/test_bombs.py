"""Small files that would grow without end, given to the command line of a process that may take 3 GiB of addresses.

Each ends with an exit code of ours, a message that names the file and no traceback; the store is as it was.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from mergestore import UsageError
from merging.mergekit.config import read_config
from merging.recipes.document import DEPTH, load_document
from merging.recipes.recipe_file import read_file
from registry.policies.reading import read_policy_file
from tests.fuzz.patience import patience
from tests.integration.golden_stores import GOLDEN
from tests.integration.shell import Shell

ROOT = Path(__file__).parents[2]
ADDRESSES = 3 << 30
"""Bytes of addresses: libraries and thread stacks take about a third of that before anything is read."""
PATIENCE = 120  # seconds, on a busy machine

pytestmark = pytest.mark.usefixtures("surroundings")

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
"""Nine to the tenth power of texts, in 400 bytes."""
TEXTS = {
    "laughs": LAUGHS + "base: llama\nskills: *k\nmethod: *k\npolicy: *k\nmerge_method: *k\nparameters: {density: *k}\n",
    "laughs in a place": "base: llama\nskills: [math]\nmethod: ties\nparameters:\n"
    + "".join(f"  {line}\n" for line in LAUGHS.splitlines()),
    "itself": "base: &a [*a]\nskills: &b {x: *b}\n",
    "deep": "[" * 200_000,
    "deep tables": '{"a":' * 100_000,
    "long number": "base: " + "9" * 1_000_000 + "\nskills: [math]\n",
    "hexadecimal": "base: 0x" + "f" * 1_000_000 + "\nskills: [math]\n",
    "sexagesimal": "base: 1" + ":59" * 100_000 + "\nskills: [math]\n",
    "anchors": "".join(f"k{n}: &a{n} 1\n" for n in range(5_000)),
    "no text": "base: \x00\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
}


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))


def run(home: Path, *words: object) -> tuple[int, str]:
    """Exit code of the command line in a process of its own, and what it said: `check` tells problems on stdout."""
    command = [sys.executable, "-m", "cli", "--store", str(home), *map(str, words)]
    surroundings = os.environ | {"OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=limit,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


def refused(shell: Shell, path: Path, *words: object) -> None:
    before = shell.state()
    code, told = run(shell.home, *words)
    assert code in (2, 3, 4, 5, 6, 7), told[-2000:]
    assert "Traceback" not in told
    assert path.name in told
    assert len(told) < 20_000
    assert shell.state() == before


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "store", tmp_path / "inner")
    shell.json("init")
    return shell


READERS: dict[str, Callable[[Path], object]] = {
    "recipe": read_file,
    "mergekit": lambda path: read_config(load_document(path), str(path)),
    "policy": lambda path: read_policy_file(path, path.name),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_refused_at_once(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(TEXTS[name], encoding="latin-1")
    with patience(PATIENCE), pytest.raises(UsageError, match=r"bomb\.yaml") as caught:
        READERS[reader](path)
    assert len(caught.value.message) < 20_000


@pytest.mark.parametrize("reader", READERS)
def test_nesting_has_an_end_that_is_told(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text("[" * (DEPTH + 2) + "]" * (DEPTH + 2))
    with pytest.raises(UsageError, match=rf"bomb\.yaml, line 1, column \d+: .*deeper than {DEPTH} levels"):
        READERS[reader](path)
    path.write_text("[" * DEPTH + "]" * DEPTH)
    assert load_document(path)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each == "laughs" else pytest.mark.slow) for each in TEXTS]
)
@pytest.mark.parametrize("option", ["--recipe", pytest.param("--from-mergekit", marks=pytest.mark.slow)])
def test_texts(name: str, option: str, shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(TEXTS[name], encoding="latin-1")
    refused(shell, path, "merge", "x", option, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_policies(name: str, shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(TEXTS[name], encoding="latin-1")
    refused(shell, path, "check", "llama + math", "--policy", path)


def header(document: object) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text


FILES = {
    "header of exabytes": struct.pack("<Q", 2**63) + b"{}",
    "header of 100 MB": struct.pack("<Q", 100_000_000) + b"{" + b" " * 99_999_998 + b"}",
    "deep header": struct.pack("<Q", 600_005) + b'{"a":' + b"[" * 600_000,
    "numbers": struct.pack("<Q", 1_000_006) + b'{"a":' + b"9" * 1_000_000 + b"}",
    "shape": header({"a": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}),
    "many": header({f"t{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(200_000)}) + b"x",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_checkpoints(name: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(FILES[name])
    refused(shell, folder / "model.safetensors", "register", "base", "x", folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json", "tokenizer.json"])
def test_files_beside_weights(name: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    base = GOLDEN / "format1" / "models" / "base"
    weights = "model.safetensors" if "index" not in name else "model-00001-of-00001.safetensors"
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes((base / "model.safetensors").read_bytes())
    (folder / name).write_text("[" * 500_000)
    code, told = run(shell.home, "register", "base", "x", folder)
    assert "Traceback" not in told
    assert code in (0, 5), told[-2000:]  # what need not be read is kept as it is
    assert code == 0 or name in told


@pytest.mark.slow
@pytest.mark.parametrize("place", ["manifest.json", "x.bundle"])
def test_archives(place: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    path = folder / place
    path.write_bytes(b"[" * 3_000_000 if place == "manifest.json" else zstandard.compress(bytes(1 << 28)))
    verb = ["restore", folder, "--check"] if place == "manifest.json" else ["import", path]
    refused(shell, path, *verb)


@pytest.mark.slow
def test_a_sparse_file_of_terabytes(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "huge.bundle"
    with path.open("wb") as file:
        file.truncate(1 << 42)
    refused(shell, path, "import", path)
    (tmp_path / "model").mkdir()
    path = (tmp_path / "huge.bundle").rename(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "config.json").write_text("{}")
    refused(shell, path, "register", "base", "x", tmp_path / "model")
    path.rename(tmp_path / "huge.yaml")
    refused(shell, tmp_path / "huge.yaml", "merge", "x", "--recipe", tmp_path / "huge.yaml")
