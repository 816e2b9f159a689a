"""A folder with a store in it, as docs/operations.md speaks of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mergestore
from tests.integration.golden_stores import copy_objects, load_sqlite


@pytest.fixture(scope="module")
def made(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store to be copied: something of everything, brought up to date, and a backup of it."""
    folder = tmp_path_factory.mktemp("made")
    home = copy_objects("store2", folder / "store")
    load_sqlite("store2", home / "registry.db")
    mergestore.init(home)
    mergestore.backup(folder / "backup" / "store", home)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with ``store`` and ``backup/store`` in it."""
    place = Path(shutil.copytree(made, tmp_path / "place"))
    monkeypatch.chdir(place)
    monkeypatch.setenv("MERGESTORE_HOME", "store")
    return place
