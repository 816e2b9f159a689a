"""Results made again from their lineage: the same, or located where they are not; with a receipt."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mergestore
from mergestore import IntegrityFailure, NotFound, UsageError
from registry.publishing import manifest_digest
from tests.integration.models import LLAMA_CONFIG, QUERY, fine_tune, llama, save
from tests.integration.shell import Shell

BASE = llama("F32", seed=1)


@pytest.fixture(scope="module")
def original(surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rebuild")
    save(folder / "tiny", BASE, LLAMA_CONFIG)
    for number, name in enumerate(("math", "code")):
        save(folder / name, fine_tune(BASE, number + 1), LLAMA_CONFIG)
    with mergestore.open(folder / "store", actor="ann@lab") as store:
        store.register_base("tiny", folder / "tiny")
        store.register_skill("math", folder / "math", base="tiny")
        store.register_skill("code", folder / "code", base="tiny", encoding="exact")
        store.merge("both", "tiny + 0.6*math + 0.4*code")
        store.merge("never", "tiny + 0.1*math")
    return folder


@pytest.fixture
def store(original, tmp_path):
    shutil.copytree(original / "store", tmp_path / "store")
    with mergestore.open(tmp_path / "store", actor="bob@lab") as opened:
        yield opened


def test_what_was_made_comes_out_again_and_a_receipt_is_kept(store, tmp_path):
    made = store.materialize("both", output=tmp_path / "out", wait=False)
    before = sorted(path.name for path in (tmp_path / "store").rglob("*") if path.is_file() and ".db" not in path.name)
    digests = (made.output_digest, made.recipe_digest[:24])
    for target in ("both", "both@1", *digests, tmp_path / "out", str(tmp_path / "out")):
        rebuilt = store.rebuild(target, threads=1)
        assert rebuilt.ok
        assert (rebuilt.recipe_digest, rebuilt.output_digest) == (made.recipe_digest, made.output_digest)
        assert rebuilt.tensors == len(BASE)
        assert [each["what"] for each in rebuilt.compared] == [
            "recorded output", f"manifest of {tmp_path / 'out'}", f"bytes of {tmp_path / 'out'}",
        ]  # fmt: skip
        event = next(each for each in store.audit("both").events if each["action"] == "audit.rebuild")
        assert event["actor"] == "bob@lab"
        assert event["details"]["ok"] is True
        assert event["details"]["output_digest"] == made.output_digest
    after = sorted(path.name for path in (tmp_path / "store").rglob("*") if path.is_file() and ".db" not in path.name)
    assert after == before
    assert store.verify().ok


def test_what_was_never_made_is_made_and_compared_with_nothing(store):
    rebuilt = store.rebuild("never")
    assert rebuilt.ok is None
    assert rebuilt.compared == []
    assert store.materialize("never", wait=False).output_digest == rebuilt.output_digest
    assert store.rebuild("never").ok


def receipt_of(store, rebuilt):
    return next(row["details"] for row in store.find("events").rows if row["sequence"] == rebuilt.receipt)


def test_a_folder_that_goes_by_several_paths_is_looked_at_once(store, tmp_path):
    store.materialize("both", output=tmp_path / "out", wait=False)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "other").mkdir()
    store.materialize("both", output=tmp_path / "link" / "out", force=True, wait=False)
    expected = [str(tmp_path / "out")]
    for target in ("both", tmp_path / "link" / "out", str(tmp_path / "other" / ".." / "out")):
        assert [each["folder"] for each in store.rebuild(target).folders] == expected
    assert store.verify().checked["materializations"] == 1


def test_a_folder_of_which_all_is_changed_is_told_in_short(store, tmp_path):
    store.materialize("both", output=tmp_path / "out", wait=False)
    file = tmp_path / "out" / "model.safetensors"
    tensors = load_file(file)
    gone = next(iter(sorted(tensors)))
    changed = {name: value + np.float32(1) for name, value in tensors.items() if name != gone}
    save_file({**changed, "added": np.zeros(1, np.float32)}, file, metadata={"format": "pt"})
    rebuilt = store.rebuild("both")
    assert {row["tensor"] for row in rebuilt.differing} == {*tensors, "added"}
    (added,) = [row for row in rebuilt.differing if row["tensor"] == "added"]
    assert (added["recorded"], added["made"]) == (None, None)
    (folder,) = receipt_of(store, rebuilt)["folders"]
    assert folder["differing"] == len(tensors) + 1
    assert len(folder["tensors"]) == 20
    assert folder["problems"][-1].endswith("more")
    told = Shell(tmp_path / "store")("audit", "both", "--rebuild")[1]
    assert f"and {len(tensors) + 1 - 20} more tensors" in told


def test_a_manifest_that_cannot_be_read_is_a_verdict_too(store, tmp_path):
    store.materialize("both", output=tmp_path / "out", wait=False)
    (tmp_path / "out" / "mergestore.json").write_text("{")
    rebuilt = store.rebuild("both")
    assert rebuilt.ok is False
    (folder,) = receipt_of(store, rebuilt)["folders"]
    assert "mergestore.json is damaged" in folder["problems"][0]


def test_a_changed_folder_is_located_to_the_tensor(store, tmp_path):
    store.materialize("both", output=tmp_path / "out", wait=False)
    file = tmp_path / "out" / "model.safetensors"
    tensors = load_file(file)
    tensors[QUERY] = tensors[QUERY].copy()
    tensors[QUERY].reshape(-1)[7] += np.float32(1e-3)
    save_file(tensors, file, metadata={"format": "pt"})
    store.materialize("both", output=tmp_path / "sound", wait=False)
    rebuilt = store.rebuild(tmp_path / "out")
    assert rebuilt.ok is False
    (row,) = rebuilt.differing
    assert (row["where"], row["tensor"]) == (str(tmp_path / "out"), QUERY)
    assert row["recorded"] == row["made"] != row["found"]
    told = [{key: each[key] for key in ("folder", "ok", "differing", "tensors")} for each in rebuilt.folders]
    assert told == [
        {"folder": str(tmp_path / "out"), "ok": False, "differing": 1, "tensors": [QUERY]},
        {"folder": str(tmp_path / "sound"), "ok": True, "differing": 0, "tensors": []},
    ]
    receipt = receipt_of(store, rebuilt)
    assert receipt["outcome"] == "failed"
    assert receipt["folders"] == rebuilt.folders
    assert receipt["outputs"] == {rebuilt.output_digest: True}
    (odd,) = [each for each in rebuilt.compared if not each["ok"]]
    assert odd["what"] == f"bytes of {tmp_path / 'out'}"
    assert QUERY in odd["detail"]


def test_a_manifest_that_was_made_to_fit_is_located_too(store, tmp_path):
    """Every digest of the folder is right; only the lineage tells that it is another model."""
    made = store.materialize("both", output=tmp_path / "out", wait=False)
    document = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    other = json.loads((store_manifest(store, tmp_path, "tiny + 0.6*math + 0.5*code")).read_text())
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "out" / "model.safetensors")
    for key in ("tensors", "output_digest", "files"):
        document[key] = other[key]
    document["files"]["README.md"] = document["files"].get("README.md", other["files"].get("README.md"))
    document["files"] = {key: value for key, value in document["files"].items() if value}
    document["digest"] = manifest_digest(document)
    (tmp_path / "out" / "mergestore.json").write_text(json.dumps(document))
    assert store.verify(tmp_path / "out").ok
    rebuilt = store.rebuild("both")
    assert rebuilt.ok is False
    assert {each["tensor"] for each in rebuilt.differing} == {name for name in BASE if name in document["tensors"]}
    assert rebuilt.output_digest == made.output_digest
    with pytest.raises(NotFound, match="this store has not made"):
        store.rebuild(tmp_path / "out")


def store_manifest(store, tmp_path, expression):
    store.materialize(expression, output=tmp_path / "other", wait=False)
    return tmp_path / "other" / "mergestore.json"


def test_damaged_inputs_are_found_on_the_way(store):
    store.materialize("both", wait=False)
    (file,) = [each for each in store.show("code")["files"] if each["path"] == "delta.safetensors"]
    path = store.home.blobs.path(file["digest"])
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityFailure):
        store.rebuild("both")


def test_adapters_are_made_again_too(store, tmp_path):
    made = store.materialize_adapter("both", rank=2, rest="drop", output=tmp_path / "lora", wait=False)
    rebuilt = store.rebuild(tmp_path / "lora")
    assert rebuilt.ok
    assert rebuilt.output_digest == made.output_digest


def test_of_one_vector_for_all_skills_what_was_made_of_a_task_is_made_again(store, original, tmp_path):
    store.register_skill("chat", original / "math", base="tiny", encoding="exact")
    store.merge("all", "tiny + code + chat", method="emr")
    made = store.materialize("all", task="chat", output=tmp_path / "out", wait=False)
    for target in (made.output_digest, made.recipe_digest, tmp_path / "out"):
        rebuilt = store.rebuild(target)
        assert rebuilt.ok
        assert (rebuilt.recipe_digest, rebuilt.output_digest) == (made.recipe_digest, made.output_digest)
    with pytest.raises(UsageError, match="no task says which") as caught:
        store.rebuild("all")
    assert "digest of its output" in caught.value.hint


def test_what_is_no_result_is_refused(store, original):
    targets = {"math": UsageError, "tiny": UsageError, "nobody": NotFound, original / "tiny": UsageError}
    for target, error in targets.items():
        with pytest.raises(error):
            store.rebuild(target)


def test_the_command_tells_it_and_has_its_exit_code(store, tmp_path):
    shell = Shell(tmp_path / "store")
    store.materialize("both", output=tmp_path / "out", wait=False)
    told = shell.text("audit", "both", "--rebuild", "--threads", 1)
    assert told.startswith(f"the same: {len(BASE)} tensors from their lineage")
    assert "receipt: event" in told
    (tmp_path / "out" / "model.safetensors").write_bytes(b"")
    code, out, _ = shell("audit", "both", "--rebuild")
    assert code == 6
    assert out.startswith("NOT THE SAME")
    assert store.rebuild("never").ok is None
    told = shell.text("find", "events", "--action", "audit.rebuild")
    assert [word for word in told.split() if word in ("passed", "failed", "nothing")] == ["nothing", "failed", "passed"]
    assert " failed " in shell.text("audit", "both")
    assert "--rebuild has its own" in shell("audit", "both", "--rebuild", "--tree")[2]
    assert "go with --rebuild" in shell("audit", "both", "--threads", 1)[2]
