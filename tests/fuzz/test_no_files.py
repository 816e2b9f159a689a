"""What is no file in the place of a file: pipes that nobody writes to, sockets, folders, links to devices, loops.

Nobody waits for it: every verb that may meet one ends, without a traceback, and leaves it alone or says what is wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mergestore
from mergestore import MergestoreError
from registry.backups.manifest import contents, read
from registry.publishing import manifest_digest
from storage.digests import json_digest
from storage.files import remove_tree
from tests.fuzz.patience import patience
from tests.integration.golden_stores import GOLDEN, copy_backup
from tests.integration.shell import Shell, listing

PATIENCE = 60  # seconds
MODELS = GOLDEN / "format1" / "models"
BESIDE = (
    *(
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "LICENSE",
        "modules.json",
    ),
    *("trainer_state.json", "all_results.json", "mergestore.json", "adapter_config.json", "pytorch_model.bin"),
)

pytestmark = pytest.mark.usefixtures("surroundings")


def _socket(path: Path) -> None:
    """Bound by a descriptor of its folder: names of sockets are short."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path.name),
}
kinds = pytest.mark.parametrize("kind", KINDS)
few = pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=() if each == "pipe" else pytest.mark.slow) for each in KINDS]
)


def replaced(kind: str, paths: list[Path]) -> Iterator[Path]:
    """One after the other of these paths, with what is no file in its place; then it is as it was."""
    for path in paths:
        kept = path.with_name("kept.tmp")
        if there := path.exists():
            path.rename(kept)
        KINDS[kind](path)
        yield path
        remove_tree(path)
        if there:
            kept.rename(path)


def files(folder: Path, *more: str) -> list[Path]:
    """The files in a folder, and where there might be others."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return found + [folder / name for name in more if not (folder / name).exists()]


def told(shell: Shell, *words: object) -> int:
    """The exit code of a command line, which ends and has no traceback."""
    with patience(PATIENCE):
        code, out, err = shell(*words)
    assert code in (0, *range(2, 8)), (words, err)
    assert "Traceback" not in out + err, (words, err)
    assert len(err) < 20_000
    return code


@pytest.fixture(scope="module")
def restored(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that has a golden store, a result of it in its cache, and a published folder beside it."""
    folder = tmp_path_factory.mktemp("restored")
    mergestore.restore(copy_backup("store4", folder / "backup"), folder / "store")
    with mergestore.open(folder / "store") as store:
        store.materialize("assistant@1", output=folder / "model", wait=False, threads=1)
    return folder


def _named(backup: Path) -> list[Path]:
    """Where a backup has what it consists of; its registry last."""
    return [contents(backup).path(each.digest) for each in read(backup).blobs()]


@few
def test_in_backups(kind: str, tmp_path: Path) -> None:
    backup, shell = copy_backup("store4", tmp_path / "backup"), Shell(tmp_path / "new")
    for path in replaced(
        kind, [backup / "manifest.json", *_named(backup)[-3:], backup / "objects" / "blake3", backup / "objects"]
    ):
        before = listing(tmp_path)
        for words in (("restore", backup), ("restore", backup, "--check"), ("restore", path)):
            assert told(shell, *words) in (3, 6, 7), (path, words)
            assert listing(tmp_path) == before
    assert told(shell, "restore", backup) == 0


@pytest.mark.slow
@kinds
def test_in_published_folders(kind: str, restored: Path, tmp_path: Path) -> None:
    shutil.copytree(restored, tmp_path, dirs_exist_ok=True)
    folder, shell = tmp_path / "model", Shell(tmp_path / "store")
    for path in replaced(kind, files(folder, "tokenizer.json", "attestations.jsonl", "config.json")):
        for words in (
            ("verify", folder),
            ("audit", folder),
            ("audit", folder, "--bom"),
            ("attest", folder, "--unsigned", "--output", path),
        ):
            told(shell, *words)
        assert told(shell, "verify", folder) == 6 or path.name not in ("model.safetensors", "mergestore.json")
        told(shell, "register", "base", "x", folder)


@few
def test_in_checkpoints(kind: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "store")
    shell.json("init")
    shell.json("register", "base", "base", MODELS / "base")
    folder = Path(shutil.copytree(MODELS / "tuned", tmp_path / "tuned"))
    for number, _ in enumerate(replaced(kind, files(folder, *BESIDE))):
        told(shell, "register", "base", f"base{number}", folder)
    folder = Path(shutil.copytree(MODELS / "adapter", tmp_path / "adapter"))
    for number, _ in enumerate(replaced(kind, files(folder))):
        told(shell, "register", "skill", f"skill{number}", folder, "--base", "base")
    assert shell.json("verify")["ok"]


@pytest.mark.slow
@kinds
def test_in_stores(kind: str, restored: Path, tmp_path: Path) -> None:
    """Objects, results in the cache, the policy: told to be damaged where they count."""
    shutil.copytree(restored, tmp_path, dirs_exist_ok=True)
    home, shell, made = tmp_path / "store", Shell(tmp_path / "store"), tmp_path / "made"
    objects = [home / path.relative_to(tmp_path / "backup") for path in _named(tmp_path / "backup")]
    for path in replaced(kind, [*objects[::8], *files(home / "cache")]):
        codes = [told(shell, *words) for words in (("check", "--read-data"), ("verify",))]
        assert codes == [6, 6] or path not in objects, path
        told(shell, "gc")
        told(shell, "backup", tmp_path / "backup")
        told(shell, "materialize", "assistant@1", "--output", made, "--force")
        told(shell, "export", "assistant@1", "--output", tmp_path / "x.bundle", "--lineage")
        (tmp_path / "x.bundle").unlink(missing_ok=True)
    for path in replaced(kind, [home / "policy.yaml"]):
        assert told(shell, "materialize", "assistant@1", "--output", made, "--force") == 2, path
        told(shell, "backup", tmp_path / "backup")
    assert shell.json("verify")["ok"]


@few
def test_where_files_are_named(kind: str, tmp_path: Path) -> None:
    """But recipes, policies, templates, envelopes and keys may be pipes, which somebody writes to."""
    shell, path = Shell(tmp_path / "store"), tmp_path / "x"
    shell.json("init")
    shell.json("register", "base", "base", MODELS / "base")
    shell.json("register", "skill", "small", MODELS / "tuned", "--base", "base", "--allow-missing")
    KINDS[kind](path)
    for words in (
        *(("import", path), ("restore", path), ("repair", "--from", path), ("register", "base", "x", path)),
        *(("verify", path), ("audit", path), ("diff", path, "small"), ("backup", path)),
        ("materialize", "base + small", "--output", path),
        ("export", "small", "--output", path, "--lineage"),
        ("stats", "collect", "small", "--kind", "fisher", "--data", path),
    ):
        told(shell, *words)
        assert os.path.lexists(path)


def test_a_registry_that_is_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    os.mkfifo(tmp_path / "store" / "registry.db")
    with patience(PATIENCE), pytest.raises(MergestoreError):
        mergestore.open(tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{}, {"terms": 7}, {"base": []}, {"head": 7}], ids=str)
def test_a_recipe_that_is_none_in_a_published_folder(recipe: dict[str, Any], restored: Path, tmp_path: Path) -> None:
    """Its manifest has the digests that it must have."""
    folder, shell = Path(shutil.copytree(restored / "model", tmp_path / "model")), Shell(restored / "store")
    document = json.loads((folder / "mergestore.json").read_text())
    document["recipe"] = {**document["recipe"], **recipe} if recipe else {}
    document["recipe_digest"] = json_digest(document["recipe"])
    document["digest"] = manifest_digest(document)
    (folder / "mergestore.json").write_text(json.dumps(document))
    for words in (("audit", folder), ("audit", folder, "--rebuild"), ("diff", folder, "assistant@1")):
        assert told(shell, *words) == 6, words
