"""Which folders a model may be written to: what --force replaces, and what nothing ever takes the place of."""

import json
import threading
from pathlib import Path

import pytest

from mergestore import Conflict, UsageError
from tests.integration.shell import listing

pytestmark = pytest.mark.usefixtures("surroundings")


def test_force_replaces_at_once(filled, tmp_path):
    """Whoever looks at the folder while it is replaced sees the old model or the new one, whole."""
    out, stop, seen, faults = tmp_path / "out", threading.Event(), set(), []
    filled.merge("other", "tiny + 0.1*code")
    digests = {
        filled.materialize(name, output=out, force=True, wait=False).output_digest for name in ("other", "assistant")
    }

    def look():
        while not stop.is_set():
            try:
                seen.add(json.loads((out / "mergestore.json").read_text())["output_digest"])
            except OSError as error:
                faults.append(error)

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(12):
        for name in ("assistant", "other"):
            filled.materialize(name, output=out, force=True, wait=False)
    stop.set()
    watcher.join()
    assert seen == digests
    assert faults == []
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("out", "store")] == []


def test_force_replaces_published_models_and_empty_folders_only(filled, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = listing(tmp_path)
    for name in ("mine", "file", "link", "dangling"):
        for force in (False, True):
            with pytest.raises(Conflict) as caught:
                filled.materialize("assistant", output=tmp_path / name, force=force, wait=False)
            assert caught.value.hint
    assert listing(tmp_path) == before
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        made = filled.materialize("assistant", output=tmp_path / "empty", force=True, wait=False)
        assert filled.verify(Path(made.path)).ok


@pytest.mark.parametrize("place", ["store", "store/objects", "store/cache/x", "."])
def test_an_output_never_takes_the_place_of_the_store(filled, tmp_path, place):
    before = listing(filled.home.root)
    with pytest.raises(UsageError, match="store") as caught:
        filled.materialize("assistant", output=tmp_path / place, force=True, wait=False)
    assert caught.value.hint
    assert listing(filled.home.root) == before
    assert filled.verify().ok


@pytest.mark.parametrize("place", ["", ".", "..", "/"])
def test_an_output_never_takes_the_place_of_the_folder_one_is_in(filled, tmp_path, monkeypatch, place):
    (tmp_path / "work" / "here").mkdir(parents=True)
    (tmp_path / "work" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "work" / "here")
    with pytest.raises(UsageError) as caught:
        filled.materialize("assistant", output=place, force=True, wait=False)
    assert caught.value.hint
    assert listing(tmp_path / "work") == {"here": 0, "notes.txt": 4}


@pytest.mark.parametrize("place", ["people/me", "people"])
def test_an_output_never_takes_the_place_of_the_home_folder(filled, tmp_path, monkeypatch, place):
    (tmp_path / "people" / "me").mkdir(parents=True)  # empty, as in a fresh container: still not to be replaced
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    with pytest.raises(UsageError, match="home") as caught:
        filled.materialize("assistant", output=tmp_path / place, force=True, wait=False)
    assert caught.value.hint
    assert listing(tmp_path / "people") == {"me": 0}


def test_an_output_never_takes_the_place_of_a_mounted_disk(filled, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "disk")
    with pytest.raises(UsageError, match="mounted") as caught:
        filled.materialize("assistant", output=tmp_path / "disk", force=True, wait=False)
    assert str(tmp_path / "disk" / "model") in caught.value.hint
    assert listing(tmp_path / "disk") == {}
