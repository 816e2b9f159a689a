"""``repair``: what was damaged is mended from copies, from where it came, or by making it again; else named as lost."""

from __future__ import annotations

import shutil

import pytest

import mergestore
from mergestore import NotFound
from tests.integration.models import LLAMA_CONFIG, fine_tune, llama, save
from tests.integration.shell import Shell, listing

BASE = llama("F32", seed=1)


@pytest.fixture(scope="module")
def made(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "all"
    save(folder / "tiny", BASE, LLAMA_CONFIG, files={"tokenizer.json": "{}"})
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as opened:
        opened.register_base("tiny", folder / "tiny")
        opened.register_skill("math", folder / "math", base="tiny", drop_rate=0.5, seed=7)
        opened.register_skill("code", folder / "code", base="tiny", encoding="magnitude", density=0.25, trim="tensor")
        opened.register_skill("whole", folder / "code", base="tiny", encoding="exact")
        opened.register_skill("whole-math", folder / "math", base="tiny", encoding="exact")
        opened.merge("all", "tiny + whole + whole-math", method="emr")
        opened.merge("both", "tiny + 0.5*math + 0.5*code")
        opened.alias("both", "prod")
        opened.materialize("both", wait=False)
    return folder


@pytest.fixture
def store(made, tmp_path):
    """The store and the models in it, in the very place where they were made."""
    kept = made.with_name("kept")
    made.rename(kept)
    try:
        shutil.copytree(kept, made)
        with mergestore.open(made / "store", actor="ann@lab") as opened:
            yield opened
    finally:
        shutil.rmtree(made, ignore_errors=True)
        kept.rename(made)


def file_of(store, reference, path):
    """Where a file of a version lies among the objects."""
    (digest,) = (file["digest"] for file in store.show(reference)["files"] if file["path"] == path)
    return digest, store.home.blobs.path(digest)


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def states(repaired):
    return {each["digest"]: each["state"] for each in repaired.objects}


PLACES = {
    "a base's weights": ("tiny", "model.safetensors"),
    "a companion": ("tiny", "tokenizer.json"),
    "a delta with a mask": ("math", "delta.safetensors"),
    "a delta of the largest values": ("code", "delta.safetensors"),
    "a vector": ("all", "unified.safetensors"),
}


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_what_can_be_made_or_found_again_is_mended_to_the_bit(store, place, gone):
    digest, path = file_of(store, *PLACES[place])
    before = path.read_bytes()
    path.unlink() if gone else spoil(path)
    told = store.repair()
    assert (told.applied, told.ok, states(told)) == (False, False, {digest: "can be mended"})
    assert not store.check_store(read_data=True).ok, "nothing was changed"
    mended = store.repair(apply=True)
    assert (mended.ok, states(mended), mended.lost) == (True, {digest: "mended"}, [])
    assert mended.objects[0]["was"] == ("missing" if gone else "damaged")
    assert path.read_bytes() == before
    assert store.home.quarantine.exists() is not gone
    assert store.metrics()["quarantine_bytes"] == (0 if gone else len(before))
    assert store.verify().ok
    again = store.repair(apply=True)
    assert (again.ok, again.objects) == (True, [])
    (event,) = store.find("events", action="objects.repair").rows
    assert list(event["details"]["objects"]) == [digest]


@pytest.mark.parametrize("instead", ["link", "folder"])
def test_what_is_no_file_in_the_place_of_an_object_is_told_as_that_and_mended(store, tmp_path, instead):
    digest, path = file_of(store, "tiny", "tokenizer.json")
    before = path.read_bytes()
    moved = path.rename(tmp_path / "elsewhere")
    path.symlink_to(moved) if instead == "link" else path.mkdir()
    was = "replaced by a link" if instead == "link" else "replaced by what is no file"
    for found in (store.check_store(), store.check_store(read_data=True), store.verify("tiny")):
        (problem,) = found.problems
        assert f"{digest} is {was}" in problem["what"]
    mended = store.repair(apply=True)
    assert (mended.ok, mended.objects[0]["was"], path.read_bytes()) == (True, was, before)
    assert not path.is_symlink()
    assert moved.read_bytes() == before
    assert store.verify().ok


def test_what_is_lost_is_named_with_all_that_contains_it(store, tmp_path):
    digest, path = file_of(store, "math", "delta.safetensors")
    copy = tmp_path / "backup" / "some" / "where"
    copy.mkdir(parents=True)
    shutil.copy(path, copy / "anything")
    spoil(path)
    shutil.rmtree(store.home.root.parent / "math")
    found = store.repair(apply=True)
    assert (found.ok, states(found)) == (False, {digest: "lost"})
    (lost,) = found.lost
    assert (lost["version"], lost["kind"], set(lost["contained_in"])) == ("math@1", "skill", {"both@1"})
    assert (lost["aliases"], lost["materializations"]) == (["both@prod"], 1)
    assert path.exists(), "what is there stays where it is until something better is found"
    mended = store.repair(copies=[store.home.root.parent / "tiny", tmp_path / "backup"], apply=True)
    assert (mended.ok, states(mended)) == (True, {digest: "mended"})
    assert store.verify().ok


def test_from_another_store_with_chains_of_what_stands_on_each_other(store, tmp_path):
    """The base comes from a copy of the store, and the delta is made again with it."""
    shutil.copytree(store.home.root / "objects", tmp_path / "copy" / "objects")
    weights, base = file_of(store, "tiny", "model.safetensors")
    delta, path = file_of(store, "code", "delta.safetensors")
    (tmp_path / "copy" / "objects" / path.relative_to(store.home.root / "objects")).unlink()
    for each in (base, path):
        spoil(each)
    shutil.rmtree(store.home.root.parent / "tiny")
    mended = store.repair(copies=[tmp_path / "copy"], apply=True)
    assert (mended.ok, states(mended)) == (True, {weights: "mended", delta: "mended"})
    assert store.verify().ok


def test_what_is_not_the_same_to_the_bit_is_not_taken(store, tmp_path):
    digest, path = file_of(store, "math", "delta.safetensors")
    spoil(path)
    shutil.rmtree(store.home.root.parent / "math")
    save(store.home.root.parent / "math", fine_tune(BASE, 99), LLAMA_CONFIG)  # another fine-tune lies there by now
    found = store.repair(apply=True)
    assert states(found) == {digest: "lost"}
    assert list((store.home.root / "tmp").iterdir()) == []


def test_damaged_results_in_the_cache_are_deleted_and_made_again(store):
    (cached,) = store.home.cache.iterdir()
    spoil(cached / "model.safetensors")
    told = store.repair()
    assert told.caches == [str(cached)]
    assert cached.exists()
    assert store.repair(apply=True).ok
    assert not cached.exists()
    assert store.materialize("both", wait=False).path == str(cached)


def test_what_stands_on_what_can_be_mended_may_be_lost_until_then(store):
    shell = Shell(store.home.root)
    for reference, path in (("tiny", "model.safetensors"), ("math", "delta.safetensors")):
        spoil(file_of(store, reference, path)[1])
    code, out, _ = shell("repair")
    assert (code, "LOST: skill math@1" in out) == (6, True)
    assert "may be made again from what that mends" in out
    assert "LOST" not in shell.text("repair", "--apply")
    assert store.check_store(read_data=True).ok


def test_on_the_command_line(surroundings, tmp_path):
    save(tmp_path / "tiny", BASE, LLAMA_CONFIG)
    with mergestore.open(tmp_path / "store", actor="ann@lab") as opened:
        opened.register_base("tiny", tmp_path / "tiny")
        _, path = file_of(opened, "tiny", "model.safetensors")
    shell = Shell(tmp_path / "store", tmp_path)
    assert shell.text("repair") == "nothing is damaged\n"
    save(tmp_path / "far", llama("F32", seed=7), LLAMA_CONFIG)
    shell.text("register", "base", "far", tmp_path / "far", "--reference")
    assert "not read but by verify: " in shell.text("check", "--read-data")
    aside = (tmp_path / "far" / "model.safetensors").rename(tmp_path / "aside")
    code, out, _ = shell("repair")
    assert (code, out.startswith("REFERENCED: ")) == (6, True)
    spoil(aside.rename(tmp_path / "far" / "model.safetensors"))
    assert shell.text("repair") == "nothing is damaged\nnot read but by verify: 1 referenced file\n"
    spoil(path)
    code, out, _ = shell("repair")
    assert (code, out.startswith("can be mended: damaged blake3:")) == (6, True)
    before = listing(tmp_path / "tiny")
    assert "where tiny@1 came from" in shell.text("repair", "--apply")
    assert listing(tmp_path / "tiny") == before
    assert "no copy at" in shell.refused(3, "repair", "--from", tmp_path / "nowhere")["message"]
    spoil(path)
    shutil.rmtree(tmp_path / "tiny")
    code, out, _ = shell("repair", "--apply")
    assert (code, "LOST: base tiny@1 is not whole" in out) == (6, True)
    with mergestore.open(tmp_path / "store") as opened, pytest.raises(NotFound):
        opened.repair(copies=["nowhere"])
