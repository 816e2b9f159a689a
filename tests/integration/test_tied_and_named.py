"""Models whose tensors stand for each other, share names, or have the content of another's."""

import contextlib
import json
import os
import shutil
import sqlite3

import numpy as np
import pytest

import mergestore
from mergestore import Conflict, InputRefused
from storage.files import sweep, temporary_path
from tests.integration.models import bert, fine_tune, floats, llama, read_model, renamed, save, whole

CONFIG = {"model_type": "llama", "tie_word_embeddings": True, "torch_dtype": "float32"}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def store(tmp_path):
    with mergestore.open(tmp_path / "store", tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}") as store:
        yield store


def tied(model):
    return model | {HEAD: model[EMBEDDING]}


@pytest.mark.parametrize("saved", ["twice", "once"])
@pytest.mark.parametrize("method", ["task_arithmetic", "dare_linear", "ties"])
@pytest.mark.parametrize("encoding", ["dare", "exact"])
def test_tied_weights_stay_tied(store, tmp_path, encoding, method, saved):
    base = tied(llama())
    tuned = tied(fine_tune(base, seed=1))
    if saved == "once":
        del tuned[HEAD]
    store.register_base("base", save(tmp_path / "base", base, CONFIG))
    store.register_skill("skill", save(tmp_path / "skill", tuned, CONFIG), base="base", encoding=encoding)
    made = store.materialize("base + 0.7*skill", method=method, output=tmp_path / "out", wait=False)
    out = read_model(tmp_path / "out")
    assert out[EMBEDDING].data == out[HEAD].data != base[EMBEDDING].data
    assert made.output_digest == mergestore_digest(store, tmp_path, tuned, encoding, method)


def mergestore_digest(store, tmp_path, tuned, encoding, method):
    """The output of the same model saved the other way: with both ends of the tie, or one."""
    other = {name: tensor for name, tensor in tuned.items() if name != HEAD} if HEAD in tuned else tied(tuned)
    store.register_skill("other", save(tmp_path / "other", other, CONFIG), base="base", encoding=encoding)
    return store.materialize("base + 0.7*other", method=method, wait=False).output_digest


def test_a_head_whose_names_collide_is_refused_before_anything_is_written(store, tmp_path):
    base = renamed(bert(), "model.") | {"embeddings.position_ids": whole(np.arange(5)[None])}
    del base["model.embeddings.position_ids"]
    base["model.embeddings.position_ids"] = whole(np.arange(12)[None])
    tuned = {
        name.removeprefix("model."): tensor
        for name, tensor in fine_tune(base, seed=1).items()
        if name.startswith("model.") and "position_ids" not in name
    }
    tuned["classifier.weight"] = floats(np.ones((2, 16)))
    store.register_base("base", save(tmp_path / "base", base))
    store.register_skill("skill", save(tmp_path / "skill", tuned), base="base")
    with pytest.raises(InputRefused, match="share a name"):
        store.materialize("base + skill", output=tmp_path / "out", wait=False)
    assert not (tmp_path / "out").exists()
    store.materialize("base + skill", head="none", output=tmp_path / "out", wait=False)
    assert set(read_model(tmp_path / "out")) == set(base)


def test_a_named_merge_reads_its_own_inputs_not_others_of_the_same_content(store, tmp_path):
    base = llama()
    store.register_base("base", save(tmp_path / "base", base, CONFIG))
    path = save(tmp_path / "skill", fine_tune(base, seed=1), CONFIG)
    for number in (1, 2):
        store.register_skill(f"skill{number}", path, base="base", licence=f"LicenseRef-{number}")
        store.merge(f"merge{number}", f"base + 0.5*skill{number}")
    store.materialize("merge2", output=tmp_path / "out", wait=False)
    told = json.loads((tmp_path / "out" / "mergestore.json").read_text())
    assert [(skill["name"], skill["licence"]) for skill in told["skills"]] == [("skill2", "LicenseRef-2")]
    store.yank("skill1@1", "withdrawn")
    store.materialize("merge2", wait=False)
    with pytest.raises(Conflict, match="withdrawn"):
        store.materialize("merge1", wait=False)


def test_files_added_to_a_published_folder_are_found_and_never_copied_on(store, tmp_path):
    base = llama()
    store.register_base("base", save(tmp_path / "base", base, CONFIG))
    store.register_skill("skill", save(tmp_path / "skill", fine_tune(base, seed=1), CONFIG), base="base")
    cached = store.materialize("base + skill", wait=False).path
    shutil.copytree(cached, tmp_path / "copy")
    (tmp_path / "copy" / "modeling_evil.py").write_text("import os")
    problems = store.verify(tmp_path / "copy").problems
    assert ["modeling_evil.py" in problem["what"] for problem in problems] == [True]
    with pytest.raises(Conflict):
        store.materialize("base + skill", output=tmp_path / "copy", force=True, wait=False)


def test_the_config_beside_a_head_tells_the_dtype_of_the_weights(store, tmp_path):
    base = bert()
    tuned = fine_tune(base, seed=1, dtype="BF16") | {"classifier.weight": floats(np.ones((2, 16)), "BF16")}
    config = {"model_type": "bert", "dtype": "float32"}
    store.register_base("base", save(tmp_path / "base", base, config))
    store.register_skill(
        "skill", save(tmp_path / "skill", tuned, config | {"dtype": "bfloat16", "num_labels": 2}), base="base"
    )
    store.materialize("base + skill", output=tmp_path / "out", wait=False)
    told = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (told["dtype"], told["num_labels"]) == ("float32", 2)


def test_a_folder_that_cannot_be_recorded_is_taken_back(store, tmp_path):
    base = llama()
    store.register_base("base", save(tmp_path / "base", base, CONFIG))
    store.register_skill("skill", save(tmp_path / "skill", fine_tune(base, seed=1), CONFIG), base="base")
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "registry.db")) as connection:
        connection.execute("create trigger no before insert on materialization begin select raise(abort, 'no'); end")
    with pytest.raises(Exception, match="no"):
        store.materialize("base + skill", output=tmp_path / "out", wait=False)
    assert not (tmp_path / "out").exists()


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path):
    mine = temporary_path(tmp_path, "spool")
    mine.write_text("mine")
    child = os.fork()
    if not child:
        temporary_path(tmp_path, "spool").write_text("left")
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
